//! Authenticates requests. API calls carry a Signature Version 4 signature. A browser sends the secret key once and
//! then a session cookie that a keyed hash protects. There is no session store, and no secret appears in a log or a
//! response.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use abanico_engine::clock;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::admission::{STRANGER_MAX_BYTES, STRANGER_TIMEOUT, admit, allow_large_body};
use crate::error_table::{Error, ErrorKind};
use crate::sigv4::{Expected, Verified, credential_scope, verify};

/// Largest body of an API call, in bytes.
pub const MAX_API_BODY_BYTES: usize = 5 * 1024 * 1024;
/// How long a browser stays logged in, in seconds.
const SESSION_S: u64 = 12 * 60 * 60;
const COOKIE: &str = "abanico_session";

/// Access keys with their secrets. Clones share them. `Debug` prints the keys without the secrets.
#[derive(Clone, Default)]
pub struct Credentials {
    secrets: Arc<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.secrets.keys()).finish()
    }
}

impl Credentials {
    /// Takes pairs of access key and secret. Drops pairs with an empty secret, which would let everyone in.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let secrets = pairs.into_iter().filter(|(_, secret)| !secret.is_empty()).collect();
        Self { secrets: Arc::new(secrets) }
    }

    fn secret(&self, access_key: &str) -> Option<String> {
        self.secrets.get(access_key).cloned()
    }

    /// Returns a pair to sign links with, or `None` if there are no credentials.
    pub(crate) fn first(&self) -> Option<(&str, &str)> {
        self.secrets.iter().next().map(|(key, secret)| (key.as_str(), secret.as_str()))
    }

    /// Returns the access key that this secret belongs to. Compares every secret, in constant time.
    fn key_of_secret(&self, shown: &str) -> Option<&str> {
        let mut found = None;
        for (key, secret) in self.secrets.iter() {
            if bool::from(secret.as_bytes().ct_eq(shown.as_bytes())) {
                found = Some(key.as_str());
            }
        }
        found
    }

    /// Logs in a browser that sent a secret. Returns the value of a `Set-Cookie` header.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Forbidden`] if no access key has this secret.
    pub(crate) fn log_in(&self, secret: &str, now: SystemTime) -> Result<String, Error> {
        let refused = || Error::new(ErrorKind::Forbidden, "unknown secret access key");
        let key = self.key_of_secret(secret.trim()).ok_or_else(refused)?;
        let until_s = epoch_s(now) + SESSION_S;
        let name = URL_SAFE_NO_PAD.encode(key);
        let proof = session_proof(secret.trim(), key, until_s);
        Ok(format!(
            "{COOKIE}={name}.{until_s}.{proof}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict"
        ))
    }

    fn has_session(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        session_cookie(headers).and_then(|cookie| self.check_session(cookie, epoch_s(now))).is_some()
    }

    fn check_session(&self, cookie: &str, now_s: u64) -> Option<()> {
        let mut parts = cookie.split('.');
        let (name, until_s, proof) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let key = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        let right = session_proof(&self.secret(&key)?, &key, until_s);
        // Before its beginning, a session is not valid either: the clock was set back since, and without this the
        // session would last longer by as much.
        let is_now = now_s < until_s && now_s >= until_s.saturating_sub(SESSION_S);
        (bool::from(right.as_bytes().ct_eq(proof.as_bytes())) && is_now).then_some(())
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|text| text.strip_prefix("Bearer "));
        shown.is_some_and(|secret| self.key_of_secret(secret.trim()).is_some())
    }
}

/// Ends a browser's session. Returns the value of a `Set-Cookie` header.
pub(crate) fn log_out_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|text| text.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn session_proof(secret: &str, key: &str, until_s: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("abanico console session\n{key}\n{until_s}").as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn epoch_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Rejects requests that are not signed for MediaConvert.
pub(crate) async fn require_media_convert(
    State(credentials): State<Credentials>,
    request: Request,
    next: Next,
) -> Response {
    match signed(&credentials, request, Some("mediaconvert")).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Rejects requests that are not the operator's. Accepts a session, the secret as a bearer token, or a signature for
/// any service.
pub(crate) async fn require_operator(
    State(credentials): State<Credentials>,
    request: Request,
    next: Next,
) -> Response {
    match operator(&credentials, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Returns the request if it is the operator's. A signed request must have a body of at most [`MAX_API_BODY_BYTES`].
pub(crate) async fn operator(credentials: &Credentials, request: Request) -> Result<Request, Error> {
    let headers = request.headers();
    if credentials.has_bearer(headers) || credentials.has_session(headers, clock::now()) {
        admit(request.extensions());
        return Ok(request);
    }
    signed(credentials, request, None).await
}

/// Returns a request whose signature is right, with its body in memory and [`Verified`] among its extensions.
async fn signed(
    credentials: &Credentials,
    request: Request,
    service: Option<&str>,
) -> Result<Request, Error> {
    let (mut parts, body) = request.into_parts();
    let secret = |key: &str| credentials.secret(key);
    let is_known =
        credential_scope(&parts).is_some_and(|scope| credentials.secrets.contains_key(&scope.access_key));
    // Reads none of the body if the access key is unknown. Who knows it may still not know the secret.
    let body = if is_known { read(&parts.extensions, body).await? } else { axum::body::Bytes::new() };
    let verified: Verified = verify(&parts, &body, &secret, SystemTime::now(), Expected { service })?;
    admit(&parts.extensions);
    parts.extensions.insert(verified);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Reads a body whose signature is still to be verified.
async fn read(extensions: &http::Extensions, body: Body) -> Result<axum::body::Bytes, Error> {
    let too_slow = |_| Error::bad_request("the request body took longer than 10 s to arrive");
    let most = HttpBody::size_hint(&body).upper().unwrap_or(u64::MAX);
    let _large = if most > STRANGER_MAX_BYTES {
        let busy = || Error::new(ErrorKind::TooMany, "too many large requests at once; send it again");
        Some(allow_large_body(extensions, MAX_API_BODY_BYTES as u64 + 1).await.ok_or_else(busy)?)
    } else {
        None
    };
    let read =
        tokio::time::timeout(STRANGER_TIMEOUT, to_bytes(body, MAX_API_BODY_BYTES)).await.map_err(too_slow)?;
    read.map_err(|_| Error::new(ErrorKind::TooLarge, "the request body is incomplete or larger than 5 MiB"))
}

#[cfg(test)]
mod tests;
