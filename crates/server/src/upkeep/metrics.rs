//! Serves metrics for Prometheus: asks the engine, the S3 endpoint and the server's own counters. No label grows with the
//! number of jobs, objects or clients.

mod disk;
mod http;
mod jobs;
mod process;
mod text;

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use ::http::header;
use abanico_engine::{ListFilter, Place, Stage, Troubles};
use abanico_process::clock;
use abanico_s3::{LifecycleCounts, LocalS3};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};

use crate::api::error_table::Error;
use crate::edge::Edge;
use crate::entry::access::is_forwarded;
use crate::entry::authentication::operator;
use crate::events::upload_outbox::OutboxError;

pub(crate) use self::http::count;
pub(crate) use self::text::Text;

use self::disk::{Buckets, write_buckets, write_disk};
use self::http::HttpCounters;
use self::jobs::{Jobs, write_figures, write_jobs, write_tallies};
use crate::events::redelivery;
use crate::upkeep::receiver_metrics;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Largest number of running jobs whose progress is summed up.
const MAX_RUNNING: usize = 1000;

/// What the server itself counts.
pub(crate) struct Counters {
    started: Instant,
    began: SystemTime,
    http: HttpCounters,
    buckets: Buckets,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            began: SystemTime::now(),
            http: HttpCounters::new(),
            buckets: Buckets::default(),
        }
    }
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
    let mut text = Text::default();
    write_server(&mut text, edge);
    measure_jobs(&mut text, edge).await?;
    measure_storage(&mut text, edge).await?;
    measure_troubles(&mut text, edge).await?;
    receiver_metrics::write(&mut text, &redelivery::standings(edge).await?);
    edge.counters.http.write(&mut text);
    process::write(&mut text, edge.counters.began);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text.0).into_response())
}

fn write_server(text: &mut Text, edge: &Edge) {
    text.head("abanico_build_info", "gauge", "The running version.");
    text.sample("abanico_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.head("abanico_uptime_seconds", "gauge", "Seconds since the server started.");
    text.sample("abanico_uptime_seconds", &[], edge.counters.started.elapsed().as_secs());
}

async fn measure_jobs(text: &mut Text, edge: &Edge) -> Result<(), Error> {
    let stages = vec![Stage::Probing, Stage::Transcoding, Stage::Uploading];
    let running = edge.engine.list(ListFilter { stages, ..ListFilter::default() }, MAX_RUNNING).await?;
    let (counts, ended) = (edge.engine.counts().await?, edge.engine.ever_finished().await?);
    let figures = edge.engine.figures().await?;
    write_jobs(text, &Jobs { counts: &counts, ended: &ended, running: &running });
    write_tallies(text, edge.engine.tallies());
    write_figures(text, &figures, clock::now_ms());
    Ok(())
}

async fn measure_storage(text: &mut Text, edge: &Edge) -> Result<(), Error> {
    write_disk(text, &edge.engine.disk_outlook().await?);
    let buckets = match &edge.objects {
        Some(s3) => {
            let looked = edge.counters.buckets.look(s3).await;
            looked.map_err(|error| Error::internal("cannot count the objects", error))?
        }
        None => Vec::new(),
    };
    write_buckets(text, &buckets);
    write_removed(text, &edge.objects.as_ref().map(LocalS3::lifecycle_counts).unwrap_or_default());
    Ok(())
}

/// Writes how many objects have expired and how many uploads were given up, as buckets' lifecycles say.
fn write_removed(text: &mut Text, removed: &LifecycleCounts) {
    text.head(
        "abanico_lifecycle_removed_total",
        "counter",
        "Objects and unfinished uploads that lifecycles of buckets have removed.",
    );
    for (what, count) in [("object", removed.expired_objects), ("upload", removed.aborted_uploads)] {
        text.sample("abanico_lifecycle_removed_total", &[("what", what)], count);
    }
}

async fn measure_troubles(text: &mut Text, edge: &Edge) -> Result<(), Error> {
    let internal = |what: &'static str| move |error: OutboxError| Error::internal(what, error);
    let dead = edge.outbox.dead_letters().await.map_err(internal("cannot list dead letters"))?;
    let uploads = edge.outbox.put_aside().await.map_err(internal("cannot list uploads"))?;
    text.head("abanico_dead_letters", "gauge", "Upload events that could not be delivered.");
    text.sample("abanico_dead_letters", &[], dead.len());
    text.head(
        "abanico_records_put_aside",
        "gauge",
        "Records that cannot be read and were put aside, by table.",
    );
    for (table, count) in put_aside_by_place(&edge.engine.troubles().await?, uploads.len()) {
        text.sample("abanico_records_put_aside", &[("table", table)], count);
    }
    Ok(())
}

/// Counts what was put aside by the table that it is from.
fn put_aside_by_place(troubles: &Troubles, uploads: usize) -> Vec<(&'static str, usize)> {
    let count =
        |place: Place| troubles.put_aside.iter().filter(|record| record.place == place.table()).count();
    Place::ALL.into_iter().map(|place| (place.table(), count(place))).chain([("outbox", uploads)]).collect()
}
