//! MediaConvert's operations, one per file. Each takes an authenticated request and returns the answer that AWS's
//! SDKs parse. Signatures and error statuses are handled in other files.

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
mod request_body;
mod resources;
pub(crate) mod sharing;
pub(crate) mod tags;
pub(crate) mod unknown;
pub(crate) mod versions;
