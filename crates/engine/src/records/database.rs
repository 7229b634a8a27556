//! The engine's database: stores jobs and their events durably. A job's state and its events change in one
//! transaction.
//!
//! It makes no decision about a job. Its calls block, so callers run them on blocking threads. A record that cannot be read
//! is put aside by whoever meets it, and stops nothing else.

mod check;
mod expiry;
mod mark;
mod put_aside;
mod sealed;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use abanico_plan::Task;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};
use serde_json::Value;

use check::{CHECK_PATIENCE, DatabaseCheck};
pub(crate) use check::{damaged, is_damage};
pub(crate) use expiry::Expiry;
pub(crate) use mark::Locked;
pub use put_aside::PutAside;
pub(crate) use put_aside::{exists, sifted, sifted_one};
pub use sealed::Place;
pub(crate) use sealed::{Opened, checksum, opened, opened_as, parsed};

use mark::{Found, Mark};
use sealed::{opened_cursor, opened_job, stage_text};

use crate::error::Error;
use crate::jobs::ids::JobId;
use crate::jobs::job::{JobRecord, Token};
use crate::jobs::job_machine::Stage;

/// Schema migrations. `user_version` is the number of migrations that a database has already had.
const MIGRATIONS: [&str; 7] = [
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
    // Checksums; records of older versions get theirs when they are next written or checked. A later migration that
    // changes a record must set its checksum to NULL. No index reads a record any more: one that is not JSON could be
    // neither changed nor moved.
    "
DROP INDEX IF EXISTS jobs_that_hop;
ALTER TABLE jobs ADD COLUMN checksum TEXT;
ALTER TABLE jobs ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET hops = 1 WHERE CASE WHEN json_valid(record)
    THEN json_array_length(record, '$.submission.request.hopDestinations') > 0 ELSE 0 END;
CREATE INDEX jobs_that_hop ON jobs (id) WHERE stage = 'SUBMITTED' AND hops = 1;
ALTER TABLE tasks ADD COLUMN checksum TEXT;
ALTER TABLE events ADD COLUMN checksum TEXT;
ALTER TABLE resources ADD COLUMN checksum TEXT;
ALTER TABLE kept ADD COLUMN checksum TEXT;
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

/// How many migrations came before records had checksums.
const MIGRATIONS_WITHOUT_CHECKSUMS: usize = 6;

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
    /// The token is an upload's, and this is the job that it created before. The job has expired.
    Expired(JobId),
}

/// The engine's database in one SQLite file.
pub struct Database {
    connection: Mutex<Connection>,
    mark: Mark,
    check: DatabaseCheck,
}

impl Database {
    /// Opens or creates the database, checks its structure and migrates it to the current schema. The check of a big
    /// database goes on in the background.
    ///
    /// # Errors
    /// Fails if the file cannot be used, is damaged, missing or older than its mark knows, or if a newer version of this
    /// program wrote it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let found =
            mark::find(path).map_err(|error| Error::storage("read the mark of the job database", error))?;
        mark::refuse_missing(path, found)?;
        let check = DatabaseCheck::start(path);
        if let Some(damage) = check.wait(CHECK_PATIENCE) {
            return Err(Error::storage("open the job database", damage));
        }
        let connection = Self::migrated(path, found).map_err(|error| with_remedy(error, path))?;
        if found == Found::Unreadable {
            tracing::warn!("`jobs.mark` was damaged and is written again");
        }
        let mark = Mark::write(path, &connection)?;
        Ok(Self { connection: Mutex::new(connection), mark, check })
    }

    /// Opens or creates the database and migrates it.
    fn migrated(path: &Path, found: Found) -> Result<Connection, Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        mark::refuse_older(&connection, path, found)?;
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
        if (1..MIGRATIONS_WITHOUT_CHECKSUMS + 1).contains(&version) {
            put_aside::set_malformed_aside(&connection)?;
        }
        for (index, step) in MIGRATIONS.iter().enumerate().skip(version) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
            transaction.commit()?;
        }
        connection.execute_batch(put_aside::SCHEMA)?;
        connection.execute_batch(mark::SCHEMA)?;
        connection.execute_batch(expiry::SCHEMA)?;
        Ok(connection)
    }

    /// Returns what is wrong with the file, if a check in the background has found something.
    pub fn damage(&self) -> Option<String> {
        self.check.damage()
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        let connection = self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Locked::new(connection, &self.mark)
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
            let known = match known {
                Ok(known) => known,
                Err(unreadable) => {
                    // Commits before the refusal, so that the record stays aside.
                    let refused = sifted_one::<JobRecord>(&transaction, Err(unreadable));
                    transaction.commit()?;
                    return refused.map(|known| Inserted::Known(Box::new(known)));
                }
            };
            // A token that is never forgotten is derived from an upload, so it means the same job even if the template
            // has changed since.
            if token.remembered_ms.is_none() || known.submission.request == record.submission.request {
                return Ok(Inserted::Known(Box::new(known)));
            }
            return Err(Error::token_was_used_otherwise(&token.text));
        }
        if let Some(token) = token
            && let Some(id) = Self::expired_job(&transaction, &token.text)?
        {
            return Ok(Inserted::Expired(id));
        }
        insert_row(&transaction, record)?;
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
            let body = serde_json::to_string(tasks)
                .map_err(|error| Error::storage("write the tasks of a job", error))?;
            let checksum = checksum(Place::Tasks, record.id.as_str(), &body);
            transaction.execute(
                "INSERT OR REPLACE INTO tasks (job, body, checksum) VALUES (?1, ?2, ?3)",
                params![record.id.as_str(), body, checksum],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Returns the tasks of a job's plan; empty if it has no plan or has ended, or if the tasks cannot be read, which
    /// puts them aside.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn tasks(&self, id: &JobId) -> Result<Vec<Task>, Error> {
        let connection = self.lock();
        let sql = format!("SELECT {} FROM tasks WHERE job = ?1", Place::Tasks.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        let read = |row: &Row<'_>| opened_as(Place::Tasks, row);
        let found = statement.query_row([id.as_str()], read).optional()?;
        Ok(sifted(&connection, found.into_iter().collect()).pop().unwrap_or_default())
    }

    /// Returns one job, without its plan's tasks.
    ///
    /// # Errors
    /// Fails if the job does not exist, or if its record cannot be read, which puts it aside.
    pub fn get(&self, id: &JobId) -> Result<JobRecord, Error> {
        let connection = self.lock();
        let sql = format!("SELECT {} FROM jobs WHERE id = ?1", Place::Jobs.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        match statement.query_row([id.as_str()], opened_job).optional()? {
            Some(found) => sifted_one(&connection, found),
            None => Err(Self::job_is_gone(&connection, id)?),
        }
    }

    /// Returns why there is no such job.
    fn job_is_gone(connection: &Connection, id: &JobId) -> Result<Error, Error> {
        let reason = Self::reason_put_aside(connection, Place::Jobs, id.as_str())?;
        Ok(match reason {
            Some(reason) => Error::record_is_put_aside(&Place::Jobs.thing(id.as_str()), &reason),
            None => Error::job_not_found(id),
        })
    }

    /// Lists up to `limit` jobs, without their plans' tasks. Leaves out those that cannot be read and puts them aside.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn list(&self, filter: &ListFilter, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let connection = self.lock();
        let mut most = limit;
        loop {
            let (sql, values) = list_query(filter, most);
            let mut statement = connection.prepare_cached(&sql)?;
            let opened = statement.query_map(params_from_iter(values), opened_job)?;
            let opened: Vec<Opened<JobRecord>> = opened.collect::<Result<_, _>>()?;
            drop(statement);
            let (met, bad) = (opened.len(), opened.iter().filter(|one| one.is_err()).count());
            let mut records = sifted(&connection, opened);
            // A page is as long as asked for, whatever was left out: a short one would end the list. Rows that could
            // not be put aside are still there.
            if records.len() >= limit || met < most || bad == 0 {
                records.truncate(limit);
                return Ok(records);
            }
            most = most.saturating_add(bad);
        }
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
            // A job whose stage cannot be read is put aside when it is met.
            let Ok(stage) = serde_json::from_value(Value::String(stage)) else { continue };
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
        let columns = Place::Jobs.columns();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {columns} FROM jobs INDEXED BY jobs_that_hop WHERE stage = 'SUBMITTED' AND hops = 1"
        ))?;
        let opened = statement.query_map([], opened_job)?.collect::<Result<Vec<_>, _>>()?;
        Ok(sifted(&connection, opened))
    }

    /// Returns up to `limit` events after position `seq`, in order.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn events_after(&self, seq: i64, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        let connection = self.lock();
        let sql =
            format!("SELECT {} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2", Place::Events.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut after = seq;
        loop {
            let opened = statement.query_map(params![after, limit], opened_event)?;
            let opened: Vec<_> = opened.collect::<Result<_, _>>()?;
            let last = opened.iter().map(|(seq, _)| *seq).max();
            let events = sifted(&connection, opened.into_iter().map(|(_, event)| event).collect());
            match last {
                // Nothing but unreadable events: those after them may be readable.
                Some(last) if events.is_empty() => after = last,
                _ => return Ok(events),
            }
        }
    }

    /// Returns the number of events after a position.
    ///
    /// # Errors
    /// Fails if the database cannot be read or written.
    pub fn events_waiting(&self, seq: i64) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM events WHERE seq > ?1";
        let count: i64 = self.lock().prepare_cached(sql)?.query_row([seq], |row| row.get(0))?;
        Ok(count.unsigned_abs())
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
        let sql = format!("SELECT {} FROM cursors WHERE reader = ?1", Place::Cursors.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        let Some(found) = statement.query_row([reader], opened_cursor).optional()? else { return Ok(None) };
        // A reader whose place is lost starts from the beginning.
        Ok(Some(sifted(&connection, vec![found]).pop().unwrap_or(0)))
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
            "CASE WHEN json_valid(record)
                THEN instr(json_extract(record, '$.submission.settings.inputs[0].fileInput'), ?) > 0 ELSE 0 END"
                .to_owned(),
        );
        values.push(part.clone().into());
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let asked = asked.join(" AND ");
    let columns = Place::Jobs.columns();
    let sql =
        format!("SELECT {columns} FROM jobs WHERE {asked} ORDER BY submitted_ms {order}, id {order} LIMIT ?");
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
         SELECT queue, CASE WHEN json_valid(body) THEN json_extract(body, '$.concurrentJobs') END - (
             SELECT COUNT(*) FROM jobs WHERE jobs.queue = waiting.queue AND stage IN ('PROBING', 'TRANSCODING', 'UPLOADING')
         )
         FROM waiting LEFT JOIN resources ON kind = 'queues' AND arn = queue
         WHERE queue IS NOT NULL AND NOT COALESCE(paused, 0)",
    )?;
    let rooms = statement.query_map([], |row| Ok((row.get(0)?, row.get(1).unwrap_or(None))))?;
    let rooms: Vec<(String, Option<i64>)> = rooms.collect::<Result<_, _>>()?;
    drop(statement);
    let paused = queues_paused_aside(connection)?;
    Ok(rooms.into_iter().filter(|(queue, _)| !paused.contains(queue)).collect())
}

fn job_of_token(
    transaction: &Transaction<'_>,
    token: &Token,
    now_ms: i64,
) -> Result<Option<Opened<JobRecord>>, Error> {
    let columns = Place::Jobs.columns();
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {columns} FROM jobs
         WHERE token = ?1 AND (token_forgotten_ms IS NULL OR token_forgotten_ms > ?2)
         ORDER BY submitted_ms DESC LIMIT 1",
    ))?;
    let found = statement.query_row(params![token.text, now_ms], opened_job).optional()?;
    drop(statement);
    match found {
        Some(found) => Ok(Some(found)),
        None => put_aside::refuse_token_put_aside(transaction, &token.text, now_ms).map(|()| None),
    }
}

/// Inserts a job's row.
fn insert_row(transaction: &Transaction<'_>, record: &JobRecord) -> Result<(), Error> {
    let token = record.submission.token.as_ref();
    let body = to_text(record);
    transaction.execute(
        "INSERT INTO jobs
         (id, submitted_ms, priority, queue, stage, token, token_forgotten_ms, record, checksum, hops)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            record.id.as_str(),
            record.times.submitted_ms,
            record.submission.priority,
            record.submission.queue,
            stage_text(record.stage()),
            token.map(|token| &token.text),
            token
                .and_then(|token| token.remembered_ms)
                .map(|remembered| record.times.submitted_ms.saturating_add(remembered)),
            body,
            checksum(Place::Jobs, record.id.as_str(), &body),
            !crate::jobs::hops::destinations(&record.submission).is_empty(),
        ],
    )?;
    Ok(())
}

/// Reads an event and its position.
fn opened_event(row: &Row<'_>) -> rusqlite::Result<(i64, Opened<StoredEvent>)> {
    let seq = row.get(0)?;
    let event = opened(Place::Events, row, |_, body| {
        let job = row.get::<_, String>(4).map_err(|error| error.to_string())?;
        Ok(StoredEvent { seq, job: JobId::new(job), body: parsed(body)? })
    })?;
    Ok((seq, event))
}

/// Replaces a job's record and appends its events.
fn replace(transaction: &Transaction<'_>, record: &JobRecord, events: &[Value]) -> Result<(), Error> {
    let body = to_text(record);
    let changed = transaction.execute(
        "UPDATE jobs SET stage = ?2, record = ?3, queue = ?4, priority = ?5, checksum = ?6 WHERE id = ?1",
        params![
            record.id.as_str(),
            stage_text(record.stage()),
            body,
            record.submission.queue,
            record.submission.priority,
            checksum(Place::Jobs, record.id.as_str(), &body),
        ],
    )?;
    if changed == 0 {
        // The stored record of a job that runs was put aside meanwhile: its driver knows better.
        match Database::reason_put_aside(transaction, Place::Jobs, record.id.as_str())? {
            Some(_) => insert_row(transaction, record)?,
            None => return Err(Error::job_not_found(&record.id)),
        }
    }
    append(transaction, &record.id, events)
}

fn append(transaction: &Transaction<'_>, job: &JobId, events: &[Value]) -> Result<(), Error> {
    for event in events {
        let body = event.to_string();
        transaction.execute("INSERT INTO events (job, body) VALUES (?1, ?2)", params![job.as_str(), body])?;
        let newest = transaction.last_insert_rowid();
        let checksum = checksum(Place::Events, &newest.to_string(), &body);
        transaction.execute("UPDATE events SET checksum = ?2 WHERE seq = ?1", params![newest, checksum])?;
        transaction.execute("DELETE FROM events WHERE seq <= ?1", [newest - EVENTS_KEPT])?;
    }
    Ok(())
}

fn to_text(record: &JobRecord) -> String {
    serde_json::to_string(&record.without_tasks())
        .expect("a record has string keys only, so it always serialises")
}

/// Returns the ARNs of queues that were paused when they were put aside: their jobs go on waiting.
fn queues_paused_aside(connection: &Connection) -> Result<BTreeSet<String>, Error> {
    if !exists(connection, "resources_aside")? {
        return Ok(BTreeSet::new());
    }
    let mut statement = connection.prepare_cached(
        "SELECT arn FROM resources_aside WHERE kind = 'queues' AND paused = 1 AND typeof(arn) = 'text'
           AND NOT EXISTS (SELECT 1 FROM resources WHERE resources.arn = resources_aside.arn)",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Says what to do if the file at `path` is damaged.
fn with_remedy(error: Error, path: &Path) -> Error {
    match error.of_sqlite().filter(|error| is_damage(error)) {
        Some(cause) => Error::storage("open the job database", damaged(path, &cause.to_string())),
        None => error,
    }
}

#[cfg(test)]
pub(crate) use tests::{record_at as sample_record, sample_database};

#[cfg(test)]
mod tests;
