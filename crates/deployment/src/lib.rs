//! The serverless pipeline in an AWS account: in options, zip files and credentials, out a stack that was created, changed
//! or removed, step by step and shown before it happens.
//!
//! Never a change that no change set listed, never a bucket of the user's emptied without being told to.

mod account;
mod artifacts;
mod change_set;
mod error;
mod log_lines;
mod packages;
mod parameters;
mod stack;
mod stack_events;

pub use account::Account;
pub use artifacts::Artifacts;
pub use change_set::Change;
pub use error::{Error, ErrorKind};
pub use log_lines::{LogLine, Logs};
pub use packages::{Architecture, Packages};
pub use parameters::{DeployOptions, Job};
pub use stack::{ChangeSet, Outcome, Stack, StackState};
pub use stack_events::{StackEvent, first_failure};

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
