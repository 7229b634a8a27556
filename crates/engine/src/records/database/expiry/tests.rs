//! Tests of which jobs, events and tokens go, and which stay.

use serde_json::json;

use super::*;
use crate::jobs::job::{JobRecord, Token};
use crate::jobs::job_machine::Event;
use crate::records::database::{ListFilter, sample_database, sample_record};
use crate::records::items::ItemKind;

/// Returns a job that ended a moment after it was submitted; `None` for one that goes on.
fn job(id: &str, submitted_ms: i64, finished_ms: Option<i64>) -> JobRecord {
    let mut record = sample_record(id, submitted_ms);
    if finished_ms.is_some() {
        record.machine.apply(Event::CancelRequested);
        record.times.finished_ms = finished_ms;
    }
    record
}

fn with_token(record: JobRecord, text: &str, remembered_ms: Option<i64>) -> JobRecord {
    let mut record = record;
    record.submission.token = Some(Token { text: text.to_owned(), remembered_ms });
    record
}

fn ids(database: &Database) -> Vec<String> {
    let jobs = database.list(&ListFilter::default(), usize::MAX).unwrap();
    jobs.into_iter().map(|record| record.id.to_string()).collect()
}

/// Expires all that may go, batch by batch.
fn expire(database: &Database, expiry: &Expiry, now_ms: i64, is_free: impl Fn(&JobId) -> bool) -> u64 {
    let (mut after, mut deleted) = ((i64::MIN, String::new()), 0);
    loop {
        let batch = database.expire_jobs(expiry, &after, now_ms, &is_free).unwrap();
        deleted += batch.deleted;
        match batch.next {
            Some(next) => after = next,
            None => return deleted,
        }
    }
}

#[test]
fn only_jobs_that_ended_long_ago_go() {
    let (_folder, database) = sample_database();
    let jobs = [
        job("old", 10, Some(20)),
        job("waits", 11, None),
        job("held", 12, Some(20)),
        job("ended-late", 13, Some(500)),
        job("new", 400, Some(500)),
        // The clock was ahead when it ended.
        job("in-the-future", 14, Some(9_000_000)),
    ];
    for record in &jobs {
        database.insert(record, &[], 0).unwrap();
    }
    let expiry = Expiry { before_ms: 100, up_to: None };
    assert_eq!(expire(&database, &expiry, 1000, |id| id.as_str() != "held"), 1);
    assert_eq!(ids(&database), ["waits", "held", "ended-late", "in-the-future", "new"]);
    let ever = database.ever_finished().unwrap();
    assert_eq!(ever.last().unwrap(), &(Stage::Canceled, 5), "a counter never goes back");
    assert_eq!(database.oldest_waiting_ms().unwrap(), Some(11));
    // The clock is set back to a time before all of them.
    assert_eq!(expire(&database, &Expiry { before_ms: -90, up_to: None }, 10, |_| true), 0);
}

#[test]
fn newest_finished_jobs_are_kept_by_number() {
    let (_folder, database) = sample_database();
    for number in 0..250 {
        let finished_ms = (number % 10 != 0).then_some(number + 1);
        database.insert(&job(&format!("{number:03}"), number, finished_ms), &[], 0).unwrap();
    }
    let up_to = database.beyond_newest(5).unwrap();
    assert_eq!(up_to, Some((244, "244".to_owned())));
    assert_eq!(expire(&database, &Expiry { before_ms: i64::MIN, up_to }, 1000, |_| true), 225 - 5);
    let left = ids(&database);
    assert_eq!(left.len(), 25 + 5, "jobs that go on are no part of the number");
    assert_eq!(left.last().unwrap(), "249");
    assert_eq!(database.beyond_newest(5).unwrap(), None);
}

#[test]
fn upload_creates_no_second_job_after_its_first_expired() {
    let (_folder, database) = sample_database();
    let upload = with_token(job("1-a", 10, Some(20)), "of an upload", None);
    let client = with_token(job("2-b", 10, Some(20)), "of a client", Some(60_000));
    for record in [&upload, &client] {
        database.insert(record, &[], 0).unwrap();
    }
    let expiry = Expiry { before_ms: 100, up_to: None };
    assert_eq!(expire(&database, &expiry, 60_000, |_| true), 1, "AWS's minute is not over");
    assert_eq!(expire(&database, &expiry, 60_010, |_| true), 1);
    let again = with_token(job("3-c", 70_000, None), "of an upload", None);
    match database.insert(&again, &[], 70_000).unwrap() {
        crate::records::database::Inserted::Expired(id) => assert_eq!(id.as_str(), "1-a"),
        other => panic!("{other:?}"),
    }
    let other = with_token(job("4-d", 70_000, None), "of a client", Some(60_000));
    assert!(matches!(database.insert(&other, &[], 70_000).unwrap(), crate::records::database::Inserted::New));
}

#[test]
fn all_that_is_stored_about_a_job_goes_with_it() {
    let (_folder, database) = sample_database();
    let event = |time_ms: i64| json!({"detail": {"timestamp": time_ms}});
    database.insert(&job("1-a", 10, Some(20)), &[event(10), event(20)], 0).unwrap();
    database.insert(&job("2-b", 15, None), &[event(15)], 0).unwrap();
    database.insert(&job("3-c", 200, Some(300)), &[event(250)], 0).unwrap();
    let arn = Arn::local(ResourceKind::Job, "1-a").to_string();
    database.put_item(ItemKind::Tags, &arn, &json!({"k": "v"})).unwrap();
    database.put_item(ItemKind::Share, "1-a", &json!({})).unwrap();
    assert_eq!(expire(&database, &Expiry { before_ms: 100, up_to: None }, 1000, |_| true), 1);
    assert_eq!(database.item(ItemKind::Tags, &arn).unwrap(), None);
    assert_eq!(database.item(ItemKind::Share, "1-a").unwrap(), None);
    let (deleted, last) = database.expire_events(100, 0).unwrap();
    assert_eq!((deleted, last), (2, Some(3)), "the event of a job that goes on stays");
    assert_eq!(database.expire_events(100, 3).unwrap(), (0, None));
    let left = database.events_after(0, 9).unwrap();
    assert_eq!(left.iter().map(|event| event.job.as_str()).collect::<Vec<_>>(), ["2-b", "3-c"]);
}
