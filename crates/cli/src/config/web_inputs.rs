//! The table `[web_inputs]`: which inputs may be read from the web. By default none may.

use std::path::PathBuf;
use std::time::Duration;

use abanico_store::{HostPattern, WebInputs, WebLimits, WebOptions};
use serde::Deserialize;

use crate::failure::{Hinted, WRONG_USAGE};

/// Settings for inputs with `http:` and `https:` URLs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebInputsConfig {
    /// Hosts that inputs may come from, such as `media.example.com`, `*.example.com` or `10.0.0.7:8080`.
    pub hosts: Vec<String>,
    /// Whether these hosts may be this machine or in a private network.
    pub allow_private_addresses: bool,
    /// Maximum size of a file in bytes.
    pub max_bytes: u64,
    /// Maximum time for reading a file, in seconds.
    pub max_seconds: u64,
    /// PEM file with certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

impl WebInputsConfig {
    /// Sets up reading inputs from the web.
    ///
    /// # Errors
    /// Fails if a host is invalid or the certificates cannot be read.
    pub fn open(&self) -> anyhow::Result<WebInputs> {
        let wrong = |message: String| {
            Hinted::new(WRONG_USAGE, format!("[web_inputs]: {message}"), "see docs/CONFIGURATION.md")
        };
        let hosts = self.hosts.iter().map(|host| host.parse::<HostPattern>());
        let hosts = hosts.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| wrong(format!("cannot read the ca_file `{}`: {error}", path.display())))
        };
        let limits = WebLimits {
            most_bytes: self.max_bytes,
            whole: Duration::from_secs(self.max_seconds),
            ..WebLimits::default()
        };
        let options = WebOptions {
            hosts,
            allow_private_addresses: self.allow_private_addresses,
            ca_pem: self.ca_file.as_ref().map(read).transpose()?,
            limits,
        };
        Ok(WebInputs::new(options).map_err(|error| wrong(error.to_string()))?)
    }
}

impl Default for WebInputsConfig {
    fn default() -> Self {
        let WebLimits { most_bytes, whole, .. } = WebLimits::default();
        Self {
            hosts: Vec::new(),
            allow_private_addresses: false,
            max_bytes: most_bytes,
            max_seconds: whole.as_secs(),
            ca_file: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> WebInputsConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn web_inputs_are_off_without_hosts() {
        let off = parse("").open().unwrap();
        assert!(off.check("https://media.example.com/a").is_err());
        let text = "hosts = [\"media.example.com\", \"127.0.0.1:81\"]\nmax_bytes = 5";
        let on = parse(text);
        assert_eq!((on.max_bytes, on.max_seconds, on.allow_private_addresses), (5, 21_600, false));
        let on = on.open().unwrap();
        on.check("https://media.example.com/a").unwrap();
        assert!(on.check("http://127.0.0.1:81/a").unwrap_err().to_string().contains("private"));
    }

    #[test]
    fn invalid_values_are_named() {
        for (text, told) in [
            ("hosts = [\"*\"]", "`*`"),
            ("hosts = [\"https://h.example/\"]", "`https://h.example/`"),
            ("ca_file = \"no/such.pem\"", "`no/such.pem`"),
        ] {
            let error = parse(text).open().unwrap_err();
            assert!(error.to_string().contains(told), "{error:#}");
        }
    }

    #[test]
    fn unknown_key_is_named() {
        let error = toml::from_str::<WebInputsConfig>("host = []").unwrap_err();
        assert!(error.to_string().contains("`host`"), "{error}");
    }
}
