//! Reads and writes stored records with their checksums. A record that cannot be read becomes an [`Unreadable`], which
//! says what and why; it never fails the statement that met it, so that one bad record stops no other.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;

use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Stage;

/// A table whose records can be put aside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// Jobs, by id.
    Jobs,
    /// The tasks of jobs' plans, by job.
    Tasks,
    /// Events about jobs, by position.
    Events,
    /// The user's presets, job templates and queues, by kind and name.
    Resources,
    /// Tags, the policy on inputs and other small items, by kind and name.
    Items,
    /// How far readers of events have read, by reader.
    Cursors,
}

impl Place {
    /// Returns what messages call a record there.
    pub(crate) fn thing(self, name: &str) -> String {
        match self {
            Self::Jobs => format!("job `{name}`"),
            other => format!("the record `{}/{name}`", other.table()),
        }
    }

    /// Every place.
    pub const ALL: [Self; 6] =
        [Self::Jobs, Self::Tasks, Self::Events, Self::Resources, Self::Items, Self::Cursors];

    /// Returns the name of the table.
    pub fn table(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Tasks => "tasks",
            Self::Events => "events",
            Self::Resources => "resources",
            Self::Items => "kept",
            Self::Cursors => "cursors",
        }
    }

    /// Returns the place with this table.
    pub(crate) fn of_table(table: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.table() == table)
    }

    /// Returns the columns that [`opened`] needs first in each row: rowid, name, body and checksum.
    pub(crate) fn columns(self) -> &'static str {
        match self {
            Self::Jobs => "rowid, id, record, checksum, stage, queue, priority, submitted_ms",
            Self::Tasks => "rowid, job, body, checksum",
            Self::Events => "rowid, seq, body, checksum, job",
            Self::Resources => "rowid, kind || '/' || name, body, checksum, name, created_ms, updated_ms",
            Self::Items => "rowid, kind || '/' || name, body, checksum",
            Self::Cursors => "rowid, reader, seq, NULL",
        }
    }
}

/// A record that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable {
    pub place: Place,
    /// Its row in the table.
    pub row: i64,
    pub name: String,
    pub reason: String,
}

/// A row that was read, or why it cannot be.
pub(crate) type Opened<T> = Result<T, Unreadable>;

/// Returns the checksum that is stored beside a record. It covers the record's name, so that a record in another's
/// place is noticed, too.
pub(crate) fn checksum(place: Place, name: &str, body: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [place.table(), "\0", name, "\0", body] {
        hasher.update(part.as_bytes());
    }
    let mut text = hasher.finalize().to_hex().to_string();
    text.truncate(32);
    text
}

/// Reads a row that begins with [`Place::columns`]; `read` parses the body and takes the other columns.
pub(crate) fn opened<T>(
    place: Place,
    row: &Row<'_>,
    read: impl FnOnce(&str, &str) -> Result<T, String>,
) -> rusqlite::Result<Opened<T>> {
    let number: i64 = row.get(0)?;
    let name = match row.get_ref(1)? {
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(_) | ValueRef::Null => format!("row {number}"),
    };
    let whole = || {
        let ValueRef::Text(body) = row.get_ref(2).map_err(|error| error.to_string())? else {
            return Err("it is not text".to_owned());
        };
        let body = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
        match row.get_ref(3).map_err(|error| error.to_string())? {
            // Records of older versions have no checksum until they are written or checked.
            ValueRef::Null => {}
            ValueRef::Text(stored) if stored == checksum(place, &name, body).as_bytes() => {}
            _ => return Err("its checksum is wrong".to_owned()),
        }
        read(&name, body)
    };
    Ok(whole().map_err(|reason| Unreadable { place, row: number, name: name.clone(), reason }))
}

/// Parses a body as JSON.
pub(crate) fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("it is not what it should be: {error}"))
}

/// Reads a row that is nothing but a body.
pub(crate) fn opened_as<T: DeserializeOwned>(place: Place, row: &Row<'_>) -> rusqlite::Result<Opened<T>> {
    opened(place, row, |_, body| parsed(body))
}

/// Reads a job from a row.
pub(crate) fn opened_job(row: &Row<'_>) -> rusqlite::Result<Opened<JobRecord>> {
    opened(Place::Jobs, row, |name, body| {
        let record: JobRecord = parsed(body)?;
        if record.id.as_str() != name {
            return Err(format!("it is the record of job `{}`", record.id));
        }
        let stage: String = row.get(4).map_err(|error| error.to_string())?;
        if stage != stage_text(record.stage()) {
            return Err(format!("its column says `{stage}` and its record `{}`", stage_text(record.stage())));
        }
        // The columns decide when a job starts.
        let place = |row: &Row<'_>| -> rusqlite::Result<(String, i64, i64)> {
            Ok((row.get(5)?, row.get(6)?, row.get(7)?))
        };
        let (queue, priority, submitted_ms) = place(row).map_err(|error| error.to_string())?;
        let submission = &record.submission;
        if (queue.as_str(), priority) != (submission.queue.as_str(), i64::from(submission.priority)) {
            return Err(format!(
                "its columns say queue `{queue}` and priority {priority}, its record does not"
            ));
        }
        if submitted_ms != record.times.submitted_ms {
            return Err(format!(
                "its column says that it was submitted at {submitted_ms}, its record does not"
            ));
        }
        Ok(record)
    })
}

/// Reads how far a reader has read.
pub(crate) fn opened_cursor(row: &Row<'_>) -> rusqlite::Result<Opened<i64>> {
    let (number, name): (i64, String) = (row.get(0)?, row.get(1)?);
    Ok(row.get::<_, i64>(2).map_err(|error| Unreadable {
        place: Place::Cursors,
        row: number,
        name,
        reason: error.to_string(),
    }))
}

pub(crate) fn stage_text(stage: Stage) -> String {
    match serde_json::to_value(stage) {
        Ok(serde_json::Value::String(text)) => text,
        _ => unreachable!("a stage serialises to its name"),
    }
}
