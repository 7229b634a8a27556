//! Puts records aside that cannot be read: moves a row, as it is, to a table beside its own and notes why. So nothing
//! meets it again, nothing of it is lost, and an operator can look at it, put it back or drop it.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params};

use super::Database;
use super::sealed::{Opened, Place, Unreadable, checksum, opened_as, opened_cursor, opened_job};
use crate::error::Error;
use crate::jobs::ids::JobId;
use abanico_process::clock;

/// Creates the list of what was put aside.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS put_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    place TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Row in the table PLACE_aside.
    moved_to INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS put_aside_by_name ON put_aside (place, name);
";

/// A record that was put aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PutAside {
    /// Number of the entry, to name it by.
    pub id: i64,
    /// Table that the record is from.
    pub place: String,
    /// Key of the record in its table.
    pub name: String,
    /// Why it cannot be read.
    pub reason: String,
    /// When it was put aside, in milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
}

impl std::fmt::Display for PutAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}/{}` ({})", self.place, self.name, self.reason)
    }
}

/// How many rows one step of [`Database::inspect`] reads. A plan's tasks take megabytes.
fn batch(place: Place) -> i64 {
    if place == Place::Tasks { 8 } else { 200 }
}

impl Database {
    /// Returns what was put aside, oldest first.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub fn put_aside(&self) -> Result<Vec<PutAside>, Error> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT id, place, name, reason, at_ms FROM put_aside ORDER BY id")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(PutAside {
                id: row.get(0)?,
                place: row.get(1)?,
                name: row.get(2)?,
                reason: row.get(3)?,
                at_ms: row.get(4)?,
            })
        };
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// Returns the columns of a record that was put aside, each as SQL writes it.
    ///
    /// # Errors
    /// Fails if there is no such entry.
    pub fn show_put_aside(&self, id: i64) -> Result<Vec<(String, String)>, Error> {
        let connection = self.lock();
        let (place, row) = entry(&connection, id)?;
        let aside = aside(place);
        let mut shown = Vec::new();
        for column in columns(&connection, &aside)? {
            let sql = format!("SELECT {column} FROM {aside} WHERE rowid = ?1");
            let value: SqlValue = connection.query_row(&sql, [row], |row| row.get(0)).or_else(|_| {
                let bytes = format!("SELECT CAST({column} AS BLOB) FROM {aside} WHERE rowid = ?1");
                connection.query_row(&bytes, [row], |row| row.get(0))
            })?;
            let text = match value {
                SqlValue::Null => "NULL".to_owned(),
                SqlValue::Integer(number) => number.to_string(),
                SqlValue::Real(number) => number.to_string(),
                SqlValue::Text(text) => text,
                SqlValue::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            };
            shown.push((column, text));
        }
        Ok(shown)
    }

    /// Moves a record that was put aside back to its table, with a checksum of what it contains now. If it can still
    /// not be read, it is put aside again when it is met.
    ///
    /// # Errors
    /// Fails if there is no such entry, or if another record has taken its name.
    pub fn put_back(&self, id: i64) -> Result<(), Error> {
        let connection = self.lock();
        let (place, row) = entry(&connection, id)?;
        let (table, aside) = (place.table(), aside(place));
        let transaction = connection.unchecked_transaction()?;
        let columns = columns(&transaction, &aside)?.join(", ");
        transaction
            .execute(
                &format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {aside} WHERE rowid = ?1"),
                [row],
            )
            .map_err(|error| Error::storage("put the record back: another has its name, perhaps", error))?;
        if place != Place::Cursors {
            let back = transaction.last_insert_rowid();
            transaction.execute(&format!("UPDATE {table} SET checksum = NULL WHERE rowid = ?1"), [back])?;
        }
        forget(&transaction, &aside, id, row)?;
        transaction.commit()?;
        Ok(())
    }

    /// Deletes a record that was put aside.
    ///
    /// # Errors
    /// Fails if there is no such entry.
    pub fn drop_put_aside(&self, id: i64) -> Result<(), Error> {
        let connection = self.lock();
        let (place, row) = entry(&connection, id)?;
        let transaction = connection.unchecked_transaction()?;
        forget(&transaction, &aside(place), id, row)?;
        transaction.commit()?;
        Ok(())
    }

    /// Reads the next records of a place after row `after`: puts aside what cannot be read and gives those of older
    /// versions their checksum. Returns the last row read, `None` at the end.
    pub(crate) fn inspect(&self, place: Place, after: i64) -> Result<Option<i64>, Error> {
        let connection = self.lock();
        let (table, columns) = (place.table(), place.columns());
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE rowid > {after} ORDER BY rowid LIMIT {}",
            batch(place)
        );
        let mut last = None;
        let (mut bad, mut unsealed) = (Vec::new(), Vec::new());
        {
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                last = Some(number);
                match readable(place, row)? {
                    Err(unreadable) => bad.push(unreadable),
                    Ok(())
                        if place != Place::Cursors && row.get_ref(3)? == rusqlite::types::ValueRef::Null =>
                    {
                        let name = match row.get_ref(1)? {
                            rusqlite::types::ValueRef::Integer(seq) => seq.to_string(),
                            text => text.as_str().unwrap_or_default().to_owned(),
                        };
                        unsealed.push((
                            number,
                            checksum(place, &name, row.get_ref(2)?.as_str().unwrap_or_default()),
                        ));
                    }
                    Ok(()) => {}
                }
            }
        }
        let transaction = connection.unchecked_transaction()?;
        for (row, checksum) in unsealed {
            let sql = format!("UPDATE {table} SET checksum = ?2 WHERE rowid = ?1");
            transaction.prepare_cached(&sql)?.execute(params![row, checksum])?;
        }
        transaction.commit()?;
        set_aside(&connection, &bad);
        Ok(last)
    }

    /// Returns why a record is not in its table: it was put aside.
    pub(crate) fn reason_put_aside(
        connection: &Connection,
        place: Place,
        name: &str,
    ) -> Result<Option<String>, Error> {
        let mut statement = connection.prepare_cached(
            "SELECT reason FROM put_aside WHERE place = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1",
        )?;
        Ok(statement.query_row(params![place.table(), name], |row| row.get(0)).optional()?)
    }

    /// Deletes what was put aside under this name, because a client deletes it.
    pub(crate) fn forget_put_aside(connection: &Connection, place: Place, name: &str) -> Result<bool, Error> {
        let mut statement =
            connection.prepare_cached("SELECT id, moved_to FROM put_aside WHERE place = ?1 AND name = ?2")?;
        let rows = statement.query_map(params![place.table(), name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
        for (id, row) in &rows {
            forget(connection, &aside(place), *id, *row)?;
        }
        Ok(!rows.is_empty())
    }
}

/// Refuses a token whose job was put aside: a second job for the same request would write the same outputs.
pub(super) fn refuse_token_put_aside(connection: &Connection, token: &str, now_ms: i64) -> Result<(), Error> {
    if !exists(connection, "jobs_aside")? {
        return Ok(());
    }
    let found = connection
        .prepare_cached(
            "SELECT name, reason FROM jobs_aside JOIN put_aside ON moved_to = jobs_aside.rowid AND place = 'jobs'
             WHERE token = ?1 AND (token_forgotten_ms IS NULL OR token_forgotten_ms > ?2) LIMIT 1",
        )?
        .query_row(params![token, now_ms], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    match found {
        Some((name, reason)) => Err(Error::record_is_put_aside(&Place::Jobs.thing(&name), &reason)),
        None => Ok(()),
    }
}

/// Returns whether there is such a table; those beside others are made when they are needed.
pub(crate) fn exists(connection: &Connection, table: &str) -> Result<bool, Error> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    Ok(statement.exists([table])?)
}

/// Returns the readable ones; puts the others aside. If that fails, they are only left out.
pub(crate) fn sifted<T>(connection: &Connection, opened: Vec<Opened<T>>) -> Vec<T> {
    let (mut good, mut bad) = (Vec::with_capacity(opened.len()), Vec::new());
    for one in opened {
        match one {
            Ok(one) => good.push(one),
            Err(unreadable) => bad.push(unreadable),
        }
    }
    set_aside(connection, &bad);
    good
}

/// Returns the record if it can be read; otherwise puts it aside and says so.
pub(crate) fn sifted_one<T>(connection: &Connection, opened: Opened<T>) -> Result<T, Error> {
    opened.map_err(|unreadable| {
        set_aside(connection, std::slice::from_ref(&unreadable));
        Error::record_is_put_aside(&unreadable.place.thing(&unreadable.name), &unreadable.reason)
    })
}

/// Puts records aside. Returns whether all are. Logs those that cannot be moved, most likely because the disk is full.
pub(crate) fn set_aside(connection: &Connection, bad: &[Unreadable]) -> bool {
    let mut all = true;
    for unreadable in bad {
        let record = format!("{}/{}", unreadable.place.table(), unreadable.name);
        match move_aside(connection, unreadable) {
            Ok(()) => {
                tracing::error!(record, reason = unreadable.reason, "put a record aside that cannot be read");
            }
            Err(error) => {
                all = false;
                tracing::error!(record, reason = unreadable.reason, %error, "cannot put a record aside that cannot be read");
            }
        }
    }
    all
}

fn move_aside(connection: &Connection, bad: &Unreadable) -> Result<(), Error> {
    let (table, aside) = (bad.place.table(), aside(bad.place));
    // Within a caller's transaction, this one belongs to it.
    let own = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    mirror(connection, table, &aside)?;
    let columns = columns(connection, table)?.join(", ");
    let copy = format!("INSERT INTO {aside} ({columns}) SELECT {columns} FROM {table} WHERE rowid = ?1");
    connection.execute(&copy, [bad.row])?;
    let moved_to = connection.last_insert_rowid();
    connection.execute(&format!("DELETE FROM {table} WHERE rowid = ?1"), [bad.row])?;
    connection.execute(
        "INSERT INTO put_aside (place, name, reason, at_ms, moved_to) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![table, bad.name, bad.reason, clock::now_ms(), moved_to],
    )?;
    if bad.place == Place::Cursors {
        // A reader whose place is lost reads again from the beginning: it may get an event twice, but loses none.
        connection.execute("INSERT INTO cursors (reader, seq) VALUES (?1, 0)", [&bad.name])?;
    }
    if let Some(own) = own {
        own.commit()?;
    }
    Ok(())
}

/// Makes sure that the table beside `table` has all its columns, whatever later versions add.
fn mirror(connection: &Connection, table: &str, aside: &str) -> Result<(), Error> {
    connection
        .execute_batch(&format!("CREATE TABLE IF NOT EXISTS {aside} AS SELECT * FROM {table} WHERE 0"))?;
    let known = columns(connection, aside)?;
    for column in columns(connection, table)?.into_iter().filter(|column| !known.contains(column)) {
        connection.execute_batch(&format!("ALTER TABLE {aside} ADD COLUMN {column}"))?;
    }
    Ok(())
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn aside(place: Place) -> String {
    format!("{}_aside", place.table())
}

fn entry(connection: &Connection, id: i64) -> Result<(Place, i64), Error> {
    let found = connection
        .query_row("SELECT place, moved_to FROM put_aside WHERE id = ?1", [id], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })
        .optional()?;
    found
        .and_then(|(table, row)| Some((Place::of_table(&table)?, row)))
        .ok_or_else(|| Error::not_put_aside(id))
}

fn forget(connection: &Connection, aside: &str, id: i64, row: i64) -> Result<(), Error> {
    connection.execute(&format!("DELETE FROM {aside} WHERE rowid = ?1"), [row])?;
    connection.execute("DELETE FROM put_aside WHERE id = ?1", [id])?;
    Ok(())
}

fn readable(place: Place, row: &rusqlite::Row<'_>) -> rusqlite::Result<Opened<()>> {
    Ok(match place {
        Place::Jobs => opened_job(row)?.map(drop),
        Place::Tasks => opened_as::<Vec<abanico_plan::Task>>(place, row)?.map(drop),
        Place::Events => opened_as::<serde_json::Value>(place, row)?.map(drop),
        Place::Resources => crate::records::resources::opened_resource(row)?.map(drop),
        Place::Items => opened_as::<serde_json::Value>(place, row)?.map(drop),
        Place::Cursors => opened_cursor(row)?.map(drop),
    })
}

/// Moves jobs aside whose record is no JSON at all, before migrations of older versions, whose statements would fail
/// on them.
pub(super) fn set_malformed_aside(connection: &Connection) -> Result<(), Error> {
    // The index of older versions reads the record, so that such a row could not even be deleted.
    connection.execute_batch("DROP INDEX IF EXISTS jobs_that_hop")?;
    connection.execute_batch(SCHEMA)?;
    let mut statement = connection.prepare("SELECT rowid, id FROM jobs WHERE NOT json_valid(record)")?;
    let rows = statement.query_map([], |row| {
        let name = match row.get_ref(1)? {
            rusqlite::types::ValueRef::Text(text) => JobId::new(String::from_utf8_lossy(text)),
            _ => JobId::new("?"),
        };
        Ok((row.get(0)?, name))
    })?;
    let rows: Vec<(i64, JobId)> = rows.collect::<Result<_, _>>()?;
    drop(statement);
    for (row, name) in rows {
        let (name, reason) = (name.to_string(), "it is not JSON".to_owned());
        set_aside(connection, &[Unreadable { place: Place::Jobs, row, name, reason }]);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
