//! Serves the console, a single page that loads nothing from other servers, and its login. The page holds no secrets.

pub(crate) mod download;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use crate::api::error_table::{Error, ErrorKind};
use crate::edge::Edge;
use crate::entry::authentication::read;
use crate::entry::sessions::{Moment, random_secret, removed_cookie};

const PAGE: &str = include_str!("console/index.html");
const STYLE: &str = include_str!("console/style.css");
const SCRIPT: &str = include_str!("console/script.js");
/// What stands in the page where the nonce belongs.
const NONCE: &str = "NONCE";
/// Largest login request, in bytes.
const MAX_LOGIN_BYTES: usize = 4096;

/// Serves the page. Only its own script and style run: each answer has its own nonce, so that an object of this server
/// cannot be loaded as a script.
pub(crate) async fn page() -> Result<Response, Error> {
    let nonce = random_secret().map_err(|error| Error::internal("cannot get random numbers", error))?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    );
    let policy = HeaderValue::from_str(&policy)
        .map_err(|error| Error::internal("cannot write the page's policy", error))?;
    let mut page = asset("text/html; charset=utf-8", PAGE.replace(NONCE, &nonce));
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [("cross-origin-opener-policy", "same-origin"), ("x-frame-options", "DENY")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(page)
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(content_type: &'static str, text: impl Into<axum::body::Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text.into()).into_response()
}

/// Logs in with `{"secretAccessKey": …}`: sets a session's cookie and answers with its token.
pub(crate) async fn log_in(State(edge): State<Edge>, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let body = read(&parts.extensions, body, MAX_LOGIN_BYTES).await?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Error::bad_request("the body is not JSON"))?;
    let secret = body.get("secretAccessKey").and_then(Value::as_str).unwrap_or_default();
    let request = Request::from_parts(parts, axum::body::Body::empty());
    edge.check_secret(&request, secret)?;
    crate::entry::admission::admit(request.extensions());
    let is_tls = edge.access.is_tls(&request);
    let opened = edge.sessions.open(is_tls, Moment::now());
    let opened = opened.map_err(|error| Error::internal("cannot get random numbers", error))?;
    tracing::info!("an operator logged in to the console");
    let answer = axum::Json(json!({ "token": opened.token }));
    Ok((StatusCode::OK, [(header::SET_COOKIE, opened.set_cookie)], answer).into_response())
}

/// Ends the session, so that its cookie and token are worth nothing any more, and removes the cookie.
pub(crate) async fn log_out(State(edge): State<Edge>, request: Request) -> Result<Response, Error> {
    let is_tls = edge.access.is_tls(&request);
    if !edge.sessions.close(request.headers(), is_tls) {
        return Err(Error::new(ErrorKind::MissingAuthentication, "there is no such session"));
    }
    Ok(([(header::SET_COOKIE, removed_cookie(is_tls))], axum::Json(json!({}))).into_response())
}
