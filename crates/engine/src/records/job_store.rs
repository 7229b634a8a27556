//! Where drivers store their jobs. What is stored is durable, with the events that announce it, all at once or not at
//! all.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::error::Error;
use crate::jobs::job::JobRecord;
use crate::records::database::Database;

/// Stores the jobs that are driven.
#[async_trait]
pub(crate) trait JobStore: Send + Sync {
    /// Stores a job whose tasks are stored already, and its events.
    ///
    /// # Errors
    /// Fails if the job cannot be stored; [`Error::is_of_a_full_disk`] tells whether it may be later.
    async fn update(&self, record: JobRecord, events: Vec<Value>) -> Result<(), Error>;

    /// Stores a job with its tasks, in place of those that were stored before, and its events.
    ///
    /// # Errors
    /// As for [`Self::update`].
    async fn update_with_tasks(&self, record: JobRecord, events: Vec<Value>) -> Result<(), Error>;
}

#[async_trait]
impl JobStore for Arc<Database> {
    async fn update(&self, record: JobRecord, events: Vec<Value>) -> Result<(), Error> {
        let database = self.clone();
        let stored = tokio::task::spawn_blocking(move || Database::update(&database, &record, &events));
        stored.await.map_err(|error| Error::storage("store a job", error))?
    }

    async fn update_with_tasks(&self, record: JobRecord, events: Vec<Value>) -> Result<(), Error> {
        let database = self.clone();
        let stored =
            tokio::task::spawn_blocking(move || Database::update_with_tasks(&database, &record, &events));
        stored.await.map_err(|error| Error::storage("store a job", error))?
    }
}
