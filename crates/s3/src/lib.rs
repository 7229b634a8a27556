//! The local S3 endpoint: keeps objects in a folder of blobs and an index, and queues upload events in an outbox.
//!
//! A body becomes a durable file first, with a label beside it that says what it is; then one transaction makes the
//! object visible and queues its notifications. So a reader never sees a half-written object, no event is lost or sent
//! for an object that does not exist, and a lost index can be rebuilt. The crate knows nothing of jobs.

mod blobs;
mod buckets;
mod edge;
mod error;
mod events;
mod index;
mod multipart;
mod objects;
#[cfg(test)]
mod tests;
mod upkeep;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::Notify;

pub use buckets::lifecycle::LifecycleCounts;
pub use edge::base_domains::BaseDomains;
pub use edge::service::{Admitted, OnAdmission, S3HttpService};
pub use error::{Error, ErrorKind};
pub use events::notifications::Trigger;
pub use events::outbox::{Backlog, Outbox, OutboxEntry};
pub use events::receiver::{Arn, EVENT_BUS, Receiver, WEBHOOK, is_sent};
pub use upkeep::fsck::{Finding, FsckOptions, FsckReport, Problem, Repaired, fsck};
pub use upkeep::opening::{checkpoint_database, lock_folder};
pub use upkeep::snapshot::{Pin, Summed, files_of_index, sealed, snapshot_databases, unsealed};
pub use upkeep::storage::{BucketUse, Held, StorageUse};

use blobs::Blobs;
use buckets::bucket_settings::KnownSettings;
use error::Result;
use index::Index;
use index::key_locks::KeyLocks;

/// Id of the account that owns all buckets.
pub(crate) const ACCOUNT: &str = "000000000000";

/// Configuration of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names or ARNs of the functions that bucket notifications may start.
    pub functions: Vec<String>,
    /// Region reported for buckets and in events.
    pub region: String,
    /// How many days files that nothing uses stay in the quarantine.
    pub quarantine_days: u32,
    /// The domains below which a name in `Host` is a bucket.
    pub base_domains: BaseDomains,
    /// After how many days without a new part an incomplete upload is aborted; 0 aborts none.
    pub upload_days: u32,
    /// Which services bucket notifications may reach.
    pub destinations: Destinations,
}

/// The services outside this process that bucket notifications may reach, none by default: without a service, its
/// destinations are refused.
#[derive(Clone, Copy, Default, Debug)]
pub struct Destinations {
    /// Whether there is an SQS.
    pub queues: bool,
    /// Whether there is an SNS.
    pub topics: bool,
    /// Whether there is a bus of EventBridge.
    pub event_bus: bool,
}

impl Default for Options {
    /// No functions, region `us-east-1`, a week of quarantine, a week for uploads, buckets below `localhost`, no
    /// destinations.
    fn default() -> Self {
        Self {
            functions: Vec::new(),
            region: "us-east-1".to_owned(),
            quarantine_days: 7,
            base_domains: BaseDomains::default(),
            upload_days: 7,
            destinations: Destinations::default(),
        }
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
    /// Notified when the outbox has new rows, for its two readers.
    changed: Notify,
    changed_away: Notify,
    /// Id of the data folder, which every label carries.
    folder: String,
    /// The last serial number that was given out.
    serials: AtomicI64,
    /// Held while an object or part gets its serial number and is committed.
    keys: KeyLocks,
    /// What is set about buckets.
    settings: KnownSettings,
    /// How much lifecycles have removed.
    counts: buckets::lifecycle::Counts,
    /// Whether the index was in order at the start. If not, nothing is removed until it is repaired.
    may_sweep: bool,
    /// Locked while this process has the folder open.
    _lock: File,
}

impl LocalS3 {
    /// Replaces the configured triggers.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn set_triggers(&self, triggers: Vec<Trigger>) -> Result<(), Error> {
        let write = self.inner.index.write(move |transaction| {
            transaction.execute("DELETE FROM triggers", [])?;
            triggers.iter().try_for_each(|rule| events::notifications::insert_trigger(transaction, rule))
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
        let s3 = self.clone();
        index::blocking(move || s3.sweep_now()).await
    }

    fn sweep_now(&self) -> Result<u64> {
        if self.inner.may_sweep { self.inner.blobs.sweep(&self.inner.index) } else { Ok(0) }
    }

    /// Sweeps. Logs a failure instead of failing the request that caused the sweep.
    async fn sweep_quietly(&self) {
        let s3 = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || s3.sweep_quietly_now()).await {
            tracing::warn!(%error, "a sweep of unused blobs did not finish");
        }
    }

    fn sweep_quietly_now(&self) {
        if let Err(error) = self.sweep_now() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove unused blobs; they stay for now"
            );
        }
    }
}
