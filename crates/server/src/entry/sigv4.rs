//! Verifies AWS Signature Version 4 for services other than S3, and returns who signed the request. Accepts the
//! `Authorization` header and presigned queries. Never keeps or prints a secret, and never says how a wrong signature
//! differs from the right one.
//!
//! SDKs do not send the body's hash to these services, so verifying needs the whole body.

mod authorization;
mod canonical_request;
mod error;
mod presign;
mod signing_time;
#[cfg(test)]
mod test_signing;

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use sha2::Sha256;
use subtle::ConstantTimeEq;

pub use error::{SigV4Error, SigV4ErrorKind};
pub(crate) use presign::presigned_get;
#[cfg(test)]
pub(crate) use test_signing::signed;

use authorization::{Claim, read_claim, read_scope};
use canonical_request::{canonical_request, hex, sha256_hex};
use signing_time::{epoch_s, write_time};

/// How far the caller's clock may be off, in seconds.
const MAX_SKEW_S: i64 = 15 * 60;

/// The credential scope that a request claims to be signed for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The access key's id. Not secret.
    pub access_key: String,
    /// Day of signing, `YYYYMMDD` in UTC.
    pub date: String,
    /// Region, such as `eu-west-1`.
    pub region: String,
    /// Service by its signing name, such as `mediaconvert`.
    pub service: String,
}

/// The scope that a signature must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected<'a> {
    /// Signing name of the service; `None` accepts any.
    pub service: Option<&'a str>,
}

/// The signer of a verified request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The access key's id.
    pub access_key: String,
    /// Region the request was signed for.
    pub region: String,
    /// Service the request was signed for, by its signing name.
    pub service: String,
}

/// Returns the scope that a request claims, so that one port can serve several services. Checks nothing: use it for
/// routing only, never trust it. Returns `None` if the request is not signed or its claim cannot be parsed.
pub fn credential_scope(parts: &Parts) -> Option<Scope> {
    read_scope(parts)
}

/// Verifies the signature of a request. `credentials` returns the secret of an access key; `now` is the server's
/// clock; `body` is the whole body as it was received.
///
/// # Errors
/// Returns a [`SigV4Error`] if the request is not signed, if the signature cannot be parsed, is for another service
/// or day, is too old, comes from a clock more than 15 minutes off or does not match the request, or if the access
/// key is unknown.
pub fn verify(
    parts: &Parts,
    body: &[u8],
    credentials: &dyn Fn(&str) -> Option<String>,
    now: SystemTime,
    expected: Expected<'_>,
) -> Result<Verified, SigV4Error> {
    let claim = read_claim(parts)?;
    check_scope(&claim, expected)?;
    check_time(&claim, epoch_s(now))?;
    let scope = claim.scope;
    let secret = credentials(&scope.access_key).ok_or_else(|| {
        let message = format!("unknown access key `{}`", scope.access_key);
        SigV4Error::new(SigV4ErrorKind::UnknownKey, message)
    })?;
    let canonical = canonical_request(parts, body, &claim.signed_headers)?;
    let signature = sign(&secret, &scope, claim.signed_at_s, &canonical);
    if bool::from(signature.as_bytes().ct_eq(claim.signature.as_bytes())) {
        return Ok(Verified { access_key: scope.access_key, region: scope.region, service: scope.service });
    }
    Err(SigV4Error::mismatch(
        "signature does not match the request; check the secret key, and that no proxy changes host, path, \
         query, headers or body",
    ))
}

fn check_scope(claim: &Claim, expected: Expected<'_>) -> Result<(), SigV4Error> {
    let mismatch = |message: String| Err(SigV4Error::new(SigV4ErrorKind::ScopeMismatch, message));
    let scope = &claim.scope;
    if let Some(service) = expected.service.filter(|service| *service != scope.service) {
        return mismatch(format!("request is signed for service `{}`, not for `{service}`", scope.service));
    }
    if !write_time(claim.signed_at_s).starts_with(&format!("{}T", scope.date)) {
        return mismatch(format!(
            "credential is for day `{}`, but the request was signed on another",
            scope.date
        ));
    }
    Ok(())
}

fn check_time(claim: &Claim, now_s: i64) -> Result<(), SigV4Error> {
    let age_s = now_s.saturating_sub(claim.signed_at_s);
    let (signed_at, now) = (write_time(claim.signed_at_s), write_time(now_s));
    let expired = |message: String| Err(SigV4Error::new(SigV4ErrorKind::Expired, message));
    if age_s < -MAX_SKEW_S || (claim.expires_s.is_none() && age_s > MAX_SKEW_S) {
        return expired(format!(
            "request was signed at `{signed_at}`, but this server's clock says `{now}`, more than 15 minutes apart; \
             correct the caller's clock and sign again"
        ));
    }
    match claim.expires_s {
        Some(expires_s) if age_s > expires_s => expired(format!(
            "presigned URL of `{signed_at}` was valid for {expires_s} s, but this server's clock says `{now}`; \
             presign again"
        )),
        _ => Ok(()),
    }
}

/// Computes the signature, in lower-case hexadecimal.
fn sign(secret: &str, scope: &Scope, signed_at_s: i64, canonical_request: &[u8]) -> String {
    let Scope { date, region, service, .. } = scope;
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{date}/{region}/{service}/aws4_request\n{}",
        write_time(signed_at_s),
        sha256_hex(canonical_request)
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, "aws4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    hex(&hmac_sha256(&key, text.as_bytes()))
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
