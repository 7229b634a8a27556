//! The SQLite index: runs closures in a write transaction or on a read snapshot and returns their results.
//!
//! The async methods run them off the async threads. The index never holds an object's bytes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Result};
use crate::identity::Mark;
use crate::schema::migrate;

/// Maximum number of idle read connections.
const IDLE_READERS: usize = 8;

/// One write connection and a pool of read-only connections.
#[derive(Clone)]
pub(crate) struct Index {
    inner: Arc<Inner>,
}

struct Inner {
    path: std::path::PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Notes each change beside the blobs, once it is set.
    mark: OnceLock<Mark>,
}

impl Index {
    /// Opens or creates the index and brings its schema up to date.
    #[cfg(test)]
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_if(path, |_| Ok(()))
    }

    /// Opens or creates the index if `check` accepts it, and brings its schema up to date.
    pub(crate) fn open_if(path: &Path, check: impl FnOnce(&Connection) -> Result<()>) -> Result<Self> {
        let mut writer = Connection::open(path)?;
        writer.busy_timeout(Duration::from_secs(10))?;
        // Whatever is refused stays as it is.
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        check(&writer)?;
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        // Each commit reaches the disk, so acknowledged writes survive a power loss.
        writer.pragma_update(None, "synchronous", "FULL")?;
        writer.set_prepared_statement_cache_capacity(64);
        migrate(&mut writer)?;
        let inner = Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            mark: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Notes every change from now on in `mark`.
    pub(crate) fn note_changes_in(&self, mark: Mark) {
        // Only the opening of the folder sets it, once.
        let _ = self.inner.mark.set(mark);
    }

    /// Moves everything from the write-ahead log into the index's own file and empties the log. Blocking.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        lock(&self.inner.readers).clear();
        let writer = lock(&self.inner.writer);
        checkpoint(&writer)?;
        if let Some(mark) = self.inner.mark.get() {
            mark.sync()?;
        }
        Ok(())
    }

    /// Runs `work` in one transaction; an error rolls all of it back. Blocking.
    pub(crate) fn write_now<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = lock(&self.inner.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = total_changes(&transaction)?;
        let result = work(&transaction)?;
        if total_changes(&transaction)? == before {
            transaction.commit()?;
            return Ok(result);
        }
        let sql = "UPDATE identity SET changes = changes + 1 RETURNING changes, (SELECT last FROM sequence)";
        let (changes, serial) = transaction
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        transaction.commit()?;
        if let Some(mark) = self.inner.mark.get() {
            mark.note(changes, serial);
        }
        Ok(result)
    }

    /// Runs `work` on one snapshot of the index. Blocking.
    pub(crate) fn read_now<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = lock(&self.inner.readers).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.new_reader()?,
        };
        let result = {
            let snapshot = reader.transaction()?;
            work(&snapshot)
        };
        let mut idle = lock(&self.inner.readers);
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        result
    }

    fn new_reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.inner.path, flags)?;
        reader.busy_timeout(Duration::from_secs(10))?;
        reader.set_prepared_statement_cache_capacity(64);
        Ok(reader)
    }

    /// Runs [`Self::write_now`] off the async threads. Once started, it completes even if the future is dropped.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let index = self.clone();
        blocking(move || index.write_now(work)).await
    }

    /// Runs [`Self::read_now`] off the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let index = self.clone();
        blocking(move || index.read_now(work)).await
    }
}

fn total_changes(connection: &Connection) -> Result<i64> {
    Ok(connection.prepare_cached("SELECT total_changes()")?.query_row([], |row| row.get(0))?)
}

/// Moves everything from a database's write-ahead log into its own file and empties the log.
///
/// # Errors
/// Fails if somebody reads or writes the database now.
pub(crate) fn checkpoint(connection: &Connection) -> Result<()> {
    let is_busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy == 0 {
        return Ok(());
    }
    Err(Error::unavailable("empty the write-ahead log", "the database is in use"))
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::unavailable("finish the work", error)),
    }
}

/// Locks the mutex even if it is poisoned: the data behind these locks is consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns the current time in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    i64::try_from(now).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_transaction_leaves_nothing_for_readers() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.db")).unwrap();
        let insert = "INSERT INTO buckets (name, created_ms) VALUES ('b', 1)";
        let failed = index.write_now(|transaction| {
            transaction.execute(insert, [])?;
            Err::<(), _>(Error::no_such_bucket("x"))
        });
        assert!(failed.is_err());
        let count = |index: &Index| {
            index.read_now(|reader| {
                Ok(reader.query_row("SELECT COUNT(*) FROM buckets", [], |row| row.get::<_, i64>(0))?)
            })
        };
        assert_eq!(count(&index).unwrap(), 0);
        index.write_now(|transaction| Ok(transaction.execute(insert, [])?)).unwrap();
        assert_eq!(count(&index).unwrap(), 1);
    }
}
