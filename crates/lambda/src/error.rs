//! Why an upload became no job: in a malformed event, a bad setting or a refused submission, out a kind that
//! callers act on. Never says retryable when the same event would fail the same way again.

/// What callers act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The event, or one record of it, is not an S3 notification.
    MalformedEvent,
    /// The object key of a record is not UTF-8 once decoded.
    MalformedKey,
    /// The trigger's own configuration cannot make a job.
    InvalidConfig,
    /// The job service did not accept the job.
    SubmitFailed,
}

/// A refused or failed CreateJob, as the job service told it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{code}`: {message}")]
pub struct SubmitError {
    /// The service's error code, such as `BadRequestException`.
    pub code: String,
    /// The service's own words.
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

    /// The event is not an S3 notification because of `what`.
    pub(crate) fn malformed_event(what: &str) -> Self {
        Self::permanent(ErrorKind::MalformedEvent, format!("malformed S3 event: {what}"))
    }

    /// Record number `index` (from 0) does not have the shape of an S3 record.
    pub(crate) fn malformed_record(index: usize, source: serde_json::Error) -> Self {
        let mut error = Self::malformed_event(&format!("record `{index}` cannot be read"));
        error.source = Some(Box::new(source));
        error
    }

    /// The key, shown as it stands in the event, is not UTF-8 once decoded.
    pub(crate) fn key_not_utf8(raw_key: &str, source: std::str::Utf8Error) -> Self {
        let message = format!("object key `{raw_key}` is not UTF-8 after decoding");
        Self { source: Some(Box::new(source)), ..Self::permanent(ErrorKind::MalformedKey, message) }
    }

    /// The trigger's configuration cannot be used because of `what`.
    pub(crate) fn invalid_config(what: impl Into<String>) -> Self {
        Self::permanent(ErrorKind::InvalidConfig, what.into())
    }

    /// The job service did not accept the job for the object at `url`.
    pub(crate) fn submit_failed(url: &str, source: SubmitError) -> Self {
        Self {
            kind: ErrorKind::SubmitFailed,
            message: format!("no job could be created for `{url}`"),
            retryable: source.retryable,
            source: Some(Box::new(source)),
        }
    }

    /// What callers act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether handing in the same record again may do.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}
