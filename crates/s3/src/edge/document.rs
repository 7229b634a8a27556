//! Compares the document in a request's body with the digests that its client claims, and refuses elements that this
//! endpoint does not act on, while `s3s` reads the body.
//!
//! Bodies of objects and parts are not documents: they are compared where they are stored.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body::{Frame, SizeHint};
use s3s::Body;

use crate::blobs::checksums::{Checksums, Digester, verify_md5};
use crate::edge::base_domains::BaseDomains;
use crate::edge::door::query_names;
use crate::edge::service::DOCUMENT_MAX_BYTES;
use crate::edge::sieve::{is_subresource, sieve_element};
use crate::error::{Error, Result};

/// The text of a document, once it was read and found good. Requests that may have a document carry it among their
/// extensions.
#[derive(Clone, Default)]
pub(crate) struct DocumentText(Arc<Mutex<Vec<u8>>>);

impl DocumentText {
    /// Takes the text of a request's document; empty if there is none.
    pub(crate) fn take(extensions: &http::Extensions) -> Vec<u8> {
        let Some(Self(text)) = extensions.get() else { return Vec::new() };
        std::mem::take(&mut text.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Says why a document was refused, once it was read.
#[derive(Clone, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<Error>>>);

impl Verdict {
    /// Takes the reason; `None` if the document was not refused.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Makes the body of a request fail at its end if it is a document that differs from the digests in the headers, or that
/// has elements which are not served.
pub(crate) fn judged(request: Request<Body>, domains: &BaseDomains) -> (Request<Body>, Verdict) {
    let verdict = Verdict::default();
    let Some(document) = Document::of(&request, domains) else { return (request, verdict) };
    let (seen, text) = (verdict.clone(), DocumentText::default());
    let mut request = request;
    request.extensions_mut().insert(text.clone());
    let request = request
        .map(|inner| Body::http_body_unsync(Judged { inner, document: Some(document), verdict: seen, text }));
    (request, verdict)
}

/// What is known of a document.
struct Document {
    text: Vec<u8>,
    md5: Option<String>,
    claimed: Checksums,
}

impl Document {
    /// Returns the document that a request has, still unread; `None` if its body is none.
    fn of<B>(request: &Request<B>, domains: &BaseDomains) -> Option<Self> {
        let names = query_names(request.uri().query());
        let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
        let path = request.uri().path().trim_matches('/');
        let is_of_bucket = match domains.bucket_of(request.headers()) {
            Some(_) => path.is_empty(),
            None => !path.contains('/'),
        };
        let is_document = match *request.method() {
            Method::POST => true,
            Method::PUT => is_of_bucket || names.iter().any(|(name, _)| is_subresource(name)),
            _ => false,
        };
        let text = |name: &str| text(request.headers(), name);
        // The chunks of such a body have frames around them, and checksums of their own.
        let is_framed = text("x-amz-content-sha256").is_some_and(|kind| kind.starts_with("STREAMING-"));
        if !is_document || is_framed {
            return None;
        }
        // The headers of a CompleteMultipartUpload have the checksums of the object.
        let claimed =
            if has("uploadId") { Checksums::default() } else { Checksums::claimed(request.headers()) };
        Some(Self { text: Vec::new(), md5: text("content-md5").map(str::to_owned), claimed })
    }

    /// Keeps the bytes up to the limit on documents, beyond which `s3s` stops reading.
    fn add(&mut self, bytes: &[u8]) {
        let room = DOCUMENT_MAX_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn judge(&self) -> Result<()> {
        let algorithms: Vec<_> = self.claimed.0.keys().copied().collect();
        let mut digester = Digester::new(&algorithms);
        digester.update(&self.text);
        let (md5, sums) = digester.finish();
        verify_md5(&md5, self.md5.as_deref())?;
        sums.verify(&self.claimed)?;
        paths(&String::from_utf8_lossy(&self.text)).iter().try_for_each(|path| sieve_element(path))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns the elements of a document as paths from its root, each once. What is not well-formed is left to `s3s`.
fn paths(document: &str) -> std::collections::BTreeSet<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some(place) = rest.find('<') {
        rest = &rest[place..];
        let end = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">"), ("", ">")];
        let end = end.iter().find(|(begin, _)| rest.starts_with(begin)).map_or(">", |(_, end)| end);
        let Some(length) = rest.find(end) else { return found };
        let tag = &rest[..length];
        rest = &rest[length + end.len()..];
        match tag.as_bytes().get(1) {
            Some(b'!' | b'?') | None => {}
            Some(b'/') => {
                open.pop();
            }
            Some(_) => {
                let is_closed = tag.ends_with('/');
                let name = tag[1..].split(|letter: char| letter.is_whitespace() || letter == '/').next();
                let name = name.unwrap_or_default();
                open.push(name.rsplit(':').next().unwrap_or(name));
                found.insert(open.join("."));
                if is_closed {
                    open.pop();
                }
            }
        }
    }
    found
}

/// A body that is judged at its end.
struct Judged {
    inner: Body,
    /// `None` once it was judged.
    document: Option<Document>,
    verdict: Verdict,
    text: DocumentText,
}

impl http_body::Body for Judged {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let polled = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        match polled {
            Some(Ok(frame)) => {
                if let (Some(document), Some(data)) = (&mut self.document, frame.data_ref()) {
                    document.add(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                let Some(document) = self.document.take() else { return Poll::Ready(None) };
                let Err(error) = document.judge() else {
                    *self.text.0.lock().unwrap_or_else(PoisonError::into_inner) = document.text;
                    return Poll::Ready(None);
                };
                let told = error.to_string();
                *self.verdict.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Some(Err(told.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.document.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &str)], text: &'static str) -> Request<Body> {
        let builder = Request::builder().method(method).uri(target);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let stream = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes()))]);
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

    /// Returns the code of the refusal of a document with these headers.
    async fn refused(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        text: &'static str,
    ) -> Option<String> {
        let (request, verdict) = judged(request(method, target, headers, text), &BaseDomains::default());
        let read = request.into_body().store_all_limited(100).await;
        let error = verdict.take();
        assert_eq!(read.is_err(), error.is_some());
        error.map(|error| error.s3_code().to_owned())
    }

    async fn is_refused(method: &str, target: &str, headers: &[(&str, &str)]) -> bool {
        refused(method, target, headers, "<a/>").await.inspect(|code| assert_eq!(code, "BadDigest")).is_some()
    }

    #[tokio::test]
    async fn document_that_differs_from_its_digest_is_refused() {
        let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
        assert!(is_refused("POST", "/b?delete", &wrong).await);
        assert!(is_refused("PUT", "/b/k?tagging", &[("x-amz-checksum-crc32", "AAAAAA==")]).await);
        assert!(is_refused("PUT", "/b?cors", &wrong).await);
        let mut digester = Digester::new(&[]);
        digester.update(b"<a/>");
        let right = base64::engine::general_purpose::STANDARD.encode(digester.finish().0);
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

    #[tokio::test]
    async fn element_that_is_not_served_is_refused() {
        let zone =
            "<CreateBucketConfiguration><Location><Name>a</Name></Location></CreateBucketConfiguration>";
        assert_eq!(refused("PUT", "/b", &[], zone).await.as_deref(), Some("NotImplemented"));
        let sum = "<CompleteMultipartUpload><Part><ChecksumSHA512/></Part></CompleteMultipartUpload>";
        assert_eq!(refused("POST", "/b/k?uploadId=x", &[], sum).await.as_deref(), Some("NotImplemented"));
        assert_eq!(refused("PUT", "/b/k", &[], sum).await, None, "an object, not a document");
        assert_eq!(refused("POST", "/b?delete", &[], "<Delete><Tags><Key/></Tags></Delete>").await, None);
    }

    #[test]
    fn paths_name_elements_and_nothing_else() {
        let text = "<?xml version='1.0'?><!-- <x> --><s3:A xmlns:s3=\"u\"><B c=\"/\"><![CDATA[<y>]]></B><C/><D >t</D></s3:A>";
        assert_eq!(paths(text).into_iter().collect::<Vec<_>>(), ["A", "A.B", "A.C", "A.D"]);
        for broken in ["<", "<a", "</a></a>", "<a><b", "a > b", "<!--"] {
            assert!(paths(broken).len() < 2, "{broken}");
        }
    }
}
