//! Calls a service on loopback that responds as AWS does, and checks what is sent, what is retried and what errors say.

use std::sync::{Arc, Mutex};

use abanico_aws::{Credentials, ErrorKind, MediaConvert, SignedClient, Sns, Sqs, Url};
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

/// A request as the service received it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    authorization: String,
    body: String,
}

/// A service that gives the answers in order and then repeats the last one.
struct Service {
    url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn service(answers: Vec<(u16, &'static str)>) -> Service {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let noted = seen.clone();
    let answer = move |request: Request| {
        let (noted, answers) = (noted.clone(), answers.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let authorization = request.headers().get("authorization").cloned();
            let authorization =
                authorization.map_or(String::new(), |value| value.to_str().unwrap_or("").to_owned());
            let body: Bytes = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
            let mut noted = noted.lock().expect("no test panics while it holds this");
            noted.push(Seen { line, authorization, body: String::from_utf8_lossy(&body).into_owned() });
            let (status, text) = answers[(noted.len() - 1).min(answers.len() - 1)];
            (StatusCode::from_u16(status).expect("a status"), text).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    Service { url, seen }
}

impl Service {
    fn client(&self, name: &str) -> SignedClient {
        let credentials = Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        SignedClient::new(name, "eu-west-1", self.url.clone(), Arc::new(credentials)).expect("a client")
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }
}

const JOB: &str = r#"{"job":{"id":"1-abc","status":"SUBMITTED"}}"#;

#[tokio::test]
async fn job_with_a_token_is_retried() {
    let service = service(vec![(503, "busy"), (429, "slow down"), (201, JOB)]).await;
    let request = json!({"role": "r", "settings": {}, "clientRequestToken": "t"});
    let job = MediaConvert::new(service.client("mediaconvert")).create_job(&request).await.unwrap();
    assert_eq!(job["id"], "1-abc");
    let seen = service.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| one.line == "POST /2017-08-29/jobs"
        && request == one.body.parse::<serde_json::Value>().unwrap_or_default()));
    assert!(seen[0].authorization.contains("/eu-west-1/mediaconvert/aws4_request"), "{seen:?}");
}

#[tokio::test]
async fn job_without_a_token_is_not_retried() {
    let service = service(vec![(503, r#"{"message":"busy"}"#), (201, JOB)]).await;
    let error = MediaConvert::new(service.client("mediaconvert")).create_job(&json!({})).await.unwrap_err();
    assert_eq!((error.kind(), error.status(), service.seen().len()), (ErrorKind::Refused, Some(503), 1));
    assert!(error.is_ambiguous() && error.to_string().contains("busy"), "{error}");
}

#[tokio::test]
async fn refusal_keeps_the_message_and_ends_retries() {
    let service = service(vec![(400, r#"{"message":"/outputGroups: Should have at least 1 items"}"#)]).await;
    let request = json!({"clientRequestToken": "t"});
    let error = MediaConvert::new(service.client("mediaconvert")).create_job(&request).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("at least 1 items"), "{error}");
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn response_without_a_job_is_an_error() {
    let service = service(vec![(201, "{}")]).await;
    let error = MediaConvert::new(service.client("mediaconvert")).get_job("1-a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Answer);
}

#[tokio::test]
async fn malformed_job_id_is_refused() {
    let service = service(vec![(200, JOB)]).await;
    let error = MediaConvert::new(service.client("mediaconvert")).get_job("../queues").await.unwrap_err();
    assert_eq!((error.kind(), service.seen().len()), (ErrorKind::Setting, 0));
}

#[tokio::test]
async fn messages_carry_their_attributes() {
    let service = service(vec![(200, "{}")]).await;
    let sqs = Sqs::new(service.client("sqs"));
    sqs.send_message("http://q/1/dead", "{}", &[("reason", "too big"), ("empty", "")]).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&service.seen()[0].body).unwrap();
    assert_eq!(
        body["MessageAttributes"],
        json!({"reason": {"DataType": "String", "StringValue": "too big"}})
    );
    let sns = Sns::new(service.client("sns"));
    sns.publish("arn:aws:sns:r:1:t", "done", "m", &[("status", "COMPLETE")]).await.unwrap();
    let form = &service.seen()[1].body;
    assert!(form.contains("TopicArn=arn%3Aaws%3Asns%3Ar%3A1%3At&Subject=done&Message=m"), "{form}");
    assert!(form.contains("MessageAttributes.entry.1.Name=status"), "{form}");
}

#[tokio::test]
async fn missing_service_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let nobody = Service { url, seen: Arc::default() };
    let error = MediaConvert::new(nobody.client("mediaconvert")).create_job(&json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_retryable() && error.is_ambiguous());
}
