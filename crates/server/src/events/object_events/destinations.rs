//! Sends one event to a queue, a topic, the event bus or a webhook, in the form in which S3 sends it there.
//!
//! It reaches only the endpoints that the operator configured: an ARN gives an account and a name, never a host.

use std::collections::BTreeMap;

use abanico_aws::{Events, Sns, Sqs, Url};
use abanico_s3::Receiver;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::events::upload_outbox::UploadEntry;
use crate::events::webhooks::Webhook;
use abanico_process::with_causes;

/// The `source` of the events on a bus. AWS reserves `aws.*`.
pub const OBJECT_EVENT_SOURCE: &str = "abanico.s3";

/// Subject of messages to topics.
const SUBJECT: &str = "Amazon S3 Notification";

/// Why an event was not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// There is no such receiver.
    Unknown(String),
    /// The receiver refuses this event.
    Refused(String),
    /// Another attempt may succeed.
    MayPass(String),
}

impl Failure {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unknown(reason) | Self::Refused(reason) | Self::MayPass(reason) => reason,
        }
    }
}

/// Sends events.
#[async_trait]
pub(crate) trait Send: std::marker::Send + Sync {
    async fn send(&self, receiver: &str, entry: &UploadEntry) -> Result<(), Failure>;
}

/// The receivers that the operator configured; by default none.
#[derive(Clone, Default)]
pub struct Destinations {
    /// SQS, and its endpoint, which the addresses of queues begin with.
    pub queues: Option<(Sqs, Url)>,
    /// SNS.
    pub topics: Option<Sns>,
    /// EventBridge, and the name or ARN of a bus.
    pub event_bus: Option<(Events, String)>,
    /// Webhooks by their ids.
    pub webhooks: BTreeMap<String, Webhook>,
}

#[async_trait]
impl Send for Destinations {
    async fn send(&self, receiver: &str, entry: &UploadEntry) -> Result<(), Failure> {
        let sent = match Receiver::of(receiver) {
            Receiver::Queue(arn) => {
                let Some((sqs, endpoint)) = &self.queues else { return Err(missing("sqs_endpoint")) };
                let base = endpoint.as_str().trim_end_matches('/');
                let address = format!("{base}/{}/{}", arn.account, arn.name);
                sqs.send_message(&address, &entry.event.to_string(), &[]).await
            }
            Receiver::Topic(arn) => {
                let Some(sns) = &self.topics else { return Err(missing("sns_endpoint")) };
                sns.publish(arn.text, SUBJECT, &entry.event.to_string(), &[]).await
            }
            Receiver::EventBus => {
                let Some((events, bus)) = &self.event_bus else { return Err(missing("events_endpoint")) };
                let (kind, detail) = detail(entry);
                let resources = json!([format!("arn:aws:s3:::{}", entry.bucket)]);
                events.put_event(bus, OBJECT_EVENT_SOURCE, kind, &resources, &detail).await
            }
            Receiver::Webhook(id) => return self.post(id, entry).await,
            Receiver::Function(name) => return Err(Failure::Unknown(format!("`{name}` is a function"))),
        };
        sent.map_err(|error| match error.is_retryable() {
            true => Failure::MayPass(with_causes(&error)),
            false => Failure::Refused(with_causes(&error)),
        })
    }
}

impl Destinations {
    async fn post(&self, id: &str, entry: &UploadEntry) -> Result<(), Failure> {
        let Some(hook) = self.webhooks.get(id) else {
            let reason = "the webhook is not configured any more: add it as a [[webhook]], then replay";
            return Err(Failure::Unknown(reason.to_owned()));
        };
        let sequencer = field(entry, "/s3/object/sequencer").as_str().unwrap_or_default().to_owned();
        let sent = hook.post(&format!("s3-{sequencer}"), entry.event.to_string()).await;
        sent.map_err(|unsent| match unsent.is_refusal {
            true => Failure::Refused(unsent.reason),
            false => Failure::MayPass(unsent.reason),
        })
    }
}

fn missing(key: &str) -> Failure {
    Failure::Unknown(format!("`{key}` is not set under [notifications] any more: set it, then replay"))
}

fn field<'a>(entry: &'a UploadEntry, pointer: &str) -> &'a Value {
    entry.event.pointer(&format!("/Records/0{pointer}")).unwrap_or(&Value::Null)
}

/// Returns the detail type and the detail of an event on a bus.
fn detail(entry: &UploadEntry) -> (&'static str, Value) {
    let name = field(entry, "/eventName").as_str().unwrap_or_default();
    let (kind, reason) = match name {
        "ObjectCreated:Post" => ("Object Created", "POST Object"),
        "ObjectCreated:Copy" => ("Object Created", "CopyObject"),
        "ObjectCreated:CompleteMultipartUpload" => ("Object Created", "CompleteMultipartUpload"),
        "ObjectRemoved:Delete" => ("Object Deleted", "DeleteObject"),
        "LifecycleExpiration:Delete" => ("Object Deleted", "Lifecycle Expiration"),
        _ => ("Object Created", "PutObject"),
    };
    let mut object = json!({"key": entry.key});
    for (ours, theirs) in [("size", "size"), ("eTag", "etag"), ("sequencer", "sequencer")] {
        let value = field(entry, &format!("/s3/object/{ours}"));
        if !value.is_null() {
            object[theirs] = value.clone();
        }
    }
    let mut detail = json!({
        "version": "0",
        "bucket": {"name": entry.bucket},
        "object": object,
        "request-id": field(entry, "/responseElements/x-amz-request-id"),
        "requester": field(entry, "/userIdentity/principalId"),
        "source-ip-address": field(entry, "/requestParameters/sourceIPAddress"),
        "reason": reason,
    });
    if kind == "Object Deleted" {
        detail["deletion-type"] = "Permanently Deleted".into();
    }
    (kind, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, facts: Value) -> UploadEntry {
        let event = json!({"Records": [{
            "eventName": name,
            "userIdentity": {"principalId": "abanico"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": "ID"},
            "s3": {"bucket": {"name": "films"}, "object": facts},
        }]});
        UploadEntry {
            id: 1,
            bucket: "films".to_owned(),
            key: "a b".to_owned(),
            event,
            function: String::new(),
            attempts: 0,
            last_error: None,
            created_ms: 0,
        }
    }

    #[test]
    fn bus_gets_the_detail_of_s3() {
        let made = json!({"key": "a+b", "size": 5, "eTag": "e", "sequencer": "0A"});
        let (kind, detail_of) = detail(&entry("ObjectCreated:Copy", made));
        assert_eq!(kind, "Object Created");
        let object = json!({"key": "a b", "size": 5, "etag": "e", "sequencer": "0A"});
        let expected = json!({"version": "0", "bucket": {"name": "films"}, "object": object, "request-id": "ID",
            "requester": "abanico", "source-ip-address": "127.0.0.1", "reason": "CopyObject"});
        assert_eq!(detail_of, expected);
        let gone = json!({"key": "a+b", "sequencer": "0A1"});
        let (kind, detail_of) = detail(&entry("ObjectRemoved:Delete", gone));
        assert_eq!((kind, &detail_of["reason"]), ("Object Deleted", &"DeleteObject".into()));
        assert_eq!(detail_of["deletion-type"], "Permanently Deleted");
        assert_eq!(detail_of["object"], json!({"key": "a b", "sequencer": "0A1"}));
    }

    #[tokio::test]
    async fn receiver_that_is_gone_is_told_with_the_remedy() {
        for (receiver, key) in [
            ("arn:aws:sqs:us-east-1:000000000000:q", "sqs_endpoint"),
            ("arn:aws:sns:us-east-1:000000000000:t", "sns_endpoint"),
            (abanico_s3::EVENT_BUS, "events_endpoint"),
            ("webhook:1", "[[webhook]]"),
        ] {
            let failure =
                Destinations::default().send(receiver, &entry("ObjectCreated:Put", json!({}))).await;
            let Err(Failure::Unknown(reason)) = failure else { panic!("{failure:?}") };
            assert!(reason.contains(key), "{reason}");
        }
    }
}
