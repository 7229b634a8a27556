//! Streams events and job progress to browsers and scripts as server-sent events. A client that reconnects with
//! `Last-Event-ID` continues where it stopped. The server buffers at most one batch per client. A stream ends with
//! the session that it belongs to.

use std::convert::Infallible;
use std::time::Duration;

use abanico_engine::{Engine, JobId, JobRecord};
use axum::extract::{Extension, Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::unfold;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::error_table::Error;
use crate::api::job_view;
use crate::edge::Edge;
use crate::entry::sessions::Lifetime;

/// Largest number of events per read.
const BATCH: usize = 50;
/// Shortest time between two reads of a job's progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Streams the events of all jobs, starting now or after the event that the client names.
pub(crate) async fn events(
    State(edge): State<Edge>,
    Extension(lifetime): Extension<Lifetime>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let after = match last_event_id(&headers)? {
        Some(seq) => seq,
        None => edge.engine.newest_event().await?,
    };
    let reader = EventReader {
        changes: edge.engine.changes(),
        engine: edge.engine,
        after,
        batch: Vec::new(),
        stop: edge.stop,
    };
    let events = unfold(reader, EventReader::next).take_until(lifetime.over());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|seq| *seq >= 0);
    seq.map(Some).ok_or_else(|| Error::bad_request("`Last-Event-ID` is not an event id of this server"))
}

struct EventReader {
    engine: Engine,
    changes: watch::Receiver<u64>,
    after: i64,
    /// Events read but not yet sent, in reverse order.
    batch: Vec<abanico_engine::StoredEvent>,
    stop: CancellationToken,
}

impl EventReader {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.batch.pop() {
                self.after = event.seq;
                let sent =
                    Event::default().id(event.seq.to_string()).event("job").data(event.body.to_string());
                return Some((Ok(sent), self));
            }
            match self.engine.events_after(self.after, BATCH).await {
                Ok(events) => self.batch = events,
                Err(error) => {
                    tracing::error!(%error, "cannot read events; closing a client's event stream");
                    return None;
                }
            }
            if !self.batch.is_empty() {
                self.batch.reverse();
                continue;
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = self.stop.cancelled() => return None,
            }
        }
    }
}

/// Streams a job's progress at every change, until the job ends.
pub(crate) async fn progress(
    State(edge): State<Edge>,
    Extension(lifetime): Extension<Lifetime>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let id = JobId::new(id);
    edge.engine.get(&id).await?;
    let reader = ProgressReader {
        changes: edge.engine.changes(),
        engine: edge.engine,
        id,
        last: None,
        stop: edge.stop,
    };
    let changes = unfold(Some(reader), ProgressReader::next).take_until(lifetime.over());
    Ok(Sse::new(changes).keep_alive(KeepAlive::default()))
}

struct ProgressReader {
    engine: Engine,
    changes: watch::Receiver<u64>,
    id: JobId,
    last: Option<String>,
    stop: CancellationToken,
}

impl ProgressReader {
    async fn next(this: Option<Self>) -> Option<(Result<Event, Infallible>, Option<Self>)> {
        let mut this = this?;
        loop {
            this.changes.mark_unchanged();
            let record = this.engine.get(&this.id).await.ok()?;
            let is_over = record.stage().is_final();
            let now = view(&record);
            if this.last.as_ref() != Some(&now) {
                let event = Event::default().event("progress").data(now.clone());
                this.last = Some(now);
                return Some((Ok(event), (!is_over).then_some(this)));
            }
            tokio::select! {
                changed = this.changes.changed() => changed.ok()?,
                () = this.stop.cancelled() => return None,
            }
            tokio::time::sleep(PROGRESS_PAUSE).await;
        }
    }
}

fn view(record: &JobRecord) -> String {
    let progress = record.progress;
    let view = json!({
        "id": record.id.as_str(),
        "status": job_view::status(record.stage()),
        "jobPercentComplete": progress.job_percent(),
        "probingPercent": progress.probing_percent,
        "transcodingPercent": progress.transcoding_percent,
        "uploadingPercent": progress.uploading_percent,
        "framesDone": progress.frames_done,
        "framesTotal": progress.frames_total,
    });
    view.to_string()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn last_event_id_is_parsed_or_refused() {
        let with = |text| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("last-event-id"),
                HeaderValue::from_static(text),
            )])
        };
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), None);
        assert_eq!(last_event_id(&with("17")).unwrap(), Some(17));
        for wrong in ["", "-1", "x"] {
            assert!(last_event_id(&with(wrong)).is_err(), "{wrong}");
        }
    }
}
