//! Events to the user's own servers: in the engine's stored events, out signed POST requests in the form of Standard
//! Webhooks. Each hook reads by its own durable cursor, in order and at least once. Never a redirect followed, never a
//! secret logged.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use abanico_engine::{Engine, StoredEvent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Events read at once.
const BATCH: usize = 50;

/// A server that wants to know.
#[derive(Clone)]
pub struct Webhook {
    url: reqwest::Url,
    secret: Vec<u8>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.address()).finish_non_exhaustive()
    }
}

/// A webhook that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebhookError {
    /// The address is none, or not one of `http` or `https`.
    #[error("`{0}` is not an http or https URL")]
    Url(String),
    /// The secret says that it is base64 but is not, or it is empty.
    #[error("secret of the webhook is empty, or starts with `whsec_` and is not base64 after it")]
    Secret,
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl Webhook {
    /// Takes an address and the secret shared with it: either any text, or `whsec_` and base64, as Standard Webhooks
    /// writes it.
    ///
    /// # Errors
    /// When the address is not `http` or `https`, or the secret is empty or not base64 where it says so.
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
        if secret.is_empty() { Err(WebhookError::Secret) } else { Ok(Self { url, secret }) }
    }

    /// The address without what may be secret in it: user, password and query.
    fn address(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "{}://{}{port}{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default(),
            self.url.path()
        )
    }

    /// Under which name the engine keeps how far this hook has read.
    fn reader(&self) -> String {
        let digest = Sha256::digest(self.url.as_str());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("webhook-{hex}")
    }

    fn signature(&self, id: &str, timestamp_s: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// How long and how often a delivery is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubles each time.
    pub first_wait: Duration,
    /// Longest wait.
    pub longest_wait: Duration,
    /// Time after which an event is skipped.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    /// From 1 s, doubling to 5 minutes, for a day.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            give_up_after: day,
        }
    }
}

/// Delivers the engine's events to `hook` until `stop`. A hook that never read starts with the next event. An event
/// waits until the one before was delivered or skipped, so a job's events arrive in order.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub async fn run_webhook(
    engine: Engine,
    hook: Webhook,
    policy: RetryPolicy,
    stop: CancellationToken,
) -> Result<(), WebhookError> {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| WebhookError::Client(error.to_string()))?;
    let sender = Sender { engine, hook, policy, client, stop };
    while !sender.stop.is_cancelled() {
        if let Err(error) = sender.read_on().await {
            tracing::error!(webhook = sender.hook.address(), %error, "cannot read events");
            sender.pause(policy.longest_wait.min(Duration::from_secs(5))).await;
        }
    }
    Ok(())
}

struct Sender {
    engine: Engine,
    hook: Webhook,
    policy: RetryPolicy,
    client: reqwest::Client,
    stop: CancellationToken,
}

impl Sender {
    /// Delivers until stopped.
    async fn read_on(&self) -> Result<(), abanico_engine::Error> {
        let reader = self.hook.reader();
        let mut changes = self.engine.changes();
        let mut after = match self.engine.cursor(&reader).await? {
            Some(seq) => seq,
            None => {
                let newest = self.engine.newest_event().await?;
                self.engine.set_cursor(&reader, newest).await?;
                newest
            }
        };
        loop {
            changes.mark_unchanged();
            let events = self.engine.events_after(after, BATCH).await?;
            if events.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                }
            }
            for event in events {
                if !self.deliver(&event).await {
                    return Ok(());
                }
                after = event.seq;
                self.engine.set_cursor(&reader, after).await?;
            }
        }
    }

    /// Tries until delivered or too old; `false` when stopped before.
    async fn deliver(&self, event: &StoredEvent) -> bool {
        let started = Instant::now();
        let mut wait = self.policy.first_wait;
        loop {
            let Some(sent) = self.stop.run_until_cancelled(self.send(event)).await else { return false };
            let Err(reason) = sent else {
                tracing::debug!(job.id = %event.job, seq = event.seq, webhook = self.hook.address(), "event delivered");
                return true;
            };
            let (job, webhook) = (&event.job, self.hook.address());
            if started.elapsed() >= self.policy.give_up_after {
                tracing::error!(job.id = %job, seq = event.seq, webhook, reason, "an event is skipped after too many tries");
                return true;
            }
            tracing::warn!(job.id = %job, seq = event.seq, webhook, reason, "an event is sent again later");
            if !self.pause(wait).await {
                return false;
            }
            wait = (wait * 2).min(self.policy.longest_wait);
        }
    }

    async fn send(&self, event: &StoredEvent) -> Result<(), String> {
        let body = event.body.to_string();
        let id = message_id(event);
        let timestamp_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self
            .client
            .post(self.hook.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("abanico/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", self.hook.signature(&id, timestamp_s, &body))
            .body(body);
        // Without the address: its query may hold a secret.
        let answer = request.send().await.map_err(|error| with_causes(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("receiver answered `{status}`")) }
    }

    /// Waits; `false` when stopped meanwhile.
    async fn pause(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some()
    }
}

/// The event's own id, the same at every try, so that receivers can tell repeats.
fn message_id(event: &StoredEvent) -> String {
    let id = event.body.get("id").and_then(serde_json::Value::as_str);
    id.map_or_else(|| format!("abanico-{}", event.seq), str::to_owned)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
