//! Events that wait for their function: in rows that commits wrote, out entries to deliver and what became of them.
//! Never an event lost: a row goes only once it was delivered.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::now_ms;
use crate::notifications::{Created, notify};
use crate::record::from_text;

/// How many objects one transaction of [`Outbox::reconcile`] looks at.
const RECONCILE_BATCH: usize = 500;
const COLUMNS: &str =
    "id, bucket, key, sequencer, event_name, event, function, configuration_id, attempts, last_error,
    next_attempt_ms";

/// An event that waits for its function, or that was given up.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxEntry {
    /// Names the entry; grows.
    pub id: i64,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key, as it is.
    pub key: String,
    /// Grows with every object that is stored; 18 hexadecimal digits.
    pub sequencer: String,
    /// Such as `ObjectCreated:Put`.
    pub event_name: String,
    /// The event as S3 sends it: `{"Records": [...]}`.
    pub event: Value,
    /// The function that gets it.
    pub function: String,
    /// The rule that asked for it.
    pub configuration_id: String,
    /// How many deliveries have failed.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When it is due, in milliseconds since 1970.
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

/// The queue of events; clones share it.
#[derive(Clone)]
pub struct Outbox {
    s3: LocalS3,
}

impl LocalS3 {
    /// The queue of this endpoint's events.
    pub fn outbox(&self) -> Outbox {
        Outbox { s3: self.clone() }
    }
}

impl Outbox {
    /// Up to `limit` entries that are due at `now_ms`, oldest first. They stay until [`Self::delivered`].
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox WHERE dead = 0 AND next_attempt_ms <= {now_ms}
             ORDER BY next_attempt_ms, id LIMIT {limit}"
        );
        self.s3.inner.index.read(move |reader| entries(reader, &sql)).await
    }

    /// Removes an entry whose function has its event; one that is gone already is fine.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn delivered(&self, id: i64) -> Result<(), Error> {
        self.change("DELETE FROM outbox WHERE id = ?1 AND ?2 IS NULL AND ?3 IS NULL", id, None, None)
            .await
            .map(drop)
    }

    /// Notes a failed delivery; the entry is due again at `when_ms`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no such entry, or a failure of the disk.
    pub async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), Error> {
        let sql =
            "UPDATE outbox SET attempts = attempts + 1, next_attempt_ms = ?2, last_error = ?3 WHERE id = ?1";
        self.change_one(sql, id, Some(when_ms), Some(error)).await
    }

    /// Notes a failed delivery and gives the entry up until [`Self::replay`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no such entry, or a failure of the disk.
    pub async fn dead_letter(&self, id: i64, error: &str) -> Result<(), Error> {
        let sql = "UPDATE outbox SET attempts = attempts + 1, dead = 1, last_error = ?3 WHERE id = ?1 AND ?2 IS NULL";
        self.change_one(sql, id, None, Some(error)).await
    }

    /// All entries that were given up, oldest first.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn dead_letters(&self) -> Result<Vec<OutboxEntry>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE dead = 1 ORDER BY id");
        self.s3.inner.index.read(move |reader| entries(reader, &sql)).await
    }

    /// Makes an entry due now, also one that was given up; its attempts count from 0 again.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no such entry, or a failure of the disk.
    pub async fn replay(&self, id: i64) -> Result<(), Error> {
        let sql =
            "UPDATE outbox SET attempts = 0, dead = 0, next_attempt_ms = ?2 WHERE id = ?1 AND ?3 IS NULL";
        self.change_one(sql, id, Some(now_ms()), None).await?;
        self.s3.inner.changed.notify_one();
        Ok(())
    }

    /// When the next entry is due, in milliseconds since 1970; none when none waits.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn next_due_ms(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT MIN(next_attempt_ms) FROM outbox WHERE dead = 0";
        let read = self
            .s3
            .inner
            .index
            .read(move |reader| Ok(reader.query_row(sql, [], |row| row.get(0)).optional()?));
        Ok(read.await?.flatten())
    }

    /// Waits for a change after the last one that this process has waited for: new entries or a replay. A change that
    /// came while no one waited ends the next wait at once. Meant for one waiter.
    pub async fn changed(&self) {
        self.s3.inner.changed.notified().await;
    }

    /// Inserts entries for objects that are there, match a rule and have had no entry of their version for the rule's
    /// function: what was stored before the rule was. Says how many.
    ///
    /// # Errors
    /// When the disk fails.
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

/// An object as events tell of it.
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
