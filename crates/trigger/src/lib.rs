//! The function `transcode-video`: turns an S3 upload event into one CreateJob request per upload. The same code runs
//! as an AWS Lambda function and inside abanico. It never opens an object and does no network I/O: the job service is
//! behind [`JobSubmitter`].

mod client_request_token;
mod destination;
mod envelope;
mod error;
mod job_request;
mod media_suffixes;
mod trigger;
mod trigger_config;
mod upload_event;

pub use client_request_token::client_request_token;
pub use destination::DestinationTemplate;
pub use error::{Error, ErrorKind, SubmitError};
pub use media_suffixes::{MEDIA_SUFFIXES, is_media_name};
pub use trigger::{JobSubmitter, Outcome, RecordOutcome, SkipReason, handle, records_to_repeat};
pub use trigger_config::{SkipRules, TriggerConfig};
pub use upload_event::{Upload, decode_key};
