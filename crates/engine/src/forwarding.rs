//! Forwards jobs to another service: an executor whose jobs are one task, which the service does.
//!
//! One of our jobs never becomes two jobs there: our job's id is the request token, and before the engine requests a
//! job again, it searches for it among the service's jobs. If the service does not respond, the executor retries until
//! the job ends.

mod copies;
mod elsewhere;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use abanico_store::ObjectStore;
use async_trait::async_trait;
use serde_json::Value;

pub(crate) use elsewhere::{Elsewhere, cancel_there};

/// Why a request to the other service failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteError {
    /// The service's message, or the reason why it was not reached.
    pub message: String,
    /// Whether a retry may succeed.
    pub is_retryable: bool,
    /// Whether the service says that the requested object does not exist.
    pub is_not_found: bool,
}

/// A MediaConvert-compatible service. Requests and answers are in wire form (camelCase).
#[async_trait]
pub trait RemoteJobs: Send + Sync {
    /// Creates a job and returns it.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn create(&self, request: &Value) -> Result<Value, RemoteError>;
    /// Returns a job.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn get(&self, id: &str) -> Result<Value, RemoteError>;
    /// Cancels a job.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn cancel(&self, id: &str) -> Result<(), RemoteError>;
    /// Returns a page of the newest jobs: `jobs` and perhaps `nextToken`.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn newest(&self, next_token: Option<&str>) -> Result<Value, RemoteError>;
    /// Returns the keys below a prefix in one of the service's buckets.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, RemoteError>;
}

/// How jobs are handed on.
#[derive(Clone)]
pub struct Forwarding {
    /// The other service.
    pub jobs: Arc<dyn RemoteJobs>,
    /// Store of the service's objects.
    pub store: Arc<dyn ObjectStore>,
    /// Role that jobs there name.
    pub role: String,
    /// Queue of the service; `None` for its default.
    pub queue: Option<String>,
    /// The service's buckets by the names of ours; other buckets keep their name.
    pub buckets: BTreeMap<String, String>,
    /// Whether inputs are copied there first and outputs copied back afterwards.
    pub copies: bool,
    /// First pause between two polls of a job; it grows to a minute.
    pub pause: Duration,
}

impl std::fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarding")
            .field("role", &self.role)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}
