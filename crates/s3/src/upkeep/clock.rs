//! Whether the clock can be believed when something is to be deleted because of its age.
//!
//! A machine may start with a date far ahead and learn the right one a little later. So a clock that is far ahead of the
//! last time that the folder knows counts only once it has gone evenly for a while.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::LocalS3;
use crate::error::{Error, Result};
use abanico_process::clock::wall_ms;

use crate::index::Index;

/// How far ahead a clock may be at once.
const LEAP_MS: i64 = 24 * 3_600 * 1_000;
/// How long a clock that is further ahead must have gone evenly.
const EVEN_MIN: Duration = Duration::from_secs(3_600);

/// Whether the clock may be believed that shows `now_ms` and has gone evenly for `even`.
fn is_credible(reader: &Connection, now_ms: i64, even: Duration) -> Result<bool> {
    if even >= EVEN_MIN {
        return Ok(true);
    }
    let seen: Option<i64> =
        reader.query_row("SELECT MAX(seen_ms) FROM clock", [], |row| row.get(0)).optional()?.flatten();
    match seen {
        Some(seen_ms) => Ok(now_ms.saturating_sub(seen_ms) <= LEAP_MS),
        // An older version noted no time. In an empty folder, there is nothing to lose.
        None => {
            Ok(!reader.prepare("SELECT 1 FROM objects UNION ALL SELECT 1 FROM uploads LIMIT 1")?.exists([])?)
        }
    }
}

/// Whether the clock may be believed at the start. Blocking.
pub(crate) fn is_credible_at_start(index: &Index) -> Result<bool> {
    index.read_now(|reader| is_credible(reader, wall_ms(), Duration::ZERO))
}

impl LocalS3 {
    /// Returns whether the clock can be believed, so that what is old by it may be deleted, and notes the time if so.
    /// `even` is how long the clock has gone as time does.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn trusts_clock(&self, even: Duration) -> Result<bool, Error> {
        self.trusts_clock_at(wall_ms(), even).await
    }

    pub(crate) async fn trusts_clock_at(&self, now_ms: i64, even: Duration) -> Result<bool> {
        let write = self.inner.index.write(move |transaction| {
            let is_credible = is_credible(transaction, now_ms, even)?;
            if is_credible {
                transaction.execute("DELETE FROM clock", [])?;
                transaction.execute("INSERT INTO clock (seen_ms) VALUES (?1)", [now_ms])?;
            }
            Ok(is_credible)
        });
        write.await
    }
}
