//! The table `[s3]`: by which names clients reach the S3 endpoint.

use abanico_s3::BaseDomains;
use serde::Deserialize;

use crate::failure::{Hinted, WRONG_USAGE};

/// How the S3 endpoint is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// The domains below which a name is a bucket, as in `http://renditions.localhost/key`. Empty means that buckets are
    /// named in paths alone.
    pub base_domains: Vec<String>,
}

impl Default for S3Config {
    fn default() -> Self {
        Self { base_domains: ["localhost", "s3.localhost"].map(str::to_owned).to_vec() }
    }
}

impl S3Config {
    /// Returns the domains. `hosts` are names of the server itself, which are no buckets.
    ///
    /// # Errors
    /// Fails if one is not the name of a domain.
    pub fn domains(&self, hosts: &[String]) -> anyhow::Result<BaseDomains> {
        let domains = BaseDomains::new(&self.base_domains).map_err(|error| {
            let hint = "change `base_domains` under [s3] in the configuration";
            Hinted::new(WRONG_USAGE, error.to_string(), hint)
        })?;
        Ok(domains.without(hosts))
    }

    /// Checks the domains, as [`Self::domains`] does.
    ///
    /// # Errors
    /// Fails if one is not the name of a domain.
    pub fn check(&self, hosts: &[String]) -> anyhow::Result<()> {
        self.domains(hosts).map(|_| ())
    }
}
