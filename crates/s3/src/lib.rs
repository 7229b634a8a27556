//! The local S3 endpoint: keeps objects in a folder of blobs and an index, and queues upload events in an outbox.
//!
//! A body becomes a durable file first; then one transaction makes the object visible and queues its notifications.
//! So a reader never sees a half-written object, and no event is lost or sent for an object that does not exist. The
//! crate knows nothing of jobs.

mod blobs;
mod browser;
mod bucket_notifications;
mod buckets;
mod checksums;
mod commit;
mod complete;
mod conditions;
mod copy;
mod cors;
mod door;
mod error;
mod get;
mod index;
mod list;
mod multipart;
mod notifications;
mod object_store;
mod outbox;
mod post_form;
mod put;
mod receive;
mod record;
mod schema;
mod service;
mod tagging;
#[cfg(test)]
mod tests;
mod uploads;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

pub use error::{Error, ErrorKind};
pub use notifications::Trigger;
pub use outbox::{Outbox, OutboxEntry};
pub use service::{OnAdmission, S3HttpService};

use blobs::Blobs;
use commit::{Committed, NewObject};
use conditions::WriteConditions;
use error::Result;
use index::Index;

/// Configuration of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names or ARNs of the functions that bucket notifications may start.
    pub functions: Vec<String>,
    /// Region reported for buckets and in events.
    pub region: String,
}

impl Default for Options {
    /// No functions, region `us-east-1`.
    fn default() -> Self {
        Self { functions: Vec::new(), region: "us-east-1".to_owned() }
    }
}

/// The back end of the endpoint. Clones share the same state.
#[derive(Clone)]
pub struct LocalS3 {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    blobs: Blobs,
    index: Index,
    /// Notified when the outbox has new rows.
    changed: Notify,
    /// Locked while this process has the folder open.
    _lock: File,
}

impl LocalS3 {
    /// Opens or creates the endpoint's folder and removes what a crash left behind. Blocking.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Denied`] if another process has the folder open or a newer version wrote it. Fails on a
    /// disk error.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        std::fs::create_dir_all(dir)?;
        let lock = File::create(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::denied(format!("`{}` is open in another process", dir.display())));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let index = Index::open(&dir.join("index.db"))?;
        let blobs = Blobs::open(dir)?;
        let orphans = blobs.remove_orphans(&index)? + blobs.sweep(&index)?;
        if orphans > 0 {
            tracing::info!(files = orphans, "removed files that no object uses");
        }
        let inner = Inner { options, blobs, index, changed: Notify::new(), _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Replaces the configured triggers.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn set_triggers(&self, triggers: Vec<Trigger>) -> Result<(), Error> {
        let write = self.inner.index.write(move |transaction| {
            transaction.execute("DELETE FROM triggers", [])?;
            let sql =
                "INSERT INTO triggers (id, bucket, prefix, suffix, function) VALUES (?1, ?2, ?3, ?4, ?5)";
            for rule in &triggers {
                let columns = (&rule.id, &rule.bucket, &rule.prefix, &rule.suffix, &rule.function);
                transaction.execute(sql, columns)?;
            }
            Ok(())
        });
        write.await
    }

    /// Removes blobs that nothing uses and no reader holds. Returns how many it removed.
    ///
    /// Replacing or deleting an object sweeps by itself, but leaves the blobs that a reader holds at that time.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let (blobs, index) = (self.inner.blobs.clone(), self.inner.index.clone());
        index::blocking(move || blobs.sweep(&index)).await
    }

    /// Makes an object visible. On failure, removes the files that were received for it.
    async fn commit(&self, new: NewObject, conditions: WriteConditions) -> Result<Committed> {
        let (region, pieces) = (self.inner.options.region.clone(), new.record.pieces.clone());
        let s3 = self.clone();
        let commit =
            self.commit_by(move |transaction| commit::commit(transaction, new, &conditions, &region));
        match commit.await {
            Ok(committed) => Ok(committed),
            Err(error) => {
                index::blocking(move || s3.inner.blobs.discard(&s3.inner.index, &pieces)).await?;
                Err(error)
            }
        }
    }

    /// Runs a transaction that makes an object visible, then wakes the outbox's reader and sweeps. Once started, all of
    /// this completes even if the future is dropped.
    async fn commit_by(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<Committed> + Send + 'static,
    ) -> Result<Committed> {
        let s3 = self.clone();
        let run = index::blocking(move || {
            let committed = s3.inner.index.write_now(work)?;
            if committed.is_notified {
                s3.inner.changed.notify_one();
            }
            if committed.has_replaced {
                s3.sweep_quietly_now();
            }
            Ok(committed)
        });
        run.await
    }

    /// Sweeps. Logs a failure instead of failing the request that caused the sweep.
    async fn sweep_quietly(&self) {
        let s3 = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || s3.sweep_quietly_now()).await {
            tracing::warn!(%error, "a sweep of unused blobs did not finish");
        }
    }

    fn sweep_quietly_now(&self) {
        if let Err(error) = self.inner.blobs.sweep(&self.inner.index) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove unused blobs; they stay for now"
            );
        }
    }
}
