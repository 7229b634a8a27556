//! Delivers the engine's stored events to a sink such as a webhook, in order and at least once. Each sink has its own
//! durable cursor. An event waits until the one before it is delivered or skipped. The sink's seat tells how many wait,
//! and takes wishes to send events again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abanico_engine::{Engine, StoredEvent};
use abanico_process::clock::now_ms;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::events::receivers::{Seat, happened_ms};

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
    /// Age after which an event is skipped, so that a sink that is gone holds up nothing for longer.
    pub give_up_after: Duration,
    /// Number of failures in a row before which no event is skipped: a sink may start later than this server.
    pub least_failures: u32,
}

impl Default for RetryPolicy {
    /// Waits 1 s at first, doubles up to 5 minutes, and skips events that are older than a day after 10 failures.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            give_up_after: day,
            least_failures: 10,
        }
    }
}

/// Delivers the engine's events to `sink` until `stop`. A new sink starts with the next event. `seat` is its place among
/// the [`Receivers`](crate::Receivers).
pub async fn deliver_events(
    engine: Engine,
    sink: impl EventSink,
    policy: RetryPolicy,
    seat: Arc<Seat>,
    stop: CancellationToken,
) {
    let delivery = Delivery { engine, sink, policy, seat, stop };
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
    seat: Arc<Seat>,
    stop: CancellationToken,
}

/// How a delivery ended.
enum Ended {
    /// The event was delivered or skipped.
    Done,
    /// Somebody wishes that the delivery goes on elsewhere.
    Rewound,
    Stopped,
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
            if let Some(wished) = self.seat.take_rewind() {
                tracing::info!(sink = self.sink.name(), seq = wished + 1, "sending events again on request");
                after = wished;
                self.engine.set_cursor(&reader, after).await?;
            }
            changes.mark_unchanged();
            let events = self.engine.events_after(after, BATCH).await?;
            if events.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    () = self.seat.woken() => {}
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                }
            }
            for event in events {
                match self.deliver(&event).await {
                    Ended::Done => {}
                    Ended::Rewound => break,
                    Ended::Stopped => return Ok(()),
                }
                after = event.seq;
                self.engine.set_cursor(&reader, after).await?;
            }
        }
    }

    /// Retries until the event is delivered or too old.
    async fn deliver(&self, event: &StoredEvent) -> Ended {
        let started = Instant::now();
        let mut wait = self.policy.first_wait;
        loop {
            if self.seat.is_rewound() {
                return Ended::Rewound;
            }
            let Some(sent) = self.stop.run_until_cancelled(self.sink.send(event)).await else {
                return Ended::Stopped;
            };
            let Err(reason) = sent else {
                tracing::debug!(job.id = %event.job, seq = event.seq, sink = self.sink.name(), "event delivered");
                self.seat.succeeded();
                return Ended::Done;
            };
            let failures = self.seat.failed(&reason);
            let (job, sink) = (&event.job, self.sink.name());
            let is_old = age(event, started) >= self.policy.give_up_after;
            if is_old && failures >= self.policy.least_failures {
                tracing::error!(job.id = %job, seq = event.seq, sink, reason, "skipping an event after too many failed deliveries; `abanico receivers redeliver` sends it again");
                return Ended::Done;
            }
            tracing::warn!(job.id = %job, seq = event.seq, sink, reason, "event delivery failed; will retry");
            tokio::select! {
                () = self.stop.cancelled() => return Ended::Stopped,
                () = self.seat.woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
    }

    /// Waits. Returns `false` if stopped in the meantime.
    async fn pause(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
    }
}

/// Returns how old an event is, or how long its delivery has taken if that is longer.
fn age(event: &StoredEvent, started: Instant) -> Duration {
    let since_ms = happened_ms(event).map_or(0, |happened| now_ms().saturating_sub(happened));
    Duration::from_millis(u64::try_from(since_ms).unwrap_or(0)).max(started.elapsed())
}
