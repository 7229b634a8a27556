//! Makes an object visible in one transaction: writes its row, counts its blobs and queues its notifications.
//!
//! It also removes objects. It moves no bytes.

use rusqlite::{Transaction, params};

use crate::conditions::WriteConditions;
use crate::error::{Error, Result};
use crate::index::now_ms;
use crate::notifications::{Created, next_sequencer, notify};
use crate::record::{ObjectRecord, Piece, StoredObject, find_object, require_bucket, signed, to_text};

/// An object to make visible.
pub(crate) struct NewObject {
    pub bucket: String,
    pub key: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub record: ObjectRecord,
    /// Name of the event without `s3:`, such as `ObjectCreated:Put`.
    pub event_name: &'static str,
}

/// The result of a commit.
#[derive(Debug)]
pub(crate) struct Committed {
    pub object: StoredObject,
    /// Whether the outbox has new rows.
    pub is_notified: bool,
    /// Whether an older object was replaced, so that there may be blobs to sweep.
    pub has_replaced: bool,
}

/// Inserts the object, in place of an existing one, if `conditions` hold.
pub(crate) fn commit(
    transaction: &Transaction<'_>,
    new: NewObject,
    conditions: &WriteConditions,
    region: &str,
) -> Result<Committed> {
    require_bucket(transaction, &new.bucket)?;
    let old = find_object(transaction, &new.bucket, &new.key)?;
    conditions.check(&new.key, old.as_ref().map(|old| old.etag.as_str()))?;
    // Count the new pieces before releasing the old ones: they may be in the same blobs.
    retain(transaction, &new.record.pieces)?;
    if let Some(old) = &old {
        forget(transaction, old)?;
    }
    let (sequencer, modified_ms) = (next_sequencer(transaction)?, now_ms());
    let columns = params![
        new.bucket,
        new.key,
        signed(new.size),
        new.etag,
        modified_ms,
        sequencer,
        new.event_name,
        to_text(&new.record)
    ];
    let sql =
        "INSERT OR REPLACE INTO objects (bucket, key, size, etag, modified_ms, sequencer, event_name, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    transaction.prepare_cached(sql)?.execute(columns)?;
    let created = Created {
        bucket: &new.bucket,
        key: &new.key,
        size: new.size,
        etag: &new.etag,
        sequencer: &sequencer,
        event_name: new.event_name,
        time_ms: modified_ms,
        region,
    };
    let is_notified = notify(transaction, &created)? > 0;
    let object = StoredObject { size: new.size, etag: new.etag, modified_ms, sequencer, record: new.record };
    Ok(Committed { object, is_notified, has_replaced: old.is_some() })
}

/// Removes an object. Returns whether it existed.
pub(crate) fn remove(transaction: &Transaction<'_>, bucket: &str, key: &str) -> Result<bool> {
    let Some(old) = find_object(transaction, bucket, key)? else { return Ok(false) };
    forget(transaction, &old)?;
    transaction
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
        .execute(params![bucket, key])?;
    Ok(true)
}

fn forget(transaction: &Transaction<'_>, old: &StoredObject) -> Result<()> {
    release(transaction, &old.record.pieces)?;
    transaction.prepare_cached("DELETE FROM notified WHERE sequencer = ?1")?.execute([&old.sequencer])?;
    Ok(())
}

/// Adds the references of a new object or part to its blobs. A new blob gets its row.
pub(crate) fn retain(transaction: &Transaction<'_>, pieces: &[Piece]) -> Result<()> {
    let sql = "INSERT INTO blobs (id, refs) VALUES (?1, 1) ON CONFLICT (id) DO UPDATE SET refs = refs + 1";
    let mut statement = transaction.prepare_cached(sql)?;
    for piece in pieces {
        statement.execute([&piece.blob])?;
    }
    Ok(())
}

/// Removes the references of an object or part from its blobs.
pub(crate) fn release(transaction: &Transaction<'_>, pieces: &[Piece]) -> Result<()> {
    let mut statement =
        transaction.prepare_cached("UPDATE blobs SET refs = refs - 1 WHERE id = ?1 AND refs > 0")?;
    for piece in pieces {
        if statement.execute([&piece.blob])? == 0 {
            let what = format!("release blob `{}`", piece.blob);
            return Err(Error::unavailable(&what, "the index has no reference to it"));
        }
    }
    Ok(())
}
