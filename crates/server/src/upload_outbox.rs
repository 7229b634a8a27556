//! What this crate needs of the queue of upload events. Whoever builds the server implements it for the endpoint's
//! outbox. Never an implementation here.

use async_trait::async_trait;
use serde_json::Value;

/// Failures of a queue, whatever they are.
pub type OutboxError = Box<dyn std::error::Error + Send + Sync>;

/// An upload event that waits for its job, or that was given up.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadEntry {
    /// Names the entry.
    pub id: i64,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The event as S3 sends it: `{"Records": [...]}`.
    pub event: Value,
    /// The function that gets it.
    pub function: String,
    /// How many deliveries have failed.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

/// A durable queue of upload events, each delivered at least once.
#[async_trait]
pub trait UploadOutbox: Send + Sync {
    /// Up to `limit` entries that are due at `now_ms` (since 1970), oldest first. They stay until [`Self::delivered`].
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError>;
    /// Removes an entry that was dealt with.
    async fn delivered(&self, id: i64) -> Result<(), OutboxError>;
    /// Notes a failed delivery; the entry is due again at `when_ms`.
    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError>;
    /// Notes a failed delivery and gives the entry up until [`Self::replay`].
    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError>;
    /// All entries that were given up, oldest first.
    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError>;
    /// Makes an entry that was given up due now; `false` when there is none of this id.
    async fn replay(&self, id: i64) -> Result<bool, OutboxError>;
    /// When the next entry is due, in milliseconds since 1970; none when none waits.
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError>;
    /// Waits for new entries or a replay. A change that came while no one waited ends the next wait at once.
    async fn changed(&self);
}
