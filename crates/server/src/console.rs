//! Serves the console, a single page that loads nothing from other servers, and its login. The page holds no secrets.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Value, json};

use crate::authentication::log_out_cookie;
use crate::edge::Edge;
use crate::error_table::Error;

const PAGE: &str = include_str!("console/index.html");
const STYLE: &str = include_str!("console/style.css");
const SCRIPT: &str = include_str!("console/script.js");
/// Largest login request, in bytes.
const MAX_LOGIN_BYTES: usize = 4096;
/// Lets the page run and show only what this server sends.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> Response {
    asset("text/html; charset=utf-8", PAGE)
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Logs in with `{"secretAccessKey": …}` and sets a session cookie.
pub(crate) async fn log_in(State(edge): State<Edge>, request: Request) -> Result<Response, Error> {
    // The body of a stranger's request ends with an error when it takes too long.
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, MAX_LOGIN_BYTES)
        .await
        .map_err(|_| Error::bad_request("the request body is incomplete or too long"))?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Error::bad_request("the body is not JSON"))?;
    let secret = body.get("secretAccessKey").and_then(Value::as_str).unwrap_or_default();
    let cookie = edge.credentials.log_in(secret, abanico_engine::clock::now())?;
    crate::admission::admit(&parts.extensions);
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], axum::Json(json!({}))).into_response())
}

pub(crate) async fn log_out() -> Response {
    ([(header::SET_COOKIE, log_out_cookie())], axum::Json(json!({}))).into_response()
}
