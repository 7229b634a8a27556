//! Sends requests whose head is made of the fuzzer's bytes to both verifiers of signatures: without the secret, nobody
//! gets in.
//!
//! The first line is method and target, further lines up to an empty one are headers, and the rest is the body.

#![no_main]

#[path = "endpoint.rs"]
mod endpoint;

use std::time::{Duration, SystemTime};

use abanico_server::sigv4::{Expected, credential_scope, verify};
use libfuzzer_sys::fuzz_target;

use endpoint::{ACCESS_KEY, Endpoint};

/// The time at which the requests among the seeds are signed.
const NOW_S: u64 = 1_440_938_160;

fuzz_target!(|bytes: &[u8]| {
    let Some((request, body)) = request(bytes) else { return };
    let (parts, ()) = request.into_parts();
    let scope = credential_scope(&parts);
    let secret = |key: &str| (key == ACCESS_KEY).then(|| "another secret".to_owned());
    for service in [None, Some("mediaconvert")] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S);
        let verified = verify(&parts, body, &secret, now, Expected { service });
        assert!(verified.is_err(), "{scope:?} got in");
    }
    let status = Endpoint::shared().send(http::Request::from_parts(parts, body.to_vec()));
    assert!(status.is_client_error() || status == http::StatusCode::NOT_IMPLEMENTED, "{status}");
});

fn request(bytes: &[u8]) -> Option<(http::Request<()>, &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut builder = http::Request::builder().method(method).uri(target);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        builder = builder.header(&line[..colon], &line[colon + 1..]);
    }
    Some((builder.body(()).ok()?, body))
}
