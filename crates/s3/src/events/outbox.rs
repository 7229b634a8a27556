//! The outbox: events that wait for delivery to their function, or to a receiver outside this process.
//!
//! Commits insert the rows. The deliverers read the entries and record the outcome. A row is removed only after its event
//! was delivered, so no event is lost. `outbox/receivers.rs` reads what waits for receivers outside.

mod receivers;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::events::notifications::{Created, event, notify_functions};
use crate::index::record::from_text;
use abanico_process::clock::wall_ms;

pub use receivers::Backlog;

/// Number of objects that one transaction of [`Outbox::reconcile`] checks.
const RECONCILE_BATCH: usize = 500;
/// A delivery that is due later than this was not put off so long by anybody: the clock was set back since.
pub(crate) const LATEST_MS: i64 = 3_600_000;
const COLUMNS: &str =
    "id, bucket, key, sequencer, event_name, event, function, configuration_id, attempts, last_error,
    next_attempt_ms, created_ms";

/// The columns of receivers outside this process, and the indexes that keep what waits for them apart from what waits for
/// functions.
pub(crate) const RECEIVERS: &str = "
ALTER TABLE outbox ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN away INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_of_functions ON outbox (dead, next_attempt_ms, id) WHERE away = 0;
CREATE INDEX outbox_of_receivers ON outbox (function, dead, id) WHERE away = 1;
ALTER TABLE triggers ADD COLUMN events TEXT NOT NULL DEFAULT 's3:ObjectCreated:*';
";

/// An event that waits for its receiver, or a dead letter.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxEntry {
    /// Id of the entry; newer entries have greater ids.
    pub id: i64,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key, not encoded.
    pub key: String,
    /// 18 hexadecimal digits that grow with every object stored; one digit more for its removal.
    pub sequencer: String,
    /// Name of the event, such as `ObjectCreated:Put`.
    pub event_name: String,
    /// The event as S3 sends it: `{"Records": [...]}`.
    pub event: Value,
    /// The function that receives the event, or the name of another [`Receiver`](crate::Receiver).
    pub function: String,
    /// Id of the rule that asked for the event.
    pub configuration_id: String,
    /// Number of failed deliveries.
    pub attempts: u32,
    /// Why the last delivery failed.
    pub last_error: Option<String>,
    /// When the next delivery is due, in milliseconds since 1970.
    pub next_attempt_ms: i64,
    /// When it was queued, in milliseconds since 1970; 0 if an older version did that.
    pub created_ms: i64,
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
            created_ms: row.get(11)?,
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
    /// Returns up to `limit` entries of functions that are due at `now_ms`, earliest first. They stay until
    /// [`Self::delivered`].
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox
             WHERE away = 0 AND dead = 0 AND (next_attempt_ms <= {now_ms} OR next_attempt_ms > {})
             ORDER BY next_attempt_ms, id LIMIT {limit}",
            now_ms.saturating_add(LATEST_MS)
        );
        self.readable(sql).await
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
        self.readable(format!("SELECT {COLUMNS} FROM outbox WHERE dead = 1 ORDER BY id")).await
    }

    /// Returns the ids of the entries that cannot be read, each with the reason. They are neither delivered nor dead
    /// letters, until somebody has mended their row and calls [`Self::replay`].
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn put_aside(&self) -> Result<Vec<(i64, String)>, Error> {
        let sql = "SELECT id, COALESCE(last_error, '') FROM outbox WHERE dead = 2 ORDER BY id";
        let read = self.s3.inner.index.read(move |reader| {
            let mut statement = reader.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        });
        read.await
    }

    /// Returns the entries that can be read. Mends the others, or puts them aside, so that they hold up nothing.
    async fn readable(&self, sql: String) -> Result<Vec<OutboxEntry>> {
        let (entries, bad) = self.s3.inner.index.read(move |reader| entries(reader, &sql)).await?;
        if !bad.is_empty() {
            let region = self.s3.inner.options.region.clone();
            let mend = move |transaction: &rusqlite::Transaction<'_>| {
                bad.iter().try_for_each(|(id, reason)| mend_or_put_aside(transaction, *id, reason, &region))
            };
            self.s3.inner.index.write(mend).await?;
            // A mended entry may be due.
            self.s3.wake_outbox();
        }
        Ok(entries)
    }

    /// Makes an entry due now, even a dead letter, and resets its attempts to 0.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::NotFound`] if there is no such entry. Fails on a disk error.
    pub async fn replay(&self, id: i64) -> Result<(), Error> {
        let sql = "UPDATE outbox SET attempts = 0, dead = 0, next_attempt_ms = ?2, created_ms = ?2 WHERE id = ?1 AND ?3 IS NULL";
        self.change_one(sql, id, Some(wall_ms()), None).await?;
        self.s3.wake_outbox();
        Ok(())
    }

    /// Returns when the next entry of a function is due, in milliseconds since 1970; `None` if none waits.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn next_due_ms(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT MIN(next_attempt_ms) FROM outbox WHERE away = 0 AND dead = 0";
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

    /// Inserts an entry for each existing object that matches a rule of a function, unless the function already had one
    /// for this version of the object. Objects that were stored before the rule get one too. Returns the number of new
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
                    match notify_functions(transaction, &object.created(&region)) {
                        Ok(inserted) => count += inserted,
                        // The rules of one bucket must not keep the server from starting.
                        Err(error) if error.is_of_an_unreadable_record() => {
                            tracing::error!(bucket = object.bucket, %error, "cannot read the notifications of a bucket: put them again");
                        }
                        Err(error) => return Err(error),
                    }
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
            self.s3.wake_outbox();
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
        let write = self.s3.inner.index.write_with_others(move |transaction| {
            Ok(transaction.prepare_cached(sql)?.execute(params![id, when, error])?)
        });
        write.await
    }
}

/// Entries that can be read, and the ids of the others, each with the reason.
type Sifted = (Vec<OutboxEntry>, Vec<(i64, String)>);

/// Reads entries. Returns those that can be read, and the others' ids with the reason.
fn entries(reader: &Connection, sql: &str) -> Result<Sifted> {
    let mut statement = reader.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut read, mut bad) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match OutboxEntry::read(row) {
            Ok(entry) => read.push(entry),
            Err(error) => bad.push((row.get(0)?, error.to_string())),
        }
    }
    Ok((read, bad))
}

/// Makes an unreadable entry's event again from its object. If that is not possible, puts the entry aside.
fn mend_or_put_aside(connection: &Connection, id: i64, reason: &str, region: &str) -> Result<()> {
    if let Some(event) = event_of_object(connection, id, region)? {
        connection.execute("UPDATE outbox SET event = ?2 WHERE id = ?1", params![id, event])?;
        let (mended, _) = entries(connection, &format!("SELECT {COLUMNS} FROM outbox WHERE id = {id}"))?;
        if !mended.is_empty() {
            tracing::warn!(entry = id, reason, "made an unreadable upload event again from its object");
            return Ok(());
        }
    }
    connection.execute("UPDATE outbox SET dead = 2, last_error = ?2 WHERE id = ?1", params![id, reason])?;
    tracing::error!(entry = id, reason, "put an upload event aside that cannot be read");
    Ok(())
}

/// Returns the event of an entry, if its object is still the one that the event is about.
fn event_of_object(connection: &Connection, id: i64, region: &str) -> Result<Option<String>> {
    let sql = "SELECT objects.bucket, objects.key, objects.size, objects.etag, objects.modified_ms,
            objects.sequencer, objects.event_name, outbox.configuration_id
        FROM outbox JOIN objects ON objects.bucket = outbox.bucket AND objects.key = outbox.key
            AND objects.sequencer = outbox.sequencer
        WHERE outbox.id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([id], |row| {
        let configuration: String = row.get(7)?;
        Ok(event(&listed(row)?.created(region), &configuration).to_string())
    });
    Ok(found.optional().unwrap_or(None))
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
    let objects = statement.query_map(params![after.0, after.1, limit], listed)?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        bucket: row.get(0)?,
        key: row.get(1)?,
        size: row.get(2)?,
        etag: row.get(3)?,
        modified_ms: row.get(4)?,
        sequencer: row.get(5)?,
        event_name: row.get(6)?,
    })
}
