//! What waits in the outbox for receivers outside this process: queues, topics, the event bus and webhooks.
//!
//! Each receiver gets its events in the order in which they were queued.

use rusqlite::{Row, params};

use super::{COLUMNS, Outbox, OutboxEntry};
use crate::error::{Error, Result};
use abanico_process::clock::wall_ms;

/// What waits for one receiver.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Name of the receiver; see [`Receiver::of`](crate::Receiver::of).
    pub receiver: String,
    /// Number of events that wait.
    pub waiting: u64,
    /// Number of dead letters.
    pub dead_letters: u64,
    /// When the event that waits longest was queued, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// When that event is due, in milliseconds since 1970.
    pub due_ms: Option<i64>,
    /// Number of its failed deliveries.
    pub attempts: u32,
    /// Why its last delivery failed.
    pub last_error: Option<String>,
}

impl Backlog {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Self {
            receiver: row.get(0)?,
            waiting: count(1)?,
            dead_letters: count(2)?,
            oldest_ms: row.get(3)?,
            due_ms: row.get(4)?,
            attempts: row.get::<_, Option<u32>>(5)?.unwrap_or(0),
            last_error: row.get(6)?,
        })
    }
}

impl Outbox {
    /// Returns the receivers for which events wait or are dead letters.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, Error> {
        let sql = "SELECT counted.function, waiting, letters, head.created_ms, head.next_attempt_ms,
                head.attempts, head.last_error
            FROM (SELECT function, SUM(dead = 0) AS waiting, SUM(dead = 1) AS letters,
                    MIN(CASE WHEN dead = 0 THEN id END) AS first
                FROM outbox WHERE away = 1 AND dead < 2 GROUP BY function) AS counted
            LEFT JOIN outbox AS head ON head.id = counted.first ORDER BY counted.function";
        let read = self.s3.inner.index.read(move |reader| {
            let mut statement = reader.prepare_cached(sql)?;
            let backlogs = statement.query_map([], Backlog::read)?;
            Ok(backlogs.collect::<rusqlite::Result<_>>()?)
        });
        read.await
    }

    /// Returns up to `limit` entries that wait for a receiver, in the order in which they were queued, whether they are
    /// due or not. They stay until [`Self::delivered`].
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn waiting_for(&self, receiver: &str, limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        // The name is text of a client, so it is no part of the statement.
        let (receiver, limit) = (receiver.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        let ids = self.s3.inner.index.read(move |reader| {
            let sql =
                "SELECT id FROM outbox WHERE away = 1 AND function = ?1 AND dead = 0 ORDER BY id LIMIT ?2";
            let mut statement = reader.prepare_cached(sql)?;
            let ids = statement.query_map(params![receiver, limit], |row| row.get::<_, i64>(0))?;
            Ok(ids.collect::<rusqlite::Result<Vec<_>>>()?)
        });
        let ids: Vec<String> = ids.await?.iter().map(ToString::to_string).collect();
        let listed = ids.join(", ");
        self.readable(format!("SELECT {COLUMNS} FROM outbox WHERE id IN ({listed}) AND dead = 0 ORDER BY id"))
            .await
    }

    /// Makes everything due now that waits for a receiver, and its dead letters too. Returns how many there are.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn redeliver(&self, receiver: &str) -> Result<u64, Error> {
        let receiver = receiver.to_owned();
        let write = self.s3.inner.index.write(move |transaction| {
            let sql = "UPDATE outbox SET attempts = 0, dead = 0, next_attempt_ms = ?2,
                    created_ms = CASE dead WHEN 1 THEN ?2 ELSE created_ms END
                WHERE away = 1 AND function = ?1 AND dead < 2";
            Ok(transaction.execute(sql, params![receiver, wall_ms()])? as u64)
        });
        let count = write.await?;
        self.s3.wake_outbox();
        Ok(count)
    }

    /// Lets at most `most` events wait for a receiver: older ones become dead letters. Of these, too, at most `most` stay.
    /// Returns how many became dead letters, and how many were dropped.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn bound(&self, receiver: &str, most: u32, reason: &str) -> Result<(u64, u64), Error> {
        let (receiver, reason) = (receiver.to_owned(), reason.to_owned());
        let write = self.s3.inner.index.write(move |transaction| {
            let beyond = |dead: u8| {
                format!(
                    "away = 1 AND function = ?1 AND dead = {dead} AND id <= (SELECT id FROM outbox
                     WHERE away = 1 AND function = ?1 AND dead = {dead} ORDER BY id DESC LIMIT 1 OFFSET ?2)"
                )
            };
            let bury = format!("UPDATE outbox SET dead = 1, last_error = ?3 WHERE {}", beyond(0));
            let buried = transaction.execute(&bury, params![receiver, most, reason])?;
            let drop = format!("DELETE FROM outbox WHERE {}", beyond(1));
            let dropped = transaction.execute(&drop, params![receiver, most])?;
            Ok((buried as u64, dropped as u64))
        });
        write.await
    }

    /// Waits until entries are added or replayed, for the deliverer to receivers outside this process. If a change happens
    /// while no task waits, the next wait ends at once. Only one task may wait at a time.
    pub async fn changed_away(&self) {
        self.s3.inner.changed_away.notified().await;
    }
}
