//! Tests of the database, most of which fill it, close it and read it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use abanico_media::{
    ClockJumps, Colour, EntryPoints, ExactTime, MediaInfo, Orientation, Rational, VideoTrack,
};
use abanico_plan::{Capabilities, Chunking, PlanRequest, plan};
use serde_json::json;

use super::*;
use crate::jobs::job::{JobTimes, Progress, Submission};
use crate::jobs::job_machine::{Event, JobMachine, Waiting};

/// Takes away the columns of a later version.
const WITHOUT_CHECKSUMS: &str = "
ALTER TABLE jobs DROP COLUMN checksum; ALTER TABLE jobs DROP COLUMN hops;
ALTER TABLE events DROP COLUMN checksum; ALTER TABLE resources DROP COLUMN checksum;
";

fn record(id: &str, submitted_ms: i64, token: Option<Token>) -> JobRecord {
    JobRecord {
        id: JobId::new(id),
        submission: Submission {
            settings: json!({}),
            request: json!({"role": "r"}),
            user_metadata: [("k".to_owned(), "v".to_owned())].into(),
            role: "r".into(),
            queue: "q".into(),
            priority: 0,
            token,
            messages: vec![],
        },
        machine: JobMachine::default(),
        times: JobTimes { submitted_ms, ..JobTimes::default() },
        progress: Progress::default(),
        inputs: Vec::new(),
        plan: None,
        outputs: vec![],
        child_cpu_ms: 0,
        transitions: vec![],
        forwarded: crate::Forwarded::default(),
    }
}

/// Returns a job without a token; tests of other files use it too.
pub(crate) fn record_at(id: &str, submitted_ms: i64) -> JobRecord {
    record(id, submitted_ms, None)
}

fn token(remembered_ms: Option<i64>) -> Option<Token> {
    Some(Token { text: "t".into(), remembered_ms })
}

/// Returns the job of a two-hour film in three renditions and many chunks. All chunks are encoded, and the outputs
/// are still being made.
fn long_film() -> JobRecord {
    let mut job = record("1-a", 1, None);
    let (frames, tick) = (172_600, Rational::new(1, 24_000));
    let ticks = (0..frames).step_by(48).map(|frame| frame * 1001).collect();
    let entry_points = EntryPoints { tick, ticks };
    let video = json!({"stream_index": 0, "codec": "h264", "profile": null, "pixel_format": "yuv420p", "bit_depth": 8,
        "size": {"width": 1920, "height": 1080}, "sample_aspect": "1/1", "orientation": Orientation::UPRIGHT,
        "frame_rate": "24000/1001", "variable_frame_rate": false, "frames": frames, "start": ExactTime::ZERO,
        "end": ExactTime::from_ticks(frames * 1001, tick), "field_order": "progressive", "colour": Colour::default(),
        "bit_rate_bps": 8_000_000});
    let video = VideoTrack { entry_points, ..serde_json::from_value(video).unwrap() };
    let clock_start = ExactTime::ZERO;
    let (container, size_bytes) = ("mov,mp4,m4a,3gp,3g2,mj2".to_owned(), 1);
    let jumps = ClockJumps::default();
    job.inputs =
        vec![MediaInfo { container, size_bytes, clock_start, video: Some(video), audio: vec![], jumps }];
    let request = json!({"role": "r", "jobTemplate": "three-mp4", "settings": {
        "inputs": [{"fileInput": "s3://in/film.mov"}],
        "outputGroups": [{"outputGroupSettings": {"fileGroupSettings": {"destination": "s3://out/made/"}}}]}});
    job.submission = crate::requests::submission::from_request(request).unwrap();
    let capabilities = Capabilities {
        version: "5.1.9".to_owned(),
        encoders: ["libx264", "aac"].map(str::to_owned).into(),
        filters: Default::default(),
    };
    let planned = plan(PlanRequest {
        settings: &serde_json::from_value(job.submission.settings.clone()).unwrap(),
        user_metadata: &BTreeMap::new(),
        inputs: &job.inputs,
        capabilities: &capabilities,
        started_epoch_ms: 0,
        chunking: Chunking::For(46),
    });
    let planned = planned.unwrap();
    job.machine.apply(Event::Started);
    job.machine.apply(Event::Planned(planned.tasks.iter().map(Waiting::from).collect()));
    for task in planned.tasks.iter().filter(|task| !task.kind.is_packaging()) {
        job.machine.apply(Event::TaskDone(task.id.clone()));
    }
    job.plan = Some(Arc::new(planned));
    job
}

/// Returns an empty database in a new folder, which lasts as long as the first value.
pub(crate) fn sample_database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("jobs.sqlite")).unwrap();
    (folder, database)
}

#[test]
fn ended_job_is_stored_without_tasks() {
    let mut job = long_film();
    let chunks = job.tasks().iter().filter(|task| task.id.as_str().contains("chunk-")).count();
    let running = to_text(&job);
    assert!(!running.contains("chunk-0001"), "the record of a running job names no task: {running}");
    let before = running.len();
    let outputs = job.plan.as_ref().unwrap().outputs.clone();
    job.machine.apply(Event::CancelRequested);
    job.forget_work();
    let after = to_text(&job).len();
    assert!(chunks > 100, "{chunks} {:?}", job.messages().collect::<Vec<_>>());
    assert!(before < 20_000 && after < before, "{before} bytes, then {after} in {chunks} chunks");
    assert_eq!(job.plan.unwrap().outputs, outputs);
}

#[test]
fn tasks_are_stored_once_and_read_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.sqlite");
    let mut job = long_film();
    let tasks = job.tasks().to_vec();
    {
        let database = Database::open(&path).unwrap();
        database.insert(&record("1-a", 1, None), &[], 1).unwrap();
        database.update_with_tasks(&job, &[json!({"n": 1})]).unwrap();
        job.child_cpu_ms = 7;
        database.update(&job, &[]).unwrap();
    }
    let database = Database::open(&path).unwrap();
    let mut read = database.get(&job.id).unwrap();
    assert_eq!((read.child_cpu_ms, read.tasks()), (7, &[][..]));
    let [listed] = &database.list(&ListFilter::default(), 9).unwrap()[..] else {
        panic!("one job is listed")
    };
    assert_eq!(listed, &read);
    // An update by code that has not read the tasks, such as a queue hop, does not lose them.
    database.update(&read, &[]).unwrap();
    read.take_up(database.tasks(&job.id).unwrap()).unwrap();
    assert_eq!((read.tasks(), &read.plan, &read.machine), (&tasks[..], &job.plan, &job.machine));
    job.forget_work();
    database.update_with_tasks(&job, &[]).unwrap();
    assert_eq!(database.tasks(&job.id).unwrap(), []);
}

fn ids(records: Vec<JobRecord>) -> Vec<String> {
    records.into_iter().map(|record| record.id.to_string()).collect()
}

#[test]
fn everything_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.sqlite");
    let mut job = record("1-a", 1, None);
    {
        let database = Database::open(&path).unwrap();
        database.insert(&job, &[json!({"n": 1})], 1).unwrap();
        job.machine.apply(Event::Started);
        database.update(&job, &[json!({"n": 2}), json!({"n": 3})]).unwrap();
        database.set_cursor("hook", 2).unwrap();
    }
    let database = Database::open(&path).unwrap();
    assert_eq!(database.get(&job.id).unwrap(), job);
    let events: Vec<_> =
        database.events_after(1, 10).unwrap().into_iter().map(|event| event.body["n"].clone()).collect();
    assert_eq!(events, [2, 3]);
    assert_eq!((database.cursor("hook").unwrap(), database.cursor("other").unwrap()), (Some(2), None));
    assert_eq!(database.newest_event().unwrap(), 3);
    assert_eq!(database.counts().unwrap(), [(Stage::Probing, 1)]);
}

#[test]
fn token_finds_first_job_until_forgotten() {
    let (_folder, database) = sample_database();
    database.insert(&record("1-a", 1_000, token(Some(60_000))), &[], 1_000).unwrap();
    let again = database.insert(&record("2-b", 2_000, token(Some(60_000))), &[json!({})], 2_000).unwrap();
    assert!(matches!(again, Inserted::Known(known) if known.id.as_str() == "1-a"));
    assert!(database.get(&JobId::new("2-b")).is_err() && database.newest_event().unwrap() == 0);
    let later = database.insert(&record("3-c", 61_001, token(Some(60_000))), &[], 61_001).unwrap();
    assert!(matches!(later, Inserted::New));
}

#[test]
fn trigger_token_is_never_forgotten() {
    let (_folder, database) = sample_database();
    database.insert(&record("1-a", 1, token(None)), &[], 1).unwrap();
    let again = database.insert(&record("2-b", i64::MAX / 2, token(None)), &[], i64::MAX / 2).unwrap();
    assert!(matches!(again, Inserted::Known(_)));
    let mut other = record("3-c", 5, token(None));
    other.submission.request = json!({"role": "other"});
    assert!(matches!(database.insert(&other, &[], 5).unwrap(), Inserted::Known(_)));
}

#[test]
fn reused_token_with_different_request_is_refused() {
    let (_folder, database) = sample_database();
    database.insert(&record("1-a", 1, token(Some(60_000))), &[], 1).unwrap();
    let mut other = record("2-b", 5, token(Some(60_000)));
    other.submission.request = json!({"role": "other"});
    assert_eq!(database.insert(&other, &[], 5).unwrap_err().kind(), crate::ErrorKind::Conflict);
}

#[test]
fn list_pages_have_no_gap_or_overlap() {
    let (_folder, database) = sample_database();
    for (index, id) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        // Two jobs share each millisecond: the id breaks the tie.
        database.insert(&record(id, index as i64 / 2, None), &[], 0).unwrap();
    }
    for newest_first in [false, true] {
        let mut filter = ListFilter { newest_first, ..ListFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = database.list(&filter, 2).unwrap();
            let Some(last) = page.last() else { break };
            filter.after = Some((last.times.submitted_ms, last.id.clone()));
            seen.extend(ids(page));
        }
        let mut expected = vec!["a", "b", "c", "d", "e"];
        if newest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn list_page_reads_only_an_index() {
    let (_folder, database) = sample_database();
    let filter = |stages: &[Stage], queue: Option<&str>| ListFilter {
        stages: stages.into(),
        queue: queue.map(str::to_owned),
        after: Some((5, JobId::new("5-e"))),
        newest_first: true,
        ..ListFilter::default()
    };
    let waiting = [Stage::Submitted];
    for filter in
        [filter(&[], None), filter(&waiting, None), filter(&[], Some("q")), filter(&waiting, Some("q"))]
    {
        let (sql, values) = list_query(&filter, 20);
        let connection = database.lock();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = explain.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert!(steps.len() == 1 && steps[0].contains("(submitted_ms,id)<(?,?)"), "{filter:?}: {steps:?}");
    }
}

#[test]
fn list_filters_by_stage_and_queue() {
    let (_folder, database) = sample_database();
    let mut started = record("a", 1, None);
    started.machine.apply(Event::Started);
    database.insert(&started, &[], 0).unwrap();
    let mut urgent = record("c", 3, None);
    urgent.submission.priority = 5;
    database.insert(&record("b", 2, None), &[], 0).unwrap();
    database.insert(&urgent, &[], 0).unwrap();
    let only = |stages: Vec<Stage>, queue: Option<&str>| {
        let filter = ListFilter { stages, queue: queue.map(str::to_owned), ..ListFilter::default() };
        ids(database.list(&filter, 10).unwrap())
    };
    assert_eq!(only(vec![Stage::Probing], None), ["a"]);
    assert_eq!(only(vec![], Some("q")), ["a", "b", "c"]);
    assert!(only(vec![], Some("other")).is_empty());
    let waiting: Vec<_> = database.waiting(10).unwrap().into_iter().map(|id| id.to_string()).collect();
    assert_eq!(waiting, ["c", "b"]);
}

#[test]
fn database_of_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Database::open(&path).err().unwrap();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn queue_starts_as_many_jobs_as_allowed() {
    use abanico_model::arn::ResourceKind;

    use crate::records::resources::Resource;

    let (_folder, database) = sample_database();
    let queue = |name: &str, body: Value| Resource {
        kind: ResourceKind::Queue,
        name: name.to_owned(),
        body,
        created_ms: 1,
        updated_ms: 1,
    };
    let (narrow, paused) =
        (queue("n", json!({"concurrentJobs": 2})), queue("p", json!({"status": "PAUSED"})));
    database.insert_resource(&narrow).unwrap();
    database.insert_resource(&paused).unwrap();
    let job = |id: &str, at: i64, queue: &str, priority: i32| {
        let mut job = record(id, at, None);
        job.submission.queue = queue.to_owned();
        job.submission.priority = priority;
        database.insert(&job, &[], at).unwrap();
        job
    };
    let first = job("1-a", 1, &narrow.arn(), 0);
    for (id, at, queue, priority) in [
        ("2-b", 2, narrow.arn(), 0),
        ("3-c", 3, narrow.arn(), 5),
        ("4-d", 4, paused.arn(), 50),
        ("5-e", 5, "elsewhere".to_owned(), 0),
    ] {
        job(id, at, &queue, priority);
    }
    let waiting = |limit: usize| -> Vec<String> {
        database.waiting(limit).unwrap().iter().map(|id| id.as_str().to_owned()).collect()
    };
    assert_eq!(waiting(10), ["3-c", "1-a", "5-e"], "two of the narrow queue, the urgent one first");
    assert_eq!(waiting(1), ["3-c"]);
    let mut running = first;
    running.machine.apply(Event::Started);
    database.update(&running, &[]).unwrap();
    assert_eq!(waiting(10), ["3-c", "5-e"], "one runs, one may start");
}

#[test]
fn job_of_older_version_is_planned_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e");
    {
        let database = Database::open(&path).unwrap();
        let mut job = record("1-a", 1, None);
        job.machine.apply(Event::Started);
        database.insert(&job, &[], 1).unwrap();
        let connection = database.lock();
        connection
            .execute_batch(
                "UPDATE jobs SET record = json_set(record, '$.plan', json('{\"tasks\": \"of another shape\"}'));
                 DROP TABLE tasks;
                 DROP INDEX jobs_that_hop; DROP INDEX jobs_by_queue_and_stage; DROP INDEX jobs_that_wait;
                 DROP TABLE kept; PRAGMA user_version = 2;",
            )
            .unwrap();
        connection.execute_batch(WITHOUT_CHECKSUMS).unwrap();
    }
    let database = Database::open(&path).unwrap();
    let job = database.get(&JobId::new("1-a")).unwrap();
    assert_eq!((job.stage(), job.plan), (Stage::Submitted, None));
    assert_eq!(database.waiting(1).unwrap(), [JobId::new("1-a")]);
}

#[test]
fn tasks_of_older_version_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e");
    let job = long_film();
    {
        let database = Database::open(&path).unwrap();
        database.insert(&record("1-a", 1, None), &[], 1).unwrap();
        database.insert(&record("2-b", 2, None), &[], 2).unwrap();
        let connection = database.lock();
        let whole = serde_json::to_string(&job).unwrap();
        connection
            .execute(
                "UPDATE jobs SET record = ?1, stage = 'TRANSCODING', queue = json_extract(?1, '$.submission.queue'),
                 priority = json_extract(?1, '$.submission.priority'),
                 submitted_ms = json_extract(?1, '$.times.submitted_ms') WHERE id = '1-a'",
                [whole],
            )
            .unwrap();
        let older = "DROP INDEX jobs_by_queue_and_stage; DROP INDEX jobs_that_wait; DROP INDEX jobs_that_hop;
            DROP TABLE tasks; ALTER TABLE kept DROP COLUMN checksum; PRAGMA user_version = 5;";
        connection.execute_batch(older).unwrap();
        connection.execute_batch(WITHOUT_CHECKSUMS).unwrap();
    }
    let database = Database::open(&path).unwrap();
    let read = database.get(&job.id).unwrap();
    assert_eq!((read.plan, read.machine), (job.without_tasks().plan, job.machine.clone()));
    assert_eq!(database.tasks(&job.id).unwrap(), job.tasks());
    assert_eq!(database.get(&JobId::new("2-b")).unwrap(), record("2-b", 2, None));
}
