//! Why the engine could not do what was asked: in failures below, out a kind for the edge. Never a job's own failure:
//! that is part of the job.

use abanico_model::arn::ResourceKind;

use crate::JobId;

/// What callers act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such job.
    NotFound,
    /// The job is already at its end, or the token belongs to another request.
    Conflict,
    /// Stopping: no new jobs.
    Stopping,
    /// Disk or database failed.
    Storage,
}

/// A request to the engine that failed.
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

    pub(crate) fn job_is_over(id: &JobId) -> Self {
        Self::of(ErrorKind::Conflict, format!("job `{id}` has already ended"))
    }

    pub(crate) fn token_was_used_otherwise(token: &str) -> Self {
        let message =
            format!("client request token `{token}` was used before with another request: send a new token");
        Self::of(ErrorKind::Conflict, message)
    }

    pub(crate) fn resource_exists(kind: ResourceKind, name: &str) -> Self {
        let word = kind.segment().trim_end_matches('s');
        Self::of(ErrorKind::Conflict, format!("a {word} named `{name}` is there already: take another name"))
    }

    pub(crate) fn engine_is_stopping() -> Self {
        Self::of(
            ErrorKind::Stopping,
            "the server is stopping and takes no new jobs: try again soon".to_owned(),
        )
    }

    pub(crate) fn storage(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::Storage, message: format!("cannot {what}"), source: Some(source.into()) }
    }

    /// What callers act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether another try may do.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Storage | ErrorKind::Stopping)
    }
}

impl Error {
    /// Whether the job database could not be written, most likely because its disk is full.
    pub(crate) fn is_of_a_full_disk(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<rusqlite::Error>());
        let code = source.and_then(rusqlite::Error::sqlite_error_code);
        matches!(code, Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::storage("use the job database", error)
    }
}
