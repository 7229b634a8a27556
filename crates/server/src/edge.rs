//! The state that every handler shares: one cheap handle to the server's parts. Its only own state may be lost:
//! counters, the console's sessions and wrong guesses.

use std::convert::Infallible;
use std::sync::Arc;

use abanico_engine::Engine;
use abanico_s3::LocalS3;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::entry::access::Access;
use crate::entry::authentication::Credentials;
use crate::entry::guesses::Guesses;
use crate::entry::sessions::Sessions;
use crate::events::receivers::Receivers;
use crate::events::upload_outbox::UploadOutbox;
use crate::upkeep::metrics::Counters;

/// The S3 endpoint, which gets every request that no other route takes.
pub type S3Fallback = BoxCloneSyncService<Request, Response, Infallible>;

/// The parts of a server.
#[derive(Clone)]
pub struct ServerParts {
    /// Runs the jobs.
    pub engine: Engine,
    /// Who may use the API and the console.
    pub credentials: Credentials,
    /// By which names and through which proxies clients reach the server.
    pub access: Access,
    /// The bearer token that opens `/metrics` to other machines, and nothing else; `None` or an empty one opens it to
    /// the operator alone.
    pub metrics_token: Option<String>,
    /// The S3 endpoint; make it with [`s3_fallback`].
    pub s3: S3Fallback,
    /// The queue of the events of objects.
    pub outbox: Arc<dyn UploadOutbox>,
    /// What keeps the objects of local buckets, for telling what takes room; `None` if there are none.
    pub objects: Option<LocalS3>,
    /// Who receives events outside this process.
    pub receivers: Arc<Receivers>,
    /// What is weak about this server, one sentence each; `/readyz` shows it.
    pub warnings: Vec<String>,
    /// Cancelled once the server takes no new jobs and is about to stop. `/readyz` tells it.
    pub draining: CancellationToken,
    /// Ends event streams so that connections can close. Must be the token that [`crate::serve`] gets.
    pub stop: CancellationToken,
}

/// Wraps an HTTP service as the S3 endpoint.
pub fn s3_fallback<S, B>(service: S) -> S3Fallback
where
    S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    BoxCloneSyncService::new(service.map_response(|response: http::Response<B>| response.map(Body::new)))
}

/// The handle that handlers get.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) engine: Engine,
    pub(crate) credentials: Credentials,
    pub(crate) access: Arc<Access>,
    pub(crate) metrics_token: Option<Arc<str>>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) s3: S3Fallback,
    pub(crate) outbox: Arc<dyn UploadOutbox>,
    pub(crate) objects: Option<LocalS3>,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) warnings: Arc<[String]>,
    pub(crate) draining: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Arc<Counters>,
}

impl Edge {
    pub(crate) fn new(parts: ServerParts) -> Self {
        let ServerParts {
            engine, credentials, access, metrics_token, s3, outbox, objects, receivers, ..
        } = parts;
        let (warnings, draining, stop) = (parts.warnings, parts.draining, parts.stop);
        Self {
            engine,
            credentials,
            access: Arc::new(access),
            metrics_token: metrics_token.filter(|token| !token.is_empty()).map(Arc::from),
            sessions: Arc::default(),
            guesses: Arc::default(),
            s3,
            outbox,
            objects,
            receivers,
            warnings: warnings.into(),
            draining,
            stop,
            counters: Arc::new(Counters::new()),
        }
    }
}
