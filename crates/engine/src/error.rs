//! The engine's error type, for requests that it cannot fulfil. A job's own failure is part of the job, not one of
//! these errors.

use abanico_model::arn::ResourceKind;

use crate::jobs::ids::JobId;

/// Kind of an error, for callers to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The job does not exist.
    NotFound,
    /// The job has already ended, the token belongs to another request, or the name is taken.
    Conflict,
    /// The record cannot be read and was put aside.
    PutAside,
    /// The job of the token has ended long ago and is no longer kept.
    Expired,
    /// The engine is stopping, or has not decided yet. Another try may succeed.
    Stopping,
    /// The disk or the database failed.
    Storage,
}

/// A failed request to the engine.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn of(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, source: None }
    }

    pub(crate) fn job_not_found(id: &JobId) -> Self {
        Self::of(ErrorKind::NotFound, format!("job `{id}` does not exist"))
    }

    pub(crate) fn job_has_expired(id: &JobId) -> Self {
        Self::of(ErrorKind::Expired, format!("job `{id}` of the same token has ended and is no longer kept"))
    }

    pub(crate) fn job_is_over(id: &JobId) -> Self {
        Self::of(ErrorKind::Conflict, format!("job `{id}` has already ended"))
    }

    pub(crate) fn token_was_used_otherwise(token: &str) -> Self {
        let message = format!(
            "client request token `{token}` was already used with a different request: send a new token"
        );
        Self::of(ErrorKind::Conflict, message)
    }

    pub(crate) fn resource_exists(kind: ResourceKind, name: &str) -> Self {
        let word = kind.segment().trim_end_matches('s');
        Self::of(ErrorKind::Conflict, format!("a {word} named `{name}` already exists: choose another name"))
    }

    /// `thing` is the record with its name.
    pub(crate) fn record_is_put_aside(thing: &str, reason: &str) -> Self {
        let message = format!(
            "{thing} cannot be read and was put aside ({reason}): look at it with `abanico records`, then put it back or drop it"
        );
        Self::of(ErrorKind::PutAside, message)
    }

    pub(crate) fn not_put_aside(id: i64) -> Self {
        Self::of(ErrorKind::NotFound, format!("no record was put aside as number `{id}`"))
    }

    /// Returns the database's own error, if it is the cause.
    pub(crate) fn of_sqlite(&self) -> Option<&rusqlite::Error> {
        self.source.as_deref()?.downcast_ref()
    }

    pub(crate) fn engine_is_stopping() -> Self {
        Self::of(
            ErrorKind::Stopping,
            "the server is stopping and takes no new jobs: try again soon".to_owned(),
        )
    }

    pub(crate) fn cancel_is_undecided(id: &JobId) -> Self {
        let message = format!("it is not stored yet whether job `{id}` is cancelled: try again soon");
        Self::of(ErrorKind::Stopping, message)
    }

    pub(crate) fn storage(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::Storage, message: format!("cannot {what}"), source: Some(source.into()) }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Storage | ErrorKind::Stopping)
    }
}

impl Error {
    /// Returns whether the job database could not be written, most likely because its disk is full.
    pub(crate) fn is_of_a_full_disk(&self) -> bool {
        let code = self.of_sqlite().and_then(rusqlite::Error::sqlite_error_code);
        matches!(code, Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::storage("use the job database", error)
    }
}
