//! The table `[notifications]` and the webhooks: who may get the events of objects. By default nobody outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use abanico_aws::{EnvironmentCredentials, Events, SignedClient, Sns, Sqs};
use abanico_server::{Destinations, Webhook};
use anyhow::Context;
use serde::Deserialize;

use crate::failure::{Hinted, WRONG_USAGE};

/// Where the notifications of buckets go. Credentials come from the usual AWS variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationsConfig {
    /// URL of SQS.
    pub sqs_endpoint: Option<String>,
    /// URL of SNS.
    pub sns_endpoint: Option<String>,
    /// URL of EventBridge.
    pub events_endpoint: Option<String>,
    /// Name or ARN of the bus that gets the events of buckets with an EventBridge configuration.
    pub event_bus: String,
}

impl Default for NotificationsConfig {
    fn default() -> Self {
        Self {
            sqs_endpoint: None,
            sns_endpoint: None,
            events_endpoint: None,
            event_bus: "default".to_owned(),
        }
    }
}

/// A webhook that receives the events of jobs, of objects, or of both.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// URL to post events to.
    pub url: String,
    /// Secret to sign events with.
    pub secret: String,
    /// Whether it gets the events of jobs.
    #[serde(default = "yes")]
    pub jobs: bool,
    /// Events of objects that it gets, such as `s3:ObjectCreated:*`.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Only objects in this local bucket; empty for all.
    #[serde(default)]
    pub bucket: String,
    /// Only objects whose keys begin with this text.
    #[serde(default)]
    pub prefix: String,
    /// Only objects whose keys end with this text.
    #[serde(default)]
    pub suffix: String,
}

fn yes() -> bool {
    true
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("url", &self.url)
            .field("secret", &"REDACTED")
            .finish_non_exhaustive()
    }
}

impl WebhookConfig {
    /// Sets the webhook up.
    ///
    /// # Errors
    /// Fails if the address or the secret cannot be used.
    pub fn open(&self) -> anyhow::Result<Webhook> {
        Webhook::new(&self.url, &self.secret).with_context(|| format!("webhook `{}`", self.url))
    }

    /// Refuses events that this server does not send, a bucket that is not among its `local` ones, and a webhook that gets
    /// nothing.
    ///
    /// # Errors
    /// Fails with the name of what is wrong.
    pub fn check(&self, local: &[&str]) -> anyhow::Result<()> {
        let wrong = |message: String, hint: &str| Err(Hinted::new(WRONG_USAGE, message, hint).into());
        if let Some(event) = self.objects.iter().find(|event| !abanico_s3::is_sent(event)) {
            let message = format!("webhook `{}`: `{event}` in `objects` is no event of objects", self.url);
            return wrong(message, "give names such as \"s3:ObjectCreated:*\" and \"s3:ObjectRemoved:*\"");
        }
        if !self.bucket.is_empty() && !local.contains(&self.bucket.as_str()) {
            let message =
                format!("webhook `{}` watches `{}`, which is not a local bucket", self.url, self.bucket);
            return wrong(message, "add it as a [[bucket]] without `remote`, or leave `bucket` out for all");
        }
        if !self.jobs && self.objects.is_empty() {
            let message = format!("webhook `{}` gets nothing", self.url);
            return wrong(message, "leave out `jobs = false`, or name events in `objects`");
        }
        Ok(())
    }
}

impl NotificationsConfig {
    /// Returns which services bucket notifications may name.
    pub fn allowed(&self) -> abanico_s3::Destinations {
        abanico_s3::Destinations {
            queues: self.sqs_endpoint.is_some(),
            topics: self.sns_endpoint.is_some(),
            event_bus: self.events_endpoint.is_some(),
        }
    }

    /// Connects to the configured services and webhooks.
    ///
    /// # Errors
    /// Fails if an endpoint is no URL, or a webhook cannot be used.
    pub fn open(&self, region: &str, webhooks: &[WebhookConfig]) -> anyhow::Result<Destinations> {
        let client = |service: &str, key: &str, endpoint: &Option<String>| {
            let Some(endpoint) = endpoint else { return Ok(None) };
            let url: abanico_aws::Url =
                endpoint.parse().with_context(|| format!("`{endpoint}` in `{key}` is no URL"))?;
            let client = SignedClient::new(service, region, url.clone(), Arc::new(EnvironmentCredentials))?;
            anyhow::Ok(Some((client, url)))
        };
        let queues = client("sqs", "sqs_endpoint", &self.sqs_endpoint)?;
        let topics = client("sns", "sns_endpoint", &self.sns_endpoint)?;
        let events = client("events", "events_endpoint", &self.events_endpoint)?;
        let hooks = webhooks.iter().filter(|hook| !hook.objects.is_empty()).map(WebhookConfig::open);
        let webhooks =
            hooks.map(|hook| hook.map(|hook| (hook.id(), hook))).collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(Destinations {
            queues: queues.map(|(client, url)| (Sqs::new(client), url)),
            topics: topics.map(|(client, _)| Sns::new(client)),
            event_bus: events.map(|(client, _)| (Events::new(client), self.event_bus.clone())),
            webhooks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_that_could_hear_nothing_is_refused() {
        let hook = |keys: &str| -> WebhookConfig {
            toml::from_str(&format!("url = \"http://a/\"\nsecret = \"s\"\n{keys}")).unwrap()
        };
        let told = |keys: &str| hook(keys).check(&["media"]).map_err(|error| error.to_string()).err();
        assert_eq!(told(""), None);
        assert_eq!(told("jobs = false\nobjects = [\"s3:ObjectRemoved:*\"]\nbucket = \"media\""), None);
        for (keys, part) in [
            ("jobs = false", "gets nothing"),
            ("objects = [\"ObjectRemoved:*\"]", "ObjectRemoved:*"),
            ("objects = [\"s3:ObjectCreated:*\"]\nbucket = \"elsewhere\"", "elsewhere"),
        ] {
            let message = told(keys).unwrap();
            assert!(message.contains(part), "{message}");
        }
    }
}
