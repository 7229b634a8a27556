//! The function `transcode-video`: in news of uploads, out jobs, a report, and dead letters for what can become none.
//!
//! A repeated event must never make a second job. Within a minute the token of each request sees to that; after it,
//! only what failed may come again. So an event that succeeded in part never fails as a whole: what failed goes as an
//! event of its own to the dead-letter queue.

use abanico_aws::{MediaConvert, Sqs};
use abanico_lambda::{
    JobSubmitter, Outcome, RecordOutcome, SubmitError, TriggerConfig, handle, records_to_repeat,
};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::error::with_causes;
use crate::settings::Environment;
use crate::{Error, log};

/// The function, set up.
pub struct TranscodeVideo {
    config: TriggerConfig,
    submitter: MediaConvertSubmitter,
    dead_letters: DeadLetters,
}

impl TranscodeVideo {
    /// Reads `ABANICO_ROLE_ARN`, `ABANICO_DESTINATION`, `ABANICO_DEAD_LETTER_QUEUE_URL` and, where set, `ABANICO_JOB`,
    /// `ABANICO_QUEUE`, `ABANICO_ONLY_SUFFIXES`, `ABANICO_SKIP_PREFIXES`.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the variable.
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

    /// Makes jobs of the event's uploads and answers what became of each record; for a batch of SQS messages the answer
    /// names those to deliver again.
    ///
    /// # Errors
    /// When nothing became a job and another try may do, or when the dead-letter queue takes nothing: Lambda then
    /// repeats the event.
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

    /// Decides what becomes of the failures among records that belong to one delivery: all of it comes again, or only
    /// the failures go to the dead-letter queue.
    async fn settle(&self, outcomes: Vec<RecordOutcome>) -> Result<(), Error> {
        let failures: Vec<&abanico_lambda::Error> = outcomes.iter().filter_map(failure).collect();
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

    /// Settles each SQS message by itself and lists those that SQS shall deliver again.
    async fn messages_to_repeat(&self, outcomes: Vec<RecordOutcome>) -> Result<Vec<Value>, Error> {
        let mut again = Vec::new();
        let mut rest = outcomes;
        while let Some(first) = rest.first().and_then(|one| one.message_id.clone()) {
            let (message, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|one| one.message_id.as_deref() == Some(&first));
            rest = others;
            if let Err(error) = self.settle(message).await {
                log::error(
                    "an SQS message is left to be delivered again",
                    json!({"messageId": first, "reason": error.with_causes()}),
                );
                again.push(json!({"itemIdentifier": first}));
            }
        }
        Ok(again)
    }
}

fn failure(one: &RecordOutcome) -> Option<&abanico_lambda::Error> {
    match &one.outcome {
        Outcome::Failed(error) => Some(error),
        _ => None,
    }
}

/// What became of a record, for the invocation's answer.
fn told(one: &RecordOutcome) -> Value {
    let mut told = json!({"index": one.index, "input": one.upload.as_ref().map(abanico_lambda::Upload::url)});
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
        Outcome::Skipped(_) => log::info("an upload is left alone", told),
        Outcome::Failed(_) => log::error("an upload became no job", told),
    }
}

/// MediaConvert as the trigger's job service.
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

/// The service's name of the error; what stands for it where the service gave none.
fn error_code(error: &abanico_aws::Error) -> String {
    match (error.error_type(), error.status()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => "Unreachable".to_owned(),
    }
}

/// The queue of what became no job.
struct DeadLetters {
    sqs: Sqs,
    queue_url: String,
}

impl DeadLetters {
    /// Keeps an event with the reason, cut to what an SQS attribute may well hold.
    async fn send(&self, event: &Value, reason: &str) -> Result<(), Error> {
        let short: String = reason.chars().take(1000).collect();
        log::error("an event goes to the dead-letter queue", json!({"reason": reason}));
        let attributes = [("reason", short.as_str()), ("function", "transcode-video")];
        let sent = self.sqs.send_message(&self.queue_url, &event.to_string(), &attributes).await;
        sent.map_err(Error::aws(format!("the dead-letter queue `{}` took nothing", self.queue_url)))
    }
}
