//! Defines what this crate needs from the queue of the events of objects. The S3 endpoint's outbox implements it.

pub use abanico_s3::Backlog;
use async_trait::async_trait;
use serde_json::Value;

/// An error of a queue.
pub type OutboxError = Box<dyn std::error::Error + Send + Sync>;

/// An event that waits for its function or receiver, or a dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadEntry {
    /// The entry's id.
    pub id: i64,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The event in the form that S3 sends: `{"Records": [...]}`.
    pub event: Value,
    /// The function to call with the event, or the name of another receiver.
    pub function: String,
    /// Number of failed deliveries.
    pub attempts: u32,
    /// Why the last delivery failed.
    pub last_error: Option<String>,
    /// When it was queued, in milliseconds since 1970; 0 if that is not known.
    pub created_ms: i64,
}

/// A durable queue of events, each delivered at least once.
#[async_trait]
pub trait UploadOutbox: Send + Sync {
    /// Returns up to `limit` entries of functions that are due at `now_ms` (since 1970), oldest first. They stay until
    /// [`Self::delivered`].
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError>;
    /// Removes a delivered entry.
    async fn delivered(&self, id: i64) -> Result<(), OutboxError>;
    /// Records a failed delivery; the entry is due again at `when_ms`.
    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError>;
    /// Records a failed delivery and gives up on the entry until [`Self::replay`].
    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError>;
    /// Returns all dead letters, oldest first.
    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError>;
    /// Makes a dead letter due now. Returns `false` if there is none with this id.
    async fn replay(&self, id: i64) -> Result<bool, OutboxError>;
    /// Returns when the next entry of a function is due, in milliseconds since 1970, or `None` if no entry waits.
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError>;
    /// Returns the entries that cannot be read, each with the reason.
    async fn put_aside(&self) -> Result<Vec<String>, OutboxError> {
        Ok(Vec::new())
    }
    /// Waits for new entries or a replay. If a change happens while no task waits, the next wait ends at
    /// once.
    async fn changed(&self);
    /// Returns the receivers outside this process for which events wait or are dead letters.
    async fn backlogs(&self) -> Result<Vec<Backlog>, OutboxError> {
        Ok(Vec::new())
    }
    /// Returns up to `limit` entries that wait for a receiver, in the order in which they were queued, whether they are
    /// due or not.
    async fn waiting_for(&self, _receiver: &str, _limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(Vec::new())
    }
    /// Makes everything due that waits for a receiver, and its dead letters too. Returns how many there are.
    async fn redeliver(&self, _receiver: &str) -> Result<u64, OutboxError> {
        Ok(0)
    }
    /// Lets at most `most` events wait for a receiver: older ones become dead letters, of which the newest `most` stay.
    /// Returns how many became dead letters, and how many were dropped.
    async fn bound(&self, _receiver: &str, _most: u32, _reason: &str) -> Result<(u64, u64), OutboxError> {
        Ok((0, 0))
    }
    /// As [`Self::changed`], for the deliverer to receivers outside this process.
    async fn changed_away(&self) {
        std::future::pending().await
    }
}
