//! The function `transcode-video`: turns upload events into jobs, reports the result of each record, and sends records
//! that cannot become a job to a dead-letter queue.
//!
//! A repeated event must never create a second job. For a minute, the token of each request prevents that; after that,
//! only failed records may be repeated. An event that succeeded in part therefore never fails as a whole: its failed
//! records go to the dead-letter queue as a new event.

use abanico_aws::{MediaConvert, Sqs};
use abanico_trigger::{
    JobSubmitter, Outcome, RecordOutcome, SubmitError, TriggerConfig, handle, records_to_repeat,
};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::settings::Environment;
use crate::{Error, log};
use abanico_process::with_causes;

/// The function, ready to handle events.
pub struct TranscodeVideo {
    config: TriggerConfig,
    submitter: MediaConvertSubmitter,
    dead_letters: DeadLetters,
}

impl TranscodeVideo {
    /// Reads `ABANICO_ROLE_ARN`, `ABANICO_DESTINATION`, `ABANICO_DEAD_LETTER_QUEUE_URL` and, if set, `ABANICO_JOB`,
    /// `ABANICO_QUEUE`, `ABANICO_ONLY_SUFFIXES` and `ABANICO_SKIP_PREFIXES` from the environment.
    ///
    /// # Errors
    /// Returns [`Error::Setting`], which names the wrong variable.
    pub fn new(environment: &Environment<'_>) -> Result<Self, Error> {
        Ok(Self {
            config: environment.trigger()?,
            submitter: MediaConvertSubmitter(MediaConvert::new(environment.client("mediaconvert")?)),
            dead_letters: DeadLetters {
                sqs: Sqs::new(environment.client("sqs")?),
                queue_url: environment.required("ABANICO_DEAD_LETTER_QUEUE_URL")?,
            },
        })
    }

    /// Creates jobs from the event's uploads and returns the result of each record. For a batch of SQS messages, the
    /// response also names the messages to deliver again.
    ///
    /// # Errors
    /// Fails if no record became a job and a retry may succeed, or if the dead-letter queue does not accept a
    /// message; Lambda then repeats the event.
    pub async fn handle(&self, event: &Value) -> Result<Value, Error> {
        let outcomes = match handle(event, &self.config, &self.submitter).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.dead_letters.send(event, &with_causes(&error)).await?;
                return Ok(json!({"records": [], "deadLettered": true}));
            }
        };
        outcomes.iter().for_each(log_outcome);
        let mut answer = json!({"records": outcomes.iter().map(told).collect::<Vec<_>>()});
        let (queued, direct): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|one| one.message_id.is_some());
        if !queued.is_empty() {
            answer["batchItemFailures"] = json!(self.messages_to_repeat(queued).await?);
        }
        self.settle(direct).await?;
        Ok(answer)
    }

    /// Handles the failures among the records of one delivery: either fails, so that the whole delivery is repeated,
    /// or sends only the failed records to the dead-letter queue.
    async fn settle(&self, outcomes: Vec<RecordOutcome>) -> Result<(), Error> {
        let failures: Vec<&abanico_trigger::Error> = outcomes.iter().filter_map(failure).collect();
        if failures.is_empty() {
            return Ok(());
        }
        let reason = failures.iter().map(|error| with_causes(*error)).collect::<Vec<_>>().join(" | ");
        let nothing_became_a_job =
            !outcomes.iter().any(|one| matches!(one.outcome, Outcome::Submitted { .. }));
        if nothing_became_a_job && failures.iter().all(|error| error.is_retryable()) {
            return Err(Error::Submission(reason));
        }
        let letter = records_to_repeat(&outcomes).unwrap_or_else(|| json!({"Records": []}));
        self.dead_letters.send(&letter, &reason).await
    }

    /// Settles each SQS message separately and returns those that SQS should deliver again.
    async fn messages_to_repeat(&self, outcomes: Vec<RecordOutcome>) -> Result<Vec<Value>, Error> {
        let mut again = Vec::new();
        let mut rest = outcomes;
        while let Some(first) = rest.first().and_then(|one| one.message_id.clone()) {
            let (message, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|one| one.message_id.as_deref() == Some(&first));
            rest = others;
            if let Err(error) = self.settle(message).await {
                log::error(
                    "handling an SQS message failed; SQS will deliver it again",
                    json!({"messageId": first, "reason": error.with_causes()}),
                );
                again.push(json!({"itemIdentifier": first}));
            }
        }
        Ok(again)
    }
}

fn failure(one: &RecordOutcome) -> Option<&abanico_trigger::Error> {
    match &one.outcome {
        Outcome::Failed(error) => Some(error),
        _ => None,
    }
}

/// Describes the result of a record, for the invocation's response.
fn told(one: &RecordOutcome) -> Value {
    let mut told =
        json!({"index": one.index, "input": one.upload.as_ref().map(abanico_trigger::Upload::url)});
    let (outcome, more) = match &one.outcome {
        Outcome::Submitted { job_id } => ("submitted", ("jobId", json!(job_id))),
        Outcome::Skipped(reason) => ("skipped", ("reason", json!(reason.to_string()))),
        Outcome::Failed(error) => ("failed", ("reason", json!(with_causes(error)))),
    };
    told["outcome"] = json!(outcome);
    told[more.0] = more.1;
    told
}

fn log_outcome(one: &RecordOutcome) {
    let told = told(one);
    match one.outcome {
        Outcome::Submitted { .. } => log::info("an upload became a job", told),
        Outcome::Skipped(_) => log::info("skipping an upload", told),
        Outcome::Failed(_) => log::error("cannot create a job for an upload", told),
    }
}

/// Submits the trigger's jobs to MediaConvert.
struct MediaConvertSubmitter(MediaConvert);

#[async_trait]
impl JobSubmitter for MediaConvertSubmitter {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let job = self.0.create_job(&request).await.map_err(|error| SubmitError {
            code: error_code(&error),
            message: with_causes(&error),
            retryable: error.is_retryable(),
        })?;
        Ok(job.get("id").and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

/// Returns the service's name for the error, or a substitute if it gave none.
fn error_code(error: &abanico_aws::Error) -> String {
    match (error.error_type(), error.status()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => "Unreachable".to_owned(),
    }
}

/// The queue for events that could not become jobs.
struct DeadLetters {
    sqs: Sqs,
    queue_url: String,
}

impl DeadLetters {
    /// Sends an event with the reason, which is cut to 1000 characters so that it fits into an SQS attribute.
    async fn send(&self, event: &Value, reason: &str) -> Result<(), Error> {
        let short: String = reason.chars().take(1000).collect();
        log::error("sending an event to the dead-letter queue", json!({"reason": reason}));
        let attributes = [("reason", short.as_str()), ("function", "transcode-video")];
        let sent = self.sqs.send_message(&self.queue_url, &event.to_string(), &attributes).await;
        sent.map_err(Error::aws(format!("cannot send to the dead-letter queue `{}`", self.queue_url)))
    }
}
