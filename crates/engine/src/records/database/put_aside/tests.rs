//! Tests that a record of any kind that cannot be read stops no other, is put aside once, and can be put back.

use abanico_model::arn::ResourceKind;
use serde_json::{Value, json};

use super::super::{sample_database, sample_record};
use super::*;
use crate::ErrorKind;
use crate::jobs::job::{JobRecord, Token};
use crate::jobs::job_machine::{Event, Failure};
use crate::records::database::ListFilter;
use crate::records::items::ItemKind;
use crate::records::resources::Resource;

struct Fixture {
    database: Database,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let (folder, database) = sample_database();
    Fixture { database, _folder: folder }
}

impl Fixture {
    /// Inserts the waiting jobs `1-a` to `5-e`.
    fn with_jobs(self) -> Self {
        for (number, letter) in (1..).zip('a'..='e') {
            self.database.insert(&sample_record(&format!("{number}-{letter}"), number), &[], 1).unwrap();
        }
        self
    }

    fn sql(&self, sql: &str) {
        assert!(self.database.lock().execute(sql, []).unwrap() > 0, "{sql} changes nothing");
    }

    /// Returns table, name and reason of everything put aside.
    fn aside(&self) -> Vec<(String, String, String)> {
        let listed = self.database.put_aside().unwrap();
        listed.into_iter().map(|record| (record.place, record.name, record.reason)).collect()
    }

    fn names_aside(&self) -> Vec<String> {
        self.aside().into_iter().map(|(place, name, _)| format!("{place}/{name}")).collect()
    }

    fn listed(&self, limit: usize) -> Vec<String> {
        let jobs = self.database.list(&ListFilter::default(), limit).unwrap();
        jobs.into_iter().map(|job| job.id.to_string()).collect()
    }

    fn inspect_all(&self) {
        for place in Place::ALL {
            let mut after = i64::MIN;
            while let Some(last) = self.database.inspect(place, after).unwrap() {
                after = last;
            }
        }
    }
}

/// Ways in which a job's row can be wrong, each with a word of the reason.
const WRONG: [(&str, &str); 10] = [
    ("UPDATE jobs SET record = substr(record, 1, 100) WHERE id = '2-b'", "checksum"),
    (
        "UPDATE jobs SET record = replace(record, '\"role\":\"r\"', '\"role\":\"s\"') WHERE id = '2-b'",
        "checksum",
    ),
    ("UPDATE jobs SET record = 'no JSON', checksum = NULL WHERE id = '2-b'", "not what it should be"),
    ("UPDATE jobs SET record = X'ff00fe' WHERE id = '2-b'", "not text"),
    ("UPDATE jobs SET record = CAST(X'7bff00' AS TEXT), checksum = NULL WHERE id = '2-b'", "UTF-8"),
    ("UPDATE jobs SET stage = 'COMPLETE' WHERE id = '2-b'", "column"),
    ("UPDATE jobs SET queue = queue || 'x' WHERE id = '2-b'", "queue"),
    ("UPDATE jobs SET priority = priority + 1 WHERE id = '2-b'", "priority"),
    ("UPDATE jobs SET submitted_ms = submitted_ms + 1 WHERE id = '2-b'", "submitted"),
    (
        "UPDATE jobs SET record = (SELECT record FROM jobs WHERE id = '1-a'), checksum = NULL WHERE id = '2-b'",
        "record of job `1-a`",
    ),
];

#[test]
fn unreadable_job_is_put_aside_once_and_hides_no_other() {
    for (sql, word) in WRONG {
        let fixture = fixture().with_jobs();
        fixture.sql(sql);
        assert_eq!(fixture.listed(10), ["1-a", "3-c", "4-d", "5-e"], "{sql}");
        let aside = fixture.aside();
        assert_eq!((aside.len(), aside[0].0.as_str(), aside[0].1.as_str()), (1, "jobs", "2-b"), "{sql}");
        assert!(aside[0].2.contains(word), "{word} is not in {}", aside[0].2);
        assert_eq!(fixture.listed(10).len(), 4);
        let waiting: Vec<_> = fixture.database.waiting(9).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(waiting, ["1-a", "3-c", "4-d", "5-e"], "{sql}");
        let error = fixture.database.get(&JobId::new("2-b")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PutAside);
        assert!(
            error.to_string().contains("`2-b`") && error.to_string().contains("abanico records"),
            "{error}"
        );
        assert_eq!(fixture.aside().len(), 1);
        assert_eq!(fixture.database.get(&JobId::new("9-z")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn reading_one_job_puts_it_aside_too() {
    for (sql, _) in WRONG {
        let fixture = fixture().with_jobs();
        fixture.sql(sql);
        assert_eq!(
            fixture.database.get(&JobId::new("2-b")).unwrap_err().kind(),
            ErrorKind::PutAside,
            "{sql}"
        );
        assert_eq!(fixture.names_aside(), ["jobs/2-b"]);
    }
}

#[test]
fn inspection_finds_every_kind_and_seals_the_rest() {
    let fixture = fixture().with_jobs();
    let database = &fixture.database;
    database.put_item(ItemKind::Tags, "arn", &json!({"k": "v"})).unwrap();
    database.put_item(ItemKind::Tags, "other", &json!({"k": "v"})).unwrap();
    let preset = |name: &str| Resource {
        kind: ResourceKind::Preset,
        name: name.to_owned(),
        body: json!({"settings": {}}),
        created_ms: 1,
        updated_ms: 1,
    };
    database.insert_resource(&preset("p")).unwrap();
    database.insert_resource(&preset("q")).unwrap();
    database.update(&sample_record("1-a", 1), &[json!({"id": "x"}), json!({"id": "y"})]).unwrap();
    database.set_cursor("webhook", 2).unwrap();
    fixture.inspect_all();
    assert_eq!(fixture.aside(), []);
    for sql in [
        "UPDATE jobs SET record = 'x' WHERE id = '1-a'",
        "UPDATE jobs SET checksum = NULL WHERE id = '2-b'",
        "INSERT INTO tasks (job, body) VALUES ('2-b', '[{\"id\": 5}]')",
        "UPDATE events SET body = json_set(body, '$.id', 'z') WHERE seq = 1",
        "UPDATE resources SET created_ms = 'then' WHERE name = 'p'",
        "UPDATE kept SET body = '{' WHERE name = 'arn'",
        "UPDATE cursors SET seq = 'far'",
    ] {
        fixture.sql(sql);
    }
    fixture.inspect_all();
    let expected =
        ["jobs/1-a", "tasks/2-b", "events/1", "resources/presets/p", "kept/tags/arn", "cursors/webhook"];
    assert_eq!(fixture.names_aside(), expected);
    let sealed = "SELECT COUNT(*) FROM jobs WHERE checksum IS NULL";
    assert_eq!(database.lock().query_row(sealed, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    fixture.sql("UPDATE jobs SET record = record || ' ' WHERE id = '2-b'");
    fixture.inspect_all();
    assert_eq!(
        fixture.names_aside().last().unwrap(),
        "jobs/2-b",
        "its checksum was stored by the inspection"
    );
}

#[test]
fn page_of_a_list_is_as_long_as_asked_for() {
    let fixture = fixture().with_jobs();
    fixture.sql("UPDATE jobs SET record = 'x' WHERE id IN ('1-a', '2-b')");
    assert_eq!(fixture.listed(2), ["3-c", "4-d"]);
    let other = self::fixture().with_jobs();
    other.sql("UPDATE jobs SET record = 'x' WHERE id IN ('1-a', '2-b')");
    // A database that cannot be written: the bad rows stay where they are.
    other.database.lock().pragma_update(None, "query_only", true).unwrap();
    assert_eq!(other.listed(2), ["3-c", "4-d"]);
    assert_eq!(other.listed(9), ["3-c", "4-d", "5-e"]);
}

#[test]
fn search_and_counts_survive_unreadable_jobs() {
    let fixture = fixture().with_jobs();
    fixture.sql("UPDATE jobs SET record = 'x' WHERE id = '1-a'");
    fixture.sql("UPDATE jobs SET stage = 'FLYING' WHERE id = '2-b'");
    let filter = ListFilter { input_file: Some("film".to_owned()), ..ListFilter::default() };
    assert_eq!(fixture.database.list(&filter, 9).unwrap(), []);
    let counts = fixture.database.counts().unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 4, "{counts:?}");
}

#[test]
fn token_of_a_job_put_aside_makes_no_second_job() {
    let fixture = fixture();
    let with_token = |id: &str| {
        let mut job = sample_record(id, 1);
        job.submission.token = Some(Token { text: "upload".to_owned(), remembered_ms: None });
        job
    };
    fixture.database.insert(&with_token("1-a"), &[], 1).unwrap();
    fixture.sql("UPDATE jobs SET record = 'x'");
    for _ in 0..2 {
        let refused = fixture.database.insert(&with_token("2-b"), &[], 2).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PutAside, "{refused}");
    }
    assert_eq!(fixture.names_aside(), ["jobs/1-a"]);
    assert_eq!(fixture.listed(9), [""; 0]);
}

#[test]
fn events_after_unreadable_ones_are_delivered() {
    let fixture = fixture().with_jobs();
    let events: Vec<Value> = (1..=6).map(|number| json!({ "id": number })).collect();
    fixture.database.update(&sample_record("1-a", 1), &events).unwrap();
    fixture.sql("UPDATE events SET body = '{' WHERE seq <= 3 OR seq = 5");
    let read = |after: i64| -> Vec<i64> {
        fixture.database.events_after(after, 2).unwrap().iter().map(|event| event.seq).collect()
    };
    assert_eq!(read(0), [4]);
    assert_eq!(read(4), [6]);
    assert_eq!(read(6), [0; 0]);
    assert_eq!(fixture.names_aside(), ["events/1", "events/2", "events/3", "events/5"]);
}

#[test]
fn reader_whose_place_is_lost_reads_again_from_the_beginning() {
    let fixture = fixture();
    fixture.database.set_cursor("webhook", 7).unwrap();
    fixture.sql("UPDATE cursors SET seq = 'x'");
    assert_eq!(fixture.database.cursor("webhook").unwrap(), Some(0));
    assert_eq!(fixture.database.cursor("webhook").unwrap(), Some(0));
    assert_eq!(fixture.names_aside(), ["cursors/webhook"]);
}

#[test]
fn unreadable_queue_stops_no_job_and_stays_paused() {
    let fixture = fixture().with_jobs();
    let queue = |name: &str, status: &str| Resource {
        kind: ResourceKind::Queue,
        name: name.to_owned(),
        body: json!({"name": name, "status": status, "concurrentJobs": 1}),
        created_ms: 1,
        updated_ms: 1,
    };
    let (open, paused) = (queue("open", "ACTIVE"), queue("closed", "PAUSED"));
    for (id, queue) in [("6-f", &open), ("7-g", &open), ("8-h", &paused)] {
        let mut job = sample_record(id, 10);
        job.submission.queue = queue.arn();
        fixture.database.insert(&job, &[], 10).unwrap();
    }
    fixture.database.insert_resource(&open).unwrap();
    fixture.database.insert_resource(&paused).unwrap();
    fixture.sql("UPDATE resources SET body = '{'");
    let waiting = || fixture.database.waiting(20).unwrap().len();
    assert_eq!(waiting(), 7, "all but the paused queue's");
    assert_eq!(fixture.database.resources(ResourceKind::Queue).unwrap(), []);
    assert_eq!(waiting(), 7, "still all but the paused queue's");
    let error = fixture.database.resource(ResourceKind::Queue, "closed").unwrap_err();
    assert!(error.kind() == ErrorKind::PutAside && error.to_string().contains("queues/closed"), "{error}");
    assert!(fixture.database.delete_resource(ResourceKind::Queue, "closed").unwrap());
    assert_eq!(fixture.database.resource(ResourceKind::Queue, "closed").unwrap(), None);
    assert_eq!(fixture.names_aside(), ["resources/queues/open"]);
    assert_eq!(waiting(), 8, "the client has deleted the queue");
}

#[test]
fn unreadable_policy_is_not_taken_for_none() {
    let fixture = fixture();
    for (kind, name) in [(ItemKind::Policy, ""), (ItemKind::Tags, "arn")] {
        fixture.database.put_item(kind, name, &json!({"a": 1})).unwrap();
    }
    fixture.sql("UPDATE kept SET body = '{\"a\": 2}'");
    for _ in 0..2 {
        assert_eq!(fixture.database.item(ItemKind::Policy, "").unwrap_err().kind(), ErrorKind::PutAside);
        assert_eq!(fixture.database.item(ItemKind::Tags, "arn").unwrap(), None);
    }
    fixture.database.put_item(ItemKind::Policy, "", &json!({"a": 3})).unwrap();
    assert_eq!(fixture.database.item(ItemKind::Policy, "").unwrap(), Some(json!({"a": 3})));
    assert!(fixture.database.remove_item(ItemKind::Policy, "").unwrap());
    assert_eq!(fixture.database.item(ItemKind::Policy, "").unwrap(), None);
}

#[test]
fn record_comes_back_as_it_was_or_is_dropped() {
    let fixture = fixture().with_jobs();
    let before = fixture.database.get(&JobId::new("2-b")).unwrap();
    fixture.sql("UPDATE jobs SET record = record || 'x' WHERE id IN ('2-b', '3-c')");
    assert_eq!(fixture.listed(9), ["1-a", "4-d", "5-e"]);
    let ids: Vec<i64> = fixture.database.put_aside().unwrap().iter().map(|record| record.id).collect();
    let shown = fixture.database.show_put_aside(ids[0]).unwrap();
    let record = shown.iter().find(|(column, _)| column == "record").unwrap();
    assert!(record.1.ends_with('x') && record.1.starts_with('{'), "{record:?}");
    // Put back unmended, it is put aside again, and the way stays open.
    fixture.database.put_back(ids[0]).unwrap();
    assert_eq!(fixture.listed(9), ["1-a", "4-d", "5-e"]);
    let again = fixture.database.put_aside().unwrap().last().unwrap().id;
    fixture.sql("UPDATE jobs_aside SET record = substr(record, 1, length(record) - 1) WHERE id = '2-b'");
    fixture.database.put_back(again).unwrap();
    assert_eq!(fixture.listed(9), ["1-a", "2-b", "4-d", "5-e"]);
    assert_eq!(fixture.database.get(&JobId::new("2-b")).unwrap(), before);
    fixture.database.drop_put_aside(ids[1]).unwrap();
    assert_eq!(fixture.aside(), []);
    assert_eq!(fixture.database.get(&JobId::new("3-c")).unwrap_err().kind(), ErrorKind::NotFound);
    for gone in [fixture.database.put_back(ids[1]), fixture.database.drop_put_aside(ids[1])] {
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn driver_of_a_running_job_writes_its_record_again() {
    let fixture = fixture().with_jobs();
    fixture.sql("UPDATE jobs SET record = 'x' WHERE id = '1-a'");
    fixture.listed(9);
    let mut job = sample_record("1-a", 1);
    job.machine.apply(Event::Started);
    fixture.database.update(&job, &[]).unwrap();
    assert_eq!(fixture.database.get(&job.id).unwrap(), job);
}

#[test]
fn table_with_a_new_column_can_still_be_put_aside() {
    let fixture = fixture().with_jobs();
    fixture.sql("UPDATE jobs SET record = 'x' WHERE id = '1-a'");
    fixture.listed(9);
    fixture.database.lock().execute_batch("ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'red'").unwrap();
    fixture.sql("UPDATE jobs SET record = 'x' WHERE id = '2-b'");
    fixture.listed(9);
    assert_eq!(fixture.names_aside(), ["jobs/1-a", "jobs/2-b"]);
    let last = fixture.database.put_aside().unwrap()[1].id;
    let shown = fixture.database.show_put_aside(last).unwrap();
    assert!(shown.contains(&("colour".to_owned(), "red".to_owned())), "{shown:?}");
}

/// Returns a database as version 6 of its schema left it.
fn of_version_6(path: &std::path::Path, jobs: &[JobRecord]) {
    let database = Database::open(path).unwrap();
    for job in jobs {
        database.insert(job, &[json!({"id": "e"})], 1).unwrap();
    }
    database
        .lock()
        .execute_batch(
            "DROP INDEX jobs_that_hop;
             ALTER TABLE jobs DROP COLUMN checksum; ALTER TABLE jobs DROP COLUMN hops;
             ALTER TABLE tasks DROP COLUMN checksum; ALTER TABLE events DROP COLUMN checksum;
             ALTER TABLE resources DROP COLUMN checksum; ALTER TABLE kept DROP COLUMN checksum;
             DROP TABLE put_aside;
             UPDATE jobs SET record = substr(record, 1, 200) WHERE id = '2-b';
             CREATE INDEX jobs_that_hop ON jobs (id) WHERE stage = 'SUBMITTED' AND CASE WHEN json_valid(record)
                 THEN json_array_length(record, '$.submission.request.hopDestinations') > 0 ELSE 0 END;
             PRAGMA user_version = 6;",
        )
        .unwrap();
}

#[test]
fn older_database_with_an_unreadable_job_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sqlite");
    let mut hopping = sample_record("3-c", 3);
    hopping.submission.request = json!({"hopDestinations": [{"queue": "fast", "waitMinutes": 1}]});
    of_version_6(&path, &[sample_record("1-a", 1), sample_record("2-b", 2), hopping]);
    let fixture = Fixture { database: Database::open(&path).unwrap(), _folder: folder };
    assert_eq!(fixture.names_aside(), ["jobs/2-b"]);
    assert_eq!(fixture.listed(9), ["1-a", "3-c"]);
    assert_eq!(fixture.database.hop(120_000, |_| false).unwrap(), 1);
    assert_eq!(fixture.database.events_after(0, 9).unwrap().len(), 4);
}

#[test]
fn failed_job_keeps_its_checksum_right() {
    let fixture = fixture().with_jobs();
    let mut job = sample_record("1-a", 1);
    let failure = Failure::new(1, "no", false);
    job.machine.apply(Event::GivenUp(failure));
    fixture.database.update_with_tasks(&job, &[json!({"id": "e"})]).unwrap();
    fixture.inspect_all();
    assert_eq!(fixture.aside(), []);
    assert_eq!(fixture.database.get(&job.id).unwrap(), job);
}
