//! Runs whole jobs on real clips, and checks that they publish the right files and nothing else.

#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use abanico_engine::{Engine, JobId, JobRecord, ListFilter, Stage, submission};
use abanico_model::arn::ResourceKind;
use abanico_testkit::{Clip, Sound};
use common::{Bench, finished, submit};
use serde_json::json;

fn statuses(engine_events: Vec<abanico_engine::StoredEvent>) -> Vec<String> {
    engine_events.iter().map(|event| event.body["detail"]["status"].as_str().unwrap().to_owned()).collect()
}

fn sizes(record: &JobRecord) -> Vec<(String, u32, u32)> {
    let plan = record.plan.as_ref().unwrap();
    let name = |index: u32| plan.outputs[index as usize].name_modifier.clone();
    record.outputs.iter().map(|output| (name(output.output), output.width, output.height)).collect()
}

fn clip(width: u32, height: u32) -> Clip {
    Clip { width, height, frames: 30, ..Clip::default() }
}

async fn reached(engine: &Engine, id: &JobId, is_there: impl Fn(&JobRecord) -> bool) {
    let mut changes = engine.changes();
    while !is_there(&engine.get(id).await.unwrap()) {
        changes.changed().await.unwrap();
    }
}

fn is_without_tasks(record: &JobRecord) -> bool {
    record.machine.done().next().is_none() && record.plan.as_ref().is_none_or(|plan| plan.tasks.is_empty())
}

async fn run(bench: &Bench, engine: &Engine, name: &str, template: &str) -> JobRecord {
    let job = submit(engine, bench.request(name, template)).await;
    finished(engine, &job.id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_preset_job_makes_three_renditions() {
    let bench = Bench::new();
    clip(640, 360).write(&bench.input("a.b.mp4"));
    let engine = bench.engine().await;
    let record = run(&bench, &engine, "a.b.mp4", "three-mp4").await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    assert_eq!(bench.published(), ["a.b_1080p.mp4", "a.b_480p.mp4", "a.b_720p.mp4"]);
    let expected = [("_1080p", 1920, 1080), ("_720p", 1280, 720), ("_480p", 640, 480)];
    assert_eq!(sizes(&record), expected.map(|(name, width, height)| (name.to_owned(), width, height)));
    let facts: Vec<_> = record
        .plan
        .as_ref()
        .unwrap()
        .outputs
        .iter()
        .map(|output| output.facts.video.as_ref().unwrap().frames)
        .collect();
    assert_eq!(facts, [29, 29, 29], "1.2 s at 24000/1001");
    let events = statuses(engine.events_after(0, 100).await.unwrap());
    assert_eq!(events, ["PROGRESSING", "INPUT_INFORMATION", "COMPLETE"]);
    assert_eq!(record.progress.job_percent(), 100);
    assert!(is_without_tasks(&record));
    engine.shutdown(std::time::Duration::ZERO).await;
    assert!(
        std::fs::read_dir(bench.path("engine/work")).unwrap().next().is_none(),
        "the work folder is empty"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ladder_does_not_enlarge_a_portrait_source() {
    let bench = Bench::new();
    Clip { rate: "30".into(), sound: None, ..clip(360, 640) }.write(&bench.input("tall.mp4"));
    let engine = bench.engine().await;
    let record = run(&bench, &engine, "tall.mp4", "ladder").await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    assert_eq!(sizes(&record), [("_480p".to_owned(), 360, 640)]);
    let messages: Vec<_> = record.messages().collect();
    assert!(messages.len() == 3 && messages.iter().any(|text| text.contains("no audio")), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn non_video_fails_with_reason_and_leaves_nothing() {
    let bench = Bench::new();
    std::fs::write(bench.input("letter.mp4"), "dear all").unwrap();
    let engine = bench.engine().await;
    let record = run(&bench, &engine, "letter.mp4", "ladder").await;
    let failure = record.machine.failure().unwrap();
    assert_eq!((record.stage(), failure.code), (Stage::Error, 1010));
    assert!(failure.message.contains("s3://in/letter.mp4"), "{}", failure.message);
    assert!(bench.published().is_empty());
    let missing = run(&bench, &engine, "missing.mp4", "ladder").await;
    assert_eq!(missing.machine.failure().unwrap().code, 1404);
    std::fs::write(bench.input("día 1.mp4"), "dear all").unwrap();
    let encoded = run(&bench, &engine, "d%C3%ADa+1.mp4", "ladder").await;
    let told = &encoded.machine.failure().unwrap().message;
    assert!(told.contains("`s3://in/día 1.mp4` is there; S3 events carry URL-encoded keys"), "{told}");
    let events = engine.events_after(0, 100).await.unwrap();
    assert_eq!(statuses(events), ["PROGRESSING", "ERROR", "PROGRESSING", "ERROR", "PROGRESSING", "ERROR"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_finds_its_first_job() {
    let bench = Bench::new();
    clip(320, 180).write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    let mut request = bench.request("a.mp4", "ladder");
    request["clientRequestToken"] = json!("once");
    let (first, second) = tokio::join!(submit(&engine, request.clone()), submit(&engine, request.clone()));
    assert_eq!(first.id, second.id);
    request["settings"]["inputs"][0]["fileInput"] = json!("s3://in/other.mp4");
    let other = engine.create_job(submission::from_request(request).unwrap()).await;
    assert_eq!(other.unwrap_err().kind(), abanico_engine::ErrorKind::Conflict);
    assert_eq!(engine.list(ListFilter::default(), 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_jobs_end_and_leave_nothing() {
    let bench = Bench::new();
    Clip { frames: 500, ..clip(640, 360) }.write(&bench.input("long.mp4"));
    let engine = bench.engine().await;
    let jobs = [(); 6].map(|()| bench.request("long.mp4", "three-mp4"));
    let mut ids = Vec::new();
    for request in jobs {
        ids.push(submit(&engine, request).await.id);
    }
    let mut changes = engine.changes();
    while engine.get(&ids[0]).await.unwrap().progress.transcoding_percent == 0 {
        changes.changed().await.unwrap();
    }
    for id in &ids {
        engine.cancel(id).await.unwrap();
    }
    for id in &ids {
        let record = finished(&engine, id).await;
        assert_eq!(record.stage(), Stage::Canceled);
        assert!(is_without_tasks(&record));
    }
    assert!(engine.cancel(&ids[0]).await.is_err() && engine.cancel(&JobId::new("none")).await.is_err());
    assert!(bench.published().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_higher_priority_encodes_next() {
    let bench = Bench::new();
    Clip { frames: 300, ..clip(640, 360) }.write(&bench.input("long.mp4"));
    clip(320, 180).write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    let holds = submit(&engine, bench.request("long.mp4", "three-mp4")).await.id;
    reached(&engine, &holds, |job| job.progress.frames_done > 0).await;
    let mut ids = Vec::new();
    for priority in [0, 1] {
        let mut request = bench.request("a.mp4", "ladder");
        request["priority"] = json!(priority);
        let id = submit(&engine, request).await.id;
        reached(&engine, &id, |job| job.stage() == Stage::Transcoding).await;
        ids.push(id);
    }
    // Both wait in the queue a moment after their plans are stored.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    engine.cancel(&holds).await.unwrap();
    let (plain, urgent) = (finished(&engine, &ids[0]).await, finished(&engine, &ids[1]).await);
    assert_eq!((plain.stage(), urgent.stage()), (Stage::Complete, Stage::Complete));
    assert!(urgent.times.finished_ms < plain.times.finished_ms, "{:?} {:?}", urgent.times, plain.times);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_waiting_jobs_starts_nothing() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    engine.create_resource(ResourceKind::Queue, "still", json!({"status": "PAUSED"})).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let mut request = bench.request("missing.mp4", "ladder");
        request["queue"] = json!("still");
        ids.push(submit(&engine, request).await.id);
    }
    for id in &ids {
        engine.cancel(id).await.unwrap();
    }
    for id in &ids {
        let record = finished(&engine, id).await;
        assert_eq!((record.stage(), record.times.started_ms), (Stage::Canceled, None));
    }
    assert_eq!(statuses(engine.events_after(0, 100).await.unwrap()), ["CANCELED"; 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_engine_continues_where_it_was() {
    let bench = Bench::new();
    Clip { frames: 100, sound: Some(Sound { channels: 2, sample_rate_hz: 44_100 }), ..clip(640, 360) }
        .write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    let id = submit(&engine, bench.request("a.mp4", "three-mp4")).await.id;
    let mut changes = engine.changes();
    while engine.get(&id).await.unwrap().progress.transcoding_percent == 0 {
        changes.changed().await.unwrap();
    }
    engine.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(engine.get(&id).await.unwrap().stage(), Stage::Transcoding);
    assert!(bench.published().is_empty());
    drop(engine);
    let engine = bench.engine().await;
    let record = finished(&engine, &id).await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    assert_eq!(bench.published().len(), 3);
    assert_eq!(record.machine.retries(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_whose_files_are_missing_starts_over() {
    let bench = Bench::new();
    Clip { frames: 100, ..clip(640, 360) }.write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    let id = submit(&engine, bench.request("a.mp4", "three-mp4")).await.id;
    let mut changes = engine.changes();
    while engine.get(&id).await.unwrap().progress.transcoding_percent == 0 {
        changes.changed().await.unwrap();
    }
    engine.shutdown(std::time::Duration::ZERO).await;
    drop(engine);
    std::fs::remove_dir_all(bench.path("engine/work").join(id.as_str())).unwrap();
    let engine = bench.engine().await;
    let record = finished(&engine, &id).await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    assert_eq!(bench.published().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_audio_sends_a_warning() {
    let bench = Bench::new();
    clip(320, 180).write(&bench.input("plain.mp4"));
    let input = bench.input("late.mkv");
    let plain = bench.input("plain.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&plain)
        .args(["-itsoffset", "0.4", "-i"])
        .arg(&plain)
        .args(["-map", "0:v", "-map", "1:a", "-c", "copy"])
        .arg(&input)
        .status();
    assert!(made.unwrap().success());
    let engine = bench.engine().await;
    let record = run(&bench, &engine, "late.mkv", "ladder").await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    let events = engine.events_after(0, 100).await.unwrap();
    let warning = &events[2].body["detail"];
    assert_eq!((&warning["status"], &warning["warningCode"]), (&json!("NEW_WARNING"), &json!("240000")));
    assert!(warning["warningMessage"].as_str().unwrap().contains("s3://in/late.mkv"), "{warning}");
    assert_eq!(events[3].body["detail"]["warnings"], json!([{"code": 240_000, "count": 1}]));
    assert_eq!(statuses(events), ["PROGRESSING", "INPUT_INFORMATION", "NEW_WARNING", "COMPLETE"]);
}
