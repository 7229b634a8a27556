//! A small client for the AWS operations that abanico calls: signs requests, sends them, retries where that is safe,
//! and reads the responses.
//!
//! [`Operation`] lists all operations. No message or log line contains a credential.

mod client;
mod cloudformation;
mod credentials;
mod endpoint;
mod error;
mod escape;
mod events;
mod form;
mod logs;
mod mediaconvert;
mod operation;
mod retry;
mod s3;
mod sns;
mod sqs;
mod sts;
mod xml;

pub use client::{Request, Response, SignedClient};
pub use cloudformation::{
    Change, ChangeSetPage, CloudFormation, NewChangeSet, Parameter, StackEvent, StackState,
};
pub use credentials::{Credentials, CredentialsSource, EnvironmentCredentials};
pub use endpoint::endpoint;
pub use error::{Error, ErrorKind};
pub use escape::escaped as encoded;
pub use events::Events;
pub use logs::{LogLine, Logs};
pub use mediaconvert::MediaConvert;
pub use operation::Operation;
pub use s3::{ObjectHead, S3};
pub use sns::Sns;
pub use sqs::Sqs;
pub use sts::Sts;

pub use reqwest::{Method, Url};
