//! Sends the engine's stored events to an EventBridge bus with PutEvents. The event source is [`EVENT_SOURCE`]
//! because AWS reserves `aws.*`; everything else is as MediaConvert sends it.

use abanico_aws::{Events, SignedClient};
use abanico_engine::StoredEvent;
use async_trait::async_trait;
use serde_json::{Value, json};

use abanico_process::with_causes;

use crate::events::event_delivery::EventSink;

/// The `source` of the events, for rules to match.
pub const EVENT_SOURCE: &str = "abanico.mediaconvert";

/// An EventBridge bus that gets job events.
#[derive(Clone)]
pub struct EventBus {
    events: Events,
    endpoint: String,
    name: String,
}

impl EventBus {
    /// Takes a client that signs for `events`, and the name or ARN of a bus.
    pub fn new(client: SignedClient, name: impl Into<String>) -> Self {
        let endpoint = client.endpoint().to_string();
        Self { events: Events::new(client), endpoint, name: name.into() }
    }
}

#[async_trait]
impl EventSink for EventBus {
    fn name(&self) -> String {
        format!("event bus {} at {}", self.name, self.endpoint)
    }

    fn reader(&self) -> String {
        format!("event-bus-{}-{}", self.endpoint, self.name)
    }

    async fn send(&self, event: &StoredEvent) -> Result<(), String> {
        let part = |name: &str| event.body.get(name).cloned().unwrap_or(Value::Null);
        let detail_type = part("detail-type");
        let detail_type = detail_type.as_str().unwrap_or_default();
        let resources = match part("resources") {
            Value::Null => json!([]),
            resources => resources,
        };
        let detail = part("detail");
        let put = self.events.put_event(&self.name, EVENT_SOURCE, detail_type, &resources, &detail);
        put.await.map_err(|error| with_causes(&error))
    }
}
