//! MediaConvert: in requests as JSON with wire names (camelCase), out the service's answers. Never a poll of
//! DescribeEndpoints.

use reqwest::Method;
use serde_json::{Value, json};

use crate::retry::Tries;
use crate::{Error, Operation, Request, SignedClient};

/// Path under which the API lies (AWS's service model).
const API: &str = "/2017-08-29";

/// A MediaConvert service.
#[derive(Clone)]
pub struct MediaConvert(SignedClient);

impl MediaConvert {
    /// Talks through `client`, which signs for `mediaconvert`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Creates a job and answers it. A request with a `clientRequestToken` is repeated until the answer is definite, for
    /// at most 45 s: the service remembers a token for a minute, so no second job can come of it.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) with the service's message; any other when no answer came.
    pub async fn create_job(&self, request: &Value) -> Result<Value, Error> {
        let has_token = request.get("clientRequestToken").is_some_and(Value::is_string);
        let tries = if has_token { Tries::TOKENED } else { Tries::ONE };
        let outgoing = Request::post(format!("{API}/jobs"), "application/json", request.to_string());
        self.job(Operation::CreateJob, &outgoing, tries).await
    }

    /// The job `id`.
    ///
    /// # Errors
    /// Status 404 when there is none.
    pub async fn get_job(&self, id: &str) -> Result<Value, Error> {
        self.job(Operation::GetJob, &Request::get(job_path(id)?), Tries::REPEATABLE).await
    }

    /// Cancels the job `id`; answers once the service has taken that in.
    ///
    /// # Errors
    /// Status 404 when there is none, 409 when it is at its end.
    pub async fn cancel_job(&self, id: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, ..Request::get(job_path(id)?) };
        self.0.send_within(Operation::CancelJob, &request, Tries::REPEATABLE).await.map(drop)
    }

    /// A page of jobs; `query` is a query string such as `maxResults=20&order=DESCENDING`, encoded. Answers the whole
    /// page with `jobs` and perhaps `nextToken`.
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

/// An id goes into a path as it is, so it must be nothing else than an id.
fn job_path(id: &str) -> Result<String, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::setting(format!("`{id}` is no job id: ids are letters, digits and `-`")));
    }
    Ok(format!("{API}/jobs/{id}"))
}

fn parsed(what: &str, body: &[u8]) -> Result<Value, Error> {
    let answer = serde_json::from_slice(body).map_err(|_| Error::answer(what, "it is not JSON"))?;
    Ok(if body.is_empty() { json!({}) } else { answer })
}
