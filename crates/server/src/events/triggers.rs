//! Turns uploads into jobs: delivers the outbox's due entries to their functions. A failed entry is retried later or
//! becomes a dead letter with a reason. An entry is removed only once its job is stored or the upload is skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use abanico_engine::Engine;
use abanico_process::clock::now_ms;
use abanico_process::with_causes;
use abanico_trigger::{JobSubmitter, Outcome, RecordOutcome, SubmitError, TriggerConfig};
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::api::error_table::{Error, ErrorKind};
use crate::events::upload_outbox::{OutboxError, UploadEntry, UploadOutbox};

/// Most delivery attempts per entry.
const MAX_TRIES: u32 = 10;
/// Wait after the first failed delivery, in milliseconds; doubles each time.
const FIRST_WAIT_MS: i64 = 1000;
/// Entries delivered in parallel.
const PARALLEL: usize = 4;
/// Largest number of entries per read.
const BATCH: usize = 64;
/// Longest wait of an entry that this server's own disk or database holds up, in milliseconds. Such an entry is tried
/// until it succeeds: it goes on within a minute after there is room again.
const OWN_FAULT_WAIT_MS: i64 = 30_000;
/// Longest wait for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Wait after the outbox failed.
const OUTBOX_PAUSE: Duration = Duration::from_secs(2);

/// Creates jobs from uploads until `stop`, then finishes the deliveries that are running. Each entry goes to the
/// function that it names; an entry whose function no longer exists becomes a dead letter.
pub async fn run_triggers(
    outbox: Arc<dyn UploadOutbox>,
    functions: BTreeMap<String, TriggerConfig>,
    submitter: Arc<dyn JobSubmitter>,
    stop: CancellationToken,
) {
    let dispatcher = Dispatcher { outbox, functions, submitter };
    while !stop.is_cancelled() {
        let pause = match dispatcher.deliver_due(&stop).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "cannot use the queue of upload events");
                OUTBOX_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = dispatcher.outbox.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Dispatcher {
    outbox: Arc<dyn UploadOutbox>,
    functions: BTreeMap<String, TriggerConfig>,
    submitter: Arc<dyn JobSubmitter>,
}

impl Dispatcher {
    /// Delivers all due entries and returns how long to wait for the next.
    async fn deliver_due(&self, stop: &CancellationToken) -> Result<Duration, OutboxError> {
        loop {
            let due = self.outbox.due(now_ms(), BATCH).await?;
            if due.is_empty() || stop.is_cancelled() {
                break;
            }
            let deliveries =
                futures::stream::iter(due).map(|entry| self.deliver(entry)).buffer_unordered(PARALLEL);
            // If recording a result fails, the entry stays due. The caller's pause keeps this from spinning.
            let notes: Vec<Result<(), OutboxError>> = deliveries.collect().await;
            notes.into_iter().collect::<Result<(), _>>()?;
        }
        let next = self.outbox.next_due_ms().await?;
        let wait_ms = next.map_or(i64::MAX, |due_ms| due_ms.saturating_sub(now_ms()).max(0));
        Ok(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(LONGEST_WAIT))
    }

    /// Runs the entry's function.
    async fn call(&self, entry: &UploadEntry) -> Verdict {
        let Some(config) = self.functions.get(&entry.function) else {
            let function = &entry.function;
            return Verdict::GiveUp(format!(
                "function `{function}` does not exist; configure a trigger with this id, then replay"
            ));
        };
        match abanico_trigger::handle(&entry.event, config, &*self.submitter).await {
            Ok(outcomes) => verdict(entry, &outcomes),
            Err(error) => Verdict::GiveUp(with_causes(&error)),
        }
    }

    async fn deliver(&self, entry: UploadEntry) -> Result<(), OutboxError> {
        let verdict = self.call(&entry).await;
        match verdict {
            Verdict::Done => self.outbox.delivered(entry.id).await,
            Verdict::Again(reason, fault) if fault == Fault::Own || entry.attempts + 1 < MAX_TRIES => {
                let longest_ms = if fault == Fault::Own { OWN_FAULT_WAIT_MS } else { i64::MAX };
                let wait_ms = (FIRST_WAIT_MS << entry.attempts.min(20)).min(longest_ms);
                tracing::warn!(
                    bucket = entry.bucket,
                    key = entry.key,
                    wait_ms,
                    reason,
                    "creating a job for an upload failed; will retry"
                );
                self.outbox.retry_at(entry.id, now_ms().saturating_add(wait_ms), &reason).await
            }
            Verdict::Again(reason, _) | Verdict::GiveUp(reason) => {
                tracing::error!(
                    bucket = entry.bucket,
                    key = entry.key,
                    reason,
                    "an upload became a dead letter"
                );
                self.outbox.dead_letter(entry.id, &reason).await
            }
        }
    }
}

#[derive(PartialEq, Debug)]
enum Verdict {
    Done,
    Again(String, Fault),
    GiveUp(String),
}

/// Whose fault a failure is that may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// This server's disk or database.
    Own,
    /// Anything else.
    Other,
}

/// Returns whose fault a failed submission is.
fn fault_of(error: &abanico_trigger::Error) -> Fault {
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref::<SubmitError>());
    let own = ErrorKind::Internal.code_and_status().0;
    if refusal.is_some_and(|refusal| refusal.code == own) { Fault::Own } else { Fault::Other }
}

/// Logs each record's outcome and combines them. Retrying all records is safe: the engine finds the jobs of tokens
/// that it has seen.
fn verdict(entry: &UploadEntry, outcomes: &[RecordOutcome]) -> Verdict {
    let mut failures = Vec::new();
    let mut may_pass = None;
    for outcome in outcomes {
        match &outcome.outcome {
            Outcome::Submitted { job_id } => {
                tracing::info!(job.id = %job_id, bucket = entry.bucket, key = entry.key, "an upload became a job");
            }
            Outcome::Skipped(reason) => {
                tracing::info!(bucket = entry.bucket, key = entry.key, %reason, "skipping an upload");
            }
            Outcome::Failed(error) => {
                if error.is_retryable() && may_pass != Some(Fault::Own) {
                    may_pass = Some(fault_of(error));
                }
                failures.push(with_causes(error));
            }
        }
    }
    match (failures.is_empty(), may_pass) {
        (true, _) => Verdict::Done,
        (false, Some(fault)) => Verdict::Again(failures.join(" | "), fault),
        (false, None) => Verdict::GiveUp(failures.join(" | ")),
    }
}

/// Creates jobs in this process. The engine keeps their tokens forever, because the same upload may be reported again
/// at any time.
#[derive(Clone)]
pub struct EngineSubmitter {
    engine: Engine,
}

impl EngineSubmitter {
    /// Creates jobs in `engine`.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl JobSubmitter for EngineSubmitter {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let refused = |error: Error| SubmitError {
            code: error.code().to_owned(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        };
        let submission = self.engine.submission(request).await.map_err(|refusal| refused(refusal.into()))?;
        let created = self.engine.create_job(submission.with_lasting_token()).await;
        if let Err(error) = &created
            && error.kind() == abanico_engine::ErrorKind::Expired
        {
            // The upload had its job, which is no longer kept.
            return Ok("expired".to_owned());
        }
        created.map(|record| record.id.to_string()).map_err(|error| refused(error.into()))
    }
}

#[cfg(test)]
mod tests;
