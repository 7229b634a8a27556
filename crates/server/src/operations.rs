//! MediaConvert's operations, one a file: in a believed request, out the answer that its SDKs read.
//! Never a check of a signature, never a status code of a failure: those stand in their own files.

pub(crate) mod cancel_job;
pub(crate) mod create_job;
pub(crate) mod describe_endpoints;
mod family;
pub(crate) mod get_job;
pub(crate) mod job_templates;
pub(crate) mod jobs_queries;
pub(crate) mod list_jobs;
mod pages;
pub(crate) mod policy;
pub(crate) mod presets;
pub(crate) mod probe;
pub(crate) mod queues;
mod resources;
pub(crate) mod sharing;
pub(crate) mod tags;
pub(crate) mod unknown;
pub(crate) mod versions;
