//! The error of this crate, with a kind for callers and an S3 code for clients.
//!
//! A message never contains a credential.

use abanico_process::Lack;
use http::HeaderMap;
use s3s::{S3Error, S3ErrorCode};

/// The kind of an [`Error`], for callers to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bucket, object, upload or outbox entry does not exist.
    NotFound,
    /// A condition of the request did not hold, or another request came first.
    Conflict,
    /// The request itself is invalid.
    Invalid,
    /// Another process has the folder open.
    InUse,
    /// A newer version wrote the folder.
    Denied,
    /// The index is lost or damaged, or does not fit the blobs. Nothing was changed.
    Damaged,
    /// The disk or the database failed; a retry may succeed.
    Unavailable,
}

/// A failed operation of the local S3 endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    code: S3ErrorCode,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Headers of the answer.
    headers: Option<Box<HeaderMap>>,
}

/// What a client that meets a full disk can tell its operator to do.
const REMEDY: &str = "free some space (`abanico gc` says what takes room)";

/// A `Result` with this crate's [`Error`].
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes a refusal that the client sees with S3's `code`.
    pub(crate) fn refused(code: S3ErrorCode, message: impl Into<String>) -> Self {
        let kind = match code {
            S3ErrorCode::NoSuchKey | S3ErrorCode::NoSuchBucket | S3ErrorCode::NoSuchUpload => {
                ErrorKind::NotFound
            }
            S3ErrorCode::PreconditionFailed | S3ErrorCode::NotModified | S3ErrorCode::BucketNotEmpty => {
                ErrorKind::Conflict
            }
            _ => ErrorKind::Invalid,
        };
        Self { kind, code, message: message.into(), source: None, headers: None }
    }

    /// Makes the answer that an object is as the client has it, with the headers that describe it.
    pub(crate) fn not_modified(headers: HeaderMap) -> Self {
        let unchanged = Self::refused(S3ErrorCode::NotModified, "the object is unchanged");
        Self { headers: Some(Box::new(headers)), ..unchanged }
    }

    pub(crate) fn no_such_bucket(bucket: &str) -> Self {
        Self::refused(S3ErrorCode::NoSuchBucket, format!("bucket `{bucket}` does not exist"))
    }

    pub(crate) fn no_such_key(key: &str) -> Self {
        Self::refused(S3ErrorCode::NoSuchKey, format!("object `{key}` does not exist"))
    }

    pub(crate) fn no_such_upload(id: &str) -> Self {
        Self::refused(S3ErrorCode::NoSuchUpload, format!("multipart upload `{id}` does not exist"))
    }

    pub(crate) fn no_such_entry(id: i64) -> Self {
        Self {
            kind: ErrorKind::NotFound,
            code: S3ErrorCode::InternalError,
            message: format!("outbox entry `{id}` does not exist"),
            source: None,
            headers: None,
        }
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Denied,
            code: S3ErrorCode::InternalError,
            message: message.into(),
            source: None,
            headers: None,
        }
    }

    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InUse, ..Self::denied(message) }
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Damaged, ..Self::denied(message) }
    }

    pub(crate) fn unavailable(
        what: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            code: S3ErrorCode::InternalError,
            message: format!("cannot {what}"),
            source: Some(source.into()),
            headers: None,
        }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }

    /// Returns whether the request was refused for what it asks, with the disk and the index in order.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid)
    }

    /// Returns whether a record of the index cannot be read, although the disk works.
    pub(crate) fn is_of_an_unreadable_record(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<rusqlite::Error>());
        matches!(
            source,
            Some(
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::Utf8Error(..)
            )
        )
    }

    /// Returns the code that an S3 client sees.
    pub fn s3_code(&self) -> &str {
        self.code.as_str()
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
            return Self { source: Some(error.into()), ..Self::damaged("the index is damaged") };
        }
        Self::unavailable("use the index", error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let lack = Lack::of_io(&error);
        let what = match lack {
            Some(Lack::Room) => "store the body: the disk of the data folder is full",
            _ => "use the folder of blobs",
        };
        let code = match lack {
            Some(Lack::Descriptors) => S3ErrorCode::SlowDown,
            _ => S3ErrorCode::InternalError,
        };
        Self { code, ..Self::unavailable(what, error) }
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        if error.kind == ErrorKind::Unavailable {
            // The client sees neither paths nor causes.
            tracing::error!(error = &error as &dyn std::error::Error, "an S3 request failed");
        }
        let message = match Lack::of(&error) {
            Some(Lack::Room) => format!("{}: {REMEDY}", error.message),
            _ => error.message.clone(),
        };
        let mut answer = Self::with_message(error.code.clone(), message);
        // `s3s` has no status for these codes, or another than S3.
        match error.code.as_str() {
            "NotModified" => answer.set_status_code(http::StatusCode::NOT_MODIFIED),
            "NoSuchConfiguration"
            | "NoSuchPublicAccessBlockConfiguration"
            | "ServerSideEncryptionConfigurationNotFoundError" => {
                answer.set_status_code(http::StatusCode::NOT_FOUND);
            }
            _ => {}
        }
        if let Some(headers) = &error.headers {
            answer.set_headers(headers.as_ref().clone());
        }
        answer.set_source(Box::new(error));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_sees_code_and_caller_sees_kind() {
        let error = Error::no_such_key("x");
        assert_eq!(
            (error.kind(), error.s3_code(), error.is_retryable()),
            (ErrorKind::NotFound, "NoSuchKey", false)
        );
        let answer = S3Error::from(error);
        assert_eq!(answer.status_code(), Some(http::StatusCode::NOT_FOUND));
        let error = Error::from(std::io::Error::other("disk"));
        assert!(error.is_retryable());
        let busy = S3Error::from(Error::from(std::io::Error::from_raw_os_error(24)));
        assert_eq!(busy.status_code(), Some(http::StatusCode::SERVICE_UNAVAILABLE));
        let full = S3Error::from(Error::from(std::io::Error::from_raw_os_error(28)));
        let expected = "cannot store the body: the disk of the data folder is full: free some space";
        assert!(full.message().is_some_and(|message| message.starts_with(expected)), "{full:?}");
        let unchanged = S3Error::from(Error::refused(S3ErrorCode::NotModified, "unchanged"));
        assert_eq!(unchanged.status_code(), Some(http::StatusCode::NOT_MODIFIED));
    }
}
