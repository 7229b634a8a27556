//! Compares the document in a request's body with the digests that its client claims, while `s3s` reads the body.
//!
//! Bodies of objects and parts are not documents: they are compared where they are stored.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Frame, SizeHint};
use s3s::Body;

use crate::checksums::{Checksums, Digester, verify_md5};
use crate::door::query_names;
use crate::error::Result;
use crate::sieve::is_subresource;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Tells whether a document was not what its client claims.
#[derive(Clone, Default)]
pub(crate) struct Verdict(Arc<AtomicBool>);

impl Verdict {
    /// Whether the document was read and differs from a claim.
    pub(crate) fn is_wrong(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Makes the body of a request fail at its end if it is a document that differs from the digests in the headers.
pub(crate) fn compared(request: Request<Body>) -> (Request<Body>, Verdict) {
    let verdict = Verdict::default();
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let md5 = text("content-md5").map(str::to_owned);
    let claimed = Checksums::claimed(headers);
    // The chunks of such a body have frames around them, and checksums of their own.
    let is_framed = text("x-amz-content-sha256").is_some_and(|kind| kind.starts_with("STREAMING-"));
    if (md5.is_none() && claimed.0.is_empty()) || is_framed || !has_document(&request) {
        return (request, verdict);
    }
    let algorithms: Vec<_> = claimed.0.keys().copied().collect();
    let digester = Some(Digester::new(&algorithms));
    let seen = verdict.clone();
    let request = request
        .map(|inner| Body::http_body_unsync(Compared { inner, digester, md5, claimed, verdict: seen }));
    (request, verdict)
}

/// Whether the body is a document whose digests the headers may have. The headers of a CompleteMultipartUpload have the
/// checksums of the object instead.
fn has_document<B>(request: &Request<B>) -> bool {
    let names = query_names(request.uri().query());
    let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
    let is_of_bucket = !request.uri().path().trim_matches('/').contains('/');
    match *request.method() {
        Method::POST => !has("uploadId"),
        Method::PUT => is_of_bucket || names.iter().any(|(name, _)| is_subresource(name)),
        _ => false,
    }
}

/// A body that is compared with claims.
struct Compared {
    inner: Body,
    /// `None` once it was compared.
    digester: Option<Digester>,
    md5: Option<String>,
    claimed: Checksums,
    verdict: Verdict,
}

impl Compared {
    fn verify(&mut self) -> Result<()> {
        let Some(digester) = self.digester.take() else { return Ok(()) };
        let (md5, sums) = digester.finish();
        verify_md5(&md5, self.md5.as_deref())?;
        sums.verify(&self.claimed)
    }
}

impl http_body::Body for Compared {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let polled = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        match polled {
            Some(Ok(frame)) => {
                if let (Some(digester), Some(data)) = (&mut self.digester, frame.data_ref()) {
                    digester.update(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(self.verify().err().map(|error| {
                self.verdict.0.store(true, Ordering::SeqCst);
                Err(error.into())
            })),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.digester.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let builder = Request::builder().method(method).uri(target);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let stream = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"<a/>"))]);
        builder.body(Body::http_body_unsync(http_body_of(stream))).unwrap()
    }

    /// A body that has no bytes before it is read.
    fn http_body_of(
        stream: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static {
        struct Streamed<S>(Pin<Box<S>>);
        impl<S: futures::Stream<Item = std::io::Result<Bytes>>> http_body::Body for Streamed<S> {
            type Data = Bytes;
            type Error = std::io::Error;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                self.0.as_mut().poll_next(context).map(|item| item.map(|bytes| bytes.map(Frame::data)))
            }
        }
        Streamed(Box::pin(stream))
    }

    async fn is_refused(method: &str, target: &str, headers: &[(&str, &str)]) -> bool {
        let (request, verdict) = compared(request(method, target, headers));
        let read = request.into_body().store_all_limited(100).await;
        assert_eq!(read.is_err(), verdict.is_wrong());
        verdict.is_wrong()
    }

    #[tokio::test]
    async fn document_that_differs_from_its_digest_is_refused() {
        let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
        assert!(is_refused("POST", "/b?delete", &wrong).await);
        assert!(is_refused("PUT", "/b/k?tagging", &[("x-amz-checksum-crc32", "AAAAAA==")]).await);
        assert!(is_refused("PUT", "/b?cors", &wrong).await);
        let md5 = Digester::new(&[]);
        let right = {
            use base64::Engine as _;
            let mut md5 = md5;
            md5.update(b"<a/>");
            base64::engine::general_purpose::STANDARD.encode(md5.finish().0)
        };
        assert!(!is_refused("POST", "/b?delete", &[("content-md5", &right)]).await);
    }

    #[tokio::test]
    async fn other_bodies_are_left_alone() {
        let wrong = ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert!(!is_refused("PUT", "/b/k", &[wrong]).await, "compared where it is stored");
        assert!(!is_refused("POST", "/b/k?uploadId=x", &[("x-amz-checksum-crc32", "AAAAAA==")]).await);
        let framed = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        assert!(!is_refused("PUT", "/b?cors", &[wrong, framed]).await);
        assert!(!is_refused("POST", "/b?delete", &[]).await);
    }
}
