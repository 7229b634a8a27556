//! Builds the canonical request, the text that a signature is computed over. Normalises no more than the signing SDKs
//! do: otherwise two different requests could share a signature.

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::SigV4Error;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a path, which keeps its slashes.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Sent instead of a hash by callers that leave the body out of the signature.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Builds the canonical request over the named headers.
pub(super) fn canonical_request(
    parts: &Parts,
    body: &[u8],
    signed_headers: &[String],
) -> Result<Vec<u8>, SigV4Error> {
    let mut text = Vec::new();
    for line in
        [parts.method.as_str(), &canonical_path(parts.uri.path()), &canonical_query(parts.uri.query())]
    {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    for name in signed_headers {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(&canonical_header(parts, name)?);
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed_headers.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash(parts, body)?.as_bytes());
    Ok(text)
}

/// Returns the SHA-256 in lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the query's decoded names and values, in the order sent. A `+` stays a plus: signed queries write a space
/// as `%20`.
pub(super) fn query_pairs(query: Option<&str>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_decode_str(text).collect();
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Resolves empty and dot segments of the path as it was sent, then encodes it once more: services other than S3 sign
/// the encoded form of an encoded path.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let resolved = format!("/{}{slash}", kept.join("/"));
    percent_encode(resolved.as_bytes(), RESERVED_IN_PATH).to_string()
}

fn canonical_query(query: Option<&str>) -> String {
    let encode = |bytes: &[u8]| percent_encode(bytes, RESERVED).to_string();
    let mut pairs: Vec<(String, String)> = query_pairs(query)
        .iter()
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Joins all values of a header with commas. Trims each value and collapses runs of blanks into one space.
fn canonical_header(parts: &Parts, name: &str) -> Result<Vec<u8>, SigV4Error> {
    let values: Vec<Vec<u8>> =
        parts.headers.get_all(name).iter().map(|value| collapse_blanks(value.as_bytes())).collect();
    if !values.is_empty() {
        return Ok(values.join(&b','));
    }
    match parts.uri.authority() {
        Some(authority) if name == "host" => Ok(authority.as_str().into()),
        _ => Err(SigV4Error::mismatch(format!("signed header `{name}` is not in the request"))),
    }
}

fn collapse_blanks(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

/// Returns the hash of the body. If the caller states a hash it must be right, so that a signature is valid for one
/// body only.
fn payload_hash(parts: &Parts, body: &[u8]) -> Result<String, SigV4Error> {
    let actual = sha256_hex(body);
    match parts.headers.get("x-amz-content-sha256").map(|value| value.as_bytes()) {
        None => Ok(actual),
        Some(stated) if stated == UNSIGNED_PAYLOAD.as_bytes() => Ok(UNSIGNED_PAYLOAD.to_owned()),
        Some(stated) if stated == actual.as_bytes() => Ok(actual),
        Some(stated) if stated.starts_with(b"STREAMING-") => {
            Err(SigV4Error::malformed("bodies signed piece by piece (`STREAMING-…`) are not supported"))
        }
        Some(_) => Err(SigV4Error::mismatch("`x-amz-content-sha256` is not the hash of the body")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::sigv4::SigV4ErrorKind;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = http::Request::builder().method("POST").uri(uri);
        let request = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn path_is_resolved_and_encoded_again() {
        for (path, canonical) in [
            ("/", "/"),
            ("//", "/"),
            ("/2017-08-29/jobs", "/2017-08-29/jobs"),
            ("/2017-08-29/tags/arn%3Aaws%3Amc", "/2017-08-29/tags/arn%253Aaws%253Amc"),
            ("/arn:aws:mc", "/arn%3Aaws%3Amc"),
            ("/a//b/./c/../d/", "/a/b/d/"),
            ("/../..", "/"),
            ("/~a-b_c.d", "/~a-b_c.d"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn query_is_sorted_by_name_then_value() {
        for (query, canonical) in [
            (None, ""),
            (Some("b=2&a=1&a=0"), "a=0&a=1&b=2"),
            (Some("flag&&x="), "flag=&x="),
            (Some("q=a%20b%2Fc:d+e"), "q=a%20b%2Fc%3Ad%2Be"),
            (Some("q=%c3%a9"), "q=%C3%A9"),
            (Some("a=1&X-Amz-Signature=00"), "a=1"),
            (Some("B=1&a=2&A=3"), "A=3&B=1&a=2"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query:?}");
        }
    }

    #[test]
    fn canonical_request_follows_the_specification() {
        let parts = parts("/jobs?x=1", &[("host", "h:1"), ("my-header", "  a   b "), ("my-header", "c")]);
        let text = canonical_request(&parts, b"body", &["host".to_owned(), "my-header".to_owned()]).unwrap();
        let hash = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
        let expected = format!("POST\n/jobs\nx=1\nhost:h:1\nmy-header:a b,c\n\nhost;my-header\n{hash}");
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn authority_replaces_missing_host() {
        assert_eq!(canonical_header(&parts("http://h:1/", &[]), "host").unwrap(), b"h:1");
        let error = canonical_header(&parts("/", &[]), "x-amz-date").unwrap_err();
        assert_eq!(error.to_string(), "signed header `x-amz-date` is not in the request");
    }

    #[test]
    fn stated_hash_must_be_right() {
        let stated = |value: &str| payload_hash(&parts("/", &[("x-amz-content-sha256", value)]), b"body");
        assert_eq!(stated("UNSIGNED-PAYLOAD").unwrap(), "UNSIGNED-PAYLOAD");
        assert_eq!(stated(&sha256_hex(b"body")).unwrap(), sha256_hex(b"body"));
        assert_eq!(stated(&sha256_hex(b"other")).unwrap_err().kind(), SigV4ErrorKind::SignatureMismatch);
        let streaming = stated("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").unwrap_err();
        assert_eq!(streaming.kind(), SigV4ErrorKind::Malformed);
    }
}
