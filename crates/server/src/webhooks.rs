//! Sends the engine's stored events to the user's servers as signed POST requests in the form of Standard Webhooks,
//! in order and at least once. Each webhook has its own durable cursor. Never follows a redirect or logs a secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abanico_engine::StoredEvent;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::event_delivery::{EventSink, with_causes};

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that gets job events.
#[derive(Clone)]
pub struct Webhook {
    url: reqwest::Url,
    secret: Vec<u8>,
    client: reqwest::Client,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.address()).finish_non_exhaustive()
    }
}

/// Why a webhook cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebhookError {
    /// The address is not an `http` or `https` URL.
    #[error("`{0}` is not an http or https URL")]
    Url(String),
    /// The secret is empty, or starts with `whsec_` but is not base64.
    #[error("webhook secret is empty, or starts with `whsec_` and is not base64 after it")]
    Secret,
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl Webhook {
    /// Takes an address and the secret shared with it: either any text, or `whsec_` followed by base64, as Standard
    /// Webhooks writes it.
    ///
    /// # Errors
    /// Fails if the address is not `http` or `https`, if the secret is empty, or if it starts with `whsec_` but is
    /// not base64.
    pub fn new(url: &str, secret: &str) -> Result<Self, WebhookError> {
        let bad = || WebhookError::Url(url.to_owned());
        let url = reqwest::Url::parse(url).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let secret = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| WebhookError::Secret)?,
            None => secret.as_bytes().to_vec(),
        };
        if secret.is_empty() {
            return Err(WebhookError::Secret);
        }
        abanico_store::tls::use_ring();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| WebhookError::Client(error.to_string()))?;
        Ok(Self { url, secret, client })
    }

    /// Returns the address without user, password and query, which may be secret.
    fn address(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "{}://{}{port}{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default(),
            self.url.path()
        )
    }

    fn signature(&self, id: &str, timestamp_s: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[async_trait]
impl EventSink for Webhook {
    fn name(&self) -> String {
        self.address()
    }

    fn reader(&self) -> String {
        let digest = Sha256::digest(self.url.as_str());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("webhook-{hex}")
    }

    async fn send(&self, event: &StoredEvent) -> Result<(), String> {
        let body = event.body.to_string();
        let id = message_id(event);
        let timestamp_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("abanico/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", self.signature(&id, timestamp_s, &body))
            .body(body);
        // Leaves out the address: its query may hold a secret.
        let answer = request.send().await.map_err(|error| with_causes(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("the webhook's server answered `{status}`")) }
    }
}

/// Returns the event's own id, the same for every attempt, so that receivers can detect duplicates.
fn message_id(event: &StoredEvent) -> String {
    let id = event.body.get("id").and_then(serde_json::Value::as_str);
    id.map_or_else(|| format!("abanico-{}", event.seq), str::to_owned)
}

#[cfg(test)]
mod tests;
