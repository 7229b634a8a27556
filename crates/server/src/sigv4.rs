//! Checks AWS Signature Version 4 for services other than S3: a request with its body comes in, who signed it
//! goes out. Both forms are understood: the `Authorization` header and the presigned query. Never keeps a secret,
//! never prints one, and never says how a wrong signature differs from the right one.
//!
//! SDKs do not state the hash of a body to these services, so the whole body is needed to check a signature.

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

/// What a signature is good for, as the request claims it.
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

/// What the signature must be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected<'a> {
    /// Signing name of the service; none accepts any.
    pub service: Option<&'a str>,
}

/// Who signed a request that is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The access key's id.
    pub access_key: String,
    /// Region the request was signed for.
    pub region: String,
    /// Service the request was signed for, by its signing name.
    pub service: String,
}

/// Reads the scope that a request claims, so that one port can serve several services. Nothing is checked: route
/// by it, never trust it. None when the request is not signed or its claim cannot be read.
pub fn credential_scope(parts: &Parts) -> Option<Scope> {
    read_scope(parts)
}

/// Checks the signature of a request. `credentials` answers the secret of an access key's id; `now` is the server's
/// clock. `body` is the whole body as it came over the wire.
///
/// # Errors
/// [`SigV4Error`] when the request is not signed, its signature cannot be read, is for another service or day, is
/// too old, comes from a clock more than 15 minutes off, names an unknown key or does not fit the request.
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
        let message = format!("access key `{}` is not known here", scope.access_key);
        SigV4Error::new(SigV4ErrorKind::UnknownKey, message)
    })?;
    let canonical = canonical_request(parts, body, &claim.signed_headers)?;
    let signature = sign(&secret, &scope, claim.signed_at_s, &canonical);
    if bool::from(signature.as_bytes().ct_eq(claim.signature.as_bytes())) {
        return Ok(Verified { access_key: scope.access_key, region: scope.region, service: scope.service });
    }
    Err(SigV4Error::mismatch(
        "signature does not fit the request; check the secret key, and that nothing on the way changes host, path, \
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
        return mismatch(format!("credential is for day `{}`, the request for another", scope.date));
    }
    Ok(())
}

fn check_time(claim: &Claim, now_s: i64) -> Result<(), SigV4Error> {
    let age_s = now_s.saturating_sub(claim.signed_at_s);
    let (signed_at, now) = (write_time(claim.signed_at_s), write_time(now_s));
    let expired = |message: String| Err(SigV4Error::new(SigV4ErrorKind::Expired, message));
    if age_s < -MAX_SKEW_S || (claim.expires_s.is_none() && age_s > MAX_SKEW_S) {
        return expired(format!(
            "request was signed at `{signed_at}`, but this server's clock says `{now}`, more than 15 minutes away; \
             set the caller's clock right and sign again"
        ));
    }
    match claim.expires_s {
        Some(expires_s) if age_s > expires_s => expired(format!(
            "presigned URL of `{signed_at}` was good for {expires_s} s, and this server's clock says `{now}`; \
             presign again"
        )),
        _ => Ok(()),
    }
}

/// The right signature as lower-case hexadecimal text.
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
