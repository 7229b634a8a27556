//! Calls SQS to send a message to a queue or count the messages in it. It never reads a message.

use serde_json::{Map, Value, json};

use crate::{Error, Operation, Request, SignedClient};

/// A client of SQS.
#[derive(Clone)]
pub struct Sqs(SignedClient);

impl Sqs {
    /// Creates a client that sends through `client`, which must sign for `sqs`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Sends a message with text attributes to the queue. Empty attributes are left out. The call is retried if there
    /// is no response, so the queue may hold the message twice.
    ///
    /// # Errors
    /// Fails if SQS refuses the message or cannot be reached.
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
        // May be retried: a duplicate dead letter is better than a lost one.
        self.0.send(Operation::SendMessage, &request, true).await.map(drop)
    }

    /// Returns the approximate number of messages in the queue.
    ///
    /// # Errors
    /// Fails if the service refuses the call or cannot be reached.
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
