//! Calls EventBridge to put an event on a bus.

use serde_json::{Value, json};

use crate::{Error, Operation, Request, SignedClient};

/// A client of EventBridge.
#[derive(Clone)]
pub struct Events(SignedClient);

impl Events {
    /// Creates a client that sends through `client`, which must sign for `events`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Puts one event on `bus`. The call is retried if no response came, so rules may see the event twice. AWS refuses
    /// a `source` that begins with `aws.`, which is reserved for its own services.
    ///
    /// # Errors
    /// Fails if the bus does not accept the event or the service cannot be reached.
    pub async fn put_event(
        &self,
        bus: &str,
        source: &str,
        detail_type: &str,
        resources: &Value,
        detail: &Value,
    ) -> Result<(), Error> {
        let entry = json!({
            "EventBusName": bus, "Source": source, "DetailType": detail_type, "Resources": resources,
            "Detail": detail.to_string(),
        });
        let body = json!({ "Entries": [entry] }).to_string();
        let mut request = Request::post("/", "application/x-amz-json-1.1", body);
        request.headers.push(("x-amz-target".to_owned(), "AWSEvents.PutEvents".to_owned()));
        let response = self.0.send(Operation::PutEvents, &request, true).await?;
        let what = "events PutEvents";
        let answer: Value =
            serde_json::from_slice(&response.body).map_err(|_| Error::answer(what, "it is not JSON"))?;
        match answer.get("FailedEntryCount").and_then(Value::as_u64) {
            Some(0) => Ok(()),
            _ => Err(Error::answer(what, &format!("the event was not accepted: {answer}"))),
        }
    }
}
