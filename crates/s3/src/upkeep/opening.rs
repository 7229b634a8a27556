//! Opens and closes the endpoint's folder: refuses an index that does not fit the blobs, puts away what a crash left
//! behind, and gives labels to objects that have none.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rusqlite::Connection;
use tokio::sync::Notify;

use crate::blobs::Blobs;
use crate::blobs::quarantine;
use crate::buckets::bucket_rules;
use crate::buckets::bucket_settings::KnownSettings;
use crate::error::{Error, Result};
use crate::index::key_locks::KeyLocks;
use crate::index::record::find_object;
use crate::index::{Index, blocking, checkpoint};
use crate::upkeep::identity::{Found, Identity, Mark, find};
use crate::upkeep::judgement::{Claim, Lost, claim, compare, damage, has_blobs};
use crate::upkeep::{clock, saved_buckets, stocktaking};
use crate::{ErrorKind, Inner, LocalS3, Options};

/// Number of objects that get labels before other work may go on.
const LABEL_BATCH: i64 = 100;

/// Locks the endpoint's folder for this process.
///
/// # Errors
/// Returns [`ErrorKind::InUse`] if another process has the folder open.
pub fn lock_folder(dir: &Path) -> Result<File, Error> {
    let lock = File::create(dir.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Error::in_use(format!("`{}` is open in another process", dir.display())))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

impl LocalS3 {
    /// Opens or creates the endpoint's folder and puts away what a crash left behind. Blocking.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InUse`] if another process has the folder open, [`ErrorKind::Denied`] if a newer version
    /// wrote it, and [`ErrorKind::Damaged`] if the index does not fit the blobs. Fails on a disk error.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        std::fs::create_dir_all(dir)?;
        let lock = lock_folder(dir)?;
        let found = find(dir)?;
        let index = open_index(dir, &found)?;
        let blobs = Blobs::open(dir)?;
        let identity = begin(&index, &found)?;
        let folder = identity.folder.clone();
        let stock = stocktaking::take(&index, &blobs)?;
        let serial = identity.serial.max(stock.serial);
        index.note_changes_in(Mark::write(dir, identity)?);
        stock.tell();
        if stock.is_trusted() {
            saved_buckets::tell_differences(&index, dir)?;
            index.read_now(|reader| saved_buckets::save(reader, dir))?;
        }
        if found == Found::Unreadable {
            tracing::warn!("`blobs/mark` was damaged and is written again");
        } else if let Err(error) = stock.put_orphans_away(&blobs, options.quarantine_days) {
            // On a full disk, for example; the server starts nevertheless.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "cannot move all files that no object uses to the quarantine; they stay for now"
            );
        }
        stock.forget_lost_labels(&index)?;
        bucket_rules::write_missing_sums(&index)?;
        let settings = KnownSettings::default();
        settings.read(&index)?;
        let inner = Inner {
            options,
            blobs,
            index,
            changed: Notify::new(),
            changed_away: Notify::new(),
            folder,
            serials: AtomicI64::new(serial),
            keys: KeyLocks::default(),
            settings,
            counts: crate::buckets::lifecycle::Counts::default(),
            may_sweep: stock.is_trusted(),
            _lock: lock,
        };
        let s3 = Self { inner: Arc::new(inner) };
        s3.sweep_quietly_now();
        if !clock::is_credible_at_start(&s3.inner.index)? {
            tracing::debug!("the quarantine stays as it is until the clock can be believed");
        } else if let Err(error) = s3.purge_quarantine_now() {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot empty the quarantine");
        }
        Ok(s3)
    }

    /// Empties the index's write-ahead log, so that `index.db` alone is the whole index. Call it last: later writes are
    /// safe, but go to a new log.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn close(&self) -> Result<(), Error> {
        let index = self.inner.index.clone();
        blocking(move || index.checkpoint()).await
    }

    /// Deletes what has been in the quarantine for longer than the configured days.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn purge_quarantine(&self) -> Result<(), Error> {
        let s3 = self.clone();
        blocking(move || s3.purge_quarantine_now()).await
    }

    fn purge_quarantine_now(&self) -> Result<()> {
        let days = self.inner.options.quarantine_days;
        let (files, size_bytes) = quarantine::purge(self.inner.blobs.root(), days)?;
        if files > 0 {
            tracing::info!(files, size_bytes, days, "deleted old files from the quarantine");
        }
        Ok(())
    }

    /// Gives a label to each object that has none, because an older version stored it or the label was lost. Returns how
    /// many it wrote. It may be dropped at any time and goes on where it was.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn write_missing_labels(&self) -> Result<u64, Error> {
        let (mut after, mut written) = ((String::new(), String::new()), 0);
        loop {
            let s3 = self.clone();
            let (last, count) = blocking(move || s3.label_batch(after)).await?;
            written += count;
            match last {
                Some(last) => after = last,
                None => return Ok(written),
            }
        }
    }

    /// Labels the next objects after a key. Returns the last key that it looked at.
    fn label_batch(&self, after: (String, String)) -> Result<(Option<(String, String)>, u64)> {
        let keys: Vec<(String, String)> = self.inner.index.read_now(|reader| {
            let sql = "SELECT bucket, key FROM objects WHERE label IS NULL AND (bucket, key) > (?1, ?2)
                ORDER BY bucket, key LIMIT ?3";
            let mut statement = reader.prepare_cached(sql)?;
            let keys = statement
                .query_map((&after.0, &after.1, LABEL_BATCH), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })?;
        let mut written = 0;
        for (bucket, key) in &keys {
            let _turn = self.inner.keys.hold(bucket, key);
            // A damaged row was told at the start, and keeps no other object from its label.
            let Ok(Some(old)) = self.inner.index.read_now(|reader| find_object(reader, bucket, key)) else {
                continue;
            };
            if old.label.is_none() && self.relabel(bucket, key, &old, old.clone())?.is_some() {
                written += 1;
            }
        }
        Ok((keys.last().cloned(), written))
    }
}

/// Opens the index if it fits the blobs.
fn open_index(dir: &Path, found: &Found) -> Result<Index> {
    let path = dir.join("index.db");
    let has_blobs = has_blobs(&dir.join("blobs"))?;
    // SQLite would remove the write-ahead log of a database that has no bytes, and all that is in it.
    let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    if !is_there && (has_blobs || *found != Found::Nothing) {
        return Err(Lost::Missing.refusal(dir));
    }
    let mut is_refused = false;
    let opened = Index::open_if(&path, |connection| match examine(connection, found, has_blobs)? {
        Some(lost) => {
            is_refused = true;
            Err(lost.refusal(dir))
        }
        None => Ok(()),
    });
    opened.map_err(|error| match error.kind() {
        ErrorKind::Damaged if !is_refused => {
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Lost::Damaged(cause).refusal(dir)
        }
        _ => error,
    })
}

/// Returns why an index cannot be used, if so.
fn examine(connection: &Connection, found: &Found, has_blobs: bool) -> Result<Option<Lost>> {
    if let Some(what) = damage(connection)? {
        return Ok(Some(Lost::Damaged(what)));
    }
    Ok(compare(&claim(connection)?, found, has_blobs))
}

/// Begins a new generation of the index and returns its identity.
fn begin(index: &Index, found: &Found) -> Result<Identity> {
    let identity = index.write_now(|transaction| {
        transaction.execute("UPDATE identity SET generation = generation + 1", [])?;
        match claim(transaction)? {
            // The transaction itself counts as a change, which is added at its end.
            Claim::Marked(identity) => Ok(Identity { changes: identity.changes + 1, ..identity }),
            Claim::Empty | Claim::Unmarked => Err(Error::damaged("the index has no identity")),
        }
    })?;
    if *found == Found::Nothing && identity.generation > 1 {
        tracing::warn!("`blobs/mark` was missing and is written again");
    }
    Ok(identity)
}

/// Moves everything from a database's write-ahead log into its own file, through a connection of its own. Blocking.
///
/// # Errors
/// Fails if the file is no database, or somebody uses it now.
pub fn checkpoint_database(path: &Path) -> Result<(), Error> {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    checkpoint(&connection)
}
