//! Why an object could not be reached: in a back end's failure, out a kind that callers act on.
//! Never a credential or a presigned query in a message.

use crate::ObjectUrl;

/// What callers act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such object or bucket.
    NotFound,
    /// The credentials do not allow it, or policy forbids the place.
    Denied,
    /// The URL is of a kind that no back end here serves.
    Unsupported,
    /// Disk or network failed; another try may do.
    Unavailable,
    /// A file of the web could not be had.
    Web(WebErrorKind),
}

/// Why a file of the web could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WebErrorKind {
    /// Host or address is not one that inputs may come from.
    Disallowed,
    /// The server wants credentials, or others (401).
    Unauthenticated,
    /// The server refuses (403).
    Refused,
    /// The server has no such file (404, 410).
    Missing,
    /// The server asks to come later (408, 425, 429).
    Busy,
    /// The server failed (5xx).
    ServerFailed,
    /// No connection to the server, or no such name.
    NotConnected,
    /// The server's certificate is not one that is trusted.
    Untrusted,
    /// The connection broke or stood still on the way.
    Interrupted,
    /// The file, or the time to fetch it, is over the limit.
    OverLimit,
    /// The answer is none that a file can be taken from: other status, endless redirects, compressed.
    Unusable,
    /// Something else between the two ends, such as an answer that is not HTTP.
    Unknown,
}

impl WebErrorKind {
    /// Whether another try may do.
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

    /// There is no object at `url`.
    pub fn object_not_found(url: &ObjectUrl) -> Self {
        Self::about(url, ErrorKind::NotFound, "no such object")
    }

    /// No back end serves URLs of this kind.
    pub fn place_not_served(url: &ObjectUrl) -> Self {
        Self::about(url, ErrorKind::Unsupported, "nothing here serves this kind of place")
    }

    /// Disk or network failed at `url`.
    pub fn unavailable(url: &ObjectUrl, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self {
            kind: ErrorKind::Unavailable,
            message: format!("`{url}` cannot be reached"),
            source: Some(source),
        }
    }

    /// A file of the web could not be had; `place` is how people may see its URL, without secrets.
    pub(crate) fn web(place: &str, kind: WebErrorKind, what: impl std::fmt::Display) -> Self {
        Self { kind: ErrorKind::Web(kind), message: format!("`{place}`: {what}"), source: None }
    }

    /// What was fetched could not be written.
    pub(crate) fn web_on_disk(place: &str) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: format!("`{place}` cannot be written to the disk"),
            source: None,
        }
    }

    /// The client for the web cannot be made as configured.
    pub(crate) fn web_not_set_up(what: &str) -> Self {
        Self { kind: ErrorKind::Unsupported, message: what.to_owned(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What callers act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether another try may do.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Web(kind) => kind.is_retryable(),
            _ => false,
        }
    }

    /// Turns a file system failure at `url` into an error of the fitting kind.
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
