//! Defines what this crate needs from the queue of upload events. The S3 endpoint's outbox implements it.

use async_trait::async_trait;
use serde_json::Value;

/// An error of a queue.
pub type OutboxError = Box<dyn std::error::Error + Send + Sync>;

/// An upload event that waits for its job, or a dead letter.
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
    /// The function to call with the event.
    pub function: String,
    /// Number of failed deliveries.
    pub attempts: u32,
    /// Why the last delivery failed.
    pub last_error: Option<String>,
}

/// A durable queue of upload events, each delivered at least once.
#[async_trait]
pub trait UploadOutbox: Send + Sync {
    /// Returns up to `limit` entries that are due at `now_ms` (since 1970), oldest first. They stay until
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
    /// Returns when the next entry is due, in milliseconds since 1970, or `None` if no entry waits.
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError>;
    /// Returns the entries that cannot be read, each with the reason.
    async fn put_aside(&self) -> Result<Vec<String>, OutboxError> {
        Ok(Vec::new())
    }
    /// Waits for new entries or a replay. If a change happens while no task waits, the next wait ends at
    /// once.
    async fn changed(&self);
}
