//! Signs requests as an SDK does, for tests only.

use std::time::SystemTime;

use http::HeaderValue;

use super::Scope;
use super::canonical_request::canonical_request;
use super::signing_time::{epoch_s, write_time};

/// Signs a request for `service` with the given key and secret, at the current time.
pub(crate) fn signed(
    request: http::Request<String>,
    (key, secret): (&str, &str),
    service: &str,
) -> http::Request<axum::body::Body> {
    let (mut parts, body) = request.into_parts();
    let now_s = epoch_s(SystemTime::now());
    let time = write_time(now_s);
    parts.headers.entry("host").or_insert(HeaderValue::from_static("127.0.0.1"));
    parts.headers.insert("x-amz-date", HeaderValue::from_str(&time).unwrap());
    let (region, service) = ("us-east-1".to_owned(), service.to_owned());
    let scope = Scope { access_key: key.to_owned(), date: time[..8].to_owned(), region, service };
    let signed = ["host".to_owned(), "x-amz-date".to_owned()];
    let canonical = canonical_request(&parts, body.as_bytes(), &signed).unwrap();
    let signature = super::sign(secret, &scope, now_s, &canonical);
    let Scope { date, region, service, .. } = &scope;
    let header = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{date}/{region}/{service}/aws4_request, SignedHeaders=host;x-amz-date, \
         Signature={signature}"
    );
    parts.headers.insert("authorization", HeaderValue::from_str(&header).unwrap());
    http::Request::from_parts(parts, body.into())
}
