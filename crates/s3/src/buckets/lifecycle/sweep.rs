//! Removes expired objects and gives up stale uploads, in small transactions that leave others their turn.
//!
//! It removes nothing before its time by the clock: a clock that is set back only makes it wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::{Facts, Lifecycle};
use crate::LocalS3;
use crate::buckets::bucket_settings::stored;
use crate::error::Result;
use crate::index::commit::{Removed, remove};
use abanico_process::clock::wall_ms;

use crate::events::notifications::Removal;
use crate::index::blocking;
use crate::index::record::find_object;
use crate::multipart::remove_parts;
use crate::objects::list::after_prefix;

/// How many keys or uploads one step looks at.
const STEP: u16 = 500;
/// How many objects and uploads one sweep removes at most; the next one goes on.
const REMOVED_MAX: u64 = 100_000;
/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// How far the look at a bucket's keys has come.
struct Place {
    bucket: String,
    /// The next key to look at.
    from: String,
    /// The first key beyond the prefix, if there is one.
    end: Option<String>,
}

/// Returns the next keys of a place, in order.
fn next_keys(connection: &Connection, place: &Place) -> Result<Vec<String>> {
    let sql = "SELECT key FROM objects WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)
        ORDER BY key LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let keys = statement.query_map(params![place.bucket, place.from, place.end, STEP], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Whether an object is expired at `now`.
fn is_due(lifecycle: &Lifecycle, connection: &Connection, bucket: &str, key: &str, now: i64) -> Result<bool> {
    let object = match find_object(connection, bucket, key) {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(false),
        // Nobody knows what a damaged row says.
        Err(error) if error.is_of_an_unreadable_record() => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(lifecycle.expiration(&Facts::of(key, &object)).is_some_and(|(due_ms, _)| due_ms <= now))
}

/// Whether a bucket still has this lifecycle: who changed it meanwhile wants nothing more removed by the old one.
fn is_current(connection: &Connection, bucket: &str, lifecycle: &Lifecycle) -> Result<bool> {
    Ok(stored(connection, bucket)?.lifecycle.as_ref() == Some(lifecycle))
}

impl LocalS3 {
    /// Removes what the lifecycles of all buckets say. Returns how many objects have expired and how many uploads were
    /// given up. It may be dropped at any time, and the next one goes on.
    ///
    /// # Errors
    /// Fails on a disk error. What was removed by then stays removed.
    pub async fn apply_lifecycles(&self) -> Result<(u64, u64)> {
        self.apply_lifecycles_at(wall_ms()).await
    }

    pub(crate) async fn apply_lifecycles_at(&self, now: i64) -> Result<(u64, u64)> {
        let (mut expired, mut aborted) = (0, 0);
        for (bucket, settings) in self.inner.settings.all() {
            let Some(lifecycle) = settings.lifecycle.clone() else { continue };
            let gone = self.expire(&bucket, &lifecycle, now, REMOVED_MAX.saturating_sub(expired)).await?;
            let stale = self.give_up(&bucket, &lifecycle, now, REMOVED_MAX.saturating_sub(aborted)).await?;
            if gone + stale > 0 {
                tracing::info!(
                    bucket,
                    objects = gone,
                    uploads = stale,
                    "removed expired objects and stale uploads, as the bucket's lifecycle says"
                );
            }
            (expired, aborted) = (expired + gone, aborted + stale);
        }
        if expired + aborted > 0 {
            self.sweep_quietly().await;
        }
        Ok((expired, aborted))
    }

    /// Removes the expired objects of a bucket.
    async fn expire(&self, bucket: &str, lifecycle: &Lifecycle, now: i64, most: u64) -> Result<u64> {
        let mut gone = 0;
        for prefix in lifecycle.expiring_prefixes() {
            let mut place =
                Place { bucket: bucket.to_owned(), from: prefix.to_owned(), end: after_prefix(prefix) };
            while gone < most {
                let (s3, rules) = (self.clone(), lifecycle.clone());
                let (count, next) = blocking(move || s3.expire_step(place, &rules, now)).await?;
                gone += count;
                let Some(next) = next else { break };
                place = next;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(gone)
    }

    /// Looks at the next keys, and removes in one transaction those that are expired. Returns how many, and where to go
    /// on. Blocking.
    fn expire_step(&self, place: Place, lifecycle: &Lifecycle, now: i64) -> Result<(u64, Option<Place>)> {
        let index = &self.inner.index;
        let bucket = place.bucket.as_str();
        let (last, is_last, due) = index.read_now(|reader| {
            let keys = next_keys(reader, &place)?;
            let mut due = Vec::new();
            for key in &keys {
                if is_due(lifecycle, reader, bucket, key, now)? {
                    due.push(key.clone());
                }
            }
            Ok((keys.last().cloned(), keys.len() < usize::from(STEP), due))
        })?;
        let mut gone = 0;
        if !due.is_empty() {
            let region = &self.inner.options.region;
            let removed = index.write_now(|transaction| {
                Self::remove_due(transaction, lifecycle, bucket, &due, now, region)
            })?;
            if removed.iter().any(|removed| removed.is_notified) {
                self.wake_outbox();
            }
            gone = removed.len() as u64;
            self.inner.counts.expired.fetch_add(gone, Ordering::Relaxed);
        }
        // The first text after a key is the key with a zero byte.
        let next = last.filter(|_| !is_last).map(|key| Place { from: format!("{key}\0"), ..place });
        Ok((gone, next))
    }

    fn remove_due(
        transaction: &Transaction<'_>,
        lifecycle: &Lifecycle,
        bucket: &str,
        due: &[String],
        now: i64,
        region: &str,
    ) -> Result<Vec<Removed>> {
        let mut gone = Vec::new();
        if !is_current(transaction, bucket, lifecycle)? {
            return Ok(gone);
        }
        for key in due {
            // It may have been replaced meanwhile.
            if !is_due(lifecycle, transaction, bucket, key, now)? {
                continue;
            }
            let removed = remove(transaction, bucket, key, Removal::Lifecycle, region)?;
            if removed.existed {
                tracing::debug!(bucket, key, "an object has expired");
                gone.push(removed);
            }
        }
        Ok(gone)
    }

    /// Gives up the stale uploads of a bucket.
    async fn give_up(&self, bucket: &str, lifecycle: &Lifecycle, now: i64, most: u64) -> Result<u64> {
        if !lifecycle.aborts() {
            return Ok(0);
        }
        let (mut stale, mut after) = (0, String::new());
        while stale < most {
            let (s3, bucket, rules) = (self.clone(), bucket.to_owned(), lifecycle.clone());
            let (count, next) = blocking(move || s3.give_up_step(&bucket, &after, &rules, now)).await?;
            stale += count;
            let Some(next) = next else { break };
            after = next;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(stale)
    }

    /// Gives up those of the next uploads that are stale. Returns how many, and the last one it looked at. Blocking.
    fn give_up_step(
        &self,
        bucket: &str,
        after: &str,
        lifecycle: &Lifecycle,
        now: i64,
    ) -> Result<(u64, Option<String>)> {
        let stale = self.inner.index.write_now(|transaction| {
            let sql = "SELECT id, key, created_ms FROM uploads
                WHERE bucket = ?1 AND id > ?2 AND completed IS NULL ORDER BY id LIMIT ?3";
            let mut statement = transaction.prepare_cached(sql)?;
            let uploads = statement.query_map(params![bucket, after, STEP], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })?;
            let uploads = uploads.collect::<rusqlite::Result<Vec<_>>>()?;
            if !is_current(transaction, bucket, lifecycle)? {
                return Ok((0, None));
            }
            let mut stale = 0;
            for (id, key, created_ms) in &uploads {
                let due = lifecycle.abortion(key, *created_ms);
                if due.is_some_and(|(due_ms, _)| due_ms <= now) {
                    remove_parts(transaction, id)?;
                    transaction.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
                    tracing::debug!(bucket, key, upload = id, "a stale upload was given up");
                    stale += 1;
                }
            }
            let last = uploads.last().map(|(id, ..)| id.clone());
            Ok((stale, last.filter(|_| uploads.len() == usize::from(STEP))))
        })?;
        self.inner.counts.aborted.fetch_add(stale.0, Ordering::Relaxed);
        Ok(stale)
    }
}
