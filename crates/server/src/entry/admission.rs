//! Limits what strangers may send. Until a request is authenticated, little of its body is read, and not for long.
//! Afterwards its sender may take any time, but must not fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use http::Extensions;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::entry::places::Place;

/// Most bytes that are read of a request that is not authenticated.
pub(crate) const STRANGER_MAX_BYTES: u64 = 64 * 1024;
/// How long they may take, from the request's head on.
pub(crate) const STRANGER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the sender of an authenticated request may send nothing.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many API calls with large bodies are read at once before their signatures, which cover the bodies, are known to
/// be right.
const LARGE_BODIES: usize = 4;

/// What a request's sender may do. Clones share it. It is among the extensions of every request.
#[derive(Clone)]
pub(crate) struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    is_admitted: AtomicBool,
    max_bytes: AtomicU64,
    place: Arc<Place>,
    large_bodies: Arc<Semaphore>,
}

/// Makes the admissions of one server, which share its limits.
#[derive(Clone)]
pub(crate) struct Admissions {
    large_bodies: Arc<Semaphore>,
}

impl Admissions {
    pub(crate) fn new() -> Self {
        Self { large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)) }
    }

    /// Returns the admission of a request that came over the connection at `place`.
    pub(crate) fn of_request(&self, place: Arc<Place>) -> Admission {
        let inner = Inner {
            is_admitted: AtomicBool::new(false),
            max_bytes: AtomicU64::new(STRANGER_MAX_BYTES),
            place,
            large_bodies: self.large_bodies.clone(),
        };
        Admission { inner: Arc::new(inner) }
    }
}

impl Admission {
    /// Lifts the limits: the request is authenticated.
    pub(crate) fn admit(&self) {
        self.inner.is_admitted.store(true, Ordering::Release);
        self.inner.place.keep();
    }

    /// Lets a guest's connection last for as long as others need no place: what is read may be a long film.
    pub(crate) fn welcome(&self) {
        self.inner.place.welcome();
    }

    fn is_admitted(&self) -> bool {
        self.inner.is_admitted.load(Ordering::Acquire)
    }
}

/// Lifts the limits of the request with these extensions. Does nothing outside a server.
pub(crate) fn admit(extensions: &Extensions) {
    if let Some(admission) = extensions.get::<Admission>() {
        admission.admit();
    }
}

/// Lets a request of up to `max_bytes` be read before it is authenticated, for as long as the permit lives. The time
/// limit stays. Returns `None` if too many such requests are being read.
pub(crate) async fn allow_large_body(extensions: &Extensions, max_bytes: u64) -> Option<LargeBody> {
    let Some(admission) = extensions.get::<Admission>() else { return Some(LargeBody { _permit: None }) };
    let waiting = admission.inner.large_bodies.clone().acquire_owned();
    let permit = tokio::time::timeout(STRANGER_TIMEOUT, waiting).await.ok()?.ok()?;
    admission.inner.max_bytes.store(max_bytes, Ordering::Release);
    Some(LargeBody { _permit: Some(permit) })
}

/// The right to read one large body.
pub(crate) struct LargeBody {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A request's body within the limits of its admission.
pub(crate) struct GuardedBody {
    inner: Incoming,
    admission: Admission,
    taken_bytes: u64,
    /// Whether the limit in `limit` is the one on silence.
    is_admitted: bool,
    is_waiting: bool,
    limit: Pin<Box<Sleep>>,
}

impl GuardedBody {
    pub(crate) fn new(inner: Incoming, admission: Admission) -> Self {
        let limit = Box::pin(tokio::time::sleep(STRANGER_TIMEOUT));
        Self { inner, admission, taken_bytes: 0, is_admitted: false, is_waiting: false, limit }
    }

    /// Counts a frame. The one that crosses the limit passes: it may be the begin of a file whose form is in order.
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, axum::BoxError> {
        let max_bytes = self.admission.inner.max_bytes.load(Ordering::Acquire);
        if self.taken_bytes >= max_bytes && !self.admission.is_admitted() {
            return Err("the request is not authenticated and its body is too long".into());
        }
        self.taken_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        Ok(frame)
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.is_waiting = false;
            return Poll::Ready(match frame {
                Some(Ok(frame)) => Some(self.count(frame)),
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            });
        }
        let has_changed = !self.is_admitted && self.admission.is_admitted();
        if has_changed || (self.is_admitted && !self.is_waiting) {
            // Silence counts from when the next bytes are wanted: a slow disk is not the sender's fault.
            self.is_admitted = true;
            self.limit.as_mut().reset(Instant::now() + SILENCE_TIMEOUT);
        }
        self.is_waiting = true;
        ready!(self.limit.as_mut().poll(context));
        let message = if self.is_admitted {
            "nothing arrived for 60 s"
        } else {
            "the body of a request that is not authenticated took longer than 10 s"
        };
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
