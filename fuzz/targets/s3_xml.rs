//! Sends signed requests whose XML body is made of the fuzzer's bytes: whatever it says, the answer is never the
//! server's fault. The first byte selects the request.

#![no_main]

#[path = "endpoint.rs"]
mod endpoint;

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use endpoint::{ACCESS_KEY, BUCKET, Endpoint, SECRET};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let (method, target) = &operations()[usize::from(*first) % operations().len()];
    let status = Endpoint::shared().send(signed(method, target, body));
    assert!(
        !status.is_server_error() || status == http::StatusCode::NOT_IMPLEMENTED,
        "{method} {target}: {status}"
    );
});

/// Every request with a document as its body. The last one makes a bucket that stays the only further one.
fn operations() -> &'static [(&'static str, String)] {
    static ALL: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let key = format!("/{BUCKET}/key");
        assert!(Endpoint::shared().send(signed("PUT", &key, b"content")).is_success());
        let (_, begun) = Endpoint::shared().answer(signed("POST", &format!("{key}?uploads="), b""));
        let begun = String::from_utf8_lossy(&begun).into_owned();
        let upload = begun
            .split("<UploadId>")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .expect("an upload")
            .to_owned();
        assert!(
            Endpoint::shared()
                .send(signed("PUT", &format!("{key}?partNumber=1&uploadId={upload}"), b"part"))
                .is_success()
        );
        vec![
            ("POST", format!("/{BUCKET}?delete=")),
            ("POST", format!("{key}?uploadId={upload}")),
            ("PUT", format!("{key}?tagging=")),
            ("PUT", format!("/{BUCKET}?cors=")),
            ("PUT", format!("/{BUCKET}?notification=")),
            ("PUT", "/other-bucket".to_owned()),
        ]
    })
}

/// Signs a request as a client does that leaves the body out of the signature.
fn signed(method: &str, target: &str, body: &[u8]) -> http::Request<Vec<u8>> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = OffsetDateTime::now_utc().format(format).expect("a time");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:localhost\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{time}\n\n\
         host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD"
    );
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [&time[..8], "us-east-1", "s3", "aws4_request", &text] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
        hex(&key)
    );
    http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("x-amz-date", time)
        .header("authorization", authorization)
        .header("content-length", body.len())
        .body(body.to_vec())
        .expect("a request")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
