//! The tables of the index, and the migrations that bring an older index up to date.

use rusqlite::Connection;

use crate::error::{Error, Result};

/// The migrations, in order. A database that has had the first n has `user_version` n.
const MIGRATIONS: [&str; 6] = [
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
    crate::objects::publication::TABLES,
    "
-- Tags, policy, public-access block and lifecycle of a bucket as JSON.
ALTER TABLE buckets ADD COLUMN settings TEXT;
",
    crate::events::outbox::RECEIVERS,
    "
-- Checksums of the columns with rules, each with the bucket's name. NULL without rules, and until the next start after
-- an older version.
ALTER TABLE buckets ADD COLUMN cors_sum INTEGER;
ALTER TABLE buckets ADD COLUMN notifications_sum INTEGER;
ALTER TABLE buckets ADD COLUMN settings_sum INTEGER;
-- The last time by which lifecycles were applied, in milliseconds since 1970.
CREATE TABLE clock (seen_ms INTEGER NOT NULL);
",
];

/// Returns the number of migrations that a database has had.
pub(crate) fn version(connection: &Connection) -> Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Returns whether the tables of a database are those of its version. A flipped bit may rename a column, which no check of
/// SQLite notices.
pub(crate) fn is_intact(connection: &Connection) -> Result<bool> {
    let version = version(connection)?;
    if version == 0 || version > MIGRATIONS.len() {
        return Ok(true);
    }
    let fresh = Connection::open_in_memory()?;
    MIGRATIONS[..version].iter().try_for_each(|step| fresh.execute_batch(step))?;
    Ok(columns(connection)? == columns(&fresh)?)
}

/// Returns the columns of all tables, each as one line.
fn columns(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT tables.name || '.' || columns.name || ' ' || columns.type || ' ' || columns.\"notnull\" || ' '
            || columns.pk || ' ' || COALESCE(columns.dflt_value, '')
        FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' ORDER BY tables.name, columns.cid";
    let mut statement = connection.prepare(sql)?;
    let columns = statement.query_map([], |row| row.get(0))?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
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
    fn renamed_column_is_noticed_in_each_version() {
        for version in 1..=MIGRATIONS.len() {
            let connection = Connection::open_in_memory().unwrap();
            assert!(is_intact(&connection).unwrap(), "an empty database has no version");
            MIGRATIONS[..version].iter().for_each(|step| connection.execute_batch(step).unwrap());
            connection.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            assert!(is_intact(&connection).unwrap(), "{version}");
            connection.execute_batch("ALTER TABLE buckets RENAME COLUMN cors TO cnrs").unwrap();
            assert!(!is_intact(&connection).unwrap(), "{version}");
        }
    }

    #[test]
    fn migrates_once_and_refuses_a_newer_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 1_000).unwrap();
        assert_eq!(migrate(&mut connection).unwrap_err().kind(), ErrorKind::Denied);
    }
}
