//! The error of this crate: turns a back end's failure into a kind that callers act on.
//!
//! A message never contains a credential or a presigned query.

use crate::{ObjectUrl, Publication};

/// The kind of an [`Error`], for callers to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object or the bucket does not exist.
    NotFound,
    /// The credentials do not allow the access, or a policy forbids the location.
    Denied,
    /// No back end here serves this kind of URL.
    Unsupported,
    /// The object is not the one that was meant: somebody has replaced it.
    Changed,
    /// There is an object already.
    Exists,
    /// The object does not have these bytes, or they are too many for one request.
    OutOfRange,
    /// The disk or the network failed; a retry may succeed.
    Unavailable,
    /// A file could not be fetched from the web.
    Web(WebErrorKind),
}

/// Why a file could not be fetched from the web.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WebErrorKind {
    /// Inputs may not come from this host or address.
    Disallowed,
    /// The server wants credentials, or different ones (401).
    Unauthenticated,
    /// The server refuses access (403).
    Refused,
    /// The server has no such file (404, 410).
    Missing,
    /// The server asks to try again later (408, 425, 429).
    Busy,
    /// The server failed (5xx).
    ServerFailed,
    /// The connection to the server failed, or its name does not exist.
    NotConnected,
    /// The server's certificate is not trusted.
    Untrusted,
    /// The connection broke or stalled during the transfer.
    Interrupted,
    /// The size of the file, or the time to fetch it, is over the limit.
    OverLimit,
    /// The answer contains no usable file: another status, endless redirects, or a compressed body.
    Unusable,
    /// Any other failure between client and server, such as an answer that is not HTTP.
    Unknown,
}

impl WebErrorKind {
    /// Returns whether a retry may succeed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::ServerFailed | Self::NotConnected | Self::Interrupted)
    }
}

/// A failed access to an object.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error of this kind about the object at `url`.
    pub fn about(url: &ObjectUrl, kind: ErrorKind, what: &str) -> Self {
        Self { kind, message: format!("`{url}`: {what}"), source: None }
    }

    /// Makes the error for a missing object at `url`.
    pub fn object_not_found(url: &ObjectUrl) -> Self {
        Self::about(url, ErrorKind::NotFound, "no such object")
    }

    /// Makes the error for an object that was replaced while it was read.
    pub fn object_changed(url: &ObjectUrl) -> Self {
        let what = "the object was replaced while it was read: read it again from the start";
        Self::about(url, ErrorKind::Changed, what)
    }

    /// Makes the error for an object that should be new.
    pub fn object_exists(url: &ObjectUrl) -> Self {
        Self::about(url, ErrorKind::Exists, "there is an object already: delete it first, or use it")
    }

    /// Makes the error for bytes that an object of this size does not have.
    pub fn beyond_the_object(url: &ObjectUrl, range: &std::ops::Range<u64>, size_bytes: u64) -> Self {
        let (first, end) = (range.start, range.end);
        let what = format!(
            "bytes {first} to {end} do not lie in the object, which has {size_bytes}: look at its size again"
        );
        Self::about(url, ErrorKind::OutOfRange, &what)
    }

    /// Makes the error for a URL that no back end serves.
    pub fn place_not_served(url: &ObjectUrl) -> Self {
        Self::about(url, ErrorKind::Unsupported, "no store here serves this kind of URL")
    }

    /// Makes the error for a disk or network failure at `url`.
    pub fn unavailable(url: &ObjectUrl, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self {
            kind: ErrorKind::Unavailable,
            message: format!("`{url}` cannot be reached"),
            source: Some(source),
        }
    }

    /// Makes the error for a publication that could not be brought forward.
    pub fn publication(
        publication: &Publication,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: format!("the outputs of job `{}` cannot be published or taken back", publication.id()),
            source: Some(source.into()),
        }
    }

    /// Makes the error for a publication that its back end refuses.
    pub fn publication_refused(publication: &Publication, kind: ErrorKind, what: &str) -> Self {
        let message = format!("the outputs of job `{}` cannot be published: {what}", publication.id());
        Self { kind, message, source: None }
    }

    /// Returns the error with another URL in front: the one that the user knows.
    #[must_use]
    pub(crate) fn of(self, url: &ObjectUrl) -> Self {
        let what = self.message.rsplit_once("`: ").map_or("cannot be reached", |(_, what)| what);
        Self { message: format!("`{url}`: {what}"), ..self }
    }

    /// Makes the error for a file that could not be fetched from the web. `place` is its URL without secrets.
    pub(crate) fn web(place: &str, kind: WebErrorKind, what: impl std::fmt::Display) -> Self {
        Self { kind: ErrorKind::Web(kind), message: format!("`{place}`: {what}"), source: None }
    }

    /// Makes the error for a fetched file that cannot be written to disk.
    pub(crate) fn web_on_disk(place: &str) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: format!("`{place}` cannot be written to the disk"),
            source: None,
        }
    }

    /// Makes the error for a web client that cannot be set up as configured.
    pub(crate) fn web_not_set_up(what: &str) -> Self {
        Self { kind: ErrorKind::Unsupported, message: what.to_owned(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Web(kind) => kind.is_retryable(),
            _ => false,
        }
    }

    /// Turns a file system failure at `url` into an error of the matching kind.
    pub fn from_io(url: &ObjectUrl, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::object_not_found(url).because(error),
            std::io::ErrorKind::PermissionDenied => {
                Self::about(url, ErrorKind::Denied, "permission denied").because(error)
            }
            _ => Self::unavailable(url, error),
        }
    }
}
