//! Authenticates requests. API calls carry a Signature Version 4 signature. The console's page sends the secret key
//! once and then the two secrets of its session (`sessions.rs`). No secret appears in a log or an error.
//!
//! Little is read of a request before it is known who sent it: `read` limits size, time and how many large bodies
//! are in memory at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::edge::Edge;
use crate::error_table::{Error, ErrorKind};
use crate::sessions::{Lifetime, Moment};
use crate::sigv4::{Expected, Verified, credential_scope, verify};

/// Largest body of an API call, in bytes.
pub const MAX_API_BODY_BYTES: usize = 5 * 1024 * 1024;
/// Largest body of a request to the console's API, in bytes.
const MAX_CONSOLE_BODY_BYTES: usize = 64 * 1024;
/// Largest body that does not count as large, in bytes.
const SMALL_BODY_BYTES: u64 = 64 * 1024;
/// How long a caller may take to send a small body, or to wait for room for a large one.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller may take to send a large body.
const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most large bodies that are in memory at once before their signatures are checked.
const MOST_LARGE_BODIES: usize = 8;
static LARGE_BODIES: Semaphore = Semaphore::const_new(MOST_LARGE_BODIES);

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
}

/// Rejects requests that are not signed for MediaConvert.
pub(crate) async fn require_media_convert(
    State(credentials): State<Credentials>,
    request: Request,
    next: Next,
) -> Response {
    match signed(&credentials, request, Some("mediaconvert"), MAX_API_BODY_BYTES).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Rejects requests that are not the operator's. Accepts a session, the secret as a bearer token, or a signature for
/// any service in the header `Authorization`.
pub(crate) async fn require_operator(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    match operator(&edge, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Returns the request if it is the operator's, with its body in memory and its [`Lifetime`] among its extensions.
///
/// A presigned query is not enough: a link can be put on any page.
pub(crate) async fn operator(edge: &Edge, request: Request) -> Result<Request, Error> {
    let (mut request, lifetime) = if let Some(secret) = bearer(request.headers()) {
        edge.check_secret(&request, &secret)?;
        (request, Lifetime::default())
    } else if request.headers().contains_key(header::AUTHORIZATION) {
        (signed(&edge.credentials, request, None, MAX_CONSOLE_BODY_BYTES).await?, Lifetime::default())
    } else {
        let is_tls = edge.access.is_tls(&request);
        let lifetime = edge.sessions.of(request.headers(), is_tls, Moment::now()).ok_or_else(|| {
            Error::new(ErrorKind::MissingAuthentication, "there is no such session; log in again")
        })?;
        (request, lifetime)
    };
    request.extensions_mut().insert(lifetime);
    let (parts, body) = request.into_parts();
    let body = read(body, MAX_CONSOLE_BODY_BYTES).await?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

impl Edge {
    /// Checks a secret access key that somebody sent with `request`.
    ///
    /// # Errors
    /// Fails if no access key has this secret, or if there were too many wrong ones.
    pub(crate) fn check_secret(&self, request: &Request, secret: &str) -> Result<(), Error> {
        let is_right = || self.credentials.key_of_secret(secret.trim()).map(|_| ());
        match self.guesses.check(|| self.access.caller(request), Instant::now(), is_right) {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Error::new(ErrorKind::Forbidden, "unknown secret access key")),
            Err(wait) => {
                let seconds = wait.as_secs().max(1);
                let what = format!("too many wrong secret access keys; try again in {seconds} s");
                Err(Error::new(ErrorKind::TooMany, what).retry_after(seconds))
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    shown.strip_prefix("Bearer ").map(str::to_owned)
}

/// Returns a request whose signature is right, with its body in memory and [`Verified`] among its extensions.
async fn signed(
    credentials: &Credentials,
    request: Request,
    service: Option<&str>,
    most_bytes: usize,
) -> Result<Request, Error> {
    let (mut parts, body) = request.into_parts();
    let secret = |key: &str| credentials.secret(key);
    let is_known =
        credential_scope(&parts).is_some_and(|scope| credentials.secrets.contains_key(&scope.access_key));
    // Reads none of the body if the access key is unknown.
    let body = if is_known { read(body, most_bytes).await? } else { Bytes::new() };
    let verified: Verified = verify(&parts, &body, &secret, SystemTime::now(), Expected { service })?;
    parts.extensions.insert(verified);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Reads a whole body of at most `most_bytes`. A body over 64 KiB waits until there is room for it.
///
/// # Errors
/// Fails if the body is too large, incomplete or too slow, or if there was no room for 10 seconds.
pub(crate) async fn read(body: Body, most_bytes: usize) -> Result<Bytes, Error> {
    let too_large = || {
        let what = format!("the request body is incomplete or larger than {} KiB", most_bytes / 1024);
        Error::new(ErrorKind::TooLarge, what)
    };
    // A body that says that it is too large is still read up to the limit: clients read no answer before they have sent.
    let size = body.size_hint();
    // A body without a length may become large.
    let is_small =
        size.upper().is_some_and(|bytes| bytes <= SMALL_BODY_BYTES) || most_bytes as u64 <= SMALL_BODY_BYTES;
    let timeout = if is_small { SMALL_BODY_TIMEOUT } else { LARGE_BODY_TIMEOUT };
    let _room = if is_small { None } else { Some(room().await?) };
    let read = tokio::time::timeout(timeout, to_bytes(body, most_bytes)).await;
    let too_slow = |_| {
        let what = format!("the request body took longer than {} s to arrive", timeout.as_secs());
        Error::bad_request(what)
    };
    read.map_err(too_slow)?.map_err(|_| too_large())
}

async fn room() -> Result<tokio::sync::SemaphorePermit<'static>, Error> {
    let busy = || Error::new(ErrorKind::TooMany, "too many large requests at once; try again");
    let permit = tokio::time::timeout(SMALL_BODY_TIMEOUT, LARGE_BODIES.acquire()).await;
    permit.map_err(|_| busy())?.map_err(|_| busy())
}

#[cfg(test)]
mod tests;
