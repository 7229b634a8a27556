//! Says what takes room in the endpoint's folder, and aborts uploads that were left incomplete, a few parts at a time.
//!
//! An upload that got a part lately is never aborted, whenever it began, and neither is one whose times lie in the future.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use crate::error::{Error, Result};
use crate::index::commit::{release, release_label};
use abanico_process::clock::wall_ms;

use crate::LocalS3;
use crate::blobs::quarantine;
use crate::index::blocking;
use crate::multipart::parts;

/// How many parts of a stale upload go in one transaction.
const PARTS_AT_ONCE: i64 = 100;
/// Pause after each transaction, in which others may write.
const PAUSE: Duration = Duration::from_millis(10);
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Things of one kind, and the room that they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// How many there are.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Bytes of those that may be removed now.
    pub removable_bytes: u64,
}

/// What a bucket has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketUse {
    /// Name of the bucket.
    pub name: String,
    /// Number of objects.
    pub objects: u64,
    /// Size of all objects in bytes. Copies share their bytes on disk, but each counts here.
    pub bytes: u64,
}

/// What takes room in the endpoint's folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StorageUse {
    /// The buckets, by name.
    pub buckets: Vec<BucketUse>,
    /// Multipart uploads in progress.
    pub uploads: Held,
    /// Blobs that nothing uses any more.
    pub unused_blobs: Held,
    /// Files in the quarantine.
    pub quarantine: Held,
    /// Size of the index, with its log.
    pub index_bytes: u64,
}

/// An upload in progress.
struct OpenUpload {
    id: String,
    bucket: String,
    key: String,
    /// When it began or got its newest part.
    last_ms: i64,
    bytes: u64,
}

impl LocalS3 {
    /// Returns the objects and bytes of each bucket. Reads every object's row once.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn bucket_uses(&self) -> Result<Vec<BucketUse>, Error> {
        self.inner.index.read(bucket_uses).await
    }

    /// Returns what takes room. Reads every object's row and looks at every unused file once.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn storage_use(&self) -> Result<StorageUse, Error> {
        self.storage_use_with(self.inner.options.quarantine_days).await
    }

    /// Like [`Self::storage_use`], as if files stayed in the quarantine for this many days.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn storage_use_with(&self, quarantine_days: u32) -> Result<StorageUse, Error> {
        let s3 = self.clone();
        blocking(move || s3.storage_use_now(quarantine_days)).await
    }

    fn storage_use_now(&self, quarantine_days: u32) -> Result<StorageUse> {
        let (buckets, open, unused) = self
            .inner
            .index
            .read_now(|reader| Ok((bucket_uses(reader)?, open_uploads(reader)?, unused_blobs(reader)?)))?;
        let stale = open.iter().filter(|upload| self.is_stale(upload.last_ms));
        let uploads = Held {
            count: open.len() as u64,
            bytes: open.iter().map(|upload| upload.bytes).sum(),
            removable_bytes: stale.map(|upload| upload.bytes).sum(),
        };
        let size =
            |name: &String| std::fs::metadata(self.inner.blobs.path(name)).map_or(0, |file| file.len());
        let unused_bytes: u64 = unused.iter().map(size).sum();
        let removable_bytes = if self.inner.may_sweep { unused_bytes } else { 0 };
        let unused_blobs = Held { count: unused.len() as u64, bytes: unused_bytes, removable_bytes };
        let root = self.inner.blobs.root();
        let (files, all_bytes) = quarantine::held(root, None)?;
        let (_, old_bytes) = quarantine::held(root, Some(quarantine_days))?;
        let quarantine = Held { count: files, bytes: all_bytes, removable_bytes: old_bytes };
        Ok(StorageUse { buckets, uploads, unused_blobs, quarantine, index_bytes: index_bytes(root) })
    }

    fn is_stale(&self, last_ms: i64) -> bool {
        let days = i64::from(self.inner.options.upload_days);
        days > 0 && last_ms < wall_ms() - days * DAY_MS
    }

    /// Aborts the uploads that got nothing for longer than the configured days. Returns how many. Does nothing while the
    /// index is not in order. It may be dropped at any time and goes on where it was.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn abort_stale_uploads(&self) -> Result<u64, Error> {
        if self.inner.options.upload_days == 0 || !self.inner.may_sweep {
            return Ok(0);
        }
        let open = self.inner.index.read(open_uploads).await?;
        let mut aborted = 0;
        for upload in open.into_iter().filter(|upload| self.is_stale(upload.last_ms)) {
            aborted += u64::from(self.abort_stale(&upload).await?);
        }
        Ok(aborted)
    }

    /// Returns whether the upload was still stale.
    async fn abort_stale(&self, upload: &OpenUpload) -> Result<bool> {
        loop {
            let (s3, id) = (self.clone(), upload.id.clone());
            let write = self.inner.index.write(move |transaction| match last_of(transaction, &id)? {
                Some(last_ms) if s3.is_stale(last_ms) => remove_some(transaction, &id).map(Some),
                _ => Ok(None),
            });
            let Some(is_gone) = write.await? else { return Ok(false) };
            let s3 = self.clone();
            blocking(move || {
                s3.sweep_quietly_now();
                Ok(())
            })
            .await?;
            if is_gone {
                let OpenUpload { bucket, key, bytes, .. } = upload;
                tracing::info!(bucket, key, size_bytes = bytes, "aborted an upload that was left incomplete");
                return Ok(true);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Removes the first parts of an upload, and the upload with its last ones. Returns whether it is gone.
fn remove_some(transaction: &Transaction<'_>, id: &str) -> Result<bool> {
    let some = parts(transaction, id, 0, PARTS_AT_ONCE)?;
    for part in &some {
        release(transaction, &part.content.pieces)?;
        release_label(transaction, part.label.as_deref())?;
    }
    if let Some(last) = some.last() {
        let sql = "DELETE FROM parts WHERE upload = ?1 AND number <= ?2";
        transaction.prepare_cached(sql)?.execute(params![id, last.number])?;
    }
    let is_gone = some.len() < usize::try_from(PARTS_AT_ONCE).unwrap_or(usize::MAX);
    if is_gone {
        transaction.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
    }
    Ok(is_gone)
}

/// When an upload began or got its newest part. `NULL` columns of no part count as nothing.
const LAST: &str = "MAX(created_ms, COALESCE((SELECT MAX(modified_ms) FROM parts WHERE upload = id), 0))";

fn last_of(connection: &Connection, id: &str) -> Result<Option<i64>> {
    let sql = format!("SELECT {LAST} FROM uploads WHERE id = ?1 AND completed IS NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

fn open_uploads(reader: &Connection) -> Result<Vec<OpenUpload>> {
    let bytes = "COALESCE((SELECT SUM(size) FROM parts WHERE upload = id), 0)";
    let sql = format!("SELECT id, bucket, key, {LAST}, {bytes} FROM uploads WHERE completed IS NULL");
    let mut statement = reader.prepare_cached(&sql)?;
    let uploads = statement.query_map([], |row| {
        Ok(OpenUpload {
            id: row.get(0)?,
            bucket: row.get(1)?,
            key: row.get(2)?,
            last_ms: row.get(3)?,
            bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        })
    })?;
    Ok(uploads.collect::<rusqlite::Result<_>>()?)
}

fn bucket_uses(reader: &Connection) -> Result<Vec<BucketUse>> {
    let sql = "SELECT name, COUNT(key), COALESCE(SUM(size), 0) FROM buckets
        LEFT JOIN objects ON objects.bucket = buckets.name GROUP BY name ORDER BY name";
    let mut statement = reader.prepare_cached(sql)?;
    let buckets = statement.query_map([], |row| {
        let number = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
        Ok(BucketUse { name: row.get(0)?, objects: number(1)?, bytes: number(2)? })
    })?;
    Ok(buckets.collect::<rusqlite::Result<_>>()?)
}

fn unused_blobs(reader: &Connection) -> Result<Vec<String>> {
    let mut statement = reader.prepare_cached("SELECT id FROM blobs WHERE refs = 0")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

fn index_bytes(root: &Path) -> u64 {
    let files = ["index.db", "index.db-wal", "index.db-shm"];
    files.iter().map(|name| std::fs::metadata(root.join(name)).map_or(0, |file| file.len())).sum()
}
