//! Takes open publications over into the index as it should be: objects that are staged, and objects that were replaced
//! and may have to stand again.
//!
//! It is right only for an index that has every change: an older one would bring back publications that have ended.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::{FsckReport, Problem, missing};
use crate::blobs::path_in;
use crate::error::Result;
use crate::index::record::{OBJECT_COLUMNS, ObjectRecord, StoredObject, from_text};

/// Place of the label in [`OBJECT_COLUMNS`].
const LABEL: usize = 8;

/// Takes all open publications of an old index whose objects are there. Reports the others.
pub(super) fn take(
    wanted: &Connection,
    old: &Connection,
    blobs: &Path,
    report: &mut FsckReport,
) -> Result<()> {
    let mut statement = old.prepare("SELECT id, first FROM publications")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let columns = params![row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?];
        wanted.execute("INSERT INTO publications (id, first) VALUES (?1, ?2)", columns)?;
    }
    take_staged(wanted, old, blobs, report)?;
    take_replaced(wanted, old, blobs, report)
}

fn take_staged(wanted: &Connection, old: &Connection, blobs: &Path, report: &mut FsckReport) -> Result<()> {
    let sql = "SELECT publication, position, bucket, key, size, etag, record, first IS NULL
        FROM staged JOIN publications ON publications.id = staged.publication";
    let insert = "INSERT INTO staged (publication, position, bucket, key, size, etag, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = old.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let record: ObjectRecord = from_text(&row.get::<_, String>(6)?)?;
        let is_switched = !row.get::<_, bool>(7)?;
        // Once it is switched, the object has the blobs.
        if !is_switched && let Some((problem, detail)) = missing(blobs, &record.pieces)? {
            let name = name(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?);
            report.add(problem, name, format!("{detail}; it was staged, and its job stages it again"));
            continue;
        }
        let values: Vec<Value> = (0..7).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
        wanted.prepare_cached(insert)?.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn take_replaced(wanted: &Connection, old: &Connection, blobs: &Path, report: &mut FsckReport) -> Result<()> {
    let insert = format!(
        "INSERT INTO replaced ({OBJECT_COLUMNS}, publication) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    let mut statement = old.prepare(&format!("SELECT {OBJECT_COLUMNS}, publication FROM replaced"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Ok((bucket, key, object)) = StoredObject::read(row) else {
            let text = |column| row.get::<_, String>(column).unwrap_or_else(|_| "?".to_owned());
            let detail =
                "the row of the object that was replaced is not what was written; a repair leaves it out";
            report.add(Problem::DamagedRow, name(&text(0), &text(1)), detail);
            continue;
        };
        if let Some((problem, detail)) = missing(blobs, &object.record.pieces)? {
            let detail =
                format!("{detail}; it was replaced by a job that has not ended, and cannot stand again");
            report.add(problem, name(&bucket, &key), detail);
            continue;
        }
        let mut values: Vec<Value> = (0..=10).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
        // It gets a new label if it stands again.
        if object.label.is_some_and(|label| !path_in(blobs, &label).exists()) {
            values[LABEL] = Value::Null;
        }
        wanted.prepare_cached(&insert)?.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn name(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}
