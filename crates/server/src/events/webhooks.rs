//! Sends events to the user's servers as signed POST requests in the form of Standard Webhooks. The events of jobs come
//! in order and at least once, from the webhook's own durable cursor; `object_events.rs` brings those of objects. Never
//! follows a redirect or logs a secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abanico_engine::StoredEvent;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use abanico_process::with_causes;

use crate::events::event_delivery::EventSink;

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that gets the events of jobs or objects.
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

/// Why a document was not accepted.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) reason: String,
    /// Whether the receiver refuses this very document.
    pub(crate) is_refusal: bool,
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
    pub(crate) fn address(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "{}://{}{port}{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default(),
            self.url.path()
        )
    }

    /// Returns a short name that is the same for the same address.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.url.as_str());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sends a signed document. `id` is the same for every attempt, so that receivers can detect duplicates.
    pub(crate) async fn post(&self, id: &str, body: String) -> Result<(), Unsent> {
        let timestamp_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("abanico/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", self.signature(id, timestamp_s, &body))
            .body(body);
        // Leaves out the address: its query may hold a secret.
        let unreachable =
            |error: reqwest::Error| Unsent { reason: with_causes(&error.without_url()), is_refusal: false };
        let status = request.send().await.map_err(unreachable)?.status();
        if status.is_success() {
            return Ok(());
        }
        let is_refusal = status.is_client_error() && !matches!(status.as_u16(), 408 | 429);
        Err(Unsent { reason: format!("the webhook's server answered `{status}`"), is_refusal })
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
        format!("webhook-{}", self.id())
    }

    async fn send(&self, event: &StoredEvent) -> Result<(), String> {
        let sent = self.post(&message_id(event), event.body.to_string()).await;
        sent.map_err(|unsent| unsent.reason)
    }
}

/// Returns the event's own id, the same for every attempt, so that receivers can detect duplicates.
fn message_id(event: &StoredEvent) -> String {
    let id = event.body.get("id").and_then(serde_json::Value::as_str);
    id.map_or_else(|| format!("abanico-{}", event.seq), str::to_owned)
}

#[cfg(test)]
mod tests;
