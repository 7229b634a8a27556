//! Forwards jobs to another MediaConvert: sends the engine's requests as signed calls and returns the answers. Makes
//! no decisions: the engine does.

use abanico_aws::{Error, MediaConvert, S3};
use abanico_engine::{RemoteError, RemoteJobs};
use abanico_process::with_causes;
use async_trait::async_trait;
use serde_json::Value;

/// Clients for MediaConvert and for the S3 that it uses.
pub struct MediaConvertJobs {
    jobs: MediaConvert,
    s3: S3,
}

impl MediaConvertJobs {
    /// Sends requests through these clients.
    pub fn new(jobs: MediaConvert, s3: S3) -> Self {
        Self { jobs, s3 }
    }
}

#[async_trait]
impl RemoteJobs for MediaConvertJobs {
    async fn create(&self, request: &Value) -> Result<Value, RemoteError> {
        self.jobs.create_job(request).await.map_err(remote)
    }

    async fn get(&self, id: &str) -> Result<Value, RemoteError> {
        self.jobs.get_job(id).await.map_err(remote)
    }

    async fn cancel(&self, id: &str) -> Result<(), RemoteError> {
        self.jobs.cancel_job(id).await.map_err(remote)
    }

    async fn newest(&self, next_token: Option<&str>) -> Result<Value, RemoteError> {
        let query = match next_token {
            Some(token) => {
                format!("maxResults=20&nextToken={}&order=DESCENDING", abanico_aws::encoded(token))
            }
            None => "maxResults=20&order=DESCENDING".to_owned(),
        };
        self.jobs.list_jobs(&query).await.map_err(remote)
    }

    async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, RemoteError> {
        let (mut keys, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.s3.keys_below(bucket, prefix, &after).await.map_err(remote)?;
            let Some(last) = page.last() else { return Ok(keys) };
            after.clone_from(last);
            keys.extend(page);
        }
    }
}

fn remote(error: Error) -> RemoteError {
    let message = with_causes(&error);
    // Credentials may arrive later, as a role's do: let the job wait for them instead of failing.
    let is_retryable = error.is_retryable() || error.kind() == abanico_aws::ErrorKind::Credentials;
    RemoteError { message, is_retryable, is_not_found: error.status() == Some(404) }
}
