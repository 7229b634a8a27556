use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::Credentials;
use crate::entry::same_origin::{CONSOLE_HEADER, LOGIN};
use crate::entry::sigv4::signed;
use crate::testing::{self, DeadLetters, TestEngine};

const KEY: (&str, &str) = ("AKIATEST", "wonder secret");

struct Fixture {
    router: Router,
    test: TestEngine,
    draining: CancellationToken,
    stop: CancellationToken,
}

async fn fixture() -> Fixture {
    let test = testing::engine().await;
    let s3 = tower::service_fn(|request: Request| async move {
        Ok::<_, Infallible>(Response::new(Body::from(format!("s3 {} {}", request.method(), request.uri()))))
    });
    let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
    let router = Server::new(ServerParts {
        engine: test.engine.clone(),
        credentials: Credentials::new([(KEY.0.to_owned(), KEY.1.to_owned())]),
        access: crate::Access { hosts: vec!["console.example".to_owned()], ..crate::Access::default() },
        metrics_token: Some("scrape".to_owned()),
        s3: crate::s3_fallback(s3),
        outbox: Arc::new(DeadLetters(Mutex::new(vec![7]))),
        objects: None,
        receivers: Arc::default(),
        warnings: Vec::new(),
        draining: draining.clone(),
        stop: stop.clone(),
    });
    Fixture { router, test, draining, stop }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
    fn code(&self) -> (u16, &str) {
        (self.status, self.headers["x-amzn-errortype"].to_str().unwrap())
    }
}

impl Fixture {
    async fn send(&self, request: http::Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn signed(&self, method: &str, path: &str, body: String) -> Answer {
        self.send(signed(plain(method, path, body), KEY, "mediaconvert")).await
    }

    async fn bearer(&self, method: &str, path: &str) -> Answer {
        let mut request = plain(method, path, String::new()).map(Body::from);
        request.headers_mut().insert("authorization", "Bearer wonder secret".parse().unwrap());
        self.send(request).await
    }
}

fn plain(method: &str, path: &str, body: String) -> http::Request<String> {
    http::Request::builder().method(method).uri(path).header("host", "127.0.0.1").body(body).unwrap()
}

#[tokio::test]
async fn job_goes_through_all_operations() {
    let fixture = fixture().await;
    let made =
        fixture.signed("POST", "/2017-08-29/jobs", testing::request("s3://nowhere/a.mp4").to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["job"]["status"], "SUBMITTED");
    let other = fixture.test.run_failing_job().await;
    let mut changes = fixture.test.engine.changes();
    while !fixture.test.engine.get(&abanico_engine::JobId::new(&*id)).await.unwrap().stage().is_final() {
        changes.changed().await.unwrap();
    }
    let got = fixture.signed("GET", &format!("/2017-08-29/jobs/{id}"), String::new()).await;
    assert_eq!((got.status, &got.json()["job"]["status"]), (200, &json!("ERROR")));
    assert!(got.json()["job"]["errorCode"].is_u64());

    let first =
        fixture.signed("GET", "/2017-08-29/jobs?maxResults=1&order=ASCENDING", String::new()).await.json();
    assert_eq!((&first["jobs"][0]["id"], first["jobs"].as_array().unwrap().len()), (&json!(id), 1));
    let token = first["nextToken"].as_str().unwrap();
    let path = format!("/2017-08-29/jobs?maxResults=1&order=ASCENDING&nextToken={token}");
    let second = fixture.signed("GET", &path, String::new()).await.json();
    assert_eq!(second["jobs"][0]["id"], other.as_str());
    assert!(second.get("nextToken").is_none());

    let cancelled = fixture.signed("DELETE", &format!("/2017-08-29/jobs/{id}"), String::new()).await;
    assert_eq!(cancelled.code(), (409, "ConflictException"));
}

#[tokio::test]
async fn errors_have_aws_shape() {
    let fixture = fixture().await;
    let bad =
        fixture.signed("POST", "/2017-08-29/jobs", json!({"settings": {"inputs": []}}).to_string()).await;
    assert_eq!(bad.code(), (400, "BadRequestException"));
    assert!(bad.json()["message"].as_str().unwrap().contains(" | "), "{}", bad.text);
    let large = |bytes: usize| "x".repeat(bytes);
    let too_large = fixture.signed("POST", "/2017-08-29/jobs", large(crate::MAX_API_BODY_BYTES + 1)).await;
    assert_eq!(too_large.code(), (413, "BadRequestException"));
    let read = fixture.signed("POST", "/2017-08-29/jobs", large(crate::MAX_API_BODY_BYTES)).await;
    assert!(read.text.contains("the body is not JSON"), "{}", read.text);
    let unknown = fixture.signed("GET", "/2017-08-29/jobs/17-abcdef", String::new()).await;
    assert_eq!(unknown.code(), (404, "NotFoundException"));
    for (method, path) in
        [("GET", "/2017-08-29/unheard-of"), ("PUT", "/2017-08-29/jobs"), ("GET", "/elsewhere")]
    {
        let unserved = fixture.signed(method, path, String::new()).await;
        assert_eq!(unserved.code(), (404, "NotFoundException"), "{path}");
        assert!(unserved.text.contains("has no operation at"), "{}", unserved.text);
    }
}

#[tokio::test]
async fn only_valid_mediaconvert_signatures_are_accepted() {
    let fixture = fixture().await;
    let path = "/2017-08-29/jobs";
    let get = || plain("GET", path, String::new());
    let unsigned = fixture.send(get().map(Body::from)).await;
    assert_eq!(unsigned.code(), (403, "MissingAuthenticationTokenException"));
    let wrong = fixture.send(signed(get(), (KEY.0, "guess"), "mediaconvert")).await;
    assert_eq!(wrong.code(), (403, "InvalidSignatureException"));
    let unknown = fixture.send(signed(get(), ("AKIAOTHER", "x"), "mediaconvert")).await;
    assert_eq!(unknown.code(), (403, "UnrecognizedClientException"));
    let other_service = fixture.send(signed(get(), KEY, "s3")).await;
    assert_eq!(other_service.code(), (403, "InvalidSignatureException"));
    assert_eq!(fixture.bearer("GET", path).await.status, 403);
}

#[tokio::test]
async fn requests_reach_their_service() {
    let fixture = fixture().await;
    let send = async |method: &str, path: &str| {
        fixture.send(plain(method, path, String::new()).map(Body::from)).await.text
    };
    assert_eq!(
        send("GET", "/uploads/a%20b//c.mp4?partNumber=1").await,
        "s3 GET /uploads/a%20b//c.mp4?partNumber=1"
    );
    assert_eq!(send("GET", "/").await, "s3 GET /");
    assert_eq!(send("GET", "/healthz").await, "ok\n");
    assert_eq!(send("GET", "/readyz").await, "ready\n");
    let s3 = fixture.send(signed(plain("GET", "/metrics", String::new()), KEY, "s3")).await;
    assert_eq!(s3.text, "s3 GET /metrics");
    let endpoints = fixture.signed("POST", "/2017-08-29/endpoints", "{}".to_owned()).await;
    assert_eq!(endpoints.json(), json!({"endpoints": [{"url": "http://127.0.0.1"}]}));
    let mut browser = plain("GET", "/", String::new()).map(Body::from);
    browser.headers_mut().insert("accept", "text/html,*/*".parse().unwrap());
    let page = fixture.send(browser).await;
    assert!(page.text.contains("<title>abanico</title>"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    fixture.draining.cancel();
    assert_eq!(send("GET", "/readyz").await, "stopping\n");
    assert_eq!(send("GET", "/healthz").await, "ok\n");
    let jobs = fixture.signed("GET", "/2017-08-29/jobs", String::new()).await;
    assert_eq!(jobs.json(), json!({"jobs": []}), "clients can follow jobs until the server stops");
}

#[tokio::test]
async fn caller_learns_whose_its_credentials_are() {
    let fixture = fixture().await;
    let ask = |keys, body: &str| signed(plain("POST", "/", body.to_owned()), keys, "sts");
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let told = fixture.send(ask(KEY, who)).await;
    assert_eq!(
        (told.status, &told.headers["content-type"]),
        (200, &http::HeaderValue::from_static("text/xml"))
    );
    assert!(told.text.contains("<Arn>arn:aws:iam::000000000000:root</Arn>"), "{}", told.text);
    let id = told.headers["x-amzn-requestid"].to_str().unwrap();
    assert!(told.text.contains(&format!("<RequestId>{id}</RequestId>")), "{}", told.text);
    let by_query = plain("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", String::new());
    assert_eq!(fixture.send(signed(by_query, KEY, "sts")).await.status, 200);
    for (keys, body, status, code) in [
        ((KEY.0, "guess"), who, 403, "SignatureDoesNotMatch"),
        (("AKIAOTHER", "x"), who, 403, "InvalidClientTokenId"),
        (KEY, "Action=AssumeRole", 501, "NotImplemented"),
        (KEY, "Version=2011-06-15", 400, "MissingAction"),
    ] {
        let refused = fixture.send(ask(keys, body)).await;
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(&format!("<Code>{code}</Code>")), "{}", refused.text);
    }
}

#[tokio::test]
async fn other_services_are_not_here() {
    let fixture = fixture().await;
    let refused = fixture.send(signed(plain("POST", "/", "{}".to_owned()), KEY, "dynamodb")).await;
    assert_eq!(refused.code(), (501, "NotImplemented"));
    assert!(refused.json()["message"].as_str().unwrap().contains("no service `dynamodb`"));
    let by_target = plain("POST", "/", String::new());
    let mut by_target = by_target.map(Body::from);
    by_target.headers_mut().insert("x-amz-target", "AmazonSQS.SendMessage".parse().unwrap());
    assert_eq!(fixture.send(by_target).await.json()["__type"], "NotImplemented");
}

#[tokio::test]
async fn host_of_a_bucket_leads_to_s3_alone() {
    let fixture = fixture().await;
    let at = |method: &str, host: &str, path: &str| {
        let mut request = plain(method, path, String::new());
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };
    let (bucket, server) = ("renditions.s3.localhost:4566", "localhost:4566");
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/"),
        ("OPTIONS", "/readyz"),
        ("GET", "/_abanico/jobs"),
        ("GET", "/_abanico/"),
        ("POST", "/_abanico/login"),
        ("POST", "/2017-08-29/jobs"),
    ] {
        let unsigned = fixture.send(at(method, bucket, path).map(Body::from)).await;
        assert_eq!(unsigned.text, format!("s3 {method} {path}"));
        let for_s3 = fixture.send(signed(at(method, bucket, path), KEY, "s3")).await;
        assert_eq!(for_s3.text, format!("s3 {method} {path}"));
        let by_path = fixture.send(at(method, server, path).map(Body::from)).await;
        assert_eq!(by_path.text.starts_with("s3 "), path == "/", "{path}: {}", by_path.text);
    }
    let mut page = at("GET", bucket, "/").map(Body::from);
    page.headers_mut().insert("accept", "text/html".parse().unwrap());
    assert_eq!(fixture.send(page).await.text, "s3 GET /");
    let api = fixture.send(signed(at("GET", bucket, "/2017-08-29/jobs"), KEY, "mediaconvert")).await;
    assert_eq!(api.json(), json!({"jobs": []}), "an API call says in its signature what it is for");
}

/// What a browser knows of its session.
struct LoggedIn {
    cookie: String,
    token: String,
}

impl LoggedIn {
    fn request(&self, method: &str, path: &str) -> http::Request<Body> {
        let mut request = plain(method, path, String::new()).map(Body::from);
        request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
        request.headers_mut().insert(CONSOLE_HEADER, self.token.parse().unwrap());
        request
    }
}

impl Fixture {
    async fn log_in(&self, secret: &str) -> Answer {
        let body = json!({ "secretAccessKey": secret }).to_string();
        let mut request = plain("POST", "/_abanico/login", body).map(Body::from);
        request.headers_mut().insert(CONSOLE_HEADER, LOGIN.parse().unwrap());
        self.send(request).await
    }

    async fn logged_in(&self) -> LoggedIn {
        let entered = self.log_in(KEY.1).await;
        let cookie = entered.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        LoggedIn { cookie, token: entered.json()["token"].as_str().unwrap().to_owned() }
    }
}

#[tokio::test]
async fn console_api_needs_login_bearer_or_signature() {
    let fixture = fixture().await;
    let list = || plain("GET", "/_abanico/jobs", String::new());
    assert_eq!(fixture.send(list().map(Body::from)).await.status, 403);
    assert_eq!(fixture.log_in("guess").await.code(), (403, "ForbiddenException"));
    let listed = fixture.send(fixture.logged_in().await.request("GET", "/_abanico/jobs")).await;
    assert_eq!((listed.status, listed.json()), (200, json!({"jobs": []})));
    assert_eq!(fixture.bearer("GET", "/_abanico/jobs").await.status, 200);
    assert_eq!(fixture.send(signed(list(), KEY, "execute-api")).await.status, 200);
    assert_eq!(fixture.bearer("GET", "/_abanico/nothing").await.code(), (404, "NotFoundException"));
    let link = crate::entry::sigv4::presigned_get(
        KEY.0,
        KEY.1,
        "127.0.0.1",
        "/_abanico/jobs",
        60,
        &[],
        std::time::SystemTime::now(),
    );
    let mut by_link = plain("GET", &link, String::new()).map(Body::from);
    assert_eq!(fixture.send(by_link).await.status, 403);
    by_link = plain("GET", &link, String::new()).map(Body::from);
    by_link.headers_mut().insert(CONSOLE_HEADER, LOGIN.parse().unwrap());
    assert_eq!(fixture.send(by_link).await.status, 403, "a link can stand on any page");
}

/// All routes of the console's API.
const CONSOLE_API: [(&str, &str); 11] = [
    ("POST", "/_abanico/login"),
    ("POST", "/_abanico/logout"),
    ("GET", "/_abanico/jobs"),
    ("GET", "/_abanico/jobs/17-abcdef"),
    ("DELETE", "/_abanico/jobs/17-abcdef"),
    ("GET", "/_abanico/jobs/17-abcdef/progress"),
    ("GET", "/_abanico/download?url=s3://uploads/a.mp4"),
    ("GET", "/_abanico/dead-letters"),
    ("POST", "/_abanico/dead-letters/7/replay"),
    ("GET", "/_abanico/receivers"),
    ("POST", "/_abanico/receivers/webhook-1/redeliver"),
];

#[tokio::test]
async fn requests_from_elsewhere_are_refused_on_every_route() {
    let fixture = fixture().await;
    let session = fixture.logged_in().await;
    let events = ("GET", "/_abanico/events");
    for (method, path) in CONSOLE_API.into_iter().chain([events]) {
        // What a browser adds by itself is not enough.
        let mut forced = session.request(method, path);
        forced.headers_mut().remove(CONSOLE_HEADER);
        assert_eq!(fixture.send(forced).await.status, 403, "{method} {path} with the cookie alone");
        for (name, value) in
            [("origin", "http://127.0.0.1:81"), ("origin", "null"), ("sec-fetch-site", "same-site")]
        {
            let mut foreign = session.request(method, path);
            foreign.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(fixture.send(foreign).await.status, 403, "{method} {path} with {name}: {value}");
        }
        let mut rebound = session.request(method, path);
        rebound.headers_mut().insert("host", "evil.example".parse().unwrap());
        assert_eq!(fixture.send(rebound).await.status, 403, "{method} {path} of another host");
        let preflight = plain("OPTIONS", path, String::new()).map(Body::from);
        let answer = fixture.send(preflight).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let jobs = fixture.send(session.request("GET", "/_abanico/jobs")).await;
    assert_eq!(jobs.status, 200, "the session goes on");
    assert_eq!(fixture.send(session.request("POST", "/_abanico/dead-letters/7/replay")).await.status, 202);
}

#[tokio::test]
async fn logout_and_restart_end_sessions() {
    let one = fixture().await;
    let (session, other) = (one.logged_in().await, one.logged_in().await);
    let out = one.send(session.request("POST", "/_abanico/logout")).await;
    assert_eq!(out.status, 200);
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(one.send(session.request("GET", "/_abanico/jobs")).await.status, 403);
    assert_eq!(one.send(other.request("GET", "/_abanico/jobs")).await.status, 200);
    let restarted = fixture().await;
    assert_eq!(restarted.send(other.request("GET", "/_abanico/jobs")).await.status, 403);
}

#[tokio::test]
async fn event_stream_ends_with_its_session() {
    let fixture = fixture().await;
    let session = fixture.logged_in().await;
    let stream = fixture.router.clone().oneshot(session.request("GET", "/_abanico/events")).await.unwrap();
    assert_eq!(stream.status(), 200);
    fixture.send(session.request("POST", "/_abanico/logout")).await;
    let rest = tokio::time::timeout(std::time::Duration::from_secs(60), stream.into_body().collect()).await;
    rest.expect("the stream ends").unwrap();
}

#[tokio::test]
async fn guesses_are_limited() {
    let fixture = fixture().await;
    for _ in 0..5 {
        assert_eq!(fixture.log_in("guess").await.status, 403);
    }
    for limited in [fixture.log_in(KEY.1).await, fixture.bearer("GET", "/_abanico/jobs").await] {
        assert_eq!(limited.code(), (429, "TooManyRequestsException"));
        assert!((1..=2).contains(&limited.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    }
}

#[tokio::test]
async fn bodies_of_console_requests_are_limited() {
    let fixture = fixture().await;
    let session = fixture.logged_in().await;
    // Logout does not read its body.
    for (method, path) in CONSOLE_API.into_iter().filter(|(_, path)| !path.ends_with("logout")) {
        let mut large = session.request(method, path);
        *large.body_mut() = Body::from(vec![b' '; 65 * 1024]);
        assert_eq!(fixture.send(large).await.status, 413, "{method} {path}");
        let bearer = http::Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        let bearer =
            bearer.header("authorization", "Bearer wonder secret").body(Body::from(vec![b' '; 65 * 1024]));
        assert_eq!(fixture.send(bearer.unwrap()).await.status, 413, "{method} {path} with the secret");
    }
}

#[tokio::test]
async fn only_own_names_reach_console_and_monitoring() {
    let fixture = fixture().await;
    let send = async |path: &str, host: &str| {
        let mut request = plain("GET", path, String::new()).map(Body::from);
        request.headers_mut().insert("host", host.parse().unwrap());
        request.headers_mut().insert("accept", "text/html".parse().unwrap());
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 9))));
        fixture.send(request).await
    };
    for path in
        ["/metrics", "/healthz", "/readyz", "/_abanico/", "/_abanico/style.css", "/_abanico/script.js"]
    {
        assert_eq!(send(path, "evil.example").await.code(), (403, "ForbiddenException"), "{path}");
        for own in ["127.0.0.1:4566", "localhost", "[::1]:4566", "console.example:443"] {
            assert_eq!(send(path, own).await.status, 200, "{path} {own}");
        }
    }
    assert_eq!(send("/", "bucket.example").await.text, "s3 GET /", "another host may be a bucket");
    assert_eq!(send("/a.mp4", "bucket.example").await.text, "s3 GET /a.mp4");
    assert!(send("/", "console.example").await.text.contains("<title>abanico</title>"));
}

#[tokio::test]
async fn answers_cannot_run_or_be_framed() {
    let fixture = fixture().await;
    let session = fixture.logged_in().await;
    let jobs = fixture.send(session.request("GET", "/_abanico/jobs")).await;
    let health = fixture.send(plain("GET", "/healthz", String::new()).map(Body::from)).await;
    let refused = fixture.send(plain("GET", "/_abanico/jobs", String::new()).map(Body::from)).await;
    for answer in [jobs, health, refused] {
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["cross-origin-resource-policy"], "same-origin");
    }
    let page = async || fixture.send(plain("GET", "/_abanico/", String::new()).map(Body::from)).await;
    let (first, second) = (page().await, page().await);
    let policy = first.headers["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(first.text.contains(&format!("nonce=\"{nonce}\" defer")) && !first.text.contains("NONCE"));
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_ne!(
        second.headers["content-security-policy"].to_str().unwrap(),
        policy,
        "each page has its own nonce"
    );
}

#[tokio::test]
async fn download_link_saves_a_file() {
    let fixture = fixture().await;
    let made = fixture.bearer("GET", "/_abanico/download?url=s3://uploads/a%20b.html").await.json();
    let url = made["url"].as_str().unwrap();
    assert!(
        url.starts_with("/uploads/a%20b.html?X-Amz-Algorithm=") && url.contains("&X-Amz-Signature="),
        "{url}"
    );
    assert!(url.contains("&response-content-disposition=attachment&"), "{url}");
}

#[tokio::test]
async fn dead_letter_is_listed_and_replayed_once() {
    let fixture = fixture().await;
    let list = fixture.bearer("GET", "/_abanico/dead-letters").await.json();
    assert_eq!((&list["deadLetters"][0]["id"], &list["deadLetters"][0]["reason"]), (&json!(7), &json!("no")));
    assert_eq!(fixture.bearer("POST", "/_abanico/dead-letters/7/replay").await.status, 202);
    assert_eq!(
        fixture.bearer("POST", "/_abanico/dead-letters/7/replay").await.code(),
        (404, "NotFoundException")
    );
}

#[tokio::test]
async fn metrics_need_loopback_or_operator() {
    let fixture = fixture().await;
    let from = |ip: [u8; 4]| {
        let mut request = plain("GET", "/metrics", String::new()).map(Body::from);
        request.extensions_mut().insert(axum::extract::ConnectInfo(std::net::SocketAddr::from((ip, 4000))));
        request
    };
    assert!(fixture.send(from([127, 0, 0, 1])).await.text.contains("abanico_dead_letters 1"));
    assert_eq!(fixture.send(from([192, 0, 2, 1])).await.status, 403);
    let mut proxied = from([127, 0, 0, 1]);
    proxied.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    assert_eq!(fixture.send(proxied).await.status, 403);
    for (path, token, status) in [
        ("/metrics", "scrape", 200),
        ("/metrics", "scrape ", 200),
        ("/metrics", "scrap", 403),
        ("/metrics", "", 403),
        ("/_abanico/jobs", "scrape", 403),
        ("/_abanico/dead-letters", "scrape", 403),
    ] {
        let mut request = from([192, 0, 2, 1]);
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        assert_eq!(fixture.send(request).await.status, status, "{path} with `{token}`");
    }
    assert_eq!(fixture.bearer("GET", "/metrics").await.status, 200);
}

#[tokio::test]
async fn streams_send_events_and_end_with_server() {
    let fixture = fixture().await;
    let id = fixture.test.run_failing_job().await;
    let progress = fixture.bearer("GET", &format!("/_abanico/jobs/{id}/progress")).await;
    assert!(
        progress.text.contains("event: progress\ndata: {") && progress.text.contains("\"ERROR\""),
        "{}",
        progress.text
    );
    let mut request = plain("GET", "/_abanico/events", String::new()).map(Body::from);
    request.headers_mut().insert("authorization", "Bearer wonder secret".parse().unwrap());
    request.headers_mut().insert("last-event-id", "1".parse().unwrap());
    fixture.stop.cancel();
    let events = fixture.send(request).await;
    assert!(events.text.contains("id: 2\n") && !events.text.contains("id: 1\n"), "{}", events.text);
    assert!(events.text.contains(id.as_str()));
}
