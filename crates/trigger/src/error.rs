//! Why an upload did not become a job: a malformed event, an invalid configuration or a refused submission. An error
//! is retryable only if the same event may succeed later.

/// Kinds of errors, for callers to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The event, or one of its records, is not an S3 notification.
    MalformedEvent,
    /// The object key of a record is not UTF-8 after decoding.
    MalformedKey,
    /// The trigger's configuration cannot make a job.
    InvalidConfig,
    /// The job service did not accept the job.
    SubmitFailed,
}

/// A refused or failed CreateJob request, as the job service reported it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{code}`: {message}")]
pub struct SubmitError {
    /// The service's error code, such as `BadRequestException`.
    pub code: String,
    /// The service's message.
    pub message: String,
    /// Whether the same request may succeed later (throttled, unreachable, 5xx).
    pub retryable: bool,
}

/// A failed trigger run, for the whole event or for one record.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retryable: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn permanent(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, retryable: false, source: None }
    }

    /// Makes the error for an event that is not an S3 notification; `what` says why.
    pub(crate) fn malformed_event(what: &str) -> Self {
        Self::permanent(ErrorKind::MalformedEvent, format!("malformed S3 event: {what}"))
    }

    /// Makes the error for record number `index` (from 0), which does not have the shape of an S3 record.
    pub(crate) fn malformed_record(index: usize, source: serde_json::Error) -> Self {
        let mut error = Self::malformed_event(&format!("record `{index}` cannot be read"));
        error.source = Some(Box::new(source));
        error
    }

    /// Makes the error for a key, given as it is in the event, that is not UTF-8 after decoding.
    pub(crate) fn key_not_utf8(raw_key: &str, source: std::str::Utf8Error) -> Self {
        let message = format!("object key `{raw_key}` is not UTF-8 after decoding");
        Self { source: Some(Box::new(source)), ..Self::permanent(ErrorKind::MalformedKey, message) }
    }

    /// Makes the error for an unusable configuration; `what` says why.
    pub(crate) fn invalid_config(what: impl Into<String>) -> Self {
        Self::permanent(ErrorKind::InvalidConfig, what.into())
    }

    /// Makes the error for a job that the job service did not accept, for the object at `url`.
    pub(crate) fn submit_failed(url: &str, source: SubmitError) -> Self {
        Self {
            kind: ErrorKind::SubmitFailed,
            message: format!("cannot create a job for `{url}`"),
            retryable: source.retryable,
            source: Some(Box::new(source)),
        }
    }

    /// Returns the kind, for callers to act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether submitting the same record again may succeed.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}
