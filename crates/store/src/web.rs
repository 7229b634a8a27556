//! Fetches files from the web: copies the file at an `http:` or `https:` URL to a local path.
//!
//! It contacts only hosts that the operator named, and addresses of private networks only if they are allowed too. Both
//! are checked again for every redirect. It uses no proxy, cookie or credential from the environment.

mod address;
mod failure;
mod host_pattern;
mod partial_file;
mod redaction;
mod resolver;
mod transfer;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Url};

pub use host_pattern::{HostPattern, ParseHostPatternError};
pub use redaction::without_secrets;

use resolver::CheckingResolver;
use transfer::Transfer;

use crate::{Error, WebErrorKind};

/// What may be fetched from the web, and how.
#[derive(Clone, Default, Debug)]
pub struct WebOptions {
    /// Hosts that files may come from. An empty list turns web inputs off.
    pub hosts: Vec<HostPattern>,
    /// Whether these hosts may be this machine or in a private network. Link-local addresses, where clouds hand out
    /// credentials, stay forbidden.
    pub allow_private_addresses: bool,
    /// PEM certificates to trust in addition to the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Limits on time and size.
    pub limits: WebLimits,
}

/// Limits on one fetched file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebLimits {
    /// Maximum size of the file in bytes.
    pub most_bytes: u64,
    /// Maximum wait for name resolution, connection and TLS.
    pub connect: Duration,
    /// Maximum wait without a byte.
    pub stall: Duration,
    /// Maximum time for the whole file, including retries.
    pub whole: Duration,
}

impl Default for WebLimits {
    /// 100 GiB, 10 s to connect, 30 s without a byte, 6 hours for the whole file.
    fn default() -> Self {
        Self {
            most_bytes: 100 << 30,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            whole: Duration::from_secs(6 * 60 * 60),
        }
    }
}

/// A fetched file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedFile {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag with its quotes, if the server gave one.
    pub e_tag: Option<String>,
}

/// Returns whether `url` is an `http:` or `https:` URL.
pub fn is_web_url(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// Fetches files from the web. Clones share the client. The default fetches nothing.
#[derive(Clone, Default)]
pub struct WebInputs {
    hosts: Vec<HostPattern>,
    allow_private: bool,
    limits: WebLimits,
    /// `None` if web inputs are off.
    client: Option<Client>,
}

impl fmt::Debug for WebInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebInputs")
            .field("hosts", &self.hosts)
            .field("allow_private", &self.allow_private)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl WebInputs {
    /// Sets up the client.
    ///
    /// # Errors
    /// Fails if the certificates cannot be read, or the system has no usable ones.
    pub fn new(options: WebOptions) -> Result<Self, Error> {
        let WebOptions { hosts, allow_private_addresses: allow_private, ca_pem, limits } = options;
        let client = if hosts.is_empty() { None } else { Some(client(allow_private, ca_pem, &limits)?) };
        Ok(Self { hosts, allow_private, limits, client })
    }

    /// Checks, by its text alone, whether a file may be fetched from `url`.
    ///
    /// # Errors
    /// Returns [`WebErrorKind::Disallowed`] with the setting to change, or [`WebErrorKind::Unusable`] if it is not a
    /// URL.
    pub fn check(&self, url: &str) -> Result<(), Error> {
        self.permitted(&self.parsed(url)?).map(drop)
    }

    /// Fetches the file at `url` to `destination`, which must not exist yet. Its folder must exist.
    ///
    /// An interrupted transfer resumes where it stopped if the server gave a strong entity tag; otherwise it starts
    /// over. If the future fails or is dropped, `destination` is removed.
    ///
    /// # Errors
    /// See [`WebErrorKind`]; a full disk is [`crate::ErrorKind::Unavailable`].
    pub async fn fetch(&self, url: &str, destination: &Path) -> Result<FetchedFile, Error> {
        let parsed = self.parsed(url)?;
        let transfer = Transfer::begin(self, parsed, destination).await?;
        let place = without_secrets(url);
        match tokio::time::timeout(self.limits.whole, transfer.run()).await {
            Ok(done) => done,
            Err(_) => {
                let what = format!(
                    "not fetched within {} s, the time limit of a transfer",
                    self.limits.whole.as_secs()
                );
                Err(Error::web(&place, WebErrorKind::OverLimit, what))
            }
        }
    }

    fn parsed(&self, url: &str) -> Result<Url, Error> {
        let parsed = Url::parse(url).map_err(|error| {
            Error::web(&without_secrets(url), WebErrorKind::Unusable, format!("this is not a URL: {error}"))
        })?;
        Ok(parsed)
    }

    /// Returns the client if `url` may be requested. Called for the job's own URL and for the URL of every redirect.
    fn permitted(&self, url: &Url) -> Result<&Client, Error> {
        let place = without_secrets(url.as_str());
        let disallowed = |what: String| Error::web(&place, WebErrorKind::Disallowed, what);
        if !is_web_url(url.as_str()) {
            return Err(disallowed("only http and https URLs can be read".to_owned()));
        }
        let host = url.host_str().unwrap_or_default();
        let shown = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let listed = self.hosts.iter().any(|pattern| pattern.matches(url));
        let client = self.client.as_ref().filter(|_| listed).ok_or_else(|| {
            disallowed(format!(
                "inputs may not come from the host `{shown}`: add it to `hosts` of `[web_inputs]` in the configuration"
            ))
        })?;
        // The client does not ask the resolver about a literal address, so check it here.
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let resolver = CheckingResolver { allow_private: self.allow_private };
            resolver.check(&shown, address).map_err(|error| disallowed(error.to_string()))?;
        }
        Ok(client)
    }
}

fn client(allow_private: bool, ca_pem: Option<Vec<u8>>, limits: &WebLimits) -> Result<Client, Error> {
    crate::tls::use_ring();
    let mut builder = Client::builder()
        .user_agent(concat!("abanico/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .dns_resolver(CheckingResolver { allow_private })
        .connect_timeout(limits.connect)
        .pool_max_idle_per_host(0)
        .http1_only();
    if let Some(pem) = ca_pem {
        let unreadable = "the certificates for web inputs cannot be read: give `ca_file` as PEM";
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|error| Error::web_not_set_up(unreadable).because(error))?;
        if certificates.is_empty() {
            return Err(Error::web_not_set_up(unreadable));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        let what =
            "the client for web inputs cannot be set up: check `ca_file` and the system's certificates";
        Error::web_not_set_up(what).because(error)
    })
}

#[cfg(test)]
mod tests;
