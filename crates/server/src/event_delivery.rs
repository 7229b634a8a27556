//! Events to whoever wants them elsewhere: in the engine's stored events and a sink, out one delivery each, in order and
//! at least once. Each sink reads by its own durable cursor; an event waits until the one before was delivered or skipped.

use std::time::{Duration, Instant};

use abanico_engine::{Engine, StoredEvent};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// Events read at once.
const BATCH: usize = 50;

/// Where events go.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// What the log calls it, without anything secret.
    fn name(&self) -> String;

    /// Under which name the engine keeps how far it has read; it must differ from every other sink's.
    fn reader(&self) -> String;

    /// Delivers one event; the reason when it was not taken.
    ///
    /// # Errors
    /// When another try may do.
    async fn send(&self, event: &StoredEvent) -> Result<(), String>;
}

/// How long and how often a delivery is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubles each time.
    pub first_wait: Duration,
    /// Longest wait.
    pub longest_wait: Duration,
    /// Time after which an event is skipped.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    /// From 1 s, doubling to 5 minutes, for a day.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            give_up_after: day,
        }
    }
}

/// Delivers the engine's events to `sink` until `stop`. A sink that never read starts with the next event.
pub async fn deliver_events(
    engine: Engine,
    sink: impl EventSink,
    policy: RetryPolicy,
    stop: CancellationToken,
) {
    let delivery = Delivery { engine, sink, policy, stop };
    while !delivery.stop.is_cancelled() {
        if let Err(error) = delivery.read_on().await {
            tracing::error!(sink = delivery.sink.name(), %error, "cannot read events");
            delivery.pause(policy.longest_wait.min(Duration::from_secs(5))).await;
        }
    }
}

struct Delivery<Sink> {
    engine: Engine,
    sink: Sink,
    policy: RetryPolicy,
    stop: CancellationToken,
}

impl<Sink: EventSink> Delivery<Sink> {
    /// Delivers until stopped.
    async fn read_on(&self) -> Result<(), abanico_engine::Error> {
        let reader = self.sink.reader();
        let mut changes = self.engine.changes();
        let mut after = match self.engine.cursor(&reader).await? {
            Some(seq) => seq,
            None => {
                let newest = self.engine.newest_event().await?;
                self.engine.set_cursor(&reader, newest).await?;
                newest
            }
        };
        loop {
            changes.mark_unchanged();
            let events = self.engine.events_after(after, BATCH).await?;
            if events.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                }
            }
            for event in events {
                if !self.deliver(&event).await {
                    return Ok(());
                }
                after = event.seq;
                self.engine.set_cursor(&reader, after).await?;
            }
        }
    }

    /// Tries until delivered or too old; `false` when stopped before.
    async fn deliver(&self, event: &StoredEvent) -> bool {
        let started = Instant::now();
        let mut wait = self.policy.first_wait;
        loop {
            let Some(sent) = self.stop.run_until_cancelled(self.sink.send(event)).await else { return false };
            let Err(reason) = sent else {
                tracing::debug!(job.id = %event.job, seq = event.seq, sink = self.sink.name(), "event delivered");
                return true;
            };
            let (job, sink) = (&event.job, self.sink.name());
            if started.elapsed() >= self.policy.give_up_after {
                tracing::error!(job.id = %job, seq = event.seq, sink, reason, "an event is skipped after too many tries");
                return true;
            }
            tracing::warn!(job.id = %job, seq = event.seq, sink, reason, "an event is sent again later");
            if !self.pause(wait).await {
                return false;
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
    }

    /// Waits; `false` when stopped meanwhile.
    async fn pause(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
    }
}

/// A message with those of its causes behind it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
