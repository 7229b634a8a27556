//! Writes metrics for Prometheus from the engine's counts and the server's own counters. No label grows with the
//! number of jobs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use abanico_engine::{JobRecord, ListFilter, Place, Stage, Troubles};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::access::is_forwarded;
use crate::authentication::operator;
use crate::edge::Edge;
use crate::error_table::Error;
use crate::{receiver_metrics, redelivery};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Largest number of running jobs whose progress is summed up.
const MAX_RUNNING: usize = 1000;

/// Counts responses by status class.
pub(crate) struct HttpCounters {
    started: Instant,
    /// From 1xx to 5xx.
    classes: [AtomicU64; 5],
}

impl HttpCounters {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), classes: Default::default() }
    }

    fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts every response.
pub(crate) async fn count(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    edge.counters.count(response.status());
    response
}

/// Returns whether a client on this machine sent the request.
pub(crate) fn is_from_here(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    // Behind a proxy on this machine, every client would look local.
    peer.is_some_and(|ip| ip.is_loopback()) && !is_forwarded(request.headers())
}

/// Serves the metrics: on loopback to everyone, elsewhere to whoever sends the metrics' own token, and to the operator.
pub(crate) async fn metrics(State(edge): State<Edge>, request: Request) -> Result<Response, Error> {
    if !is_from_here(&request) && !edge.is_scraper(request.headers()) {
        operator(&edge, request).await?;
    }
    measure(&edge).await
}

/// Serves the metrics on a listener of their own, to everyone who reaches it.
pub(crate) async fn metrics_of_own_listener(State(edge): State<Edge>) -> Result<Response, Error> {
    measure(&edge).await
}

async fn measure(edge: &Edge) -> Result<Response, Error> {
    let stages = vec![Stage::Probing, Stage::Transcoding, Stage::Uploading];
    let running = edge.engine.list(ListFilter { stages, ..ListFilter::default() }, MAX_RUNNING).await?;
    let counts = edge.engine.counts().await?;
    let dead = edge
        .outbox
        .dead_letters()
        .await
        .map_err(|error| Error::internal("cannot list dead letters", error))?;
    let aside =
        edge.outbox.put_aside().await.map_err(|error| Error::internal("cannot list uploads", error))?;
    let put_aside = put_aside_by_place(&edge.engine.troubles().await?, aside.len());
    let receivers = receiver_metrics::text(&redelivery::standings(edge).await?);
    let text = render(&counts, &running, dead.len(), &put_aside, &edge.counters) + &receivers;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Counts what was put aside by the table that it is from.
fn put_aside_by_place(troubles: &Troubles, uploads: usize) -> Vec<(&'static str, u64)> {
    let count = |place: Place| {
        troubles.put_aside.iter().filter(|record| record.place == place.table()).count() as u64
    };
    let of_uploads = ("outbox", uploads as u64);
    Place::ALL.into_iter().map(|place| (place.table(), count(place))).chain([of_uploads]).collect()
}

fn render(
    counts: &[(Stage, u64)],
    running: &[JobRecord],
    dead_letters: usize,
    put_aside: &[(&str, u64)],
    http: &HttpCounters,
) -> String {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    text.head("abanico_build_info", "gauge", "The running version.");
    text.sample("abanico_build_info", &[("version", version)], 1);
    text.head("abanico_uptime_seconds", "gauge", "Seconds since the server started.");
    text.sample("abanico_uptime_seconds", &[], http.started.elapsed().as_secs());
    let all = [
        (Stage::Submitted, "submitted"),
        (Stage::Probing, "probing"),
        (Stage::Transcoding, "transcoding"),
        (Stage::Uploading, "uploading"),
        (Stage::Complete, "complete"),
        (Stage::Error, "error"),
        (Stage::Canceled, "canceled"),
    ];
    let count = |stage: Stage| {
        counts.iter().filter(|(other, _)| *other == stage).map(|(_, count)| count).sum::<u64>()
    };
    text.head("abanico_jobs", "gauge", "Jobs by stage.");
    for (stage, name) in all {
        text.sample("abanico_jobs", &[("stage", name)], count(stage));
    }
    text.head("abanico_jobs_submitted_total", "counter", "Jobs ever created.");
    text.sample("abanico_jobs_submitted_total", &[], all.iter().map(|(stage, _)| count(*stage)).sum());
    text.head("abanico_jobs_finished_total", "counter", "Jobs that have ended, by result.");
    for (stage, name) in all.into_iter().filter(|(stage, _)| stage.is_final()) {
        text.sample("abanico_jobs_finished_total", &[("result", name)], count(stage));
    }
    let frames = |pick: fn(&JobRecord) -> u64| running.iter().map(pick).sum::<u64>();
    text.head(
        "abanico_running_frames_done",
        "gauge",
        "Frames done in running jobs; first passes count in part.",
    );
    text.sample("abanico_running_frames_done", &[], frames(|record| record.progress.frames_done));
    text.head("abanico_running_frames", "gauge", "Total frames of running jobs.");
    text.sample("abanico_running_frames", &[], frames(|record| record.progress.frames_total));
    text.head("abanico_dead_letters", "gauge", "Upload events that could not be delivered.");
    text.sample("abanico_dead_letters", &[], dead_letters as u64);
    text.head(
        "abanico_records_put_aside",
        "gauge",
        "Records that cannot be read and were put aside, by table.",
    );
    for (table, count) in put_aside {
        text.sample("abanico_records_put_aside", &[("table", table)], *count);
    }
    text.head("abanico_http_responses_total", "counter", "HTTP responses by status class.");
    for (class, counter) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&http.classes) {
        text.sample("abanico_http_responses_total", &[("class", class)], counter.load(Ordering::Relaxed));
    }
    text.0
}

/// Metrics in Prometheus's text format.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("{name}{labels} {value}\n"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.write_fmt(line).expect("writing to a `String` cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_reported_even_without_jobs() {
        let http = HttpCounters::new();
        http.count(StatusCode::OK);
        http.count(StatusCode::NOT_FOUND);
        http.count(StatusCode::FORBIDDEN);
        let text = render(
            &[(Stage::Complete, 3), (Stage::Error, 1), (Stage::Submitted, 2)],
            &[],
            5,
            &[("jobs", 2)],
            &http,
        );
        for line in [
            "abanico_jobs{stage=\"complete\"} 3",
            "abanico_jobs{stage=\"transcoding\"} 0",
            "abanico_jobs_submitted_total 6",
            "abanico_jobs_finished_total{result=\"error\"} 1",
            "abanico_dead_letters 5",
            "abanico_records_put_aside{table=\"jobs\"} 2",
            "abanico_http_responses_total{class=\"4xx\"} 2",
            "# TYPE abanico_uptime_seconds gauge",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        let unlabelled = text.lines().filter(|line| !line.starts_with('#'));
        assert!(unlabelled.clone().all(|line| line.rsplit(' ').next().unwrap().parse::<u64>().is_ok()));
    }
}
