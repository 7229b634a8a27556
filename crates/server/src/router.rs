//! Defines every route. One port serves MediaConvert, S3, the console and monitoring; S3 gets every request that no
//! other route takes. Only decides who handles a request.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{HeaderMap, Method, header};
use tower::ServiceExt;

use crate::api::absent_services::{absent_service, not_here};
use crate::api::operations::{
    cancel_job, create_job, describe_endpoints, get_job, job_templates, jobs_queries, list_jobs, policy,
    presets, probe, queues, sharing, tags, unknown, versions,
};
use crate::api::sts;
use crate::console;
use crate::console::download;
use crate::edge::{Edge, ServerParts};
use crate::entry::access::require_known_host;
use crate::entry::authentication::{require_media_convert, require_operator};
use crate::entry::same_origin::require_same_origin;
use crate::entry::security_headers::add_security_headers;
use crate::entry::sigv4::credential_scope;
use crate::events::dead_letters;
use crate::events::events_stream;
use crate::events::redelivery;
use crate::upkeep::health;
use crate::upkeep::metrics;
use crate::upkeep::storage;

/// The server's routes.
pub struct Server;

impl Server {
    /// Makes a server's router. Run it with [`crate::serve`], which also gives handlers the client's address.
    #[expect(clippy::new_ret_no_self, reason = "a server is its router; there is nothing else to hold on to")]
    pub fn new(parts: ServerParts) -> Router {
        Self::with_monitoring(parts).0
    }

    /// Makes a server's router, and one for a listener that serves nothing but health and metrics, without
    /// authentication.
    pub fn with_monitoring(parts: ServerParts) -> (Router, Router) {
        let edge = Edge::new(parts);
        let monitoring = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics::metrics_of_own_listener))
            .with_state(edge.clone());
        (Self::with(edge), monitoring)
    }

    fn with(edge: Edge) -> Router {
        let monitoring = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics::metrics));
        // Unsigned requests, or those that a browser signs by itself, are answered only under the server's own names.
        let by_name = monitoring
            .merge(console_routes(&edge))
            .layer(from_fn_with_state(edge.clone(), require_known_host));
        let ours = by_name.merge(media_convert_routes(&edge)).layer(from_fn(add_security_headers));
        ours.fallback(everything_else)
            .layer(from_fn_with_state(edge.clone(), s3_first))
            .layer(from_fn_with_state(edge.clone(), metrics::count))
            .with_state(edge)
    }
}

// Routes have whole paths instead of nested routers: nesting shortens the path, and the path is part of what was
// signed.

fn media_convert_routes(edge: &Edge) -> Router<Edge> {
    Router::new()
        .route("/2017-08-29/jobs", post(create_job::create_job).get(list_jobs::list_jobs))
        .route("/2017-08-29/jobs/{id}", get(get_job::get_job).delete(cancel_job::cancel_job))
        .route("/2017-08-29/search", get(list_jobs::list_jobs))
        .route("/2017-08-29/presets", presets::FAMILY.all())
        .route("/2017-08-29/presets/{name}", presets::FAMILY.one())
        .route("/2017-08-29/jobTemplates", job_templates::FAMILY.all())
        .route("/2017-08-29/jobTemplates/{name}", job_templates::FAMILY.one())
        .route("/2017-08-29/queues", post(queues::create).get(queues::list))
        .route("/2017-08-29/queues/{name}", get(queues::get).put(queues::update).delete(queues::remove))
        .route(
            "/2017-08-29/endpoints",
            post(describe_endpoints::describe_endpoints).get(describe_endpoints::describe_endpoints),
        )
        .route("/2017-08-29/jobsQueries", post(jobs_queries::start))
        .route("/2017-08-29/jobsQueries/{id}", get(jobs_queries::results))
        .route("/2017-08-29/policy", get(policy::get).put(policy::put).delete(policy::delete))
        .route("/2017-08-29/probe", post(probe::probe))
        .route("/2017-08-29/versions", get(versions::list))
        // An ARN contains slashes. SDKs encode them, people do not.
        .route("/2017-08-29/tags", post(tags::tag))
        .route("/2017-08-29/tags/{*arn}", get(tags::list).put(tags::untag))
        .route("/2017-08-29/certificates", post(sharing::associate))
        .route("/2017-08-29/certificates/{*arn}", axum::routing::delete(sharing::disassociate))
        .route("/2017-08-29/resourceShares", post(sharing::share))
        .route("/2017-08-29/", any(unknown::unknown))
        .route("/2017-08-29/{*rest}", any(unknown::unknown))
        .method_not_allowed_fallback(unknown::unknown)
        // The signature check has its own, larger limit.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(edge.clone(), health::warn))
        .layer(from_fn_with_state(edge.credentials.clone(), require_media_convert))
}

fn console_routes(edge: &Edge) -> Router<Edge> {
    let operator = Router::new()
        .route(
            "/_abanico/jobs",
            get(list_jobs::list_jobs).layer(from_fn_with_state(edge.clone(), health::warn)),
        )
        .route("/_abanico/jobs/{id}", get(get_job::get_job).delete(cancel_job::cancel_job))
        .route("/_abanico/jobs/{id}/progress", get(events_stream::progress))
        .route("/_abanico/download", get(download::download))
        .route("/_abanico/events", get(events_stream::events))
        .route("/_abanico/dead-letters", get(dead_letters::list))
        .route("/_abanico/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/_abanico/storage", get(storage::show))
        .route("/_abanico/storage/free", post(storage::free_now))
        .route("/_abanico/receivers", get(redelivery::list))
        .route("/_abanico/receivers/{id}/redeliver", post(redelivery::redeliver))
        .route("/_abanico/{*rest}", any(no_such_page))
        .layer(from_fn_with_state(edge.clone(), require_operator));
    let interface = Router::new()
        .route("/_abanico/login", post(console::log_in))
        .route("/_abanico/logout", post(console::log_out))
        .merge(operator)
        .layer(from_fn(require_same_origin));
    Router::new()
        .route("/_abanico/", get(console::page))
        .route("/_abanico/style.css", get(console::style))
        .route("/_abanico/script.js", get(console::script))
        .merge(interface)
}

async fn no_such_page() -> crate::api::error_table::Error {
    crate::api::error_table::Error::not_found("no such page")
}

/// Sends a request that is signed for S3 straight to S3, whatever its path: a bucket may be called `metrics`. A form
/// carries its signature in its body, and only S3 takes forms. Where the host is a bucket, every path is a key.
async fn s3_first(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let is_of_bucket = edge.access.base_domains.bucket_of(&parts.headers).is_some();
    let is_reserved = path.starts_with("/_abanico/") || path.starts_with("/2017-08-29/");
    let is_for_s3 = (is_of_bucket || !is_reserved)
        && match credential_scope(&parts) {
            Some(scope) => scope.service == "s3",
            None => is_of_bucket || is_form(&parts.method, &parts.headers),
        };
    let request = Request::from_parts(parts, body);
    if is_for_s3 { s3(&edge, request).await } else { next.run(request).await }
}

/// Handles requests that match no route.
async fn everything_else(State(edge): State<Edge>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let scope = credential_scope(&parts);
    match scope.as_ref().map(|scope| scope.service.as_str()) {
        Some("mediaconvert") => return unknown::unknown(parts.method, parts.uri).await.into_response(),
        Some("sts") => return sts::answer(&edge, Request::from_parts(parts, body)).await,
        _ => {}
    }
    if let Some(service) = absent_service(&parts) {
        return not_here(&parts, &service);
    }
    let is_for_page = scope.is_none() && parts.uri.path() == "/" && wants_page(&parts.method, &parts.headers);
    // Other hosts may be buckets.
    if is_for_page && edge.access.check_host(&parts.headers, &parts.uri).is_ok() {
        return console::page().await.into_response();
    }
    s3(&edge, Request::from_parts(parts, body)).await
}

async fn s3(edge: &Edge, request: Request) -> Response {
    match edge.s3.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let family = b"multipart/form-data";
    method == Method::POST && kind.get(..family.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(family))
}

fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (method == Method::GET || method == Method::HEAD) && accept.contains("text/html")
}

#[cfg(test)]
mod tests;
