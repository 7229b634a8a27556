//! Tests the trigger from the event to the submitted request, with a recorder in place of the job service.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use abanico_trigger::{
    DestinationTemplate, ErrorKind, JobSubmitter, Outcome, RecordOutcome, SkipReason, SkipRules, SubmitError,
    TriggerConfig, handle, records_to_repeat,
};
use async_trait::async_trait;
use serde_json::{Value, json};

/// Records every request and fails those whose input contains `refuse` or `throttle`.
#[derive(Default)]
struct Recorder(Mutex<Vec<Value>>);

#[async_trait]
impl JobSubmitter for Recorder {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let input = request["settings"]["inputs"][0]["fileInput"].as_str().unwrap().to_owned();
        let mut requests = self.0.lock().unwrap();
        requests.push(request);
        let failure = |code: &str, retryable| {
            Err(SubmitError { code: code.to_owned(), message: "no".to_owned(), retryable })
        };
        if input.contains("throttle") {
            return failure("TooManyRequestsException", true);
        }
        if input.contains("refuse") {
            return failure("BadRequestException", false);
        }
        Ok(format!("job-{}", requests.len()))
    }
}

fn config() -> TriggerConfig {
    let group = json!({"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS"}, "outputs": [{"preset": "p"}]});
    TriggerConfig::new("arn:aws:iam::111122223333:role/r", json!({"settings": {"outputGroups": [group]}}))
}

fn record(raw_key: &str, sequencer: &str) -> Value {
    json!({
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": {"key": raw_key, "size": 9, "sequencer": sequencer}}
    })
}

async fn run(config: &TriggerConfig, records: Vec<Value>) -> (Vec<RecordOutcome>, Vec<Value>) {
    let recorder = Recorder::default();
    let outcomes = handle(&json!({ "Records": records }), config, &recorder).await.unwrap();
    (outcomes, recorder.0.into_inner().unwrap())
}

fn skipped(outcome: &RecordOutcome) -> &SkipReason {
    match &outcome.outcome {
        Outcome::Skipped(reason) => reason,
        other => panic!("not skipped: {other:?}"),
    }
}

#[tokio::test]
async fn decoded_key_reaches_input_and_destination() {
    for (raw_key, key) in [
        ("my+holiday.mp4", "my holiday.mp4"),
        ("a%2Bb.mp4", "a+b.mp4"),
        ("caf%C3%A9.mp4", "café.mp4"),
        ("x/%F0%9F%8E%AC.mp4", "x/🎬.mp4"),
        ("a.b.mp4", "a.b.mp4"),
        ("noextension", "noextension"),
        (".mp4", ".mp4"),
    ] {
        let (outcomes, requests) = run(&config(), vec![record(raw_key, "01")]).await;
        assert!(
            matches!(&outcomes[0].outcome, Outcome::Submitted { job_id } if job_id == "job-1"),
            "{outcomes:?}"
        );
        let settings = &requests[0]["settings"];
        assert_eq!(settings["inputs"][0]["fileInput"], json!(format!("s3://uploads/{key}")));
        let group = &settings["outputGroups"][0]["outputGroupSettings"]["fileGroupSettings"];
        assert_eq!(group["destination"], json!(format!("s3://renditions/{key}/")));
        assert_eq!(requests[0]["userMetadata"]["abanico.key"], json!(key));
    }
}

#[tokio::test]
async fn repeated_event_has_the_same_token() {
    let records = vec![record("a.mp4", "01"), record("a.mp4", "01"), record("a.mp4", "02")];
    let (_, requests) = run(&config(), records).await;
    let tokens: Vec<_> =
        requests.iter().map(|request| request["clientRequestToken"].as_str().unwrap()).collect();
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
    assert!(tokens[0].len() <= 64);
}

#[tokio::test]
async fn bad_record_does_not_fail_the_others() {
    let records = vec![
        record("one.mp4", "01"),
        record("throttle.mp4", "02"),
        record("bad%FF.mp4", "03"),
        json!({"eventName": "ObjectCreated:Put"}),
        record("refuse.mp4", "04"),
        record("two.mp4", "05"),
    ];
    let (outcomes, requests) = run(&config(), records.clone()).await;
    assert_eq!(requests.len(), 4);
    let seen: Vec<_> = outcomes
        .iter()
        .map(|record| match &record.outcome {
            Outcome::Failed(error) => Some((error.kind(), error.is_retryable())),
            _ => None,
        })
        .collect();
    let expected = [
        None,
        Some((ErrorKind::SubmitFailed, true)),
        Some((ErrorKind::MalformedKey, false)),
        Some((ErrorKind::MalformedEvent, false)),
        Some((ErrorKind::SubmitFailed, false)),
        None,
    ];
    assert_eq!(seen, expected);
    let again = records_to_repeat(&outcomes).unwrap();
    let kept = json!([records[1], records[2], records[3], records[4]]);
    assert_eq!(again, json!({ "Records": kept }));
}

#[tokio::test]
async fn failure_names_object_and_cause() {
    let (outcomes, _) = run(&config(), vec![record("throttle+1.mp4", "01")]).await;
    let Outcome::Failed(error) = &outcomes[0].outcome else { panic!("not failed") };
    assert_eq!(error.to_string(), "cannot create a job for `s3://uploads/throttle 1.mp4`");
    let source = std::error::Error::source(error).unwrap();
    assert_eq!(source.to_string(), "`TooManyRequestsException`: no");
}

#[tokio::test]
async fn test_event_gives_no_outcomes() {
    let recorder = Recorder::default();
    let event = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"});
    assert!(handle(&event, &config(), &recorder).await.unwrap().is_empty());
    assert!(recorder.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn unknown_event_is_a_permanent_failure() {
    let error = handle(&json!({"detail": {}}), &config(), &Recorder::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedEvent);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn folders_and_removals_are_skipped() {
    let mut removal = record("a.mp4", "01");
    removal["eventName"] = json!("ObjectRemoved:Delete");
    let (outcomes, requests) = run(&config(), vec![record("holiday/", "01"), removal]).await;
    assert_eq!(skipped(&outcomes[0]), &SkipReason::FolderMarker);
    assert_eq!(skipped(&outcomes[1]), &SkipReason::NotCreated);
    assert!(requests.is_empty());
}

#[tokio::test]
async fn output_never_starts_another_job() {
    let mut config = config();
    config.destination = DestinationTemplate::parse("s3://uploads/renditions/{key}/").unwrap();
    let records = vec![record("renditions/a.mp4/a-1080p.mp4", "01"), record("a.mp4", "02")];
    let (outcomes, requests) = run(&config, records).await;
    assert_eq!(skipped(&outcomes[0]), &SkipReason::OutputLoop);
    assert!(skipped(&outcomes[0]).to_string().contains("jobs without end"));
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn skip_reason_describes_the_rule() {
    let mut config = config();
    config.skip = SkipRules { only_suffixes: vec![".mp4".to_owned()], skip_prefixes: Vec::new() };
    let (outcomes, _) = run(&config, vec![record("notes.txt", "01")]).await;
    assert_eq!(skipped(&outcomes[0]).to_string(), "only keys that end with `.mp4` become jobs");
}

#[tokio::test]
async fn unusable_template_is_a_failure() {
    let config = TriggerConfig::new("r", json!({}));
    let (outcomes, requests) = run(&config, vec![record("a.mp4", "01")]).await;
    let Outcome::Failed(error) = &outcomes[0].outcome else { panic!("not failed") };
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(requests.is_empty());
}
