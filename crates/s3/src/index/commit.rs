//! Makes an object visible: writes its label, and then in one transaction its row, the counts of its blobs and its
//! notifications.
//!
//! It also removes objects. It moves no bytes.

use rusqlite::{Transaction, params};

use crate::LocalS3;
use crate::blobs::checksums::hex;
use crate::blobs::{Unflushed, unique_id};
use crate::error::{Error, Result};
use crate::objects::conditions::WriteConditions;
use abanico_process::clock::wall_ms;

use crate::blobs::label::{Label, Labelled, LabelledObject};
use crate::blobs::receive::Received;
use crate::events::notifications::{Created, Removal, notify, notify_removal, sequencer};
use crate::index::blocking;
use crate::index::record::{Attributes, ObjectRecord, Piece, StoredObject, find_object, require_bucket};

/// How often a write starts again because another one changed what it had read.
pub(crate) const TRIES: usize = 100;

/// An object to make visible.
pub(crate) struct NewObject {
    pub bucket: String,
    pub key: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub record: ObjectRecord,
    /// Name of the event without `s3:`, such as `ObjectCreated:Put`.
    pub event_name: String,
    /// The multipart upload that it completes.
    pub upload: Option<String>,
    /// The bytes of its only blob, if they may not be on the disk yet.
    pub bytes: Option<Unflushed>,
}

impl NewObject {
    /// Makes an object of a body that was received as one blob.
    pub(crate) fn received(
        bucket: String,
        key: String,
        attributes: Attributes,
        received: Received,
        event_name: &str,
    ) -> Self {
        let Received { piece, bytes, md5, checksums } = received;
        let size = piece.length;
        let record = ObjectRecord { attributes, checksums, pieces: vec![piece], ..ObjectRecord::default() };
        let (etag, event_name) = (hex(&md5), event_name.to_owned());
        Self { bucket, key, size, etag, record, event_name, upload: None, bytes: Some(bytes) }
    }
}

/// An object whose label is durable.
struct Prepared {
    serial: i64,
    bucket: String,
    key: String,
    object: StoredObject,
    region: String,
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

impl LocalS3 {
    /// Makes an object visible. On failure, removes the files that were received for it. Once started, all of this
    /// completes even if the future is dropped.
    pub(crate) async fn commit(&self, new: NewObject, conditions: WriteConditions) -> Result<Committed> {
        let s3 = self.clone();
        let run = blocking(move || {
            let committed = {
                let _turn = s3.inner.keys.hold(&new.bucket, &new.key);
                let pieces = new.record.pieces.clone();
                let committed = s3.commit_with_others(new, conditions);
                if committed.is_err() {
                    s3.inner.blobs.discard(&s3.inner.index, &pieces)?;
                }
                committed?
            };
            s3.tell(&committed);
            Ok(committed)
        });
        run.await
    }

    /// Writes the label of an object, and makes the object visible in a transaction that other writers may share. Hold
    /// the key. Blocking.
    fn commit_with_others(&self, new: NewObject, conditions: WriteConditions) -> Result<Committed> {
        let prepared = self.prepare(new)?;
        let label = prepared.object.label.clone();
        let committed = self
            .inner
            .index
            .write_with_others_now(move |transaction| prepared.commit(transaction, &conditions));
        if committed.is_err()
            && let Some(label) = label
        {
            self.inner.blobs.remove_label(&label);
        }
        committed
    }

    /// Writes the label of an object. Hold the key. Blocking.
    fn prepare(&self, new: NewObject) -> Result<Prepared> {
        let serial = self.next_serial();
        let NewObject { bucket, key, size, etag, record, event_name, upload, bytes } = new;
        let (modified_ms, sequencer) = (wall_ms(), sequencer(serial));
        let object = StoredObject { size, etag, modified_ms, sequencer, event_name, record, label: None };
        let object = self.labelled(serial, &bucket, &key, object, upload, bytes.as_ref())?;
        Ok(Prepared { serial, bucket, key, object, region: self.inner.options.region.clone() })
    }

    /// Writes the label of an object, and makes the object visible in one transaction if `is_still` says that what the
    /// object was made from has not changed. `then` runs in the same transaction. Returns `None` if it has changed.
    /// Hold the key. Blocking.
    pub(crate) fn commit_now(
        &self,
        new: NewObject,
        conditions: &WriteConditions,
        is_still: impl FnOnce(&Transaction<'_>) -> Result<bool>,
        then: impl FnOnce(&Transaction<'_>) -> Result<()>,
    ) -> Result<Option<Committed>> {
        let prepared = self.prepare(new)?;
        let committed = self.inner.index.write_now(|transaction| {
            if !is_still(transaction)? {
                return Ok(None);
            }
            let committed = prepared.commit(transaction, conditions)?;
            then(transaction)?;
            Ok(Some(committed))
        });
        if !matches!(committed, Ok(Some(_)))
            && let Some(label) = &prepared.object.label
        {
            self.inner.blobs.remove_label(label);
        }
        committed
    }

    /// Returns the next serial number, greater than all before it.
    pub(crate) fn next_serial(&self) -> i64 {
        self.inner.serials.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1
    }

    /// Writes a new label for an object, durably and with the `bytes` of its blob, and returns the object with the
    /// label's name. Hold the key. Blocking.
    pub(crate) fn labelled(
        &self,
        serial: i64,
        bucket: &str,
        key: &str,
        object: StoredObject,
        upload: Option<String>,
        bytes: Option<&Unflushed>,
    ) -> Result<StoredObject> {
        let label = Label::new(&self.inner.folder, serial, labelled_object(bucket, key, &object, upload));
        let name = self.write_label(&label, bytes)?;
        Ok(StoredObject { label: Some(name), ..object })
    }

    /// Writes a label, durably and with the `bytes` of its blob, and returns its name. Blocking.
    pub(crate) fn write_label(&self, label: &Label, bytes: Option<&Unflushed>) -> Result<String> {
        let name = label.name(unique_id);
        self.inner.blobs.write_label(&name, &label.encode(), bytes)?;
        Ok(name)
    }

    /// Wakes the readers of the outbox.
    pub(crate) fn wake_outbox(&self) {
        self.inner.changed.notify_one();
        self.inner.changed_away.notify_one();
    }

    /// Wakes the outbox's readers and sweeps, as far as a commit needs it. Blocking.
    pub(crate) fn tell(&self, committed: &Committed) {
        if committed.is_notified {
            self.wake_outbox();
        }
        if committed.has_replaced {
            self.sweep_quietly_now();
        }
    }
}

/// The failure of a write whose source changed again and again.
pub(crate) fn changed_too_often() -> Error {
    Error::unavailable("finish the write", "what it reads changed again and again: try again")
}

/// Returns what the label of an object says.
pub(crate) fn labelled_object(
    bucket: &str,
    key: &str,
    object: &StoredObject,
    upload: Option<String>,
) -> Labelled {
    Labelled::Object(Box::new(LabelledObject {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        size: object.size,
        etag: object.etag.clone(),
        modified_ms: object.modified_ms,
        sequencer: object.sequencer.clone(),
        event_name: object.event_name.clone(),
        upload,
        record: object.record.clone(),
    }))
}

/// Notes that a serial number is used.
pub(crate) fn note_serial(transaction: &Transaction<'_>, serial: i64) -> Result<()> {
    transaction.prepare_cached("UPDATE sequence SET last = MAX(last, ?1)")?.execute([serial])?;
    Ok(())
}

impl Prepared {
    /// Inserts the object, in place of an existing one, if `conditions` hold.
    fn commit(&self, transaction: &Transaction<'_>, conditions: &WriteConditions) -> Result<Committed> {
        let Self { serial, bucket, key, object, region } = self;
        note_serial(transaction, *serial)?;
        require_bucket(transaction, bucket)?;
        let old = find_object(transaction, bucket, key)?;
        conditions.check(key, old.as_ref().map(|old| old.etag.as_str()))?;
        // Count the new pieces before releasing the old ones: they may be in the same blobs.
        retain(transaction, &object.record.pieces)?;
        if let Some(old) = &old {
            forget(transaction, old)?;
        }
        let is_notified = show(transaction, bucket, key, object, region)? > 0;
        Ok(Committed { object: object.clone(), is_notified, has_replaced: old.is_some() })
    }
}

/// Writes the row of an object, which makes it visible, and queues its events. Returns their number. The references to
/// its blobs are counted by whoever calls.
pub(crate) fn show(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &str,
    object: &StoredObject,
    region: &str,
) -> Result<usize> {
    use_label(transaction, object.label.as_deref())?;
    object.write(transaction, bucket, key)?;
    let created = Created {
        bucket,
        key,
        size: object.size,
        etag: &object.etag,
        sequencer: &object.sequencer,
        event_name: &object.event_name,
        time_ms: object.modified_ms,
        region,
    };
    notify(transaction, &created)
}

/// What a removal did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Removed {
    /// Whether the object existed.
    pub existed: bool,
    /// Whether the outbox has new rows.
    pub is_notified: bool,
}

/// Removes an object and queues the events of that.
pub(crate) fn remove(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &str,
    why: Removal,
    region: &str,
) -> Result<Removed> {
    let Some(old) = find_object(transaction, bucket, key)? else { return Ok(Removed::default()) };
    forget(transaction, &old)?;
    transaction
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
        .execute(params![bucket, key])?;
    let is_notified = notify_removal(transaction, bucket, key, &old, why, region)? > 0;
    Ok(Removed { existed: true, is_notified })
}

fn forget(transaction: &Transaction<'_>, old: &StoredObject) -> Result<()> {
    release(transaction, &old.record.pieces)?;
    release_label(transaction, old.label.as_deref())?;
    transaction.prepare_cached("DELETE FROM notified WHERE sequencer = ?1")?.execute([&old.sequencer])?;
    Ok(())
}

/// Notes that an object or part has this label.
pub(crate) fn use_label(transaction: &Transaction<'_>, label: Option<&str>) -> Result<()> {
    let sql = "INSERT INTO labels (name, used) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET used = 1";
    transaction.prepare_cached(sql)?.execute([label])?;
    Ok(())
}

/// Lets the sweep remove a label.
pub(crate) fn release_label(transaction: &Transaction<'_>, label: Option<&str>) -> Result<()> {
    transaction.prepare_cached("UPDATE labels SET used = 0 WHERE name = ?1")?.execute([label])?;
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
