//! Turns an S3 event into jobs and returns one outcome per record. A bad record does not keep the others from
//! becoming jobs, and every failure is in an outcome.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::envelope::open;
use crate::job_request::job_request;
use crate::upload_event::read_record;
use crate::{Error, SubmitError, TriggerConfig, Upload};

/// The job service that the trigger submits to.
#[async_trait]
pub trait JobSubmitter: Send + Sync {
    /// Creates a job from a CreateJob request in wire form (camelCase) and returns its id. If the request's
    /// `clientRequestToken` was seen before, returns the id of the first job.
    ///
    /// # Errors
    /// Returns a [`SubmitError`] if the service refuses the request or cannot be reached.
    async fn create_job(&self, request: Value) -> Result<String, SubmitError>;
}

/// Why a record was skipped. A skip is not a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SkipReason {
    /// The event does not announce a new object.
    NotCreated,
    /// The key ends with `/`: consoles show empty folders this way.
    FolderMarker,
    /// The object is where the trigger's own outputs go, so each job would start further jobs without end.
    OutputLoop,
    /// A skip rule applies; the text says which.
    Rule(String),
}

/// The result of a record.
#[derive(Debug)]
pub enum Outcome {
    /// A job was created now or by an earlier delivery of the same event.
    Submitted {
        /// The job's id.
        job_id: String,
    },
    /// The record was skipped on purpose.
    Skipped(SkipReason),
    /// No job was created; the error says whether another attempt may succeed.
    Failed(Error),
}

/// One record of an event and its result.
#[derive(Debug)]
pub struct RecordOutcome {
    /// Position of the record in the event, from 0, counted through all envelopes.
    pub index: usize,
    /// Identifier of the SQS message that carried the record, if any.
    pub message_id: Option<String>,
    /// The record as it was received; `None` if its envelope could not be opened.
    pub record: Option<Value>,
    /// The object; `None` if the record could not be parsed.
    pub upload: Option<Upload>,
    /// The result.
    pub outcome: Outcome,
}

/// Creates a job for each new object in `event`, one after the other, and returns one outcome per record, in order.
/// The event may come from S3 itself or from EventBridge, bare or in SNS and SQS envelopes. The test event that S3
/// sends when a notification is set up gives no outcomes.
///
/// # Errors
/// Returns [`MalformedEvent`](crate::ErrorKind::MalformedEvent) if `event` as a whole is none of these. The error of
/// a single record or SQS message is in its outcome.
pub async fn handle(
    event: &Value,
    config: &TriggerConfig,
    submitter: &dyn JobSubmitter,
) -> Result<Vec<RecordOutcome>, Error> {
    let mut outcomes = Vec::new();
    for (index, opened) in open(event)?.into_iter().enumerate() {
        let message_id = opened.message_id;
        outcomes.push(match opened.record {
            Err(error) => RecordOutcome {
                index,
                message_id,
                record: None,
                upload: None,
                outcome: Outcome::Failed(error),
            },
            Ok(record) => {
                let (upload, outcome) = match read_record(index, &record) {
                    Ok(upload) => {
                        let outcome = transcode(&upload, config, submitter).await;
                        (Some(upload), outcome)
                    }
                    Err(error) => (None, Outcome::Failed(error)),
                };
                RecordOutcome { index, message_id, record: Some(record), upload, outcome }
            }
        });
    }
    Ok(outcomes)
}

/// Builds an event from the records that failed according to `outcomes`. [`handle`] accepts it like the original event.
/// Returns `None` if no record failed or if none of the failed ones could be unwrapped.
pub fn records_to_repeat(outcomes: &[RecordOutcome]) -> Option<Value> {
    let failed = outcomes.iter().filter(|one| matches!(one.outcome, Outcome::Failed(_)));
    let again: Vec<&Value> = failed.filter_map(|one| one.record.as_ref()).collect();
    if again.is_empty() { None } else { Some(json!({ "Records": again })) }
}

async fn transcode(upload: &Upload, config: &TriggerConfig, submitter: &dyn JobSubmitter) -> Outcome {
    if let Some(reason) = skip_reason(upload, config) {
        return Outcome::Skipped(reason);
    }
    let request = match job_request(upload, config) {
        Ok(request) => request,
        Err(error) => return Outcome::Failed(error),
    };
    match submitter.create_job(request).await {
        Ok(job_id) => Outcome::Submitted { job_id },
        Err(refusal) => Outcome::Failed(Error::submit_failed(&upload.url(), refusal)),
    }
}

fn skip_reason(upload: &Upload, config: &TriggerConfig) -> Option<SkipReason> {
    if !upload.is_created() {
        return Some(SkipReason::NotCreated);
    }
    if upload.key.ends_with('/') {
        return Some(SkipReason::FolderMarker);
    }
    if config.destination.contains(upload) {
        return Some(SkipReason::OutputLoop);
    }
    config.skip.rule_against(&upload.key).map(SkipReason::Rule)
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotCreated => "the event does not announce a new object",
            Self::FolderMarker => "the key ends with `/`, so it is a folder marker",
            Self::OutputLoop => {
                "the object is where outputs go, so a job for it would start jobs without end; \
                 start the destination with another bucket or with a fixed folder that gets no uploads"
            }
            Self::Rule(rule) => rule,
        })
    }
}
