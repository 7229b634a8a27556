//! The SQLite index: runs closures in a write transaction or on a read snapshot and returns their results.
//!
//! The async methods run them off the async threads. The index never holds an object's bytes.

pub(crate) mod commit;
mod group;
pub(crate) mod key_locks;
pub(crate) mod record;
pub(crate) mod schema;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use self::group::{Change, Queue, Waiting, make};
use self::schema::migrate;
use crate::error::{Error, Result};
use crate::upkeep::identity::Mark;

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
    /// Changes that may share a transaction. Whoever gets the writer next makes them.
    waiting: Queue,
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
            waiting: Queue::default(),
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
        self.commit(transaction, before)?;
        Ok(result)
    }

    /// Commits a transaction, durably. `before` is the number of changes before its first.
    fn commit(&self, transaction: Transaction<'_>, before: i64) -> Result<()> {
        if transaction.is_autocommit() {
            // A full disk has ended it, and its only change knows why.
            return Ok(());
        }
        if total_changes(&transaction)? == before {
            return Ok(transaction.commit()?);
        }
        let sql = "UPDATE identity SET changes = changes + 1 RETURNING changes, (SELECT last FROM sequence)";
        let (changes, serial) = transaction
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        transaction.commit()?;
        if let Some(mark) = self.inner.mark.get() {
            mark.note(changes, serial);
        }
        Ok(())
    }

    /// Runs `work` in one transaction with what other writers want at this time, so that they share one flush to the
    /// disk. An error undoes `work` and nothing else. `work` may run twice, if the first transaction failed. Blocking.
    pub(crate) fn write_with_others_now<T, Work>(&self, work: Work) -> Result<T>
    where
        T: Send + 'static,
        Work: Fn(&Transaction<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let change = Arc::new(Waiting::new(work));
        self.inner.waiting.push(change.clone());
        loop {
            let mut writer = lock(&self.inner.writer);
            // Another writer may have made this change while it had the connection.
            if let Some(result) = change.take() {
                return result;
            }
            let mut changes = self.inner.waiting.next();
            if changes.is_empty() {
                // Whoever had taken it broke off.
                changes.push(change.clone());
            }
            self.make_all(&mut writer, &changes);
        }
    }

    /// Makes changes in one transaction, or each in its own if that fails.
    fn make_all(&self, writer: &mut Connection, changes: &[Arc<dyn Change>]) {
        let Err(error) = self.make_together(writer, changes) else { return };
        if let [change] = changes {
            return change.fail(error);
        }
        tracing::debug!(%error, changes = changes.len(), "a shared transaction failed: making its changes one by one");
        for change in changes {
            if let Err(error) = self.make_together(writer, std::slice::from_ref(change)) {
                change.fail(error);
            }
        }
    }

    fn make_together(&self, writer: &mut Connection, changes: &[Arc<dyn Change>]) -> Result<()> {
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = total_changes(&transaction)?;
        make(&transaction, changes)?;
        self.commit(transaction, before)?;
        changes.iter().for_each(|change| change.confirm());
        Ok(())
    }

    /// Runs `work` in one transaction that a power cut may undo, and nothing else can: it does not wait for the disk.
    /// The mark does not count it. Blocking.
    pub(crate) fn write_loosely_now(&self, work: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<()> {
        let writer = lock(&self.inner.writer);
        let _strict_again = Loosened::of(&writer)?;
        let transaction = Transaction::new_unchecked(&writer, TransactionBehavior::Immediate)?;
        work(&transaction)?;
        Ok(transaction.commit()?)
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

    /// Runs [`Self::write_with_others_now`] off the async threads. Once started, it completes even if the future is
    /// dropped.
    pub(crate) async fn write_with_others<T: Send + 'static>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let index = self.clone();
        blocking(move || index.write_with_others_now(work)).await
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

/// A connection whose commits do not wait for the disk, until this is dropped.
struct Loosened<'a>(&'a Connection);

impl<'a> Loosened<'a> {
    fn of(connection: &'a Connection) -> Result<Self> {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self(connection))
    }
}

impl Drop for Loosened<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.pragma_update(None, "synchronous", "FULL") {
            tracing::error!(%error, "cannot make the index durable again: restart the server");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const INSERT: &str = "INSERT INTO buckets (name, created_ms) VALUES (?1, 1)";

    fn one(index: &Index, sql: &str) -> i64 {
        index.read_now(|reader| Ok(reader.query_row(sql, [], |row| row.get(0))?)).unwrap()
    }

    /// Lets several writers wait for the connection, and returns how each of them fares with `work` of its number.
    fn together(index: &Index, work: fn(&Transaction<'_>, usize) -> Result<usize>) -> Vec<Result<usize>> {
        let writer = lock(&index.inner.writer);
        let writers: Vec<_> = (0..5)
            .map(|number| {
                let index = index.clone();
                std::thread::spawn(move || {
                    index.write_with_others_now(move |transaction| {
                        transaction.execute(INSERT, [format!("b{number}")])?;
                        work(transaction, number)
                    })
                })
            })
            .collect();
        while index.inner.waiting.len() < writers.len() {
            std::thread::yield_now();
        }
        drop(writer);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    }

    #[test]
    fn writers_share_a_transaction_and_fail_alone() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.db")).unwrap();
        let count = "SELECT COUNT(*) FROM buckets";
        let changes = "SELECT changes FROM identity";
        let before = one(&index, changes);
        let results = together(&index, |_, number| match number {
            3 => Err(Error::no_such_bucket("three")),
            4 => panic!("a change that panics"),
            _ => Ok(number),
        });
        assert_eq!(results[..3].iter().map(|it| *it.as_ref().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(results[3].as_ref().unwrap_err().s3_code(), "NoSuchBucket");
        assert!(results[4].is_err());
        assert_eq!(one(&index, count), 3, "a failed change leaves nothing");
        assert_eq!(one(&index, changes), before + 1, "there was one transaction");
    }

    #[test]
    fn failed_transaction_fails_only_who_is_to_blame() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.db")).unwrap();
        let results = together(&index, |transaction, number| {
            if number == 2 {
                // As SQLite does if the disk is full.
                transaction.execute_batch("ROLLBACK")?;
                return Err(Error::no_such_bucket("two"));
            }
            Ok(number)
        });
        let fared: Vec<_> = results.iter().map(|it| it.as_ref().ok().copied()).collect();
        assert_eq!(fared, [Some(0), Some(1), None, Some(3), Some(4)]);
        assert_eq!(results[2].as_ref().unwrap_err().s3_code(), "NoSuchBucket", "it knows its own reason");
        assert_eq!(one(&index, "SELECT COUNT(*) FROM buckets"), 4);
    }

    #[test]
    fn loose_write_loosens_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.db")).unwrap();
        let level = || -> i64 {
            lock(&index.inner.writer).pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap()
        };
        assert_eq!(level(), 2);
        let before = one(&index, "SELECT changes FROM identity");
        index.write_loosely_now(|transaction| Ok(transaction.execute(INSERT, ["b"]).map(drop)?)).unwrap();
        assert_eq!((level(), one(&index, "SELECT changes FROM identity")), (2, before));
        assert!(index.write_loosely_now(|_| Err(Error::no_such_bucket("x"))).is_err());
        assert_eq!(level(), 2);
    }

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
