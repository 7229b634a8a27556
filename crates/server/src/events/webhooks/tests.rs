use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::events::event_delivery::{RetryPolicy, deliver_events};
use crate::events::receivers::{Receivers, Seat};
use crate::testing;

type Request = (HeaderMap, String, StatusCode);

#[derive(Clone)]
struct Receiver {
    /// Answers to give, the first one last; once they run out, 204.
    answers: Arc<Mutex<Vec<StatusCode>>>,
    seen: mpsc::UnboundedSender<Request>,
}

async fn receive(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let answer = receiver.answers.lock().unwrap().pop().unwrap_or(StatusCode::NO_CONTENT);
    receiver.seen.send((headers, String::from_utf8(body.to_vec()).unwrap(), answer)).unwrap();
    (answer, [("location", "/elsewhere")])
}

async fn receiver(answers: Vec<StatusCode>) -> (String, mpsc::UnboundedReceiver<Request>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let state = Receiver { answers: Arc::new(Mutex::new(answers)), seen };
    let router = Router::new()
        .route("/hook", post(receive))
        // A client that followed the redirect would think the event delivered.
        .route("/elsewhere", axum::routing::any(|| async { "fine" }))
        .with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(crate::serve(listener, router, CancellationToken::new()));
    (url, requests)
}

/// Has a time limit, so that a lost event fails the test instead of hanging it.
async fn next(requests: &mut mpsc::UnboundedReceiver<Request>) -> Request {
    tokio::time::timeout(Duration::from_secs(20), requests.recv())
        .await
        .expect("a request arrives in time")
        .unwrap()
}

fn quick() -> RetryPolicy {
    let (first_wait, longest_wait) = (Duration::from_millis(1), Duration::from_millis(4));
    RetryPolicy { first_wait, longest_wait, give_up_after: Duration::from_secs(600), least_failures: 1 }
}

fn seat(hook: &Webhook) -> Arc<Seat> {
    Receivers::default().add(hook)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn events_arrive_signed_in_order_despite_failures() {
    let test = testing::engine().await;
    // The first answer comes last; a redirect counts as a failure too.
    let (url, mut requests) = receiver(vec![StatusCode::FOUND, StatusCode::INTERNAL_SERVER_ERROR]).await;
    let hook = Webhook::new(&url, "whsec_c2VjcmV0").unwrap();
    test.engine.set_cursor(&hook.reader(), 0).await.unwrap();
    let job = test.run_failing_job().await;
    let expected: Vec<Value> =
        test.engine.events_after(0, 100).await.unwrap().into_iter().map(|event| event.body).collect();
    assert!(expected.len() >= 2, "{expected:?}");
    let stop = CancellationToken::new();
    let run =
        tokio::spawn(deliver_events(test.engine.clone(), hook.clone(), quick(), seat(&hook), stop.clone()));

    let mut bodies = Vec::new();
    for _ in 0..expected.len() + 2 {
        let (headers, body, answer) = next(&mut requests).await;
        let (id, timestamp) = (text(&headers, "webhook-id"), text(&headers, "webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(text(&headers, "webhook-signature"), signature);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["id"], id);
        bodies.push((answer.is_success(), body));
    }
    assert_eq!(bodies[0], (false, expected[0].clone()));
    assert_eq!(bodies[1], (false, expected[0].clone()));
    let delivered: Vec<Value> =
        bodies.into_iter().filter(|(is_ok, _)| *is_ok).map(|(_, body)| body).collect();
    assert_eq!(delivered, expected);
    assert_eq!(delivered.last().unwrap()["detail"]["jobId"], job.as_str());
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn new_hook_starts_with_next_event_and_resumes() {
    let test = testing::engine().await;
    test.run_failing_job().await;
    let (url, mut requests) = receiver(Vec::new()).await;
    let hook = Webhook::new(&url, "text secret").unwrap();
    let stop = CancellationToken::new();
    let run =
        tokio::spawn(deliver_events(test.engine.clone(), hook.clone(), quick(), seat(&hook), stop.clone()));
    while test.engine.cursor(&hook.reader()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    run.await.unwrap();
    let missed = test.run_failing_job().await;
    let run = tokio::spawn(deliver_events(
        test.engine.clone(),
        hook.clone(),
        quick(),
        seat(&hook),
        CancellationToken::new(),
    ));
    let (_, body, _) = next(&mut requests).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["detail"]["jobId"], missed.as_str());
    run.abort();
}

#[tokio::test]
async fn too_old_event_is_skipped() {
    let test = testing::engine().await;
    let (url, mut requests) = receiver(vec![StatusCode::GONE]).await;
    let hook = Webhook::new(&url, "s").unwrap();
    test.engine.set_cursor(&hook.reader(), 0).await.unwrap();
    test.run_failing_job().await;
    let policy = RetryPolicy { give_up_after: Duration::ZERO, ..quick() };
    let run = tokio::spawn(deliver_events(
        test.engine.clone(),
        hook.clone(),
        policy,
        seat(&hook),
        CancellationToken::new(),
    ));
    let (first, second) = (next(&mut requests).await, next(&mut requests).await);
    assert_eq!(first.2, StatusCode::GONE);
    assert_ne!(text(&first.0, "webhook-id"), text(&second.0, "webhook-id"));
    run.abort();
}

#[test]
fn bad_hooks_are_refused_and_secrets_hidden() {
    for wrong in ["ftp://a/b", "file:///etc/passwd", "nothing"] {
        assert_eq!(Webhook::new(wrong, "s").unwrap_err(), WebhookError::Url(wrong.to_owned()));
    }
    assert_eq!(Webhook::new("http://a/", "").unwrap_err(), WebhookError::Secret);
    assert_eq!(Webhook::new("http://a/", "whsec_%").unwrap_err(), WebhookError::Secret);
    let shown = format!("{:?}", Webhook::new("https://me:pass@host:8443/hook?key=hidden", "word").unwrap());
    assert_eq!(shown, r#"Webhook { url: "https://host:8443/hook", .. }"#);
}

#[tokio::test]
async fn backlog_is_told_and_sent_again_by_hand() {
    let test = testing::engine().await;
    let (url, mut requests) = receiver(vec![StatusCode::BAD_GATEWAY]).await;
    let hook = Webhook::new(&url, "s").unwrap();
    test.engine.set_cursor(&hook.reader(), 0).await.unwrap();
    test.run_failing_job().await;
    let events = test.engine.events_after(0, 100).await.unwrap();
    let mut receivers = Receivers::default();
    let seat = receivers.add(&hook);
    let outbox = testing::DeadLetters::default();
    // Only a wish wakes it before the test ends.
    let policy = RetryPolicy { first_wait: Duration::from_secs(600), ..RetryPolicy::default() };
    let run = tokio::spawn(deliver_events(
        test.engine.clone(),
        hook.clone(),
        policy,
        seat,
        CancellationToken::new(),
    ));
    let id = |headers: &HeaderMap| text(headers, "webhook-id").to_owned();
    let refused = next(&mut requests).await;
    let mut standing = receivers.standings(&test.engine, &outbox).await.unwrap().remove(0);
    while standing.failures == 0 {
        tokio::task::yield_now().await;
        standing = receivers.standings(&test.engine, &outbox).await.unwrap().remove(0);
    }
    assert_eq!((standing.id.as_str(), standing.name.as_str()), (hook.reader().as_str(), url.as_str()));
    assert_eq!((standing.waiting, standing.next), (events.len() as u64, Some(events[0].seq)));
    let trouble = standing.trouble().unwrap();
    assert!(
        trouble.contains(&format!("{} events wait", events.len())) && trouble.contains("502"),
        "{trouble}"
    );

    assert!(receivers.redeliver_jobs(&standing.id, None));
    assert_eq!(id(&next(&mut requests).await.0), id(&refused.0), "it is tried at once");
    for _ in &events[1..] {
        next(&mut requests).await;
    }
    while standing.waiting > 0 {
        tokio::task::yield_now().await;
        standing = receivers.standings(&test.engine, &outbox).await.unwrap().remove(0);
    }
    assert_eq!((standing.failures, standing.last_error), (0, None));
    let last = events.last().unwrap();
    assert!(receivers.redeliver_jobs(&standing.id, Some(last.seq)));
    assert_eq!(id(&next(&mut requests).await.0), last.body["id"].as_str().unwrap(), "an event that it had");
    assert!(!receivers.redeliver_jobs("webhook-none", None));
    run.abort();
}
