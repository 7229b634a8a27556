//! Files of the web: in an `http:` or `https:` URL and a path, out the file at that path.
//!
//! Never a host that the operator did not name, never an address of a private network unless that is allowed too, and
//! both anew for every redirect. Never a proxy, a cookie or a credential from the environment.

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

/// What may be fetched, and how.
#[derive(Clone, Default, Debug)]
pub struct WebOptions {
    /// Hosts that files may come from; none of them turns the web off.
    pub hosts: Vec<HostPattern>,
    /// Whether these hosts may be this machine or in the networks around it. Link-local addresses, where clouds hand
    /// out credentials, stay forbidden.
    pub allow_private_addresses: bool,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// How long and how much.
    pub limits: WebLimits,
}

/// Limits of one fetched file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebLimits {
    /// Most bytes of the file.
    pub most_bytes: u64,
    /// Longest wait for name, connection and TLS.
    pub connect: Duration,
    /// Longest wait without a byte.
    pub stall: Duration,
    /// Longest time for the whole file, with all that is tried again.
    pub whole: Duration,
}

impl Default for WebLimits {
    /// 100 GiB; 10 s, 30 s and 6 hours.
    fn default() -> Self {
        Self {
            most_bytes: 100 << 30,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            whole: Duration::from_secs(6 * 60 * 60),
        }
    }
}

/// What was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedFile {
    /// Its size.
    pub size_bytes: u64,
    /// Entity tag with its quotes, where the server gave one.
    pub e_tag: Option<String>,
}

/// Whether `url` is of the web: `http:` or `https:`.
pub fn is_web_url(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// Fetches files of the web. Clones share the client; the default fetches nothing.
#[derive(Clone, Default)]
pub struct WebInputs {
    hosts: Vec<HostPattern>,
    allow_private: bool,
    limits: WebLimits,
    /// None where the web is off.
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
    /// Sets the client up.
    ///
    /// # Errors
    /// When the certificates cannot be read, or the system has no usable ones.
    pub fn new(options: WebOptions) -> Result<Self, Error> {
        let WebOptions { hosts, allow_private_addresses: allow_private, ca_pem, limits } = options;
        let client = if hosts.is_empty() { None } else { Some(client(allow_private, ca_pem, &limits)?) };
        Ok(Self { hosts, allow_private, limits, client })
    }

    /// Says whether a file may be fetched from `url`, as far as its text tells.
    ///
    /// # Errors
    /// [`WebErrorKind::Disallowed`] with the setting to change, or [`WebErrorKind::Unusable`] for what is no URL.
    pub fn check(&self, url: &str) -> Result<(), Error> {
        self.permitted(&self.parsed(url)?).map(drop)
    }

    /// Fetches the file at `url` into `destination`, which must not exist; its folder must.
    ///
    /// An interrupted transfer goes on from where it was if the server has a strong entity tag, else anew. When the
    /// future is dropped or fails, `destination` is gone.
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
                let what =
                    format!("not fetched within {} s, the limit of a transfer", self.limits.whole.as_secs());
                Err(Error::web(&place, WebErrorKind::OverLimit, what))
            }
        }
    }

    fn parsed(&self, url: &str) -> Result<Url, Error> {
        let parsed = Url::parse(url).map_err(|error| {
            Error::web(&without_secrets(url), WebErrorKind::Unusable, format!("this is no URL: {error}"))
        })?;
        Ok(parsed)
    }

    /// The client, if `url` may be asked of it: called for the job's own URL and for every one that a server leads to.
    fn permitted(&self, url: &Url) -> Result<&Client, Error> {
        let place = without_secrets(url.as_str());
        let disallowed = |what: String| Error::web(&place, WebErrorKind::Disallowed, what);
        if !is_web_url(url.as_str()) {
            return Err(disallowed("only http and https are read".to_owned()));
        }
        let host = url.host_str().unwrap_or_default();
        let shown = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let listed = self.hosts.iter().any(|pattern| pattern.matches(url));
        let client = self.client.as_ref().filter(|_| listed).ok_or_else(|| {
            disallowed(format!(
                "inputs may not come from the host `{shown}`: add it to `hosts` of `[web_inputs]` in the configuration"
            ))
        })?;
        // The client asks no resolver about an address.
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let resolver = CheckingResolver { allow_private: self.allow_private };
            resolver.check(&shown, address).map_err(|error| disallowed(error.to_string()))?;
        }
        Ok(client)
    }
}

fn client(allow_private: bool, ca_pem: Option<Vec<u8>>, limits: &WebLimits) -> Result<Client, Error> {
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
