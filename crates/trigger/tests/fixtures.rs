//! Checks how the trigger handles events as AWS delivers them. Each file in `fixtures` is one event.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use abanico_trigger::{JobSubmitter, Outcome, SubmitError, TriggerConfig, handle};
use async_trait::async_trait;
use serde_json::{Value, json};

/// The expected result of each fixture: one line per record, or the error of the whole event.
const EXPECTED: [(&str, &[&str]); 21] = [
    ("eventbridge_created", &["job for s3://uploads/films/a+b c%20d é.mp4"]),
    ("eventbridge_deleted", &["skipped: the event does not announce a new object"]),
    ("malformed_key", &["failed: object key `bad%FFname.mp4` is not UTF-8 after decoding"]),
    ("malformed_no_records", &["error: malformed S3 event: `Records` is missing"]),
    ("malformed_record", &["failed: malformed S3 event: record `0` cannot be read"]),
    ("malformed_records_no_list", &["error: malformed S3 event: `Records` is not a list"]),
    ("malformed_sns_message", &["error: malformed S3 event: the message of an SNS record is not JSON"]),
    ("malformed_text", &["error: malformed S3 event: `Records` is missing"]),
    ("s3_delete", &["skipped: the event does not announce a new object"]),
    ("s3_delete_marker", &["skipped: the event does not announce a new object"]),
    ("s3_plus", &["job for s3://uploads/a+b.mp4"]),
    (
        "s3_several_records",
        &["job for s3://uploads/one.mp4", "job for s3://uploads/two.mp4", "job for s3://uploads/three.mp4"],
    ),
    ("s3_spaces", &["job for s3://uploads/films/my holiday 1.mp4"]),
    ("s3_test_event", &[]),
    ("s3_utf8", &["job for s3://uploads/café/🎬.mov"]),
    ("sns_s3", &["job for s3://uploads/one.mp4"]),
    ("sqs_eventbridge", &["1: job for s3://uploads/one.mp4"]),
    (
        "sqs_one_broken",
        &[
            "1: job for s3://uploads/one.mp4",
            "2: failed: malformed S3 event: the body of an SQS message is not JSON",
        ],
    ),
    ("sqs_s3", &["1: job for s3://uploads/one.mp4", "2: job for s3://uploads/two 2.mp4"]),
    ("sqs_sns_s3", &["1: job for s3://uploads/one.mp4"]),
    ("sqs_test_event", &[]),
];

/// Accepts every job and remembers its input.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

#[async_trait]
impl JobSubmitter for Recorder {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let input = request["settings"]["inputs"][0]["fileInput"].as_str().unwrap().to_owned();
        self.0.lock().unwrap().push(input.clone());
        Ok(input)
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

async fn told(event: &Value) -> Vec<String> {
    let config =
        TriggerConfig::new("arn:aws:iam::111122223333:role/r", json!({"settings": {"outputGroups": []}}));
    let recorder = Recorder::default();
    let outcomes = match handle(event, &config, &recorder).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            assert!(!error.is_retryable(), "a malformed event must not be retried forever");
            return vec![format!("error: {error}")];
        }
    };
    let told = outcomes.iter().map(|one| {
        let what = match &one.outcome {
            Outcome::Submitted { job_id } => format!("job for {job_id}"),
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
            Outcome::Failed(error) => format!("failed: {error}"),
        };
        one.message_id.as_ref().map_or(what.clone(), |id| format!("{id}: {what}"))
    });
    told.collect()
}

#[tokio::test]
async fn every_event_has_the_expected_result() {
    for (name, expected) in EXPECTED {
        let text = std::fs::read_to_string(fixtures().join(format!("{name}.json"))).unwrap();
        assert_eq!(told(&serde_json::from_str(&text).unwrap()).await, expected, "{name}");
    }
}

#[test]
fn every_fixture_has_an_expectation() {
    let files = std::fs::read_dir(fixtures()).unwrap();
    let names: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let expected: BTreeSet<String> = EXPECTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected);
}
