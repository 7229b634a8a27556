//! The engine's database: stores jobs and their events durably. A job's state and its events change in one
//! transaction.
//!
//! It makes no decision about a job. Its calls block, so callers run them on blocking threads.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use abanico_plan::Task;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};
use serde_json::Value;

use crate::error::Error;
use crate::job::{JobId, JobRecord, Token};
use crate::job_machine::Stage;

/// Schema migrations. `user_version` is the number of migrations that a database has already had.
const MIGRATIONS: [&str; 6] = [
    "
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    submitted_ms INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    queue TEXT NOT NULL,
    stage TEXT NOT NULL,
    token TEXT,
    token_forgotten_ms INTEGER,
    record TEXT NOT NULL
);
CREATE INDEX jobs_by_time ON jobs (submitted_ms, id);
CREATE INDEX jobs_by_stage ON jobs (stage, priority DESC, submitted_ms, id);
CREATE INDEX jobs_by_token ON jobs (token) WHERE token IS NOT NULL;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE cursors (
    reader TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
);
",
    "
CREATE TABLE resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    arn TEXT NOT NULL,
    paused INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE INDEX jobs_by_queue ON jobs (queue, stage);
",
    FORGET_PLANS,
    "
CREATE TABLE kept (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE INDEX jobs_that_hop ON jobs (id)
WHERE stage = 'SUBMITTED' AND json_array_length(record, '$.submission.request.hopDestinations') > 0;
",
    FORGET_PLANS,
    // With 100,000 jobs, the jobs that a queue may start and a page of any list are each read from an index, without
    // reading any other job.
    "
DROP INDEX jobs_by_stage;
DROP INDEX jobs_by_queue;
CREATE INDEX jobs_by_stage ON jobs (stage, submitted_ms, id);
CREATE INDEX jobs_by_queue ON jobs (queue, submitted_ms, id);
CREATE INDEX jobs_by_queue_and_stage ON jobs (queue, stage, submitted_ms, id);
CREATE INDEX jobs_that_wait ON jobs (queue, priority DESC, submitted_ms, id) WHERE stage = 'SUBMITTED';
CREATE TABLE tasks (
    job TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
INSERT INTO tasks SELECT id, json_extract(record, '$.plan.tasks') FROM jobs
WHERE json_array_length(record, '$.plan.tasks') > 0;
UPDATE jobs SET record = json_set(record, '$.plan.tasks', json('[]')) WHERE json_array_length(record, '$.plan.tasks') > 0;
",
];

/// Handles a change in the format of plans: jobs in progress are planned again, and ended jobs lose their plan. It fits
/// only migrations before the table `tasks`; a later one must also empty that table.
const FORGET_PLANS: &str = "
UPDATE jobs SET record = json_set(record, '$.plan', NULL);
UPDATE jobs SET
    stage = 'SUBMITTED',
    record = json_set(
        record, '$.outputs', json('[]'), '$.machine.stage', 'SUBMITTED', '$.machine.tasks', json('{}'),
        '$.machine.done', json('[]'), '$.machine.running', json('[]'), '$.machine.attempts', json('[]')
    )
WHERE stage NOT IN ('COMPLETE', 'ERROR', 'CANCELED');
";

/// How many events are kept. A reader that falls further behind misses the oldest.
const EVENTS_KEPT: i64 = 100_000;

/// An event with its position in the order of all events.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEvent {
    /// Position in the order; increases.
    pub seq: i64,
    /// Job that the event is about.
    pub job: JobId,
    /// The event in EventBridge's shape.
    pub body: Value,
}

/// Which jobs to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListFilter {
    /// Only jobs of this queue.
    pub queue: Option<String>,
    /// Only jobs in one of these stages; empty means all.
    pub stages: Vec<Stage>,
    /// Only jobs whose first input's URL contains this text.
    pub input_file: Option<String>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Only jobs that come after this one, named by submission time and id, in the order of the list.
    pub after: Option<(i64, JobId)>,
}

/// Outcome of inserting a job.
#[derive(Debug)]
pub enum Inserted {
    /// The job was new and is stored.
    New,
    /// The token was known; this is the job that the first request created.
    Known(Box<JobRecord>),
}

/// The engine's database in one SQLite file.
pub struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens or creates the database and migrates it to the current schema.
    ///
    /// # Errors
    /// Fails if the file cannot be used, or if a newer version of this program wrote it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // An acknowledged job must survive a power loss, so each commit is flushed to disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let version = usize::try_from(version).unwrap_or(usize::MAX);
        if version > MIGRATIONS.len() {
            let what = format!("open `{}`: a newer version of abanico wrote it", path.display());
            return Err(Error::storage(
                &what,
                format!("schema {version}, this program knows {}", MIGRATIONS.len()),
            ));
        }
        for (index, step) in MIGRATIONS.iter().enumerate().skip(version) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
            transaction.commit()?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Stores a new job with its events, unless its token is known at `now_ms`.
    ///
    /// # Errors
    /// Fails with a conflict if the token was used with a different request.
    pub fn insert(&self, record: &JobRecord, events: &[Value], now_ms: i64) -> Result<Inserted, Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let token = record.submission.token.as_ref();
        if let Some(token) = token
            && let Some(known) = job_of_token(&transaction, token, now_ms)?
        {
            // A token that is never forgotten is derived from an upload, so it means the same job even if the template
            // has changed since.
            if token.remembered_ms.is_none() || known.submission.request == record.submission.request {
                return Ok(Inserted::Known(Box::new(known)));
            }
            return Err(Error::token_was_used_otherwise(&token.text));
        }
        transaction.execute(
            "INSERT INTO jobs (id, submitted_ms, priority, queue, stage, token, token_forgotten_ms, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                record.id.as_str(),
                record.times.submitted_ms,
                record.submission.priority,
                record.submission.queue,
                stage_text(record.stage()),
                token.map(|token| &token.text),
                token
                    .and_then(|token| token.remembered_ms)
                    .map(|remembered| record.times.submitted_ms + remembered),
                to_text(record),
            ],
        )?;
        append(&transaction, &record.id, events)?;
        transaction.commit()?;
        Ok(Inserted::New)
    }

    /// Replaces a job's record, without its plan's tasks, and appends its events, in one transaction.
    ///
    /// # Errors
    /// Fails if the job does not exist or the database cannot be written.
    pub fn update(&self, record: &JobRecord, events: &[Value]) -> Result<(), Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        replace(&transaction, record, events)?;
        transaction.commit()?;
        Ok(())
    }

    /// Like [`Self::update`], but also stores the plan's tasks, or deletes the stored ones if the plan has none.
    ///
    /// Tasks are stored only once: a two-hour input on 64 processors has eight megabytes of them, and its job changes
    /// 1,300 times.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn update_with_tasks(&self, record: &JobRecord, events: &[Value]) -> Result<(), Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        replace(&transaction, record, events)?;
        let tasks = record.tasks();
        if tasks.is_empty() {
            transaction.execute("DELETE FROM tasks WHERE job = ?1", [record.id.as_str()])?;
        } else {
            let body = serde_json::to_string(tasks).map_err(unreadable)?;
            transaction.execute(
                "INSERT OR REPLACE INTO tasks (job, body) VALUES (?1, ?2)",
                params![record.id.as_str(), body],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Returns the tasks of a job's plan; empty if it has no plan or has ended.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn tasks(&self, id: &JobId) -> Result<Vec<Task>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT body FROM tasks WHERE job = ?1")?;
        let read = |row: &Row<'_>| serde_json::from_str(&row.get::<_, String>(0)?).map_err(unreadable);
        Ok(statement.query_row([id.as_str()], read).optional()?.unwrap_or_default())
    }

    /// Returns one job, without its plan's tasks.
    ///
    /// # Errors
    /// Fails if the job does not exist.
    pub fn get(&self, id: &JobId) -> Result<JobRecord, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT record FROM jobs WHERE id = ?1")?;
        statement.query_row([id.as_str()], read_record).optional()?.ok_or_else(|| Error::job_not_found(id))
    }

    /// Lists up to `limit` jobs, without their plans' tasks.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn list(&self, filter: &ListFilter, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let (sql, values) = list_query(filter, limit);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&sql)?;
        let records =
            statement.query_map(params_from_iter(values), read_record)?.collect::<Result<_, _>>()?;
        Ok(records)
    }

    /// Counts the jobs in each stage; stages without jobs are left out.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn counts(&self) -> Result<Vec<(Stage, u64)>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT stage, COUNT(*) FROM jobs GROUP BY stage")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let mut counts = Vec::new();
        for row in rows {
            let (stage, count) = row?;
            let stage = serde_json::from_value(Value::String(stage)).map_err(unreadable)?;
            counts.push((stage, u64::try_from(count).unwrap_or(0)));
        }
        Ok(counts)
    }

    /// Returns the ids of up to `limit` jobs that may start, most urgent first. Skips paused queues; a queue with
    /// `concurrentJobs` contributes no more jobs than it has free slots.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn waiting(&self, limit: usize) -> Result<Vec<JobId>, Error> {
        let connection = self.lock();
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            Ok((Reverse(row.get::<_, i64>(1)?), row.get::<_, i64>(2)?, row.get::<_, String>(0)?))
        };
        let mut of_queue = connection.prepare_cached(
            "SELECT id, priority, submitted_ms FROM jobs INDEXED BY jobs_that_wait
             WHERE queue = ?1 AND stage = 'SUBMITTED' ORDER BY priority DESC, submitted_ms, id LIMIT ?2",
        )?;
        let mut found = Vec::new();
        for (arn, room) in rooms(&connection)? {
            let room = room.unwrap_or(most).clamp(0, most);
            found.extend(of_queue.query_map(params![arn, room], read)?.collect::<Result<Vec<_>, _>>()?);
        }
        found.sort();
        Ok(found.into_iter().take(limit).map(|(_, _, id)| JobId::new(id)).collect())
    }

    /// Returns the waiting jobs that have hop destinations.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub(crate) fn hopping(&self) -> Result<Vec<JobRecord>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT record FROM jobs INDEXED BY jobs_that_hop WHERE stage = 'SUBMITTED'
               AND json_array_length(record, '$.submission.request.hopDestinations') > 0",
        )?;
        let records = statement
            .query_map([], |row| serde_json::from_str(&row.get::<_, String>(0)?).map_err(unreadable))?;
        Ok(records.collect::<Result<_, _>>()?)
    }

    /// Returns up to `limit` events after position `seq`, in order.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn events_after(&self, seq: i64, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT seq, job, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let events = statement.query_map(params![seq, limit], |row| {
            let body = serde_json::from_str(&row.get::<_, String>(2)?).map_err(unreadable)?;
            Ok(StoredEvent { seq: row.get(0)?, job: JobId::new(row.get::<_, String>(1)?), body })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// Returns the position of the newest event, 0 if there is none.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn newest_event(&self) -> Result<i64, Error> {
        Ok(self.lock().query_row("SELECT COALESCE(MAX(seq), 0) FROM events", [], |row| row.get(0))?)
    }

    /// Returns the position of the last event that a reader has read; `None` if it has read none.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn cursor(&self, reader: &str) -> Result<Option<i64>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT seq FROM cursors WHERE reader = ?1")?;
        Ok(statement.query_row([reader], |row| row.get(0)).optional()?)
    }

    /// Stores the position of the last event that a reader has read.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn set_cursor(&self, reader: &str, seq: i64) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO cursors (reader, seq) VALUES (?1, ?2) ON CONFLICT (reader) DO UPDATE SET seq = ?2",
            params![reader, seq],
        )?;
        Ok(())
    }
}

/// Builds the statement that lists jobs, and its values. It contains only the requested conditions, because optional
/// ones would keep SQLite from using its indexes.
fn list_query(filter: &ListFilter, limit: usize) -> (String, Vec<SqlValue>) {
    let (order, beyond) = if filter.newest_first { ("DESC", "<") } else { ("ASC", ">") };
    let mut asked = vec!["1".to_owned()];
    let mut values: Vec<SqlValue> = Vec::new();
    if !filter.stages.is_empty() {
        let stages: Vec<_> = filter.stages.iter().map(|stage| format!("'{}'", stage_text(*stage))).collect();
        asked.push(format!("stage IN ({})", stages.join(",")));
    }
    if let Some(queue) = &filter.queue {
        asked.push("queue = ?".to_owned());
        values.push(queue.clone().into());
    }
    if let Some((time, id)) = &filter.after {
        asked.push(format!("(submitted_ms, id) {beyond} (?, ?)"));
        values.extend([(*time).into(), id.as_str().to_owned().into()]);
    }
    if let Some(part) = &filter.input_file {
        asked.push(
            "instr(json_extract(record, '$.submission.settings.inputs[0].fileInput'), ?) > 0".to_owned(),
        );
        values.push(part.clone().into());
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let asked = asked.join(" AND ");
    let sql =
        format!("SELECT record FROM jobs WHERE {asked} ORDER BY submitted_ms {order}, id {order} LIMIT ?");
    (sql, values)
}

/// Returns the queues that have waiting jobs and are not paused, each with the number of further jobs that it may run;
/// `None` if it has no limit.
fn rooms(connection: &Connection) -> Result<Vec<(String, Option<i64>)>, Error> {
    // Steps from one queue's name to the next, so that each queue costs one index lookup, however many jobs wait.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE waiting (queue) AS (
             SELECT MIN(queue) FROM jobs INDEXED BY jobs_that_wait WHERE stage = 'SUBMITTED'
             UNION ALL
             SELECT (
                 SELECT MIN(queue) FROM jobs INDEXED BY jobs_that_wait
                 WHERE stage = 'SUBMITTED' AND queue > waiting.queue
             )
             FROM waiting WHERE queue IS NOT NULL
         )
         SELECT queue, json_extract(body, '$.concurrentJobs') - (
             SELECT COUNT(*) FROM jobs WHERE jobs.queue = waiting.queue AND stage IN ('PROBING', 'TRANSCODING', 'UPLOADING')
         )
         FROM waiting LEFT JOIN resources ON kind = 'queues' AND arn = queue
         WHERE queue IS NOT NULL AND NOT COALESCE(paused, 0)",
    )?;
    let rooms = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rooms.collect::<Result<_, _>>()?)
}

fn job_of_token(
    transaction: &Transaction<'_>,
    token: &Token,
    now_ms: i64,
) -> Result<Option<JobRecord>, Error> {
    let mut statement = transaction.prepare_cached(
        "SELECT record FROM jobs WHERE token = ?1 AND (token_forgotten_ms IS NULL OR token_forgotten_ms > ?2)
         ORDER BY submitted_ms DESC LIMIT 1",
    )?;
    Ok(statement.query_row(params![token.text, now_ms], read_record).optional()?)
}

/// Replaces a job's record and appends its events.
fn replace(transaction: &Transaction<'_>, record: &JobRecord, events: &[Value]) -> Result<(), Error> {
    let changed = transaction.execute(
        "UPDATE jobs SET stage = ?2, record = ?3, queue = ?4, priority = ?5 WHERE id = ?1",
        params![
            record.id.as_str(),
            stage_text(record.stage()),
            to_text(record),
            record.submission.queue,
            record.submission.priority
        ],
    )?;
    if changed == 0 {
        return Err(Error::job_not_found(&record.id));
    }
    append(transaction, &record.id, events)
}

fn append(transaction: &Transaction<'_>, job: &JobId, events: &[Value]) -> Result<(), Error> {
    for event in events {
        transaction.execute(
            "INSERT INTO events (job, body) VALUES (?1, ?2)",
            params![job.as_str(), event.to_string()],
        )?;
        let newest = transaction.last_insert_rowid();
        transaction.execute("DELETE FROM events WHERE seq <= ?1", [newest - EVENTS_KEPT])?;
    }
    Ok(())
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    serde_json::from_str(&row.get::<_, String>(0)?).map_err(unreadable)
}

pub(crate) fn unreadable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

fn to_text(record: &JobRecord) -> String {
    serde_json::to_string(&record.without_tasks())
        .expect("a record has string keys only, so it always serialises")
}

fn stage_text(stage: Stage) -> String {
    match serde_json::to_value(stage) {
        Ok(Value::String(text)) => text,
        _ => unreachable!("a stage serialises to its name"),
    }
}

#[cfg(test)]
pub(crate) use tests::record_at as sample_record;

#[cfg(test)]
mod tests;
