//! Completes answers where `s3s` writes less than S3: ids of requests, answers without a body, ETags without quotes.
//!
//! Only answers that are in memory as a whole are rewritten, never an object.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::Body;

use crate::blobs::unique_id;
use crate::edge::base_domains::BaseDomains;

/// Header with the id of a request.
const REQUEST_ID: &str = "x-amz-request-id";
/// Characters that are percent-encoded in the address of an object.
pub(crate) const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Makes the id of a request.
pub(crate) fn request_id() -> String {
    unique_id()[..16].to_ascii_uppercase()
}

/// Writes the id of the request into an answer, and into its document if it is an error.
pub(crate) fn name(response: &mut Response<Body>, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // A list of deletions has errors too, each about one key.
    if !(response.status().is_client_error() || response.status().is_server_error()) {
        return;
    }
    rewrite(response, |text| {
        let (rest, tail) = text.split_at(text.rfind("</Error>")?);
        (!rest.contains("<RequestId>")).then(|| format!("{rest}<RequestId>{id}</RequestId>{tail}"))
    });
}

/// Removes the body of an answer that must not have one.
pub(crate) fn strip(response: &mut Response<Body>) {
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

/// Removes the quotes of the ETag in the answer to a GetObjectAttributes, which S3 writes without.
pub(crate) fn unquote(response: &mut Response<Body>) {
    rewrite(response, |text| {
        let (head, rest) = text.split_once("<ETag>")?;
        let (etag, tail) = rest.split_once("</ETag>")?;
        let etag = etag.replace("&quot;", "");
        Some(format!("{head}<ETag>{}</ETag>{tail}", etag.trim_matches('"')))
    });
}

/// Replaces an answer's document; leaves it if `change` returns `None`.
fn rewrite(response: &mut Response<Body>, change: impl FnOnce(&str) -> Option<String>) {
    let Some(bytes) = response.body().bytes().filter(|bytes| !bytes.is_empty()) else { return };
    let Some(text) = std::str::from_utf8(&bytes).ok().and_then(change) else { return };
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(text);
}

/// Returns the address of an object as its client sees it; without the server's name if the client gave none.
pub(crate) fn address_of(headers: &HeaderMap, domains: &BaseDomains, bucket: &str, key: &str) -> String {
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let server = host.map(|host| format!("http://{host}")).unwrap_or_default();
    let key = utf8_percent_encode(key, IN_PATH);
    if domains.bucket_of(headers).is_some_and(|named| named == bucket) {
        return format!("{server}/{key}");
    }
    format!("{server}/{bucket}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Response<Body> {
        let builder = Response::builder().status(status).header(CONTENT_TYPE, "application/xml");
        builder.header(CONTENT_LENGTH, body.len()).body(Body::from(body.to_owned())).unwrap()
    }

    fn text(response: &Response<Body>) -> String {
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn address_of_an_object_has_its_bucket_once() {
        let address = |host: &str| {
            let headers = [(http::header::HOST, host.parse().unwrap())].into_iter().collect();
            address_of(&headers, &BaseDomains::default(), "media", "a b/c")
        };
        assert_eq!(address("127.0.0.1:1"), "http://127.0.0.1:1/media/a%20b/c");
        assert_eq!(address("media.localhost:1"), "http://media.localhost:1/a%20b/c");
    }

    #[test]
    fn error_carries_the_id_of_its_request() {
        let mut response = answer(404, "<Error><Code>NoSuchKey</Code></Error>");
        name(&mut response, "ABC");
        assert_eq!(text(&response), "<Error><Code>NoSuchKey</Code><RequestId>ABC</RequestId></Error>");
        assert_eq!(response.headers()[REQUEST_ID], "ABC");
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        let mut deletions = answer(200, "<DeleteResult><Error/><Error></Error></DeleteResult>");
        name(&mut deletions, "ABC");
        assert_eq!(text(&deletions), "<DeleteResult><Error/><Error></Error></DeleteResult>");
        assert_eq!(deletions.headers()[REQUEST_ID], "ABC");
    }

    #[test]
    fn unchanged_object_has_no_body() {
        let mut response = answer(304, "<Error/>");
        strip(&mut response);
        assert!(text(&response).is_empty() && response.headers().is_empty());
    }

    #[test]
    fn quotes_of_an_etag_go() {
        for quoted in ["<A><ETag>\"ab-2\"</ETag><B/></A>", "<A><ETag>&quot;ab-2&quot;</ETag><B/></A>"] {
            let mut response = answer(200, quoted);
            unquote(&mut response);
            assert_eq!(text(&response), "<A><ETag>ab-2</ETag><B/></A>");
        }
    }
}
