//! Deploys, updates and removes the serverless pipeline in an AWS account, as one CloudFormation stack.
//!
//! Every change is listed in a change set before it is executed. It never empties a user's bucket.

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

/// The CloudFormation template, `deploy/template.yaml`.
pub const TEMPLATE: &str = include_str!("../../../deploy/template.yaml");

/// The IAM policy that a deployer needs, `deploy/deployer-policy.json`.
pub const DEPLOYER_POLICY: &str = include_str!("../../../deploy/deployer-policy.json");

/// Returns a built-in job from `deploy/jobs/` as JSON, or `None` if there is none with this name.
pub fn built_in_job(name: &str) -> Option<&'static str> {
    match name {
        "three-mp4" => Some(include_str!("../../../deploy/jobs/three-mp4.json")),
        "hls" => Some(include_str!("../../../deploy/jobs/hls.json")),
        "thumbnails" => Some(include_str!("../../../deploy/jobs/thumbnails.json")),
        _ => None,
    }
}
