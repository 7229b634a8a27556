//! The S3 endpoint's outbox as this crate's queue of uploads: in calls, out the same calls. Never a decision.

use abanico_s3::{ErrorKind, Outbox, OutboxEntry};
use async_trait::async_trait;

use crate::upload_outbox::{OutboxError, UploadEntry, UploadOutbox};

impl From<OutboxEntry> for UploadEntry {
    fn from(entry: OutboxEntry) -> Self {
        let OutboxEntry { id, bucket, key, event, function, attempts, last_error, .. } = entry;
        Self { id, bucket, key, event, function, attempts, last_error }
    }
}

fn ours(entries: Vec<OutboxEntry>) -> Vec<UploadEntry> {
    entries.into_iter().map(UploadEntry::from).collect()
}

#[async_trait]
impl UploadOutbox for Outbox {
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(ours(Self::due(self, now_ms, limit).await?))
    }

    async fn delivered(&self, id: i64) -> Result<(), OutboxError> {
        Ok(Self::delivered(self, id).await?)
    }

    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError> {
        Ok(Self::retry_at(self, id, when_ms, error).await?)
    }

    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError> {
        Ok(Self::dead_letter(self, id, error).await?)
    }

    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(ours(Self::dead_letters(self).await?))
    }

    async fn replay(&self, id: i64) -> Result<bool, OutboxError> {
        match Self::replay(self, id).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(Self::next_due_ms(self).await?)
    }

    async fn changed(&self) {
        Self::changed(self).await;
    }
}
