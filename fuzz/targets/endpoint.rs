//! An S3 endpoint with one bucket in a temporary folder, for the targets that send requests to it.

use std::sync::OnceLock;

use abanico_s3::{LocalS3, Options, S3HttpService};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceExt;

/// The access key that the endpoint knows.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// Its secret.
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The bucket.
#[allow(dead_code, reason = "only some targets name it")]
pub const BUCKET: &str = "media";

/// The endpoint with all that it needs.
pub struct Endpoint {
    runtime: tokio::runtime::Runtime,
    service: S3HttpService,
    _folder: tempfile::TempDir,
}

impl Endpoint {
    /// Returns the endpoint of this process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Endpoint> = OnceLock::new();
        SHARED.get_or_init(|| {
            // In memory where there is such a folder: each request may flush to the disk.
            let memory = std::path::Path::new("/dev/shm");
            let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
            let folder = folder.expect("a temporary folder");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            let s3 =
                LocalS3::open(folder.path(), Options::default()).expect("an endpoint in an empty folder");
            runtime.block_on(s3.ensure_bucket("media")).expect("a bucket");
            let service = s3.service(vec![(ACCESS_KEY.to_owned(), SECRET.to_owned())]);
            Self { runtime, service, _folder: folder }
        })
    }

    /// Sends a request and returns the status of the answer, once it was read to its end.
    pub fn send(&self, request: Request<Vec<u8>>) -> StatusCode {
        self.answer(request).0
    }

    /// Sends a request and returns the whole answer.
    pub fn answer(&self, request: Request<Vec<u8>>) -> (StatusCode, Bytes) {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        self.runtime.block_on(async {
            let answer = self.service.clone().oneshot(request).await.expect("the service never fails");
            let (head, body) = answer.into_parts();
            let read = http_body_util::BodyExt::collect(body).await;
            (head.status, read.map(http_body_util::Collected::to_bytes).unwrap_or_default())
        })
    }
}
