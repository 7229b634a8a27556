//! The file beside the blobs that lists the buckets with their rules, so that a rebuilt index has them again.
//!
//! It is written before the transaction that changes a bucket commits.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::error::Result;
use crate::index::{Index, blocking};
use crate::label::{seal, unseal};
use crate::record::to_text;

/// A bucket as the index stores it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SavedBucket {
    pub name: String,
    pub created_ms: i64,
    pub cors: Option<String>,
    pub notifications: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

/// Returns the path of the file below the endpoint's folder.
pub(crate) fn path(root: &Path) -> PathBuf {
    root.join("blobs").join("buckets")
}

/// Reads the buckets of an index.
pub(crate) fn of_index(connection: &Connection) -> Result<Vec<SavedBucket>> {
    // A backup may be of a folder that an older version used last.
    let is_new = "SELECT 1 FROM pragma_table_info('buckets') WHERE name = 'settings'";
    let settings = if connection.prepare(is_new)?.exists([])? { "settings" } else { "NULL" };
    let sql = format!("SELECT name, created_ms, cors, notifications, {settings} FROM buckets ORDER BY name");
    let mut statement = connection.prepare(&sql)?;
    let buckets = statement.query_map([], |row| {
        let (name, created_ms) = (row.get(0)?, row.get(1)?);
        let (cors, notifications, settings) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(SavedBucket { name, created_ms, cors, notifications, settings })
    })?;
    Ok(buckets.collect::<rusqlite::Result<_>>()?)
}

/// Writes a bucket into an index, in place of an existing one.
pub(crate) fn insert(connection: &Connection, bucket: &SavedBucket) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO buckets (name, created_ms, cors, notifications, settings)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let SavedBucket { name, created_ms, cors, notifications, settings } = bucket;
    let columns = params![name, created_ms, cors, notifications, settings];
    connection.prepare_cached(sql)?.execute(columns)?;
    Ok(())
}

/// Reads the file. Returns `None` if it does not exist or is damaged.
pub(crate) fn read(root: &Path) -> io::Result<Option<Vec<SavedBucket>>> {
    match std::fs::read(path(root)) {
        Ok(bytes) => Ok(unseal(&bytes).and_then(|text| serde_json::from_str(text).ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the buckets of the index to the file, durably, unless it has them already.
pub(crate) fn save(connection: &Connection, root: &Path) -> Result<()> {
    let content = seal(&to_text(&of_index(connection)?));
    let path = path(root);
    if std::fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(path.parent().unwrap_or(root))?.sync_all()?;
    Ok(())
}

/// Tells which buckets differ between the index and the file. A crash may leave the file ahead of the index; damage may
/// change either.
pub(crate) fn tell_differences(index: &Index, root: &Path) -> Result<()> {
    let Some(saved) = read(root)? else { return Ok(()) };
    let known = index.read_now(of_index)?;
    let differs = |one: &[SavedBucket], other: &[SavedBucket]| -> Vec<String> {
        one.iter().filter(|bucket| !other.contains(bucket)).map(|bucket| bucket.name.clone()).collect()
    };
    let mut names = differs(&known, &saved);
    names.extend(differs(&saved, &known));
    names.sort();
    names.dedup();
    if !names.is_empty() {
        let buckets = names.join(", ");
        tracing::warn!(
            buckets,
            "the index and `blobs/buckets` differ about buckets or their rules; the index counts"
        );
    }
    Ok(())
}

impl LocalS3 {
    /// Runs a transaction that changes buckets, and keeps the file in step with it.
    pub(crate) async fn change_buckets(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            s3.inner.index.write_now(|transaction| {
                work(transaction)?;
                save(transaction, s3.inner.blobs.root())
            })?;
            s3.inner.settings.read(&s3.inner.index)
        });
        run.await
    }
}
