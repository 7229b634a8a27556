//! Tells which bucket a request names in its `Host` header, as AWS's virtual-hosted-style addresses do:
//! `http://renditions.localhost/key`.
//!
//! It never looks at paths, and does not know which buckets exist.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HOST;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};
use s3s::path::check_bucket_name;

use crate::error::{Error, Result};

/// The domains below which a name is a bucket. Clones share them.
#[derive(Clone, Debug)]
pub struct BaseDomains {
    domains: Arc<[String]>,
    /// Names below the domains that are no buckets.
    others: Arc<[String]>,
}

impl Default for BaseDomains {
    /// `localhost` and `s3.localhost`.
    fn default() -> Self {
        let domains = ["localhost", "s3.localhost"].map(str::to_owned);
        Self { domains: Arc::from(domains), others: Arc::from([]) }
    }
}

impl BaseDomains {
    /// Takes domains without ports. Without any, buckets are named in paths alone.
    ///
    /// # Errors
    /// Fails if one is not the name of a domain.
    pub fn new(domains: &[String]) -> Result<Self, Error> {
        if let Some(wrong) = domains.iter().find(|domain| !is_domain(domain)) {
            let message = format!(
                "`{wrong}` is not the name of a domain: write it without scheme, port and path, such as `s3.example.com`"
            );
            return Err(Error::refused(s3s::S3ErrorCode::InvalidArgument, message));
        }
        let domains = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        Ok(Self { domains, others: Arc::from([]) })
    }

    /// Sets the names below the domains that mean the server itself instead of a bucket.
    #[must_use]
    pub fn without(self, names: &[String]) -> Self {
        Self { others: names.iter().map(|name| name.to_ascii_lowercase()).collect(), ..self }
    }

    /// Returns the bucket that the headers of a request name, if their `Host` is a name below a domain.
    pub fn bucket_of(&self, headers: &HeaderMap) -> Option<String> {
        self.bucket_in(headers.get(HOST)?.to_str().ok()?)
    }

    fn bucket_in(&self, host: &str) -> Option<String> {
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if self.domains.iter().chain(self.others.iter()).any(|own| *own == name) {
            return None;
        }
        let below = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
        // The longest domain leaves the shortest bucket: `a.s3.localhost` is bucket `a` of `s3.localhost`.
        let bucket = self.domains.iter().filter_map(below).min_by_key(|bucket| bucket.len())?;
        check_bucket_name(bucket).then(|| bucket.to_owned())
    }
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl S3Host for BaseDomains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let named = VirtualHost::new(host);
        Ok(match self.bucket_in(host) {
            Some(bucket) => named.with_bucket(bucket),
            None => named,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn host_below_a_domain_names_a_bucket() {
        let base = BaseDomains::default();
        for (host, bucket) in [
            ("renditions.localhost:4566", Some("renditions")),
            ("Renditions.LocalHost", Some("renditions")),
            ("renditions.localhost.:80", Some("renditions")),
            ("my.video.bucket.localhost", Some("my.video.bucket")),
            ("renditions.s3.localhost:4566", Some("renditions")),
            ("my.bucket.s3.localhost", Some("my.bucket")),
            ("localhost:4566", None),
            ("s3.localhost:4566", None),
            ("127.0.0.1:4566", None),
            ("[::1]:4566", None),
            ("renditions.example.com", None),
            ("renditionslocalhost", None),
            (".localhost", None),
            ("a_b.localhost", None),
            ("", None),
        ] {
            assert_eq!(base.bucket_in(host).as_deref(), bucket, "{host}");
        }
    }

    #[test]
    fn own_names_are_no_buckets() {
        let base = BaseDomains::new(&domains(&["S3.example.com"])).unwrap();
        let base = base.without(&domains(&["Console.s3.example.com"]));
        assert_eq!(base.bucket_in("video.s3.example.com").as_deref(), Some("video"));
        assert_eq!(base.bucket_in("console.s3.example.com:443"), None);
        assert_eq!(base.bucket_in("video.localhost"), None);
        assert_eq!(BaseDomains::new(&[]).unwrap().bucket_in("video.localhost"), None);
    }

    #[test]
    fn only_names_of_domains_are_taken() {
        for wrong in
            ["", "http://s3.example.com", "s3.example.com:80", "s3..example", ".example", "s3/x", "*.x"]
        {
            let error = BaseDomains::new(&domains(&[wrong])).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{wrong}` is not")), "{error}");
        }
    }
}
