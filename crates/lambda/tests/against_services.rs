//! Tests the functions against local services that answer as AWS does: which requests they send to which service, and
//! when they ask Lambda for a retry.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use abanico_lambda::bucket_notification::BucketNotification;
use abanico_lambda::job_finished::JobFinished;
use abanico_lambda::settings::Environment;
use abanico_lambda::transcode_video::TranscodeVideo;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The requests that the services received: pairs of `METHOD path` and body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// Starts one server that plays all services. `answer` makes the response from the request's line and body.
async fn services(answer: fn(&str, &str) -> Response) -> (String, Asked) {
    let asked: Asked = Arc::default();
    let noted = asked.clone();
    let handler = move |request: Request| {
        let noted = noted.clone();
        async move {
            let target =
                request.headers().get("x-amz-target").map(|value| value.to_str().unwrap().to_owned());
            let line =
                format!("{} {}", request.method(), target.unwrap_or_else(|| request.uri().to_string()));
            let body =
                String::from_utf8(to_bytes(request.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
            let response = answer(&line, &body);
            noted.lock().unwrap().push((line, body));
            response
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
    (url, asked)
}

fn asked(asked: &Asked, start: &str) -> Vec<String> {
    let all = asked.lock().unwrap();
    all.iter().filter(|(line, _)| line.starts_with(start)).map(|(_, body)| body.clone()).collect()
}

fn variables(url: String, root: String) -> impl Fn(&str) -> Option<String> {
    move |name: &str| {
        let value = match name {
            "AWS_ENDPOINT_URL" => url.as_str(),
            "AWS_REGION" => "eu-west-1",
            "LAMBDA_TASK_ROOT" => root.as_str(),
            "ABANICO_ROLE_ARN" => "arn:aws:iam::111122223333:role/media-convert-role",
            "ABANICO_DESTINATION" => "s3://out/{key}/",
            "ABANICO_DEAD_LETTER_QUEUE_URL" => "https://sqs.eu-west-1.amazonaws.com/111122223333/dead",
            "ABANICO_FINISHED_TOPIC_ARN" => "arn:aws:sns:eu-west-1:111122223333:finished",
            "ABANICO_FAILED_TOPIC_ARN" => "arn:aws:sns:eu-west-1:111122223333:failed",
            _ => return None,
        };
        Some(value.to_owned())
    }
}

/// Runs the test again in a child process with credentials in its environment, which a test cannot set itself without
/// `unsafe`. Returns `true` in the child.
fn with_credentials(test: &str) -> bool {
    if std::env::var("AWS_ACCESS_KEY_ID").is_ok() {
        return true;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")])
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed: see above");
    false
}

fn package() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("jobs")).unwrap();
    let job = json!({"settings": {"outputGroups": [{"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS"}, "outputs": []}]}});
    std::fs::write(folder.path().join("jobs/three-mp4.json"), job.to_string()).unwrap();
    folder
}

fn transcode_video(url: &str) -> TranscodeVideo {
    let package = package();
    let variable = variables(url.to_owned(), package.path().to_str().unwrap().to_owned());
    TranscodeVideo::new(&Environment::new(&variable)).unwrap()
}

fn record(key: &str) -> Value {
    json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "up"}, "object": {"key": key, "sequencer": "01"}}})
}

/// Accepts jobs except those whose input is called `refused` (status 400) or `forbidden` (status 403).
fn mediaconvert(line: &str, body: &str) -> Response {
    let error = |status: u16, message: &str| {
        (StatusCode::from_u16(status).unwrap(), json!({"message": message}).to_string()).into_response()
    };
    match line {
        "POST /2017-08-29/jobs" if body.contains("refused") => error(400, "no"),
        "POST /2017-08-29/jobs" if body.contains("forbidden") => error(403, "no"),
        "POST /2017-08-29/jobs" => {
            (StatusCode::CREATED, r#"{"job": {"id": "1-abc"}}"#.to_owned()).into_response()
        }
        "POST AmazonSQS.SendMessage" => "{}".into_response(),
        _ => error(500, "unexpected"),
    }
}

#[tokio::test]
async fn failed_records_do_not_repeat_the_rest() {
    if !with_credentials("failed_records_do_not_repeat_the_rest") {
        return;
    }
    let (url, seen) = services(mediaconvert).await;
    let event = json!({"Records": [record("one.mp4"), record("refused.mp4"), record("two.mp4")]});
    let answer = transcode_video(&url).handle(&event).await.unwrap();
    let outcomes: Vec<&str> =
        answer["records"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["submitted", "failed", "submitted"]);
    let letters = asked(&seen, "POST AmazonSQS.SendMessage");
    assert_eq!(letters.len(), 1);
    let letter: Value = serde_json::from_str(&letters[0]).unwrap();
    let kept: Value = serde_json::from_str(letter["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(kept, json!({"Records": [record("refused.mp4")]}));
    assert!(
        letter["MessageAttributes"]["reason"]["StringValue"].as_str().unwrap().contains("up/refused.mp4")
    );
}

#[tokio::test]
async fn repeated_event_sends_the_same_token() {
    if !with_credentials("repeated_event_sends_the_same_token") {
        return;
    }
    let (url, seen) = services(mediaconvert).await;
    let function = transcode_video(&url);
    for _ in 0..2 {
        function.handle(&json!({"Records": [record("one.mp4")]})).await.unwrap();
    }
    let tokens: Vec<Value> = asked(&seen, "POST /2017-08-29/jobs")
        .iter()
        .map(|body| serde_json::from_str::<Value>(body).unwrap()["clientRequestToken"].clone())
        .collect();
    assert_eq!(tokens.len(), 2);
    assert!(tokens[0].is_string() && tokens[0] == tokens[1]);
}

#[tokio::test]
async fn permanent_failures_go_to_dead_letter_queue() {
    if !with_credentials("permanent_failures_go_to_dead_letter_queue") {
        return;
    }
    let (url, seen) = services(mediaconvert).await;
    let function = transcode_video(&url);
    function.handle(&json!("nonsense")).await.unwrap();
    function.handle(&json!({"Records": [record("forbidden.mp4")]})).await.unwrap();
    assert_eq!(asked(&seen, "POST AmazonSQS.SendMessage").len(), 2);
}

#[tokio::test]
async fn whole_event_repeats_if_nothing_succeeded() {
    if !with_credentials("whole_event_repeats_if_nothing_succeeded") {
        return;
    }
    // Nothing listens on this port, so every job may succeed later.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let function = transcode_video(&url);
    let error = function.handle(&json!({"Records": [record("one.mp4")]})).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let message = json!({"eventSource": "aws:sqs", "messageId": "m", "body": json!({"Records": [record("a.mp4")]}).to_string()});
    let answer = function.handle(&json!({"Records": [message]})).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([{"itemIdentifier": "m"}]));
}

fn finished_services(line: &str, _: &str) -> Response {
    match line {
        "GET /2017-08-29/jobs/1-abc" => {
            r#"{"job": {"id": "1-abc", "settings": {"inputs": [{"fileInput": "s3://up/a.mp4"}]}}}"#
                .into_response()
        }
        line if line.starts_with("HEAD /out/") => {
            ([("etag", "\"tag\""), ("content-length", "1000")], axum::body::Body::from(vec![0; 1000]))
                .into_response()
        }
        "PUT /out/a%20b/manifest.json" => "".into_response(),
        "POST /" => "<PublishResponse/>".into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn job_finished(event: Value) -> (Result<Value, String>, Asked) {
    let (url, seen) = services(finished_services).await;
    let variable = variables(url, String::new());
    let function = JobFinished::new(&Environment::new(&variable)).unwrap();
    (function.handle(&event).await.map_err(|error| error.to_string()), seen)
}

#[tokio::test]
async fn finished_job_gets_manifest_and_notification() {
    if !with_credentials("finished_job_gets_manifest_and_notification") {
        return;
    }
    let outputs = json!([{"outputFilePaths": ["s3://out/a b/a.mp4"], "durationInMs": 1000}]);
    let detail =
        json!({"jobId": "1-abc", "status": "COMPLETE", "outputGroupDetails": [{"outputDetails": outputs}]});
    let (answer, seen) = job_finished(json!({ "detail": detail })).await;
    assert_eq!(answer.unwrap()["manifest"], "s3://out/a b/manifest.json");
    let manifests = asked(&seen, "PUT /out/a%20b/manifest.json");
    let manifest: Value = serde_json::from_str(&manifests[0]).unwrap();
    assert_eq!(manifest["outputs"][0]["bitrate"], 8000);
    assert_eq!(manifest["source"], "s3://up/a.mp4");
    let notices = asked(&seen, "POST /");
    assert!(
        notices.len() == 1
            && notices[0].contains("Afinished&Subject=MediaConvert%20job%201-abc%3A%20COMPLETE")
    );
}

#[tokio::test]
async fn failed_job_goes_to_failed_topic_with_advice() {
    if !with_credentials("failed_job_goes_to_failed_topic_with_advice") {
        return;
    }
    let detail = json!({"jobId": "1-abc", "status": "ERROR", "errorCode": 1401, "errorMessage": "denied"});
    let (answer, seen) = job_finished(json!({ "detail": detail })).await;
    assert_eq!(answer.unwrap()["failed"], true);
    let notices = asked(&seen, "POST /");
    assert!(notices[0].contains("Afailed&") && notices[0].contains("role%20may%20not%20read"), "{notices:?}");
    assert!(asked(&seen, "PUT ").is_empty());
    let (answer, seen) = job_finished(json!({"detail": {"jobId": "1-abc", "status": "CANCELED"}})).await;
    assert!(answer.unwrap()["ignored"] == "CANCELED" && seen.lock().unwrap().is_empty());
    assert!(job_finished(json!({"detail": {}})).await.0.unwrap_err().contains("detail.jobId"));
}

fn bucket(line: &str, _: &str) -> Response {
    match line {
        "GET /there?notification=" => "<NotificationConfiguration/>".into_response(),
        "PUT /there?notification=" | "PUT /answer" => "".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn cloudformation_always_gets_a_response() {
    if !with_credentials("cloudformation_always_gets_a_response") {
        return;
    }
    let (url, seen) = services(bucket).await;
    let variable = variables(url.clone(), String::new());
    let function = BucketNotification::new(&Environment::new(&variable)).unwrap();
    for (kind, name, status) in [
        ("Create", "there", "SUCCESS"),
        ("Create", "gone", "FAILED"),
        ("Delete", "gone", "SUCCESS"),
        ("Delete", "there", "SUCCESS"),
        ("Nonsense", "there", "FAILED"),
    ] {
        let properties = json!({"Bucket": name, "NotificationId": "n", "FunctionArn": "arn:f"});
        let event = json!({"RequestType": kind, "ResponseURL": format!("{url}/answer"), "ResourceProperties": properties});
        let answer = function.handle(&event).await.unwrap();
        assert_eq!(answer["Status"], status, "{kind} {name}: {answer}");
        assert_eq!(asked(&seen, "PUT /answer").last().unwrap(), &answer.to_string());
    }
    assert_eq!(asked(&seen, "PUT /there?notification=").len(), 2);
}
