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
        self.kind == ErrorKind::Unavailable
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
