//! The serverless pipeline in an AWS account: in options, zip files and credentials, out a stack that was created, changed
//! or removed, step by step and shown before it happens.
//!
//! Never a change that no change set listed, never a bucket of the user's emptied without being told to.

mod account;
mod artifacts;
mod credentials;
mod error;
mod function_logs;
mod packages;
mod parameters;
mod profile;
mod stack;
mod stack_events;

pub use account::Account;
pub use artifacts::Artifacts;
pub use error::{Error, ErrorKind};
pub use function_logs::FunctionLogs;
pub use packages::{Architecture, Packages};
pub use parameters::{DeployOptions, Job};
pub use stack::{ChangeSet, Outcome, Stack};
pub use stack_events::first_failure;

pub use abanico_aws::{Change, LogLine, StackEvent, StackState};

/// The template, as it is in `deploy/`.
pub const TEMPLATE: &str = include_str!("../../../deploy/template.yaml");

/// What the person who deploys must be allowed, as it is in `deploy/`.
pub const DEPLOYER_POLICY: &str = include_str!("../../../deploy/deployer-policy.json");

/// A job of `deploy/jobs/` by its name, as JSON.
pub fn built_in_job(name: &str) -> Option<&'static str> {
    match name {
        "three-mp4" => Some(include_str!("../../../deploy/jobs/three-mp4.json")),
        "hls" => Some(include_str!("../../../deploy/jobs/hls.json")),
        "thumbnails" => Some(include_str!("../../../deploy/jobs/thumbnails.json")),
        _ => None,
    }
}
