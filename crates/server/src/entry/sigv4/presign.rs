//! Makes presigned links to objects of this server: a path with a query that S3 accepts for a limited time. The links
//! only allow reading.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::signing_time::{epoch_s, write_time};
use super::{Scope, sign};

/// Returns the path and query of a link. `parameters` are further ones, sorted by name, whose names come after
/// `X-Amz-SignedHeaders`. `path` is not encoded, such as `/bucket/a b.mp4`; `host` must equal the
/// client's `Host` header.
pub(crate) fn presigned_get(
    access_key: &str,
    secret: &str,
    host: &str,
    path: &str,
    expires_s: u32,
    parameters: &[(&str, &str)],
    now: SystemTime,
) -> String {
    let signed_at_s = epoch_s(now);
    let time = write_time(signed_at_s);
    let (region, service) = ("us-east-1".to_owned(), "s3".to_owned());
    let scope = Scope { access_key: access_key.to_owned(), date: time[..8].to_owned(), region, service };
    let credential = format!("{access_key}/{}/{}/{}/aws4_request", scope.date, scope.region, scope.service);
    let path: Vec<String> = path.split('/').map(encoded).collect();
    let path = path.join("/");
    let mut query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host",
        encoded(&credential)
    );
    for (name, value) in parameters {
        write!(query, "&{}={}", encoded(name), encoded(value)).expect("writing to a `String` cannot fail");
    }
    let canonical = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    format!("{path}?{query}&X-Amz-Signature={}", sign(secret, &scope, signed_at_s, canonical.as_bytes()))
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a `String` cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn link_matches_aws_example() {
        let (key, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let link =
            presigned_get(key, secret, "examplebucket.s3.amazonaws.com", "/test.txt", 86_400, &[], now);
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(link.starts_with("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&"), "{link}");
        assert!(link.ends_with(&format!("&X-Amz-Signature={signature}")), "{link}");
    }

    #[test]
    fn names_are_encoded_once() {
        assert_eq!(encoded("a b+ü.mp4"), "a%20b%2B%C3%BC.mp4");
    }
}
