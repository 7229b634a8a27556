//! AWS from outside: in requests and credentials, out signed HTTP calls and their answers.
//!
//! Only the operations that abanico calls, each in [`Operation`]: the list that its roles are checked against. Never a
//! credential in a message or a log.

mod client;
mod credentials;
mod endpoint;
mod error;
mod escape;
mod events;
mod mediaconvert;
mod operation;
mod retry;
mod s3;
mod sns;
mod sqs;

pub use client::{Request, Response, SignedClient};
pub use credentials::{Credentials, CredentialsSource, EnvironmentCredentials};
pub use endpoint::endpoint;
pub use error::{Error, ErrorKind};
pub use escape::escaped as encoded;
pub use events::Events;
pub use mediaconvert::MediaConvert;
pub use operation::Operation;
pub use s3::{ObjectHead, S3};
pub use sns::Sns;
pub use sqs::Sqs;

pub use reqwest::{Method, Url};
