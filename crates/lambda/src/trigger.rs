//! Turns an S3 event into jobs: event and configuration come in, one outcome a record goes out. Never lets one
//! bad record keep the others from becoming jobs, and never swallows a failure.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::envelope::open;
use crate::job_request::job_request;
use crate::upload_event::read_record;
use crate::{Error, SubmitError, TriggerConfig, Upload};

/// The job service, as far as the trigger needs it.
#[async_trait]
pub trait JobSubmitter: Send + Sync {
    /// Creates a job from a CreateJob request in wire form (camelCase) and answers its id. A request whose
    /// `clientRequestToken` was seen before is answered with the first job's id.
    ///
    /// # Errors
    /// [`SubmitError`] when the service refuses the request or cannot be reached.
    async fn create_job(&self, request: Value) -> Result<String, SubmitError>;
}

/// Why a record became no job although nothing failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SkipReason {
    /// The event does not tell of a new object.
    NotCreated,
    /// The key ends with `/`: a console's way of showing an empty folder.
    FolderMarker,
    /// The object lies where the trigger's own outputs go: a job would start jobs without end.
    OutputLoop,
    /// A skip rule leaves it alone; the text says which.
    Rule(String),
}

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    /// A job was created, or had been by an earlier delivery of the same event.
    Submitted {
        /// The job's id.
        job_id: String,
    },
    /// Left alone on purpose.
    Skipped(SkipReason),
    /// No job; the error says whether another try may do.
    Failed(Error),
}

/// One record of an event and what became of it.
#[derive(Debug)]
pub struct RecordOutcome {
    /// Place of the record in the event, from 0, counted through all envelopes.
    pub index: usize,
    /// Identifier of the SQS message that carried it, if one did.
    pub message_id: Option<String>,
    /// The record as it came; none when its envelope could not be opened.
    pub record: Option<Value>,
    /// The object; none when the record could not be read.
    pub upload: Option<Upload>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Creates a job for each new object in `event`, one after the other, and answers one outcome a record, in order. News
/// may come from S3 itself or from EventBridge, bare or in SNS and SQS envelopes. The test event that S3 sends when a
/// notification is set up is answered with no outcome.
///
/// # Errors
/// [`MalformedEvent`](crate::ErrorKind::MalformedEvent) when `event` as a whole is no such news. What is wrong with one
/// record or one SQS message stands in its outcome.
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

/// Makes an event of the records that `outcomes` says failed: [`handle`] takes it as it took the first. None when none
/// failed or none could be read out of its envelope.
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
            Self::NotCreated => "the event does not tell of a new object",
            Self::FolderMarker => "the key ends with `/`, so it is a folder marker",
            Self::OutputLoop => {
                "the object lies where outputs go, so a job for it would start jobs without end; \
                 let the destination begin with another bucket or a fixed folder that uploads stay out of"
            }
            Self::Rule(rule) => rule,
        })
    }
}
