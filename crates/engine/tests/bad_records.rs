//! Tests that the engine starts and works although stored records cannot be read.

#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::time::Duration;

use abanico_engine::{Engine, ErrorKind, JobId, ListFilter, Stage};
use abanico_testkit::Clip;
use common::{Bench, finished, submit};
use rusqlite::Connection;

fn clip(frames: u32) -> Clip {
    Clip { width: 640, height: 360, frames, ..Clip::default() }
}

fn sql(bench: &Bench, sql: &str) {
    let connection = Connection::open(bench.path("engine/jobs.sqlite")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changes nothing");
}

/// Starts a job of each input, waits until they encode, and stops the engine.
async fn interrupted(bench: &Bench, names: &[&str]) -> Vec<JobId> {
    let engine = bench.engine().await;
    let mut ids = Vec::new();
    for name in names {
        clip(100).write(&bench.input(name));
        ids.push(submit(&engine, bench.request(name, "three-mp4")).await.id);
    }
    for id in &ids {
        let mut changes = engine.changes();
        while engine.get(id).await.unwrap().stage() != Stage::Transcoding {
            changes.changed().await.unwrap();
        }
    }
    engine.shutdown(Duration::ZERO).await;
    ids
}

async fn names_aside(engine: &Engine) -> Vec<String> {
    let troubles = engine.troubles().await.unwrap();
    troubles.put_aside.into_iter().map(|record| format!("{}/{}", record.place, record.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_job_keeps_its_files_and_stops_no_other() {
    let bench = Bench::new();
    let ids = interrupted(&bench, &["a.mp4", "b.mp4"]).await;
    let work = bench.path("engine/work");
    std::fs::create_dir_all(work.join("0-nobody")).unwrap();
    sql(&bench, &format!("UPDATE jobs SET record = substr(record, 1, 500) WHERE id = '{}'", ids[0]));
    let engine = bench.engine().await;
    let record = finished(&engine, &ids[1]).await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    assert_eq!(engine.get(&ids[0]).await.unwrap_err().kind(), ErrorKind::PutAside);
    assert_eq!(engine.cancel(&ids[0]).await.unwrap_err().kind(), ErrorKind::PutAside);
    assert_eq!(engine.list(ListFilter::default(), 9).await.unwrap().len(), 1);
    assert_eq!(names_aside(&engine).await, [format!("jobs/{}", ids[0])]);
    assert!(work.join(ids[0].as_str()).join("input-0").exists(), "its files are still there");
    assert!(!work.join("0-nobody").exists(), "files of no job are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_without_its_plan_is_planned_again() {
    let bench = Bench::new();
    let ids = interrupted(&bench, &["a.mp4", "b.mp4"]).await;
    sql(&bench, &format!("UPDATE tasks SET body = '[' || body WHERE job = '{}'", ids[0]));
    sql(&bench, &format!("DELETE FROM tasks WHERE job = '{}'", ids[1]));
    let engine = bench.engine().await;
    for id in &ids {
        let record = finished(&engine, id).await;
        assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    }
    assert_eq!(names_aside(&engine).await, [format!("tasks/{}", ids[0])]);
    assert_eq!(bench.published().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_whose_settings_cannot_be_used_ends_in_an_error() {
    let bench = Bench::new();
    let ids = interrupted(&bench, &["a.mp4"]).await;
    // As a version with other settings might have written it.
    let change = "UPDATE jobs SET checksum = NULL, record =
        json_set(record, '$.submission.settings.outputGroups', 'of another kind')";
    sql(&bench, change);
    let engine = bench.engine().await;
    let record = finished(&engine, &ids[0]).await;
    let message = &record.machine.failure().unwrap().message;
    assert!(record.stage() == Stage::Error && message.contains("submit the job again"), "{message}");
    // Waits for the driver, which removes the files after it has stored the end.
    engine.shutdown(Duration::from_secs(60)).await;
    assert!(bench.published().is_empty() && !bench.path("engine/work").join(ids[0].as_str()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn job_does_not_run_past_a_policy_that_cannot_be_read() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    engine
        .put_item(abanico_engine::ItemKind::Policy, "", serde_json::json!({"s3Inputs": "DISALLOWED"}))
        .await
        .unwrap();
    sql(&bench, "UPDATE kept SET body = '{}'");
    clip(10).write(&bench.input("a.mp4"));
    let job = submit(&engine, bench.request("a.mp4", "ladder")).await;
    let record = finished(&engine, &job.id).await;
    let failure = record.machine.failure().unwrap();
    assert!(failure.code == 3457 && failure.message.contains("put the policy again"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_that_could_not_be_stored_goes_on_by_itself() {
    let bench = Bench::new();
    clip(50).write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    // A trigger stands for a disk that refuses the job's end.
    let connection = Connection::open(bench.path("engine/jobs.sqlite")).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN NEW.stage = 'UPLOADING'
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let job = submit(&engine, bench.request("a.mp4", "ladder")).await;
    let mut changes = engine.changes();
    while engine.get(&job.id).await.unwrap().progress.transcoding_percent < 100 {
        changes.changed().await.unwrap();
    }
    // Long enough for an attempt to fail; if it is not, the test only tests less.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(engine.get(&job.id).await.unwrap().stage(), Stage::Transcoding);
    connection.execute_batch("DROP TRIGGER refuse").unwrap();
    let record = finished(&engine, &job.id).await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
}
