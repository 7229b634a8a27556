//! The tables of the index, and the migrations that bring an older index up to date.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// The migrations, in order. A database that has had the first n has `user_version` n.
const MIGRATIONS: [&str; 4] = [
    "
CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    cors TEXT,
    notifications TEXT
) WITHOUT ROWID;
-- refs counts the pieces of objects, parts, staged and replaced objects that lie in the blob; 0 means that sweep may remove it.
CREATE TABLE blobs (
    id TEXT PRIMARY KEY,
    refs INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_unused ON blobs (id) WHERE refs = 0;
CREATE TABLE objects (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    sequencer TEXT NOT NULL,
    event_name TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (bucket, key)
);
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    -- Answer of the completion, once there was one: a retry gets it again.
    completed TEXT
);
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (upload, number)
);
CREATE TABLE sequence (last INTEGER NOT NULL);
INSERT INTO sequence VALUES (0);
CREATE TABLE triggers (
    id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    prefix TEXT NOT NULL,
    suffix TEXT NOT NULL,
    function TEXT NOT NULL
);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    sequencer TEXT NOT NULL,
    event_name TEXT NOT NULL,
    event TEXT NOT NULL,
    function TEXT NOT NULL,
    configuration_id TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    next_attempt_ms INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX outbox_due ON outbox (dead, next_attempt_ms, id);
-- Which object versions have had an outbox row; outlives the row, goes with the object.
CREATE TABLE notified (
    sequencer TEXT NOT NULL,
    function TEXT NOT NULL,
    PRIMARY KEY (sequencer, function)
) WITHOUT ROWID;
",
    "
-- Which data folder this is the index of, and how far it has come; the mark beside the blobs says the same.
CREATE TABLE identity (
    folder TEXT NOT NULL,
    generation INTEGER NOT NULL,
    changes INTEGER NOT NULL
);
INSERT INTO identity VALUES (lower(hex(randomblob(16))), 0, 0);
-- The files beside the blobs that describe objects and parts. used is 0 once sweep may remove the file.
CREATE TABLE labels (
    name TEXT PRIMARY KEY,
    used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX labels_unused ON labels (name) WHERE used = 0;
-- NULL until the object has a label, which objects of an older version get after the start.
ALTER TABLE objects ADD COLUMN label TEXT;
CREATE INDEX objects_without_label ON objects (bucket, key) WHERE label IS NULL;
-- Checksum of the other columns, without the label.
ALTER TABLE objects ADD COLUMN sum INTEGER;
ALTER TABLE parts ADD COLUMN label TEXT;
",
    crate::publication::TABLES,
    "
-- Tags, policy, public-access block and lifecycle of a bucket as JSON.
ALTER TABLE buckets ADD COLUMN settings TEXT;
",
];

/// Returns the number of migrations that a database has had.
pub(crate) fn version(connection: &Connection) -> Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Brings the database up to date.
///
/// # Errors
/// Returns [`crate::ErrorKind::Denied`] if a newer version of this program wrote it. Fails on a disk error.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let version = version(connection)?;
    if version > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(Error::denied(format!(
            "the index has schema {version}, but this version of abanico knows schemas up to {known}: use a newer version"
        )));
    }
    for (index, step) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        let seen = i64::try_from(index + 1).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", seen)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn migrates_once_and_refuses_a_newer_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 1_000).unwrap();
        assert_eq!(migrate(&mut connection).unwrap_err().kind(), ErrorKind::Denied);
    }
}
