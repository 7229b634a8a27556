//! Calls MediaConvert to create, get, list and cancel jobs. Requests and responses are JSON with wire names
//! (camelCase).
//!
//! It never calls DescribeEndpoints.

use reqwest::Method;
use serde_json::{Value, json};

use crate::retry::Tries;
use crate::{Error, Operation, Request, SignedClient};

/// Path prefix of the API (AWS's service model).
const API: &str = "/2017-08-29";

/// A client of MediaConvert.
#[derive(Clone)]
pub struct MediaConvert(SignedClient);

impl MediaConvert {
    /// Creates a client that sends through `client`, which must sign for `mediaconvert`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Creates a job and returns it. A request with a `clientRequestToken` is repeated until the result is definite,
    /// for at most 45 s. The service remembers a token for a minute, so this cannot create a second job.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Refused`](crate::ErrorKind::Refused) with the service's message if the service refuses the
    /// job, and another kind if no usable response came.
    pub async fn create_job(&self, request: &Value) -> Result<Value, Error> {
        let has_token = request.get("clientRequestToken").is_some_and(Value::is_string);
        let tries = if has_token { Tries::TOKENED } else { Tries::ONE };
        let outgoing = Request::post(format!("{API}/jobs"), "application/json", request.to_string());
        self.job(Operation::CreateJob, &outgoing, tries).await
    }

    /// Returns the job `id`.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such job.
    pub async fn get_job(&self, id: &str) -> Result<Value, Error> {
        self.job(Operation::GetJob, &Request::get(job_path(id)?), Tries::REPEATABLE).await
    }

    /// Cancels the job `id`. Returns once the service has accepted the request.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such job, and 409 if it has already ended.
    pub async fn cancel_job(&self, id: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, ..Request::get(job_path(id)?) };
        self.0.send_within(Operation::CancelJob, &request, Tries::REPEATABLE).await.map(drop)
    }

    /// Returns a page of jobs, with the members `jobs` and, if there are more, `nextToken`. `query` is an encoded query
    /// string such as `maxResults=20&order=DESCENDING`.
    ///
    /// # Errors
    /// As [`MediaConvert::get_job`].
    pub async fn list_jobs(&self, query: &str) -> Result<Value, Error> {
        let request = Request::get(format!("{API}/jobs?{query}"));
        let response = self.0.send_within(Operation::ListJobs, &request, Tries::REPEATABLE).await?;
        parsed("mediaconvert ListJobs", &response.body)
    }

    async fn job(&self, operation: Operation, request: &Request, tries: Tries) -> Result<Value, Error> {
        let what = format!("mediaconvert {}", operation.name());
        let response = self.0.send_within(operation, request, tries).await?;
        let mut answer = parsed(&what, &response.body)?;
        match answer.get_mut("job").map(Value::take) {
            Some(job) if job.get("id").is_some_and(Value::is_string) => Ok(job),
            _ => Err(Error::answer(&what, "it has no job with an id")),
        }
    }
}

/// Returns the path of a job. The id is not encoded, so anything that does not look like an id is refused.
fn job_path(id: &str) -> Result<String, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::setting(format!(
            "`{id}` is not a job id: ids consist of letters, digits and `-`"
        )));
    }
    Ok(format!("{API}/jobs/{id}"))
}

fn parsed(what: &str, body: &[u8]) -> Result<Value, Error> {
    let answer = serde_json::from_slice(body).map_err(|_| Error::answer(what, "it is not JSON"))?;
    Ok(if body.is_empty() { json!({}) } else { answer })
}
