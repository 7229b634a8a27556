//! AWS's APIs: MediaConvert's operations and answers, STS, and what is said for services that are not here.

pub(crate) mod absent_services;
pub mod error_table;
pub(crate) mod forwarded_jobs;
pub mod job_view;
pub(crate) mod operations;
pub(crate) mod sts;
