//! Connects to a Temporal service.

use std::path::PathBuf;
use std::time::Duration;

use abanico_process::with_causes;
use temporalio_client::{Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, TlsOptions};
use url::Url;

/// Longest wait for a connection.
const WAIT: Duration = Duration::from_secs(10);

/// How a Temporal service is reached.
#[derive(Clone, Default)]
pub struct Connecting {
    /// URL of its gRPC endpoint, such as `http://127.0.0.1:7233`. With `https`, or with an API key, TLS is used.
    pub address: String,
    /// Namespace, such as `default`.
    pub namespace: String,
    /// API key, as Temporal Cloud has them.
    pub api_key: Option<String>,
    /// Certificates for TLS, besides those that the system trusts.
    pub tls: TlsFiles,
}

/// PEM files for TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    /// Certificate of the authority that signed the service's certificate.
    pub authority: Option<PathBuf>,
    /// Own certificate, for services that ask for one.
    pub certificate: Option<PathBuf>,
    /// Private key of the own certificate.
    pub key: Option<PathBuf>,
}

impl std::fmt::Debug for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api_key = self.api_key.as_ref().map(|_| "REDACTED");
        let mut shown = f.debug_struct("Connecting");
        shown.field("address", &self.address).field("namespace", &self.namespace);
        shown.field("api_key", &api_key).field("tls", &self.tls).finish()
    }
}

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// Nobody answers, or not as Temporal does.
    #[error("cannot reach Temporal at {address}: {reason}")]
    NotReached {
        /// The address.
        address: String,
        /// What went wrong.
        reason: String,
    },
}

impl Connecting {
    /// Connects, and shows `identity` to the service, which its own console tells of each poller.
    ///
    /// # Errors
    /// Fails if the address is no URL, a file cannot be read, or the service does not answer within ten seconds.
    pub(crate) async fn connect(&self, identity: &str) -> Result<Client, ConnectError> {
        let url = Url::parse(&self.address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| {
            ConnectError::Configuration(format!(
                "`{}` is no address of Temporal: write it like http://127.0.0.1:7233",
                self.address
            ))
        })?;
        let options = ConnectionOptions::new(url.clone())
            .identity(identity)
            .connect_timeout(WAIT)
            .maybe_api_key(self.api_key.clone())
            .maybe_tls_options(self.tls_options(&url)?)
            .build();
        let not_reached = |reason: String| ConnectError::NotReached { address: self.address.clone(), reason };
        let connected = tokio::time::timeout(WAIT, Connection::connect(options)).await;
        let connection = match connected {
            Ok(connected) => connected.map_err(|error| not_reached(with_causes(&error)))?,
            Err(_) => return Err(not_reached(format!("no answer within {} s", WAIT.as_secs()))),
        };
        let client = Client::new(connection, ClientOptions::new(self.namespace.clone()).build());
        client.map_err(|error| not_reached(with_causes(&error)))
    }

    fn tls_options(&self, url: &Url) -> Result<Option<TlsOptions>, ConnectError> {
        let TlsFiles { authority, certificate, key } = &self.tls;
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| {
                ConnectError::Configuration(format!("cannot read `{}`: {error}", path.display()))
            })
        };
        let authority = authority.as_ref().map(read).transpose()?;
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(
                ClientTlsOptions::builder()
                    .client_cert(read(certificate)?)
                    .client_private_key(read(key)?)
                    .build(),
            ),
            (None, None) => None,
            _ => {
                let message =
                    "a client certificate for Temporal needs both a certificate and a key: give both";
                return Err(ConnectError::Configuration(message.to_owned()));
            }
        };
        if url.scheme() == "http" && authority.is_none() && own.is_none() && self.api_key.is_none() {
            return Ok(None);
        }
        let options =
            TlsOptions::builder().maybe_server_root_ca_cert(authority).maybe_client_tls_options(own);
        Ok(Some(options.build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connecting(address: &str) -> Connecting {
        Connecting { address: address.to_owned(), namespace: "default".to_owned(), ..Connecting::default() }
    }

    #[tokio::test]
    async fn wrong_address_names_the_remedy() {
        for address in ["", "127.0.0.1:7233", "ftp://x"] {
            let error = connecting(address).connect("me").await.err().unwrap().to_string();
            assert!(error.contains("like http://127.0.0.1:7233"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = connecting(&address).connect("me").await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("cannot reach Temporal at {address}: ")), "{error}");
    }

    #[tokio::test]
    async fn half_a_certificate_is_refused() {
        let tls = TlsFiles { certificate: Some("/cert.pem".into()), ..TlsFiles::default() };
        let error = Connecting { tls, ..connecting("https://h:1") }.connect("me").await.err().unwrap();
        assert!(error.to_string().contains("/cert.pem") || error.to_string().contains("both"), "{error}");
    }

    #[test]
    fn api_key_is_not_shown() {
        let shown = format!("{:?}", Connecting { api_key: Some("s3cret".to_owned()), ..connecting("x") });
        assert!(!shown.contains("s3cret") && shown.contains("REDACTED"), "{shown}");
    }
}
