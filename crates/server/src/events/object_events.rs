//! Delivers the events of objects to queues, topics, the event bus and webhooks: at least once, and to each receiver in
//! the order in which they were queued.
//!
//! A receiver that does not answer holds up only its own events. An event is a dead letter after a day, or after ten
//! refusals. It reaches only what the operator configured.

mod destinations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abanico_process::clock::now_ms;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::events::upload_outbox::{Backlog, OutboxError, UploadEntry, UploadOutbox};

pub use destinations::{Destinations, OBJECT_EVENT_SOURCE};
pub(crate) use destinations::{Failure, Send};

/// Most receivers that get events at the same time.
const AT_ONCE: usize = 16;
/// Most events of one receiver per turn.
const BATCH: usize = 32;
/// Most events that wait for one receiver; older ones become dead letters, of which there are at most as many.
const BACKLOG_MAX: u32 = 10_000;
/// Most refusals of one event.
const REFUSALS_MAX: u32 = 10;
/// Age at which an event is given up, once its receiver has failed [`FAILURES_LEAST`] times in a row.
const GIVE_UP_MS: i64 = 24 * 3_600 * 1_000;
const FAILURES_LEAST: u32 = 10;
/// Wait after the first failure in milliseconds; doubles each time.
const FIRST_WAIT_MS: i64 = 1_000;
/// Longest wait between two attempts in milliseconds.
const LONGEST_WAIT_MS: i64 = 300_000;
/// An entry that is due later than this was not put off so long by anybody: the clock was set back since.
const LATEST_MS: i64 = 3_600_000;
/// Longest wait for a change.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Wait after the outbox failed.
const OUTBOX_PAUSE: Duration = Duration::from_secs(2);

/// Delivers events until `stop`. What is being sent then is sent again at the next start.
pub async fn deliver_object_events(
    outbox: Arc<dyn UploadOutbox>,
    destinations: Destinations,
    stop: CancellationToken,
) {
    Courier { outbox, destinations: Box::new(destinations), failures: Mutex::default(), stop }.run().await;
}

struct Courier {
    outbox: Arc<dyn UploadOutbox>,
    destinations: Box<dyn Send>,
    /// Failures in a row of each receiver that fails.
    failures: Mutex<BTreeMap<String, u32>>,
    stop: CancellationToken,
}

impl Courier {
    async fn run(&self) {
        let mut turns = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        while !self.stop.is_cancelled() {
            let pause = match self.due(&busy).await {
                Ok((due, pause)) => {
                    for receiver in due.into_iter().take(AT_ONCE.saturating_sub(busy.len())) {
                        busy.insert(receiver.clone());
                        turns.push(self.turn(receiver));
                    }
                    pause
                }
                Err(error) => {
                    tracing::error!(%error, "cannot use the queue of the events of objects");
                    OUTBOX_PAUSE
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some((receiver, result)) = turns.next() => {
                    busy.remove(&receiver);
                    if let Err(error) = result {
                        tracing::error!(%error, "cannot use the queue of the events of objects");
                        self.stop.run_until_cancelled(tokio::time::sleep(OUTBOX_PAUSE)).await;
                    }
                }
                () = self.outbox.changed_away() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while turns.next().await.is_some() {}
    }

    /// Returns the receivers whose first event is due, and how long to wait for the next.
    async fn due(&self, busy: &BTreeSet<String>) -> Result<(Vec<String>, Duration), OutboxError> {
        let (mut due, mut pause, now) = (Vec::new(), LONGEST_PAUSE, now_ms());
        for Backlog { receiver, waiting, due_ms, .. } in self.outbox.backlogs().await? {
            if waiting == 0 || busy.contains(&receiver) {
                continue;
            }
            if waiting > u64::from(BACKLOG_MAX) {
                self.bound(&receiver).await?;
            }
            let left_ms = due_ms.unwrap_or(0).saturating_sub(now);
            if left_ms <= 0 || left_ms > LATEST_MS {
                due.push(receiver);
            } else {
                pause = pause.min(Duration::from_millis(left_ms.unsigned_abs()));
            }
        }
        Ok((due, pause))
    }

    async fn bound(&self, receiver: &str) -> Result<(), OutboxError> {
        let reason = format!("more than {BACKLOG_MAX} events waited for the receiver");
        let (dead_letters, dropped) = self.outbox.bound(receiver, BACKLOG_MAX, &reason).await?;
        tracing::error!(
            receiver,
            dead_letters,
            dropped,
            "too many events wait for a receiver: gave up the oldest"
        );
        Ok(())
    }

    /// Sends a receiver its next events, until one fails.
    async fn turn(&self, receiver: String) -> (String, Result<(), OutboxError>) {
        let result = self.send_some(&receiver).await;
        (receiver, result)
    }

    async fn send_some(&self, receiver: &str) -> Result<(), OutboxError> {
        let entries = self.outbox.waiting_for(receiver, BATCH).await?;
        let (mut sent, mut failed) = (Vec::new(), None);
        for entry in &entries {
            match self.stop.run_until_cancelled(self.destinations.send(receiver, entry)).await {
                Some(Ok(())) => sent.push(entry.id),
                Some(Err(failure)) => {
                    failed = Some((entry, failure));
                    break;
                }
                None => break,
            }
        }
        if !sent.is_empty() {
            self.count(|failures| failures.remove(receiver));
        }
        // Together, so that they share a transaction.
        let noted = join_all(sent.into_iter().map(|id| self.outbox.delivered(id))).await;
        noted.into_iter().collect::<Result<(), _>>()?;
        match failed {
            Some((entry, failure)) => self.note(receiver, entry, failure).await,
            None => Ok(()),
        }
    }

    /// Puts off an event that was not accepted, or makes it a dead letter.
    async fn note(&self, receiver: &str, entry: &UploadEntry, failure: Failure) -> Result<(), OutboxError> {
        let failures = self.count(|failures| {
            let failures = failures.entry(receiver.to_owned()).or_default();
            *failures = failures.saturating_add(1);
            *failures
        });
        let age_ms = if entry.created_ms == 0 { 0 } else { now_ms().saturating_sub(entry.created_ms) };
        let is_old = age_ms >= GIVE_UP_MS && failures >= FAILURES_LEAST;
        let (bucket, key, reason) = (&entry.bucket, &entry.key, failure.reason());
        let is_over = match failure {
            Failure::Unknown(_) => true,
            Failure::Refused(_) => is_old || entry.attempts + 1 >= REFUSALS_MAX,
            Failure::MayPass(_) => is_old,
        };
        if is_over {
            if !is_old {
                // The receiver answers: the next event need not wait.
                self.count(|failures| failures.remove(receiver));
            }
            tracing::error!(receiver, bucket, key, reason, "an event of an object became a dead letter");
            return self.outbox.dead_letter(entry.id, reason).await;
        }
        let doublings = failures.max(entry.attempts + 1).saturating_sub(1).min(20);
        let wait_ms = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
        tracing::warn!(
            receiver,
            bucket,
            key,
            wait_ms,
            reason,
            "an event of an object was not accepted; will retry"
        );
        self.outbox.retry_at(entry.id, now_ms().saturating_add(wait_ms), reason).await
    }

    fn count<T>(&self, work: impl FnOnce(&mut BTreeMap<String, u32>) -> T) -> T {
        work(&mut self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
