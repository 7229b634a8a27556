//! The S3 endpoint's outbox as the queue that the server's triggers read. Never a decision: one call for one.

use abanico_s3::{LocalS3, Outbox, OutboxEntry};
use abanico_server::{OutboxError, UploadEntry, UploadOutbox};
use async_trait::async_trait;

/// The outbox of one endpoint.
pub struct Uploads(Outbox);

impl Uploads {
    /// Takes the endpoint's outbox.
    pub fn of(s3: &LocalS3) -> Self {
        Self(s3.outbox())
    }
}

fn entry(entry: OutboxEntry) -> UploadEntry {
    UploadEntry {
        id: entry.id,
        bucket: entry.bucket,
        key: entry.key,
        event: entry.event,
        function: entry.function,
        attempts: entry.attempts,
        last_error: entry.last_error,
    }
}

#[async_trait]
impl UploadOutbox for Uploads {
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(self.0.due(now_ms, limit).await?.into_iter().map(entry).collect())
    }

    async fn delivered(&self, id: i64) -> Result<(), OutboxError> {
        Ok(self.0.delivered(id).await?)
    }

    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError> {
        Ok(self.0.retry_at(id, when_ms, error).await?)
    }

    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError> {
        Ok(self.0.dead_letter(id, error).await?)
    }

    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(self.0.dead_letters().await?.into_iter().map(entry).collect())
    }

    async fn replay(&self, id: i64) -> Result<bool, OutboxError> {
        match self.0.replay(id).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == abanico_s3::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(self.0.next_due_ms().await?)
    }

    async fn changed(&self) {
        self.0.changed().await;
    }
}
