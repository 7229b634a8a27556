//! Reads without their `Range` if that is no range of bytes: HTTP says that such a header is to be ignored, and `s3s`
//! refuses it.
//!
//! The header may be signed, so it goes only once the signature is verified.

use http::header::{AUTHORIZATION, RANGE};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use s3s::dto::Range;
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use crate::edge::door::query_names;
use crate::edge::service::{OnAdmission, admit};
use crate::edge::sieve::is_subresource;

/// Takes requests for objects with such a header from `s3s`, and hands them back without it.
pub(crate) struct IgnoredRange {
    /// Serves requests whose signatures are verified.
    verified: S3Service,
}

impl IgnoredRange {
    /// `verified` must serve requests without a signature.
    pub(crate) fn new(verified: S3Service) -> Self {
        Self { verified }
    }
}

#[async_trait::async_trait]
impl S3Route for IgnoredRange {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, _: &mut Extensions) -> bool {
        let names = query_names(uri.query());
        let is_plain = !names.iter().any(|(name, _)| is_subresource(name) || name == "uploadId");
        matches!(*method, Method::GET | Method::HEAD) && is_plain && has_odd_range(headers)
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let operation = if request.method == Method::HEAD { "HeadObject" } else { "GetObject" };
        let is_signed = request.credentials.is_some();
        admit(operation, is_signed, &request.uri, &request.headers)?;
        OnAdmission::tell(&request.extensions);
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let S3Request { input, method, uri, mut headers, extensions, .. } = request;
        headers.remove(RANGE);
        headers.remove(AUTHORIZATION);
        let mut verified = Request::new(input);
        *verified.method_mut() = method;
        *verified.uri_mut() = unsigned(&uri)?;
        *verified.headers_mut() = headers;
        *verified.extensions_mut() = extensions;
        let answered = self.verified.call(verified).await;
        let answered = answered
            .map_err(|_| S3Error::with_message(S3ErrorCode::InternalError, "cannot answer the request"))?;
        let (parts, body) = answered.into_parts();
        let mut response = S3Response::new(body);
        response.status = Some(parts.status);
        response.headers = parts.headers;
        Ok(response)
    }
}

/// Whether a request has a `Range` that is no single range of bytes.
pub(crate) fn has_odd_range(headers: &HeaderMap) -> bool {
    headers.get(RANGE).is_some_and(|value| !value.to_str().is_ok_and(|text| Range::parse(text).is_ok()))
}

/// Removes the signature from a presigned address.
fn unsigned(uri: &Uri) -> S3Result<Uri> {
    let is_signature = |pair: &&str| pair.to_ascii_lowercase().starts_with("x-amz-");
    let query = uri.query().unwrap_or_default().split('&').filter(|pair| !is_signature(pair));
    let target = format!("{}?{}", uri.path(), query.collect::<Vec<_>>().join("&"));
    target.parse().map_err(|_| S3ErrorCode::InvalidURI.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_range_of_bytes_is_a_range() {
        let is_odd =
            |value: &'static str| has_odd_range(&[(RANGE, value.parse().unwrap())].into_iter().collect());
        for range in ["bytes=0-1", "bytes=5-", "bytes=-1"] {
            assert!(!is_odd(range), "{range}");
        }
        for range in ["bytes=a-b", "bytes=5-1", "bytes=0-1,3-4", "items=0-1", "", "bytes"] {
            assert!(is_odd(range), "{range}");
        }
        assert!(!has_odd_range(&HeaderMap::new()));
    }

    #[test]
    fn signature_goes_and_the_rest_stays() {
        let signed =
            "/b/k%20k?response-expires=x&X-Amz-Signature=1&X-Amz-Date=2&partNumber=1".parse().unwrap();
        assert_eq!(unsigned(&signed).unwrap(), "/b/k%20k?response-expires=x&partNumber=1");
    }
}
