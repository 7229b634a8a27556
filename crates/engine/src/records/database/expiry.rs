//! Deletes finished jobs, and everything stored about them, once they are old enough. Each call deletes a few, so that
//! others reach the database in between.
//!
//! A job that has not ended is never touched, however old it is. The tokens of uploads stay: an upload must create no
//! second job, however late its event comes again.

use abanico_model::arn::{Arn, ResourceKind};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Database;
use super::sealed::stage_text;
use crate::error::Error;
use crate::jobs::ids::JobId;
use crate::jobs::job_machine::Stage;

/// How many rows one call looks at.
const BATCH: i64 = 100;

/// Creates the list of tokens whose jobs are gone, and the numbers of these jobs.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS expired_tokens (
    token TEXT PRIMARY KEY,
    job TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expired_counts (
    stage TEXT PRIMARY KEY,
    expired INTEGER NOT NULL
) WITHOUT ROWID;
";

/// A position in the order of jobs by time.
pub(crate) type Position = (i64, String);

/// Which finished jobs go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Expiry {
    /// Those that ended before this time.
    pub before_ms: i64,
    /// Those that come at this position or before it.
    pub up_to: Option<Position>,
}

/// What one call did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Batch {
    /// How many jobs or events it deleted.
    pub deleted: u64,
    /// Where the next call goes on; `None` if there is nothing more.
    pub next: Option<Position>,
}

/// A row that may go.
struct Candidate {
    id: JobId,
    submitted_ms: i64,
    stage: String,
    /// `None` if the record cannot be read, or says something else than its columns.
    finished_ms: Option<i64>,
    is_remembered: bool,
}

impl Database {
    /// Returns the position of the newest finished job that is not among the `most` newest ones.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub(crate) fn beyond_newest(&self, most: u64) -> Result<Option<Position>, Error> {
        let connection = self.lock();
        let sql = format!(
            "SELECT submitted_ms, id FROM jobs WHERE stage IN ({}) ORDER BY submitted_ms DESC, id DESC LIMIT 1 OFFSET ?1",
            final_stages()
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
        Ok(rows.next()?.map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?))).transpose()?)
    }

    /// Deletes those of the next jobs after `after` that may go and for which `is_free` is true.
    ///
    /// # Errors
    /// Fails if the database cannot be written.
    pub(crate) fn expire_jobs(
        &self,
        expiry: &Expiry,
        after: &Position,
        now_ms: i64,
        is_free: impl Fn(&JobId) -> bool,
    ) -> Result<Batch, Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let last_ms = expiry.up_to.as_ref().map_or(i64::MIN, |(ms, _)| *ms).max(expiry.before_ms);
        let candidates = candidates(&transaction, after, last_ms, now_ms)?;
        let mut batch = Batch::default();
        for one in &candidates {
            let is_beyond = expiry
                .up_to
                .as_ref()
                .is_some_and(|(ms, id)| (one.submitted_ms, one.id.as_str()) <= (*ms, id.as_str()));
            let is_old = one
                .finished_ms
                .is_some_and(|finished_ms| finished_ms.max(one.submitted_ms) < expiry.before_ms);
            let is_over = is_final(&one.stage) && one.finished_ms.is_some() && !one.is_remembered;
            if is_over && (is_old || is_beyond) && is_free(&one.id) {
                delete(&transaction, &one.id)?;
                batch.deleted += 1;
            }
        }
        transaction.commit()?;
        batch.next = candidates.last().map(|one| (one.submitted_ms, one.id.to_string()));
        Ok(batch)
    }

    /// Deletes those of the next events after `after` that are older than `before_ms` and not about a job that goes on.
    /// Stops at the first that is younger. Returns how many it deleted, and where to go on.
    ///
    /// # Errors
    /// Fails if the database cannot be written.
    pub(crate) fn expire_events(&self, before_ms: i64, after: i64) -> Result<(u64, Option<i64>), Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let old: Vec<(i64, bool)> = {
            let sql = format!(
                "SELECT seq, CASE WHEN json_valid(body) THEN json_extract(body, '$.detail.timestamp') END,
                        EXISTS (SELECT 1 FROM jobs WHERE id = events.job AND stage NOT IN ({}))
                 FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                final_stages()
            );
            let mut statement = transaction.prepare_cached(&sql)?;
            let read = |row: &Row<'_>| {
                // An event whose time cannot be read stays until newer ones take its place.
                let time_ms = row.get::<_, Option<i64>>(1).unwrap_or(None);
                Ok((row.get(0)?, time_ms, row.get(2)?))
            };
            let rows = statement.query_map(params![after, BATCH], read)?;
            let rows: Vec<(i64, Option<i64>, bool)> = rows.collect::<Result<_, _>>()?;
            let is_old = |time_ms: &Option<i64>| time_ms.is_none_or(|time_ms| time_ms < before_ms);
            let old = rows.iter().take_while(|(_, time_ms, _)| is_old(time_ms));
            old.map(|(seq, time_ms, goes_on)| (*seq, time_ms.is_some() && !goes_on)).collect()
        };
        let mut deleted = 0;
        for (seq, _) in old.iter().filter(|(_, may_go)| *may_go) {
            deleted +=
                transaction.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([seq])? as u64;
        }
        transaction.commit()?;
        Ok((deleted, old.last().map(|(seq, _)| *seq)))
    }

    /// Counts the jobs of each final stage that ever ended, also those that expired.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub(crate) fn ever_finished(&self) -> Result<Vec<(Stage, u64)>, Error> {
        let counts = self.counts()?;
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT expired FROM expired_counts WHERE stage = ?1")?;
        let mut all = Vec::new();
        for stage in FINAL {
            let kept: u64 = counts.iter().filter(|(other, _)| *other == stage).map(|(_, count)| count).sum();
            let expired = statement.query_row([stage_text(stage)], |row| row.get::<_, i64>(0)).optional()?;
            all.push((stage, kept + expired.unwrap_or(0).unsigned_abs()));
        }
        Ok(all)
    }

    /// Returns when the job that waits longest was submitted; `None` if no job waits.
    ///
    /// # Errors
    /// Fails if the database cannot be read.
    pub(crate) fn oldest_waiting_ms(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT MIN(submitted_ms) FROM jobs INDEXED BY jobs_by_stage WHERE stage = 'SUBMITTED'";
        Ok(self.lock().query_row(sql, [], |row| row.get(0))?)
    }

    /// Returns the job that a token created, if that job has expired.
    pub(super) fn expired_job(connection: &Connection, token: &str) -> Result<Option<JobId>, Error> {
        let mut statement = connection.prepare_cached("SELECT job FROM expired_tokens WHERE token = ?1")?;
        let mut rows = statement.query([token])?;
        Ok(rows.next()?.map(|row| row.get::<_, String>(0).map(JobId::new)).transpose()?)
    }
}

fn candidates(
    connection: &Connection,
    after: &Position,
    last_ms: i64,
    now_ms: i64,
) -> Result<Vec<Candidate>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, submitted_ms, stage,
                CASE WHEN json_valid(record) AND json_extract(record, '$.machine.stage') = stage
                    THEN json_extract(record, '$.times.finished_ms') END,
                token_forgotten_ms > ?4
         FROM jobs INDEXED BY jobs_by_time WHERE (submitted_ms, id) > (?1, ?2) AND submitted_ms <= ?3
         ORDER BY submitted_ms, id LIMIT ?5",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Candidate {
            id: JobId::new(row.get::<_, String>(0)?),
            submitted_ms: row.get(1)?,
            stage: row.get(2)?,
            finished_ms: row.get(3)?,
            is_remembered: row.get::<_, Option<bool>>(4)?.unwrap_or(false),
        })
    };
    let found = statement.query_map(params![after.0, after.1, last_ms, now_ms, BATCH], read)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Deletes a job with all that is stored about it, but keeps the token of an upload.
fn delete(connection: &Connection, id: &JobId) -> Result<(), Error> {
    let arn = Arn::local(ResourceKind::Job, id.as_str()).to_string();
    connection.execute(
        "INSERT OR REPLACE INTO expired_tokens SELECT token, id FROM jobs
         WHERE id = ?1 AND token IS NOT NULL AND token_forgotten_ms IS NULL",
        [id.as_str()],
    )?;
    connection.execute(
        "INSERT INTO expired_counts SELECT stage, 1 FROM jobs WHERE id = ?1
         ON CONFLICT (stage) DO UPDATE SET expired = expired + 1",
        [id.as_str()],
    )?;
    connection.execute("DELETE FROM jobs WHERE id = ?1", [id.as_str()])?;
    connection.execute("DELETE FROM tasks WHERE job = ?1", [id.as_str()])?;
    connection.execute("DELETE FROM kept WHERE kind = 'tags' AND name = ?1", [&arn])?;
    connection.execute("DELETE FROM kept WHERE kind = 'shares' AND name = ?1", [id.as_str()])?;
    Ok(())
}

const FINAL: [Stage; 3] = [Stage::Complete, Stage::Error, Stage::Canceled];

fn is_final(stage: &str) -> bool {
    FINAL.iter().any(|known| stage_text(*known) == stage)
}

fn final_stages() -> String {
    FINAL.map(|stage| format!("'{}'", stage_text(stage))).join(", ")
}

#[cfg(test)]
mod tests;
