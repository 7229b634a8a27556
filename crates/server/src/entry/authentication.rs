//! Authenticates requests. API calls carry a Signature Version 4 signature. The console's page sends the secret key
//! once and then the two secrets of its session (`sessions.rs`). No secret appears in a log or an error.
//!
//! Little is read of a request before it is known who sent it: `read` limits size, time and how many large bodies
//! are in memory at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::api::error_table::{Error, ErrorKind};
use crate::edge::Edge;
use crate::entry::admission::{STRANGER_MAX_BYTES, STRANGER_TIMEOUT, admit, allow_large_body};
use crate::entry::sessions::{Lifetime, Moment};
use crate::entry::sigv4::{Expected, Verified, credential_scope, verify};

/// Largest body of an API call, in bytes.
pub const MAX_API_BODY_BYTES: usize = 5 * 1024 * 1024;
/// Largest body of a request to the console's API, in bytes.
const MAX_CONSOLE_BODY_BYTES: usize = 64 * 1024;

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
    admit(&parts.extensions);
    let body = read(&parts.extensions, body, MAX_CONSOLE_BODY_BYTES).await?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

impl Edge {
    /// Whether a request has the metrics' own token, which opens nothing else.
    pub(crate) fn is_scraper(&self, headers: &HeaderMap) -> bool {
        let (Some(token), Some(shown)) = (&self.metrics_token, bearer(headers)) else { return false };
        bool::from(token.as_bytes().ct_eq(shown.trim().as_bytes()))
    }

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
pub(crate) async fn signed(
    credentials: &Credentials,
    request: Request,
    service: Option<&str>,
    most_bytes: usize,
) -> Result<Request, Error> {
    let (mut parts, body) = request.into_parts();
    let secret = |key: &str| credentials.secret(key);
    let is_known =
        credential_scope(&parts).is_some_and(|scope| credentials.secrets.contains_key(&scope.access_key));
    // Reads none of the body if the access key is unknown. Who knows it may still not know the secret.
    let body = if is_known { read(&parts.extensions, body, most_bytes).await? } else { Bytes::new() };
    let verified: Verified = verify(&parts, &body, &secret, SystemTime::now(), Expected { service })?;
    admit(&parts.extensions);
    parts.extensions.insert(verified);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Reads a whole body of at most `most_bytes`. A body that may exceed 64 KiB waits until few others are being read.
///
/// # Errors
/// Fails if the body is too large, incomplete or slower than 10 s, or if too many large ones are being read.
pub(crate) async fn read(
    extensions: &http::Extensions,
    body: Body,
    most_bytes: usize,
) -> Result<Bytes, Error> {
    let too_slow = |_| Error::bad_request("the request body took longer than 10 s to arrive");
    // A body without a length may become large.
    let size = HttpBody::size_hint(&body).upper().unwrap_or(u64::MAX).min(most_bytes as u64 + 1);
    let _large = if size > STRANGER_MAX_BYTES {
        let busy = || Error::new(ErrorKind::TooMany, "too many large requests at once; send it again");
        Some(allow_large_body(extensions, most_bytes as u64 + 1).await.ok_or_else(busy)?)
    } else {
        None
    };
    let read = tokio::time::timeout(STRANGER_TIMEOUT, to_bytes(body, most_bytes)).await.map_err(too_slow)?;
    read.map_err(|_| {
        let what = format!("the request body is incomplete or larger than {} KiB", most_bytes / 1024);
        Error::new(ErrorKind::TooLarge, what)
    })
}

#[cfg(test)]
mod tests;
