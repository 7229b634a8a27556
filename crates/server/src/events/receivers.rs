//! Who receives events outside this process, what waits for them, and wishes to send it again.
//!
//! The events of jobs wait in the engine, those of objects in the outbox. This file only counts them and wakes the
//! deliveries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use abanico_engine::{Engine, StoredEvent};
use abanico_process::clock::now_ms;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

use crate::events::event_delivery::EventSink;
use crate::events::upload_outbox::{Backlog, OutboxError, UploadOutbox};

/// The receivers of a server.
#[derive(Default)]
pub struct Receivers {
    of_jobs: Vec<Arc<Seat>>,
    /// Names of the receivers in the outbox that have other names for people.
    of_objects: BTreeMap<String, String>,
}

/// The place of one receiver of the events of jobs: how its delivery fares, and wishes to send events again.
pub struct Seat {
    reader: String,
    name: String,
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Default)]
struct State {
    failures: u32,
    last_error: Option<String>,
    /// The number of the event after which the delivery shall go on.
    rewind: Option<i64>,
}

/// How a receiver stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    /// Name for requests.
    pub(crate) id: String,
    /// Name for people, without secrets.
    pub(crate) name: String,
    /// `jobs` or `objects`: whose events it gets.
    pub(crate) events: &'static str,
    /// Number of events that wait.
    pub(crate) waiting: u64,
    /// How long the first of them has waited.
    pub(crate) oldest_seconds: u64,
    /// Number of the first of them, for receivers of the events of jobs.
    pub(crate) next: Option<i64>,
    /// Deliveries that failed since the last success.
    pub(crate) failures: u32,
    /// Why the last one failed.
    pub(crate) last_error: Option<String>,
    /// Events that were given up and can be sent again.
    pub(crate) dead_letters: u64,
}

impl Receivers {
    /// Adds a receiver of the events of jobs.
    pub fn add(&mut self, sink: &impl EventSink) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            reader: sink.reader(),
            name: sink.name(),
            state: Mutex::default(),
            woken: Notify::new(),
        });
        self.of_jobs.push(seat.clone());
        seat
    }

    /// Gives a receiver of the outbox a name for people.
    pub fn call(&mut self, receiver: impl Into<String>, name: impl Into<String>) {
        self.of_objects.insert(receiver.into(), name.into());
    }

    /// Returns how all receivers stand. Those that nothing waits for and that nobody has named are left out.
    pub(crate) async fn standings(
        &self,
        engine: &Engine,
        outbox: &dyn UploadOutbox,
    ) -> Result<Vec<Standing>, OutboxError> {
        let mut standings = Vec::new();
        for seat in &self.of_jobs {
            standings.push(seat.standing(engine).await?);
        }
        let mut backlogs: BTreeMap<String, Backlog> =
            outbox.backlogs().await?.into_iter().map(|backlog| (backlog.receiver.clone(), backlog)).collect();
        for receiver in self.of_objects.keys() {
            backlogs.entry(receiver.clone()).or_default();
        }
        for (id, backlog) in backlogs {
            let name = self.of_objects.get(&id).unwrap_or(&id).clone();
            standings.push(Standing {
                id,
                name,
                events: "objects",
                waiting: backlog.waiting,
                oldest_seconds: backlog.oldest_ms.map_or(0, seconds_since),
                next: None,
                failures: backlog.attempts,
                last_error: backlog.last_error,
                dead_letters: backlog.dead_letters,
            });
        }
        Ok(standings)
    }

    /// Sends again what a receiver of the events of jobs got, from the event with the number `from` on; without a number,
    /// tries at once what waits. Returns `false` if there is no such receiver.
    pub(crate) fn redeliver_jobs(&self, id: &str, from: Option<i64>) -> bool {
        let Some(seat) = self.of_jobs.iter().find(|seat| seat.id() == id) else { return false };
        seat.with(|state| state.rewind = from.map(|from| from.max(1) - 1).or(state.rewind));
        seat.woken.notify_one();
        true
    }
}

impl Seat {
    /// Returns the name for requests.
    fn id(&self) -> String {
        if self.reader.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return self.reader.clone();
        }
        let digest = Sha256::digest(self.reader.as_str());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("event-bus-{hex}")
    }

    async fn standing(&self, engine: &Engine) -> Result<Standing, abanico_engine::Error> {
        // One that has never read begins with the next event.
        let (waiting, first) = match engine.cursor(&self.reader).await? {
            Some(after) => {
                (engine.events_waiting(after).await?, engine.events_after(after, 1).await?.into_iter().next())
            }
            None => (0, None),
        };
        let (failures, last_error) = self.with(|state| (state.failures, state.last_error.clone()));
        Ok(Standing {
            id: self.id(),
            name: self.name.clone(),
            events: "jobs",
            waiting,
            oldest_seconds: first.as_ref().and_then(happened_ms).map_or(0, seconds_since),
            next: first.map(|event| event.seq),
            failures,
            last_error,
            dead_letters: 0,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that an event was delivered.
    pub(crate) fn succeeded(&self) {
        self.with(|state| (state.failures, state.last_error) = (0, None));
    }

    /// Notes that an event was not delivered. Returns how often that has happened since the last success.
    pub(crate) fn failed(&self, reason: &str) -> u32 {
        self.with(|state| {
            state.last_error = Some(reason.to_owned());
            state.failures = state.failures.saturating_add(1);
            state.failures
        })
    }

    /// Returns whether somebody wishes that the delivery goes on elsewhere.
    pub(crate) fn is_rewound(&self) -> bool {
        self.with(|state| state.rewind.is_some())
    }

    /// Takes the number of the event after which the delivery shall go on.
    pub(crate) fn take_rewind(&self) -> Option<i64> {
        self.with(|state| state.rewind.take())
    }

    /// Waits for a wish to send again.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Standing {
    /// Returns a line about a receiver that does not get its events; `None` if all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        let error = self.last_error.as_ref().filter(|_| self.waiting > 0)?;
        let Self { name, waiting, oldest_seconds, .. } = self;
        Some(format!("{name} is behind: {waiting} events wait, the first for {oldest_seconds} s; {error}"))
    }
}

/// Returns when an event happened, in milliseconds since 1970.
pub(crate) fn happened_ms(event: &StoredEvent) -> Option<i64> {
    let time = OffsetDateTime::parse(event.body.get("time")?.as_str()?, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

fn seconds_since(at_ms: i64) -> u64 {
    u64::try_from(now_ms().saturating_sub(at_ms) / 1_000).unwrap_or(0)
}
