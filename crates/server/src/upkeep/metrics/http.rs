//! Counts responses and how long they took, by kinds of requests. No label comes from a client.

use std::time::Instant;

use abanico_engine::Histogram;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};

use super::text::Text;
use crate::edge::Edge;

/// Upper bounds of the classes of latencies.
const BOUNDS_MS: [u64; 8] = [5, 25, 100, 250, 1_000, 2_500, 10_000, 60_000];
const SERVICES: [&str; 4] = ["s3", "mediaconvert", "console", "monitoring"];
const OPERATIONS: [&str; 4] = ["read", "list", "write", "delete"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What a request is for: positions in [`SERVICES`] and [`OPERATIONS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    service: usize,
    operation: usize,
}

impl Kind {
    fn of(method: &Method, path: &str) -> Self {
        let service = match path {
            "/metrics" | "/healthz" | "/readyz" => 3,
            _ if path.starts_with("/_abanico/") => 2,
            _ if path.starts_with("/2017-08-29/") => 1,
            _ => 0,
        };
        // In S3, a bucket alone is listed. In the API, what has no name is.
        let parts = path.split('/').filter(|part| !part.is_empty()).count();
        let is_list = (service == 0 && parts < 2) || (service == 1 && parts < 3);
        let operation = match *method {
            Method::GET | Method::HEAD | Method::OPTIONS if is_list => 1,
            Method::GET | Method::HEAD | Method::OPTIONS => 0,
            Method::DELETE => 3,
            _ => 2,
        };
        Self { service, operation }
    }
}

/// Counts responses.
pub(crate) struct HttpCounters {
    /// One for each service, operation and class.
    latencies: Vec<Histogram>,
}

impl HttpCounters {
    pub(super) fn new() -> Self {
        let all = SERVICES.len() * OPERATIONS.len() * CLASSES.len();
        Self { latencies: (0..all).map(|_| Histogram::new(&BOUNDS_MS)).collect() }
    }

    fn of(&self, kind: Kind, class: usize) -> &Histogram {
        &self.latencies[(kind.service * OPERATIONS.len() + kind.operation) * CLASSES.len() + class]
    }

    fn note(&self, kind: Kind, status: StatusCode, ms: u64) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.of(kind, class).note(ms);
    }

    fn kinds() -> impl Iterator<Item = Kind> {
        (0..SERVICES.len())
            .flat_map(|service| (0..OPERATIONS.len()).map(move |operation| Kind { service, operation }))
    }

    pub(super) fn write(&self, text: &mut Text) {
        text.head("abanico_http_responses_total", "counter", "HTTP responses by status class.");
        for (class, name) in CLASSES.into_iter().enumerate() {
            let count: u64 = Self::kinds().map(|kind| self.of(kind, class).count()).sum();
            text.sample("abanico_http_responses_total", &[("class", name)], count);
        }
        text.head(
            "abanico_http_request_duration_seconds",
            "histogram",
            "From the head of a request to the head of its response, by service, operation and status class.",
        );
        for kind in Self::kinds() {
            for (class, name) in CLASSES.into_iter().enumerate() {
                let histogram = self.of(kind, class);
                if histogram.count() > 0 {
                    let (service, operation) = (SERVICES[kind.service], OPERATIONS[kind.operation]);
                    text.histogram(
                        "abanico_http_request_duration_seconds",
                        &[("service", service), ("operation", operation), ("class", name)],
                        histogram,
                    );
                }
            }
        }
    }
}

/// Counts every response.
pub(crate) async fn count(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let (kind, began) = (Kind::of(request.method(), request.uri().path()), Instant::now());
    let response = next.run(request).await;
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    edge.counters.http.note(kind, response.status(), ms);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_kinds() {
        for (method, path, service, operation) in [
            (Method::GET, "/uploads/a/b.mp4", "s3", "read"),
            (Method::HEAD, "/uploads", "s3", "list"),
            (Method::GET, "/", "s3", "list"),
            (Method::PUT, "/uploads/a", "s3", "write"),
            (Method::DELETE, "/uploads/a", "s3", "delete"),
            (Method::POST, "/2017-08-29/jobs", "mediaconvert", "write"),
            (Method::GET, "/2017-08-29/jobs", "mediaconvert", "list"),
            (Method::GET, "/2017-08-29/jobs/1-a", "mediaconvert", "read"),
            (Method::GET, "/_abanico/jobs", "console", "read"),
            (Method::GET, "/metrics", "monitoring", "read"),
            (Method::from_bytes(b"STRANGE").unwrap(), "/x/y", "s3", "write"),
        ] {
            let kind = Kind::of(&method, path);
            assert_eq!((SERVICES[kind.service], OPERATIONS[kind.operation]), (service, operation), "{path}");
        }
    }

    #[test]
    fn responses_are_counted_by_class_and_kind() {
        let http = HttpCounters::new();
        let (read, write) = (Kind::of(&Method::GET, "/b/k"), Kind::of(&Method::PUT, "/b/k"));
        http.note(read, StatusCode::OK, 3);
        http.note(read, StatusCode::NOT_FOUND, 30);
        http.note(write, StatusCode::FORBIDDEN, 300);
        let mut text = Text::default();
        http.write(&mut text);
        let label = "service=\"s3\",operation=\"write\",class=\"4xx\"";
        for line in [
            "abanico_http_responses_total{class=\"4xx\"} 2".to_owned(),
            format!("abanico_http_request_duration_seconds_bucket{{{label},le=\"0.25\"}} 0"),
            format!("abanico_http_request_duration_seconds_bucket{{{label},le=\"1\"}} 1"),
            format!("abanico_http_request_duration_seconds_count{{{label}}} 1"),
        ] {
            assert!(text.0.lines().any(|other| other == line), "{line} is not in\n{}", text.0);
        }
        assert!(!text.0.contains("operation=\"delete\""), "what never happened has no samples");
    }
}
