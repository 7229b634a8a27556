//! What can go wrong with a call: in a cause, out a message about the service and the operation, and whether another
//! try may do. Never a credential in it.

use reqwest::StatusCode;

/// Kinds of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There are no usable credentials.
    Credentials,
    /// Something is set up wrongly.
    Setting,
    /// The service could not be reached or did not answer in time.
    Unreachable,
    /// The service refused the request; status and type tell why.
    Refused,
    /// The answer is not what the service is known to answer.
    Answer,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    status: Option<StatusCode>,
    error_type: Option<String>,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, status: None, error_type: None, cause: None }
    }

    /// There are no credentials, for this reason.
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Credentials, message.into())
    }

    /// Something is set up wrongly.
    pub fn setting(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Setting, message.into())
    }

    pub(crate) fn unreachable(
        what: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let message = format!("`{what}` was not answered");
        Self { cause: Some(cause.into()), ..Self::new(ErrorKind::Unreachable, message) }
    }

    pub(crate) fn refused(what: &str, status: StatusCode, error_type: Option<String>, message: &str) -> Self {
        let named = error_type.as_deref().unwrap_or("an error");
        let message = format!("`{what}` was answered by {status} with {named}: {message}");
        Self { status: Some(status), error_type, ..Self::new(ErrorKind::Refused, message) }
    }

    pub(crate) fn answer(what: &str, why: &str) -> Self {
        Self::new(ErrorKind::Answer, format!("the answer of `{what}` cannot be used: {why}"))
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// HTTP status, if the service answered.
    pub fn status(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    /// The service's name of the error, such as `TooManyRequestsException`.
    pub fn error_type(&self) -> Option<&str> {
        self.error_type.as_deref()
    }

    /// Whether another try may do: the service was not reached, was overloaded or failed itself.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable => true,
            ErrorKind::Refused => {
                let by_status =
                    |status: StatusCode| status.is_server_error() || matches!(status.as_u16(), 408 | 429);
                self.status.is_some_and(by_status) || self.error_type().is_some_and(is_throttling)
            }
            ErrorKind::Credentials | ErrorKind::Setting | ErrorKind::Answer => false,
        }
    }

    /// Whether the service may have done what it was asked for although no answer came.
    pub fn is_ambiguous(&self) -> bool {
        self.kind == ErrorKind::Unreachable || self.status.is_some_and(|status| status.is_server_error())
    }
}

/// Codes by which services ask for a slower pace; CloudFormation and STS send them with status 400 (AWS, "Common
/// errors" of both API references).
fn is_throttling(error_type: &str) -> bool {
    matches!(
        error_type,
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_another_try_do_only_where_the_service_is_at_fault() {
        let refused = |status: u16| Error::refused("x", StatusCode::from_u16(status).unwrap(), None, "m");
        let retryable: Vec<u16> = [400, 403, 404, 408, 409, 429, 500, 503]
            .into_iter()
            .filter(|status| refused(*status).is_retryable())
            .collect();
        assert_eq!(retryable, [408, 429, 500, 503]);
        let named = |name: &str| Error::refused("x", StatusCode::BAD_REQUEST, Some(name.to_owned()), "m");
        assert!(named("Throttling").is_retryable() && !named("ValidationError").is_retryable());
        assert!(refused(500).is_ambiguous() && !refused(429).is_ambiguous());
        assert!(Error::unreachable("x", "broken").is_ambiguous());
    }
}
