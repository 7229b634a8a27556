//! The error of a failed call: names the service and the operation, and says whether a retry may help. It never
//! contains a credential.

use reqwest::StatusCode;

/// Kinds of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There are no usable credentials.
    Credentials,
    /// A setting is invalid.
    Setting,
    /// The service could not be reached or did not respond in time.
    Unreachable,
    /// The service refused the request; the status and error type say why.
    Refused,
    /// The response does not have the expected format.
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

    /// Creates an error that says why there are no credentials.
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Credentials, message.into())
    }

    /// Creates an error about an invalid setting.
    pub fn setting(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Setting, message.into())
    }

    pub(crate) fn unreachable(
        what: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let message = format!("`{what}` got no response");
        Self { cause: Some(cause.into()), ..Self::new(ErrorKind::Unreachable, message) }
    }

    pub(crate) fn refused(what: &str, status: StatusCode, error_type: Option<String>, message: &str) -> Self {
        let named = error_type.as_deref().unwrap_or("no error code");
        let message = format!("`{what}` failed with status {status} ({named}): {message}");
        Self { status: Some(status), error_type, ..Self::new(ErrorKind::Refused, message) }
    }

    pub(crate) fn answer(what: &str, why: &str) -> Self {
        Self::new(ErrorKind::Answer, format!("the response to `{what}` cannot be used: {why}"))
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the HTTP status, if the service refused the request.
    pub fn status(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    /// Returns the service's name for the error, such as `TooManyRequestsException`.
    pub fn error_type(&self) -> Option<&str> {
        self.error_type.as_deref()
    }

    /// Whether a retry may help: the service was unreachable, overloaded or failed internally.
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

    /// Whether the service may have carried out the request in spite of the error.
    pub fn is_ambiguous(&self) -> bool {
        self.kind == ErrorKind::Unreachable || self.status.is_some_and(|status| status.is_server_error())
    }
}

/// Whether the error type means that the client was throttled. CloudFormation and STS send these types with status 400
/// (AWS, "Common errors" in both API references).
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
    fn only_faults_of_the_service_are_retryable() {
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
