//! The outbox: events that wait for delivery to their function.
//!
//! Commits insert the rows. The deliverer reads the due entries and records the outcome. A row is removed only after
//! its event was delivered, so no event is lost.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::now_ms;
use crate::notifications::{Created, notify};
use crate::record::from_text;

/// Number of objects that one transaction of [`Outbox::reconcile`] checks.
const RECONCILE_BATCH: usize = 500;
const COLUMNS: &str =
    "id, bucket, key, sequencer, event_name, event, function, configuration_id, attempts, last_error,
    next_attempt_ms";

/// An event that waits for its function, or a dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxEntry {
    /// Id of the entry; newer entries have greater ids.
    pub id: i64,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key, not encoded.
    pub key: String,
    /// 18 hexadecimal digits that grow with every object stored.
    pub sequencer: String,
    /// Name of the event, such as `ObjectCreated:Put`.
    pub event_name: String,
    /// The event as S3 sends it: `{"Records": [...]}`.
    pub event: Value,
    /// The function that receives the event.
    pub function: String,
    /// Id of the rule that asked for the event.
    pub configuration_id: String,
    /// Number of failed deliveries.
    pub attempts: u32,
    /// Why the last delivery failed.
    pub last_error: Option<String>,
    /// When the next delivery is due, in milliseconds since 1970.
    pub next_attempt_ms: i64,
}

impl OutboxEntry {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            bucket: row.get(1)?,
            key: row.get(2)?,
            sequencer: row.get(3)?,
            event_name: row.get(4)?,
            event: from_text(&row.get::<_, String>(5)?)?,
            function: row.get(6)?,
            configuration_id: row.get(7)?,
            attempts: row.get(8)?,
            last_error: row.get(9)?,
            next_attempt_ms: row.get(10)?,
        })
    }
}

/// The queue of events. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    s3: LocalS3,
}

impl LocalS3 {
    /// Returns the queue of this endpoint's events.
    pub fn outbox(&self) -> Outbox {
        Outbox { s3: self.clone() }
    }
}

impl Outbox {
    /// Returns up to `limit` entries that are due at `now_ms`, earliest first. They stay until [`Self::delivered`].
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE dead = 0 AND next_attempt_ms <= {now_ms}
             ORDER BY next_attempt_ms, id LIMIT {limit}"
        );
        self.s3.inner.index.read(move |reader| entries(reader, &sql)).await
    }

    /// Removes an entry whose event was delivered. Succeeds if the entry is already gone.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn delivered(&self, id: i64) -> Result<(), Error> {
        self.change("DELETE FROM outbox WHERE id = ?1 AND ?2 IS NULL AND ?3 IS NULL", id, None, None)
            .await
            .map(drop)
    }

    /// Records a failed delivery. The entry is due again at `when_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::NotFound`] if there is no such entry. Fails on a disk error.
    pub async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), Error> {
        let sql =
            "UPDATE outbox SET attempts = attempts + 1, next_attempt_ms = ?2, last_error = ?3 WHERE id = ?1";
        self.change_one(sql, id, Some(when_ms), Some(error)).await
    }

    /// Records a failed delivery and makes the entry a dead letter until [`Self::replay`].
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::NotFound`] if there is no such entry. Fails on a disk error.
    pub async fn dead_letter(&self, id: i64, error: &str) -> Result<(), Error> {
        let sql = "UPDATE outbox SET attempts = attempts + 1, dead = 1, last_error = ?3 WHERE id = ?1 AND ?2 IS NULL";
        self.change_one(sql, id, None, Some(error)).await
    }

    /// Returns all dead letters, oldest first.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn dead_letters(&self) -> Result<Vec<OutboxEntry>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE dead = 1 ORDER BY id");
        self.s3.inner.index.read(move |reader| entries(reader, &sql)).await
    }

    /// Makes an entry due now, even a dead letter, and resets its attempts to 0.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::NotFound`] if there is no such entry. Fails on a disk error.
    pub async fn replay(&self, id: i64) -> Result<(), Error> {
        let sql =
            "UPDATE outbox SET attempts = 0, dead = 0, next_attempt_ms = ?2 WHERE id = ?1 AND ?3 IS NULL";
        self.change_one(sql, id, Some(now_ms()), None).await?;
        self.s3.inner.changed.notify_one();
        Ok(())
    }

    /// Returns when the next entry is due, in milliseconds since 1970; `None` if no entry waits.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn next_due_ms(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT MIN(next_attempt_ms) FROM outbox WHERE dead = 0";
        let read = self
            .s3
            .inner
            .index
            .read(move |reader| Ok(reader.query_row(sql, [], |row| row.get(0)).optional()?));
        Ok(read.await?.flatten())
    }

    /// Waits until entries are added or replayed. If a change happens while no task waits, the next wait ends at once.
    /// Only one task may wait at a time.
    pub async fn changed(&self) {
        self.s3.inner.changed.notified().await;
    }

    /// Inserts an entry for each existing object that matches a rule, unless the rule's function already had one for
    /// this version of the object. Objects that were stored before the rule get one too. Returns the number of new
    /// entries.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn reconcile(&self) -> Result<usize, Error> {
        let mut after = (String::new(), String::new());
        let mut inserted = 0;
        loop {
            let (region, from) = (self.s3.inner.options.region.clone(), after.clone());
            let write = self.s3.inner.index.write(move |transaction| {
                let objects = objects_after(transaction, &from)?;
                let mut count = 0;
                for object in &objects {
                    count += notify(transaction, &object.created(&region))?;
                }
                let last = objects.last().map(|object| (object.bucket.clone(), object.key.clone()));
                Ok((count, last))
            });
            let (count, last) = write.await?;
            inserted += count;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        if inserted > 0 {
            self.s3.inner.changed.notify_one();
        }
        Ok(inserted)
    }

    async fn change_one(
        &self,
        sql: &'static str,
        id: i64,
        when: Option<i64>,
        error: Option<&str>,
    ) -> Result<()> {
        match self.change(sql, id, when, error).await? {
            0 => Err(Error::no_such_entry(id)),
            _ => Ok(()),
        }
    }

    async fn change(
        &self,
        sql: &'static str,
        id: i64,
        when: Option<i64>,
        error: Option<&str>,
    ) -> Result<usize> {
        let error = error.map(str::to_owned);
        let write = self.s3.inner.index.write(move |transaction| {
            Ok(transaction.prepare_cached(sql)?.execute(params![id, when, error])?)
        });
        write.await
    }
}

fn entries(reader: &Connection, sql: &str) -> Result<Vec<OutboxEntry>> {
    let mut statement = reader.prepare(sql)?;
    let entries = statement.query_map([], OutboxEntry::read)?;
    Ok(entries.collect::<rusqlite::Result<_>>()?)
}

/// The columns of an object that its event needs.
struct Listed {
    bucket: String,
    key: String,
    size: i64,
    etag: String,
    modified_ms: i64,
    sequencer: String,
    event_name: String,
}

impl Listed {
    fn created<'a>(&'a self, region: &'a str) -> Created<'a> {
        Created {
            bucket: &self.bucket,
            key: &self.key,
            size: self.size.unsigned_abs(),
            etag: &self.etag,
            sequencer: &self.sequencer,
            event_name: &self.event_name,
            time_ms: self.modified_ms,
            region,
        }
    }
}

fn objects_after(connection: &Connection, after: &(String, String)) -> Result<Vec<Listed>> {
    let sql = "SELECT bucket, key, size, etag, modified_ms, sequencer, event_name FROM objects
        WHERE (bucket, key) > (?1, ?2) ORDER BY bucket, key LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(RECONCILE_BATCH).unwrap_or(i64::MAX);
    let objects = statement.query_map(params![after.0, after.1, limit], |row| {
        Ok(Listed {
            bucket: row.get(0)?,
            key: row.get(1)?,
            size: row.get(2)?,
            etag: row.get(3)?,
            modified_ms: row.get(4)?,
            sequencer: row.get(5)?,
            event_name: row.get(6)?,
        })
    })?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}
