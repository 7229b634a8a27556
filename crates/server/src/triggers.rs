//! From uploads to jobs: in due entries of the outbox, out jobs, another try later, or a dead letter with its reason.
//! Never an entry dropped: it is removed only after its job stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abanico_engine::Engine;
use abanico_lambda::{JobSubmitter, Outcome, RecordOutcome, SubmitError, TriggerConfig};
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::error_table::Error;
use crate::upload_outbox::{OutboxError, UploadEntry, UploadOutbox};

/// Deliveries before an entry is given up.
const MAX_TRIES: u32 = 10;
/// Wait after the first failed delivery, in milliseconds; doubles each time.
const FIRST_WAIT_MS: i64 = 1000;
/// Entries that are dealt with at once.
const PARALLEL: usize = 4;
/// Entries read at once.
const BATCH: usize = 64;
/// Longest wait for a change, and the wait after the outbox failed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const OUTBOX_PAUSE: Duration = Duration::from_secs(2);

/// Makes jobs of uploads until `stop`; what is under way is finished first. Each entry goes to the function of its
/// name; one for a function that is not there any more becomes a dead letter.
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
                tracing::error!(%error, "cannot use the queue of uploads");
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
    /// Deals with all entries that are due and says how long nothing will be.
    async fn deliver_due(&self, stop: &CancellationToken) -> Result<Duration, OutboxError> {
        loop {
            let due = self.outbox.due(now_ms(), BATCH).await?;
            if due.is_empty() || stop.is_cancelled() {
                break;
            }
            let deliveries =
                futures::stream::iter(due).map(|entry| self.deliver(entry)).buffer_unordered(PARALLEL);
            // A failed note leaves its entry due: the pause of the caller keeps this from spinning.
            let notes: Vec<Result<(), OutboxError>> = deliveries.collect().await;
            notes.into_iter().collect::<Result<(), _>>()?;
        }
        let next = self.outbox.next_due_ms().await?;
        let wait_ms = next.map_or(i64::MAX, |due_ms| due_ms.saturating_sub(now_ms()).max(0));
        Ok(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(LONGEST_WAIT))
    }

    /// Calls the entry's function.
    async fn call(&self, entry: &UploadEntry) -> Verdict {
        let Some(config) = self.functions.get(&entry.function) else {
            let function = &entry.function;
            return Verdict::GiveUp(format!(
                "there is no function `{function}`: configure a trigger of this id, then replay"
            ));
        };
        match abanico_lambda::handle(&entry.event, config, &*self.submitter).await {
            Ok(outcomes) => verdict(entry, &outcomes),
            Err(error) => Verdict::GiveUp(with_causes(&error)),
        }
    }

    async fn deliver(&self, entry: UploadEntry) -> Result<(), OutboxError> {
        let verdict = self.call(&entry).await;
        match verdict {
            Verdict::Done => self.outbox.delivered(entry.id).await,
            Verdict::Again(reason) if entry.attempts + 1 < MAX_TRIES => {
                let wait_ms = FIRST_WAIT_MS << entry.attempts.min(20);
                tracing::warn!(
                    bucket = entry.bucket,
                    key = entry.key,
                    wait_ms,
                    reason,
                    "an upload is tried again later"
                );
                self.outbox.retry_at(entry.id, now_ms().saturating_add(wait_ms), &reason).await
            }
            Verdict::Again(reason) | Verdict::GiveUp(reason) => {
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
    Again(String),
    GiveUp(String),
}

/// Logs each record's outcome and sums them up. Tokens make it safe to hand in all records once more.
fn verdict(entry: &UploadEntry, outcomes: &[RecordOutcome]) -> Verdict {
    let mut failures = Vec::new();
    let mut may_pass = false;
    for outcome in outcomes {
        match &outcome.outcome {
            Outcome::Submitted { job_id } => {
                tracing::info!(job.id = %job_id, bucket = entry.bucket, key = entry.key, "an upload became a job");
            }
            Outcome::Skipped(reason) => {
                tracing::info!(bucket = entry.bucket, key = entry.key, %reason, "an upload is left alone");
            }
            Outcome::Failed(error) => {
                may_pass |= error.is_retryable();
                failures.push(with_causes(error));
            }
        }
    }
    match (failures.is_empty(), may_pass) {
        (true, _) => Verdict::Done,
        (false, true) => Verdict::Again(failures.join(" | ")),
        (false, false) => Verdict::GiveUp(failures.join(" | ")),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Makes jobs in this process. A token is remembered for ever, as an upload may be told of twice, at any later time.
#[derive(Clone)]
pub struct EngineSubmitter {
    engine: Engine,
}

impl EngineSubmitter {
    /// Submits to `engine`.
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
        created.map(|record| record.id.to_string()).map_err(|error| refused(error.into()))
    }
}

#[cfg(test)]
mod tests;
