//! Delivers the engine's stored events to a sink such as a webhook, in order and at least once. Each sink has its own
//! durable cursor. An event waits until the one before it is delivered or skipped.

use std::time::{Duration, Instant};

use abanico_engine::{Engine, StoredEvent};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// Largest number of events per read.
const BATCH: usize = 50;

/// A receiver of events.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Returns the sink's name for the log, without secrets.
    fn name(&self) -> String;

    /// Returns the name under which the engine stores the sink's cursor. It must differ from every other sink's.
    fn reader(&self) -> String;

    /// Delivers one event.
    ///
    /// # Errors
    /// Returns the reason if the event was not accepted; another attempt may succeed.
    async fn send(&self, event: &StoredEvent) -> Result<(), String>;
}

/// How often and for how long a delivery is retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubles each time.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// Age after which an event is skipped, counted from its first attempt.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    /// Waits 1 s at first, doubles up to 5 minutes, and gives up after a day.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            give_up_after: day,
        }
    }
}

/// Delivers the engine's events to `sink` until `stop`. A new sink starts with the next event.
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
    /// Reads and delivers events until stopped.
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

    /// Retries until the event is delivered or too old. Returns `false` if stopped before.
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
                tracing::error!(job.id = %job, seq = event.seq, sink, reason, "skipping an event after too many failed deliveries");
                return true;
            }
            tracing::warn!(job.id = %job, seq = event.seq, sink, reason, "event delivery failed; will retry");
            if !self.pause(wait).await {
                return false;
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
    }

    /// Waits. Returns `false` if stopped in the meantime.
    async fn pause(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
    }
}

/// Joins an error's message with those of its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
