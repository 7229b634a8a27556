//! Calls CloudWatch Logs to read the lines of a log group.

use serde_json::{Value, json};

use crate::{Error, Operation, Request, SignedClient};

/// One line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Time in milliseconds since 1970.
    pub time_ms: i64,
    /// CloudWatch's id of the line.
    pub id: String,
    /// The line without its line break.
    pub text: String,
}

/// A client of CloudWatch Logs.
#[derive(Clone)]
pub struct Logs(SignedClient);

impl Logs {
    /// Creates a client that sends through `client`, which must sign for `logs`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Returns a page of the lines of `group` from `since_ms` on, with the token of the next page.
    ///
    /// # Errors
    /// Fails if there is no such group or the caller may not read it.
    pub async fn lines_since(
        &self,
        group: &str,
        since_ms: i64,
        next_token: Option<&str>,
    ) -> Result<(Vec<LogLine>, Option<String>), Error> {
        let mut body = json!({"logGroupName": group, "startTime": since_ms});
        if let Some(token) = next_token {
            body["nextToken"] = token.into();
        }
        let mut request = Request::post("/", "application/x-amz-json-1.1", body.to_string());
        request.headers.push(("x-amz-target".to_owned(), "Logs_20140328.FilterLogEvents".to_owned()));
        let response = self.0.send(Operation::FilterLogEvents, &request, true).await?;
        let answer: Value = serde_json::from_slice(&response.body)
            .map_err(|_| Error::answer("logs FilterLogEvents", "it is not JSON"))?;
        let events = answer.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let next = answer.get("nextToken").and_then(Value::as_str).map(str::to_owned);
        Ok((events.iter().map(line).collect(), next))
    }
}

fn line(event: &Value) -> LogLine {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    LogLine {
        time_ms: event.get("timestamp").and_then(Value::as_i64).unwrap_or(0),
        id: text("eventId").to_owned(),
        text: text("message").trim_end().to_owned(),
    }
}
