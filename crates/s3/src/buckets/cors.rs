//! Stores the CORS rules of buckets and applies them to requests from browsers.
//!
//! It allows only origins that a rule names.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use s3s::dto::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{Body, S3ErrorCode};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::buckets::bucket_rules::Rules;
use crate::edge::base_domains::BaseDomains;
use crate::error::{Error, Result};
use crate::index::record::{from_text, require_bucket, to_text};

/// S3's limit on the rules of a bucket.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// One CORS rule, as the client stored it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    id: Option<String>,
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    max_age_s: Option<i32>,
}

/// The request that a browser asks permission for.
struct Asked {
    origin: String,
    method: String,
    headers: Vec<String>,
}

/// Whether `text` matches a pattern with at most one `*`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
        }
        None => pattern == text,
    }
}

impl Rule {
    fn allows(&self, asked: &Asked) -> bool {
        let allows_header = |header: &String| {
            self.headers
                .iter()
                .any(|pattern| fits(&pattern.to_ascii_lowercase(), &header.to_ascii_lowercase()))
        };
        self.methods.contains(&asked.method)
            && self.origins.iter().any(|pattern| fits(pattern, &asked.origin))
            && asked.headers.iter().all(allows_header)
    }

    /// Sets the headers that allow the request.
    fn answer(&self, asked: &Asked, headers: &mut HeaderMap) {
        let any = self.origins.iter().any(|origin| origin == "*");
        put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { &asked.origin });
        put(headers, ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(", "));
        if !any {
            put(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !asked.headers.is_empty() {
            put(headers, ACCESS_CONTROL_ALLOW_HEADERS, &asked.headers.join(", "));
        }
        if !self.exposed.is_empty() {
            put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(", "));
        }
        if let Some(seconds) = self.max_age_s {
            put(headers, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
        put(headers, VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// A browser's request from another origin: the bucket in its address and what it asks for.
pub(crate) struct CrossOrigin {
    bucket: String,
    asked: Asked,
    is_preflight: bool,
}

impl CrossOrigin {
    /// Reads a request. Returns `None` if it has no origin, or is a preflight without a method.
    pub(crate) fn of<B>(request: &Request<B>, domains: &BaseDomains) -> Option<Self> {
        let headers = request.headers();
        let origin = text(headers, ORIGIN)?;
        let bucket = match domains.bucket_of(headers) {
            Some(bucket) => bucket,
            None => request.uri().path().trim_start_matches('/').split('/').next()?.to_owned(),
        };
        let is_preflight = request.method() == Method::OPTIONS;
        let (method, asked_headers) = if is_preflight {
            let list = text(headers, ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
            (text(headers, ACCESS_CONTROL_REQUEST_METHOD)?, names.collect())
        } else {
            (request.method().as_str().to_owned(), Vec::new())
        };
        Some(Self { bucket, asked: Asked { origin, method, headers: asked_headers }, is_preflight })
    }

    /// Returns the answer to a preflight; `None` if this is an actual request.
    pub(crate) async fn preflight(&self, s3: &LocalS3) -> Option<Response<Body>> {
        if !self.is_preflight {
            return None;
        }
        let mut response = Response::new(Body::empty());
        if !self.allow(s3, response.headers_mut()).await {
            return Some(refused());
        }
        Some(response)
    }

    /// Adds the headers of the bucket's first matching rule. Returns whether a rule matches.
    pub(crate) async fn allow(&self, s3: &LocalS3, headers: &mut HeaderMap) -> bool {
        // If the rules cannot be read, nothing is allowed.
        let rules = s3.cors_rules(&self.bucket).await.ok().flatten().unwrap_or_default();
        let Some(rule) = rules.iter().find(|rule| rule.allows(&self.asked)) else { return false };
        rule.answer(&self.asked, headers);
        true
    }
}

/// Returns the answer to a preflight that no rule allows.
fn refused() -> Response<Body> {
    error(s3s::S3Error::with_message(
        S3ErrorCode::AccessDenied,
        "no CORS rule of the bucket allows this request",
    ))
}

/// Returns the answer to an OPTIONS request that asks for nothing: without an origin, or without a method.
pub(crate) fn no_preflight(headers: &HeaderMap) -> Response<Body> {
    let message = if headers.contains_key(ORIGIN) {
        "Invalid Access-Control-Request-Method: null"
    } else {
        "Insufficient information. Origin request header needed."
    };
    let mut bad = s3s::S3Error::with_message(S3ErrorCode::Custom("BadRequest".into()), message);
    bad.set_status_code(StatusCode::BAD_REQUEST);
    error(bad)
}

fn error(error: s3s::S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    })
}

fn checked(rule: CORSRule) -> Result<Rule> {
    let wrong = |message: String| Error::refused(S3ErrorCode::InvalidRequest, message);
    if let Some(method) = rule.allowed_methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        return Err(wrong(format!("a CORS rule cannot allow `{method}`")));
    }
    let headers = rule.allowed_headers.unwrap_or_default();
    if let Some(pattern) =
        rule.allowed_origins.iter().chain(&headers).find(|pattern| pattern.matches('*').count() > 1)
    {
        return Err(wrong(format!("`{pattern}` has more than one `*`")));
    }
    Ok(Rule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers,
        exposed: rule.expose_headers.unwrap_or_default(),
        max_age_s: rule.max_age_seconds,
    })
}

impl LocalS3 {
    async fn cors_rules(&self, bucket: &str) -> Result<Option<Vec<Rule>>> {
        let bucket = bucket.to_owned();
        let read = self.inner.index.read(move |reader| {
            let text = Rules::Cors.of(reader, &bucket)?.ok_or_else(|| Error::no_such_bucket(&bucket))?;
            Ok(text.map(|text| from_text(&text)).transpose()?)
        });
        read.await
    }

    pub(crate) async fn get_cors(&self, input: GetBucketCorsInput) -> Result<GetBucketCorsOutput> {
        let missing = || Error::refused(S3ErrorCode::NoSuchCORSConfiguration, "the bucket has no CORS rules");
        let rules = self.cors_rules(&input.bucket).await?.ok_or_else(missing)?;
        let rules = rules.into_iter().map(|rule| CORSRule {
            id: rule.id,
            allowed_origins: rule.origins,
            allowed_methods: rule.methods,
            allowed_headers: (!rule.headers.is_empty()).then_some(rule.headers),
            expose_headers: (!rule.exposed.is_empty()).then_some(rule.exposed),
            max_age_seconds: rule.max_age_s,
        });
        Ok(GetBucketCorsOutput { cors_rules: Some(rules.collect()) })
    }

    pub(crate) async fn put_cors(&self, input: PutBucketCorsInput) -> Result<PutBucketCorsOutput> {
        if input.cors_configuration.cors_rules.len() > RULES_MAX {
            let message = "The number of CORS rules should not exceed allowed limit of 100 rules.";
            return Err(Error::refused(S3ErrorCode::InvalidRequest, message));
        }
        let rules = input.cors_configuration.cors_rules.into_iter().map(checked);
        let rules: Vec<Rule> = rules.collect::<Result<_>>()?;
        self.set_cors(input.bucket, Some(to_text(&rules))).await?;
        Ok(PutBucketCorsOutput::default())
    }

    pub(crate) async fn delete_cors(&self, input: DeleteBucketCorsInput) -> Result<DeleteBucketCorsOutput> {
        self.set_cors(input.bucket, None).await?;
        Ok(DeleteBucketCorsOutput::default())
    }

    async fn set_cors(&self, bucket: String, text: Option<String>) -> Result<()> {
        let write = self.change_buckets(move |transaction| {
            require_bucket(transaction, &bucket)?;
            Rules::Cors.write(transaction, &bucket, text.as_deref())
        });
        write.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_with_its_one_star() {
        assert!(
            fits("https://*.example.com", "https://a.example.com") && fits("*", "x") && fits("x-*", "x-amz")
        );
        assert!(
            !fits("https://*.example.com", "https://example.com") && !fits("ab*ba", "aba") && !fits("a", "b")
        );
    }

    #[test]
    fn rule_checks_origin_method_and_headers() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rule = Rule {
            id: None,
            origins: texts(&["https://app"]),
            methods: texts(&["PUT"]),
            headers: texts(&["X-Amz-*"]),
            exposed: texts(&["ETag"]),
            max_age_s: Some(60),
        };
        let asked = |origin: &str, method: &str, header: &str| Asked {
            origin: origin.to_owned(),
            method: method.to_owned(),
            headers: texts(&[header]),
        };
        let fitting = asked("https://app", "PUT", "x-amz-date");
        assert!(rule.allows(&fitting));
        assert!(!rule.allows(&asked("https://other", "PUT", "x-amz-date")));
        assert!(!rule.allows(&asked("https://app", "GET", "x-amz-date")));
        assert!(!rule.allows(&asked("https://app", "PUT", "content-type")));
        let mut headers = HeaderMap::new();
        rule.answer(&fitting, &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "ETag");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "60");
    }
}
