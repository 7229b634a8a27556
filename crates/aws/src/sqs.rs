//! SQS: in a queue's URL and a body, out a message in the queue, or how many there are. Never reads one.

use serde_json::{Map, Value, json};

use crate::{Error, Operation, Request, SignedClient};

/// An SQS service.
#[derive(Clone)]
pub struct Sqs(SignedClient);

impl Sqs {
    /// Talks through `client`, which signs for `sqs`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Puts a message into the queue, with text attributes; empty ones are left out. It is tried again when no answer
    /// came, so it may stand in the queue twice.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn send_message(
        &self,
        queue_url: &str,
        body: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), Error> {
        let text = |value: &str| json!({"DataType": "String", "StringValue": value});
        let attributes: Map<String, Value> = attributes
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| ((*name).to_owned(), text(value)))
            .collect();
        let message =
            json!({"QueueUrl": queue_url, "MessageBody": body, "MessageAttributes": attributes}).to_string();
        let mut request = Request::post("/", "application/x-amz-json-1.0", message);
        request.headers.push(("x-amz-target".to_owned(), "AmazonSQS.SendMessage".to_owned()));
        // A dead letter twice is better than none.
        self.0.send(Operation::SendMessage, &request, true).await.map(drop)
    }

    /// About how many messages wait in the queue.
    ///
    /// # Errors
    /// When the service does not say.
    pub async fn depth(&self, queue_url: &str) -> Result<u64, Error> {
        let name = "ApproximateNumberOfMessages";
        let body = json!({"QueueUrl": queue_url, "AttributeNames": [name]}).to_string();
        let mut request = Request::post("/", "application/x-amz-json-1.0", body);
        request.headers.push(("x-amz-target".to_owned(), "AmazonSQS.GetQueueAttributes".to_owned()));
        let response = self.0.send(Operation::GetQueueAttributes, &request, true).await?;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let depth = answer.pointer(&format!("/Attributes/{name}")).and_then(Value::as_str);
        let depth = depth.and_then(|text| text.parse().ok());
        depth.ok_or_else(|| Error::answer("sqs GetQueueAttributes", "it has no number of messages"))
    }
}
