//! Publications: objects that are staged as durable blobs, become visible together in one transaction, and can be
//! taken back together. Until a publication is settled, the index keeps the objects that it replaced.
//!
//! A reader sees the whole old set or the whole new one. Staging and settling take a few objects a transaction, so
//! that other writers wait only for the switch, which writes rows and no bytes: its labels are written before.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::LocalS3;
use crate::blobs::checksums::hex;
use crate::error::{Error, Result};
use crate::index::commit::{TRIES, changed_too_often, note_serial, release, release_label, retain, show};
use abanico_process::clock::wall_ms;

use crate::blobs::receive::Received;
use crate::events::notifications::sequencer;
use crate::index::blocking;
use crate::index::record::{
    Attributes, OBJECT_COLUMNS, ObjectRecord, Piece, StoredObject, find_object, from_text, require_bucket,
    signed, to_text,
};
use crate::objects::object_store::take_file;
use crate::objects::put::check_key;

/// The tables. `first` is NULL until the switch; then `first` + `position` is the serial number of an object. Until the
/// switch a row in `staged` has the references to its blobs, afterwards the object has them. A row in `replaced` has
/// those of the object that it was, and its label.
pub(crate) const TABLES: &str = "
CREATE TABLE publications (
    id TEXT PRIMARY KEY,
    first INTEGER
) WITHOUT ROWID;
CREATE TABLE staged (
    publication TEXT NOT NULL,
    position INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (publication, position),
    UNIQUE (publication, bucket, key)
) WITHOUT ROWID;
CREATE TABLE replaced (
    publication TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    sequencer TEXT NOT NULL,
    event_name TEXT NOT NULL,
    record TEXT NOT NULL,
    label TEXT,
    sum INTEGER,
    PRIMARY KEY (publication, bucket, key)
) WITHOUT ROWID;
CREATE INDEX replaced_by_sequencer ON replaced (sequencer);
";

/// Rows that settling removes per transaction.
const BATCH: i64 = 500;

const EVENT: &str = "ObjectCreated:Put";

/// A file to stage.
pub(crate) struct NewObjectFile {
    pub source: PathBuf,
    pub bucket: String,
    pub key: String,
    pub attributes: Attributes,
}

/// Returns the number before that of the first object, if the publication is switched; `None` if there is none.
fn switched(connection: &Connection, id: &str) -> Result<Option<Option<i64>>> {
    let mut statement = connection.prepare_cached("SELECT first FROM publications WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// A staged object.
struct Staged {
    position: i64,
    bucket: String,
    key: String,
    object: StoredObject,
}

impl LocalS3 {
    /// Stages a file, unless the publication has it already.
    pub(crate) async fn stage_file(&self, id: String, file: NewObjectFile) -> Result<()> {
        check_key(&file.key)?;
        let s3 = self.clone();
        blocking(move || s3.stage_file_now(&id, file)).await
    }

    fn stage_file_now(&self, id: &str, file: NewObjectFile) -> Result<()> {
        let (index, blobs) = (&self.inner.index, &self.inner.blobs);
        let has_it = index.read_now(|reader| {
            require_bucket(reader, &file.bucket)?;
            let sql = "SELECT 1 FROM staged WHERE publication = ?1 AND bucket = ?2 AND key = ?3";
            Ok(reader.prepare_cached(sql)?.exists(params![id, file.bucket, file.key])?)
        })?;
        if has_it {
            return Ok(());
        }
        let received = take_file(blobs, &file.source)?;
        let pieces = vec![received.piece.clone()];
        // A staged object has no label, which would make the blob durable.
        let flushed = blobs.flush(&received.piece.blob, &received.bytes).map_err(Error::from);
        let staged = flushed
            .and_then(|()| index.write_now(|transaction| insert_staged(transaction, id, &file, received)));
        if staged.is_err() {
            blobs.discard(index, &pieces)?;
        }
        staged
    }

    /// Makes the staged objects visible, all at once.
    pub(crate) async fn switch_publication(&self, id: String) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            let mut tries = (0..TRIES).map(|_| s3.switch_once(&id));
            let switched = tries.find_map(Result::transpose).unwrap_or_else(|| Err(changed_too_often()))?;
            if switched {
                s3.wake_outbox();
            }
            Ok(())
        });
        run.await
    }

    /// Writes the labels of the staged objects, and makes the objects visible in one transaction. Returns whether the
    /// outbox has new rows, or `None` if one of the objects that stand there is newer than these labels. Blocking.
    fn switch_once(&self, id: &str) -> Result<Option<bool>> {
        let index = &self.inner.index;
        let staged = index.read_now(|reader| match switched(reader, id)? {
            Some(None) => read_staged(reader, id),
            _ => Ok(Vec::new()),
        })?;
        if staged.is_empty() {
            return Ok(Some(false));
        }
        let last = staged.iter().map(|one| one.position).max().unwrap_or(0);
        let first = self.inner.serials.fetch_add(last, std::sync::atomic::Ordering::SeqCst);
        let mut objects: Vec<Staged> = Vec::with_capacity(staged.len());
        let labelled = staged.into_iter().try_for_each(|one| {
            let serial = first + one.position;
            let object = StoredObject { sequencer: sequencer(serial), ..one.object };
            let object = self.labelled(serial, &one.bucket, &one.key, object, None, None)?;
            objects.push(Staged { object, ..one });
            Ok(())
        });
        // Whoever writes one of the keys and has a smaller number commits before the switch.
        for one in &objects {
            drop(self.inner.keys.hold(&one.bucket, &one.key));
        }
        let region = &self.inner.options.region;
        let switched = labelled.and_then(|()| {
            index.write_now(|transaction| match switched(transaction, id)? {
                Some(None) => switch(transaction, id, first, last, &objects, region),
                _ => Ok(None),
            })
        });
        if !matches!(switched, Ok(Some(_))) {
            objects.iter().filter_map(|one| one.object.label.as_deref()).for_each(|label| {
                self.inner.blobs.remove_label(label);
            });
        }
        switched
    }

    /// Forgets what was replaced; or what was staged, if it was never switched.
    pub(crate) async fn settle_publication(&self, id: String) -> Result<()> {
        let s3 = self.clone();
        blocking(move || s3.settle_now(&id)).await
    }

    fn settle_now(&self, id: &str) -> Result<()> {
        let index = &self.inner.index;
        let Some(first) = index.read_now(|reader| switched(reader, id))? else { return Ok(()) };
        if first.is_none() {
            while index.write_now(|transaction| forget_staged(transaction, id))? > 0 {}
        }
        while index.write_now(|transaction| forget_replaced(transaction, id))? > 0 {}
        index.write_now(|transaction| forget_publication(transaction, id))?;
        self.sweep_quietly_now();
        Ok(())
    }

    /// Lets the objects that were replaced stand again, all at once, except where others have stored since.
    pub(crate) async fn take_back_publication(&self, id: String) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            let first = s3.inner.index.write_now(|transaction| match switched(transaction, &id)? {
                Some(Some(first)) => take_back(transaction, &id, first).map(|()| Some(first)),
                _ => Ok(None),
            })?;
            if first.is_none() {
                return s3.settle_now(&id);
            }
            s3.sweep_quietly_now();
            Ok(())
        });
        run.await
    }

    /// Returns the ids of all publications that are neither settled nor taken back.
    pub(crate) async fn known_publications(&self) -> Result<Vec<String>> {
        let read = self.inner.index.read(|reader| {
            let mut statement = reader.prepare_cached("SELECT id FROM publications ORDER BY id")?;
            let ids = statement.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        });
        read.await
    }
}

fn insert_staged(
    transaction: &Transaction<'_>,
    id: &str,
    file: &NewObjectFile,
    received: Received,
) -> Result<()> {
    transaction.execute("INSERT OR IGNORE INTO publications (id) VALUES (?1)", [id])?;
    if switched(transaction, id)?.flatten().is_some() {
        let what = format!("stage `{}`", file.key);
        return Err(Error::unavailable(&what, "the publication has been switched without it"));
    }
    let size = received.piece.length;
    let etag = hex(&received.md5);
    let record = ObjectRecord {
        attributes: file.attributes.clone(),
        checksums: received.checksums,
        pieces: vec![received.piece],
        ..ObjectRecord::default()
    };
    retain(transaction, &record.pieces)?;
    let sql = "INSERT INTO staged (publication, position, bucket, key, size, etag, record)
        SELECT ?1, COALESCE(MAX(position), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM staged WHERE publication = ?1";
    let columns = params![id, file.bucket, file.key, signed(size), etag, to_text(&record)];
    transaction.prepare_cached(sql)?.execute(columns)?;
    Ok(())
}

/// Reads the staged objects of a publication as they become visible now, without sequencer and label.
fn read_staged(reader: &Connection, id: &str) -> Result<Vec<Staged>> {
    let sql = "SELECT position, bucket, key, size, etag, record FROM staged WHERE publication = ?1 ORDER BY position";
    let now_ms = wall_ms();
    let mut statement = reader.prepare_cached(sql)?;
    let staged = statement.query_map([id], |row| {
        let object = StoredObject {
            size: row.get::<_, i64>(3)?.unsigned_abs(),
            etag: row.get(4)?,
            modified_ms: now_ms,
            sequencer: String::new(),
            event_name: EVENT.to_owned(),
            record: from_text(&row.get::<_, String>(5)?)?,
            label: None,
        };
        Ok(Staged { position: row.get(0)?, bucket: row.get(1)?, key: row.get(2)?, object })
    })?;
    Ok(staged.collect::<rusqlite::Result<_>>()?)
}

/// Makes the staged objects visible. Returns whether the outbox has new rows, or `None` without any change if a newer
/// object stands at one of their places.
fn switch(
    transaction: &Transaction<'_>,
    id: &str,
    first: i64,
    last: i64,
    objects: &[Staged],
    region: &str,
) -> Result<Option<bool>> {
    let newer =
        "SELECT 1 FROM staged JOIN objects USING (bucket, key) WHERE publication = ?1 AND sequencer > ?2";
    if transaction.prepare_cached(newer)?.exists(params![id, sequencer(first)])? {
        return Ok(None);
    }
    let columns = OBJECT_COLUMNS;
    let keep = format!(
        "INSERT INTO replaced (publication, {columns}) SELECT ?1, {columns} FROM objects WHERE bucket = ?2 AND key = ?3"
    );
    let mut notified = 0;
    for one in objects {
        let Staged { bucket, key, object, .. } = one;
        require_bucket(transaction, bucket)?;
        transaction.prepare_cached(&keep)?.execute(params![id, bucket, key])?;
        // The references to its blobs were counted when it was staged.
        notified += show(transaction, bucket, key, object, region)?;
    }
    note_serial(transaction, first + last)?;
    transaction.execute("UPDATE publications SET first = ?2 WHERE id = ?1", params![id, first])?;
    Ok(Some(notified > 0))
}

/// Lets the replaced objects stand again.
fn take_back(transaction: &Transaction<'_>, id: &str, first: i64) -> Result<()> {
    let sql = "SELECT position, bucket, key, record FROM staged WHERE publication = ?1 ORDER BY position";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let own = Own {
            sequencer: sequencer(first + row.get::<_, i64>(0)?),
            bucket: row.get(1)?,
            key: row.get(2)?,
            pieces: from_text::<ObjectRecord>(&row.get::<_, String>(3)?)?.pieces,
        };
        take_back_one(transaction, id, &own)?;
    }
    // What is left was replaced at places where others have stored since.
    while forget_replaced(transaction, id)? > 0 {}
    forget_publication(transaction, id)
}

/// An object that a publication made visible.
struct Own {
    sequencer: String,
    bucket: String,
    key: String,
    pieces: Vec<Piece>,
}

fn take_back_one(transaction: &Transaction<'_>, id: &str, own: &Own) -> Result<()> {
    let here: [&str; 3] = [id, &own.bucket, &own.key];
    let stands = find_object(transaction, &own.bucket, &own.key)?;
    let is_there = match stands.filter(|stands| stands.sequencer == own.sequencer) {
        Some(stands) => {
            // Tags may have changed since, and with them the label; the pieces never do.
            release_label(transaction, stands.label.as_deref())?;
            put_back(transaction, here)?;
            true
        }
        None => hand_down(transaction, id, own)?,
    };
    if !is_there {
        // Somebody has replaced or deleted it, and released its blobs.
        return Ok(());
    }
    // The references of what was replaced went with its row.
    transaction
        .prepare_cached("DELETE FROM replaced WHERE publication = ?1 AND bucket = ?2 AND key = ?3")?
        .execute(here)?;
    release(transaction, &own.pieces)?;
    transaction.prepare_cached("DELETE FROM notified WHERE sequencer = ?1")?.execute([&own.sequencer])?;
    // Nobody needs to hear of an object that was taken back.
    transaction
        .prepare_cached("DELETE FROM outbox WHERE bucket = ?1 AND key = ?2 AND sequencer = ?3")?
        .execute([&own.bucket, &own.key, &own.sequencer])?;
    Ok(())
}

/// Lets the object that was replaced stand again, or none if there was none.
fn put_back(transaction: &Transaction<'_>, here: [&str; 3]) -> Result<()> {
    let [_, bucket, key] = here;
    transaction
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
        .execute([bucket, key])?;
    // A label that was lost meanwhile is written again.
    let label = "CASE WHEN label IN (SELECT name FROM labels) THEN label END";
    let columns = OBJECT_COLUMNS;
    let selected = columns.replace("label", label);
    let sql = format!(
        "INSERT INTO objects ({columns}) SELECT {selected} FROM replaced WHERE publication = ?1 AND bucket = ?2 AND key = ?3"
    );
    transaction.prepare_cached(&sql)?.execute(here)?;
    Ok(())
}

/// If a later publication keeps this object as what it replaced, gives it what this one replaced instead. Returns
/// whether there is such a publication.
fn hand_down(transaction: &Transaction<'_>, id: &str, own: &Own) -> Result<bool> {
    let later: Option<(String, Option<String>)> = transaction
        .prepare_cached("SELECT publication, label FROM replaced WHERE sequencer = ?1")?
        .query_row([&own.sequencer], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((later, label)) = later else { return Ok(false) };
    release_label(transaction, label.as_deref())?;
    transaction
        .prepare_cached("DELETE FROM replaced WHERE publication = ?1 AND bucket = ?2 AND key = ?3")?
        .execute([&later, &own.bucket, &own.key])?;
    transaction
        .prepare_cached(
            "UPDATE replaced SET publication = ?4 WHERE publication = ?1 AND bucket = ?2 AND key = ?3",
        )?
        .execute(params![id, own.bucket, own.key, later])?;
    Ok(true)
}

/// Drops some objects that were staged and never switched. Returns how many.
fn forget_staged(transaction: &Transaction<'_>, id: &str) -> Result<usize> {
    let sql = format!("SELECT record, position FROM staged WHERE publication = ?1 LIMIT {BATCH}");
    let some: Vec<(String, i64)> = {
        let mut statement = transaction.prepare_cached(&sql)?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (record, position) in &some {
        release(transaction, &from_text::<ObjectRecord>(record)?.pieces)?;
        transaction
            .prepare_cached("DELETE FROM staged WHERE publication = ?1 AND position = ?2")?
            .execute(params![id, position])?;
    }
    Ok(some.len())
}

/// Drops some objects that were replaced. Returns how many.
fn forget_replaced(transaction: &Transaction<'_>, id: &str) -> Result<usize> {
    let sql = format!("SELECT record, sequencer, label FROM replaced WHERE publication = ?1 LIMIT {BATCH}");
    let some: Vec<(String, String, Option<String>)> = {
        let mut statement = transaction.prepare_cached(&sql)?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (record, sequencer, label) in &some {
        release(transaction, &from_text::<ObjectRecord>(record)?.pieces)?;
        release_label(transaction, label.as_deref())?;
        transaction.prepare_cached("DELETE FROM notified WHERE sequencer = ?1")?.execute([sequencer])?;
        transaction
            .prepare_cached("DELETE FROM replaced WHERE publication = ?1 AND sequencer = ?2")?
            .execute(params![id, sequencer])?;
    }
    Ok(some.len())
}

fn forget_publication(transaction: &Transaction<'_>, id: &str) -> Result<()> {
    transaction.execute("DELETE FROM staged WHERE publication = ?1", [id])?;
    transaction.execute("DELETE FROM publications WHERE id = ?1", [id])?;
    Ok(())
}
