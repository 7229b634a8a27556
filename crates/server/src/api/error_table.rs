//! The one table of errors: maps each failure to AWS's error code, an HTTP status and a response body. No other file
//! chooses a status. The cause of an internal error goes to the log, never into the response.

use std::hash::{BuildHasher, Hasher, RandomState};

use abanico_engine::submission::Refusal;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::entry::sigv4::{SigV4Error, SigV4ErrorKind};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// Header with the id of a response. The log has the same id as `request.id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Why a request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is invalid.
    BadRequest,
    /// The body is larger than an API call allows.
    TooLarge,
    /// The request has no credentials.
    MissingAuthentication,
    /// The credentials cannot be parsed.
    MalformedAuthentication,
    /// The access key is unknown.
    UnknownKey,
    /// The signature is wrong.
    InvalidSignature,
    /// The caller is known but not allowed to do this.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The resource's state does not allow the operation.
    Conflict,
    /// The request is valid, but something it names cannot be processed.
    Unprocessable,
    /// There is no room for more of what the request would store.
    QuotaExceeded,
    /// Too many requests or items; a later request may succeed.
    TooMany,
    /// The server is stopping.
    Stopping,
    /// An internal error of the server.
    Internal,
}

impl ErrorKind {
    /// Returns AWS's error code and the HTTP status. This is the table.
    pub fn code_and_status(self) -> (&'static str, StatusCode) {
        match self {
            Self::BadRequest => ("BadRequestException", StatusCode::BAD_REQUEST),
            Self::TooLarge => ("BadRequestException", StatusCode::PAYLOAD_TOO_LARGE),
            Self::MissingAuthentication => ("MissingAuthenticationTokenException", StatusCode::FORBIDDEN),
            Self::MalformedAuthentication => ("IncompleteSignatureException", StatusCode::BAD_REQUEST),
            Self::UnknownKey => ("UnrecognizedClientException", StatusCode::FORBIDDEN),
            Self::InvalidSignature => ("InvalidSignatureException", StatusCode::FORBIDDEN),
            Self::Forbidden => ("ForbiddenException", StatusCode::FORBIDDEN),
            Self::NotFound => ("NotFoundException", StatusCode::NOT_FOUND),
            Self::Conflict => ("ConflictException", StatusCode::CONFLICT),
            Self::Unprocessable => ("UnprocessableEntityException", StatusCode::UNPROCESSABLE_ENTITY),
            Self::QuotaExceeded => ("ServiceQuotaExceededException", StatusCode::PAYMENT_REQUIRED),
            Self::TooMany => ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
            Self::Stopping => ("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("InternalServerErrorException", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// A failed request. Responds as MediaConvert does: `{"message": …}` with the headers `x-amzn-ErrorType` and
/// `x-amzn-RequestId`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Seconds until the same request may succeed, if that is known.
    retry_after_s: Option<u64>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error of this kind. The caller sees `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_s: None, source: None }
    }

    /// Makes a [`ErrorKind::BadRequest`] error.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// Makes a [`ErrorKind::NotFound`] error.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Makes a [`ErrorKind::Internal`] error. The response only says that the server failed; the log has `what` and
    /// `source`.
    pub fn internal(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { source: Some(source.into()), ..Self::new(ErrorKind::Internal, what) }
    }

    /// Adds the number of seconds after which the caller may try again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// Returns the kind, for callers to act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns AWS's error code, such as `BadRequestException`.
    pub fn code(&self) -> &'static str {
        self.kind.code_and_status().0
    }

    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::TooMany | ErrorKind::Stopping | ErrorKind::Internal)
    }
}

impl From<abanico_engine::Error> for Error {
    fn from(error: abanico_engine::Error) -> Self {
        let kind = match error.kind() {
            abanico_engine::ErrorKind::NotFound => ErrorKind::NotFound,
            abanico_engine::ErrorKind::Conflict
            | abanico_engine::ErrorKind::PutAside
            | abanico_engine::ErrorKind::Expired => ErrorKind::Conflict,
            abanico_engine::ErrorKind::Stopping => ErrorKind::Stopping,
            _ => return Self::internal(error.to_string(), error),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(message) => Self::not_found(message),
            Refusal::Broken(message) => Self::internal("cannot read presets and templates", message),
            Refusal::Invalid(problems) => Self::bad_request(problems.to_string()),
        }
    }
}

impl From<SigV4Error> for Error {
    fn from(error: SigV4Error) -> Self {
        let kind = match error.kind() {
            SigV4ErrorKind::MissingAuthentication => ErrorKind::MissingAuthentication,
            SigV4ErrorKind::Malformed => ErrorKind::MalformedAuthentication,
            SigV4ErrorKind::UnknownKey => ErrorKind::UnknownKey,
            SigV4ErrorKind::SignatureMismatch | SigV4ErrorKind::Expired | SigV4ErrorKind::ScopeMismatch => {
                ErrorKind::InvalidSignature
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (code, status) = self.kind.code_and_status();
        let request_id = request_id();
        let message = if self.kind == ErrorKind::Internal {
            let cause = self.source.as_deref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(request.id = %request_id, error = %self.message, %cause, "a request failed");
            format!("internal server error; see the server's log for request id `{request_id}`")
        } else {
            tracing::debug!(request.id = %request_id, code, error = %self.message, "a request was refused");
            self.message
        };
        let mut response = (status, axum::Json(json!({ "message": message }))).into_response();
        let headers = response.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static(code));
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, value);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_s.unwrap_or(5)));
        }
        response
    }
}

/// Makes a random response id in the form of a UUID. Each hasher has fresh random keys.
pub(crate) fn request_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!(
        "{a:08x}-{b:04x}-4{c:03x}-{:04x}-{:012x}",
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    async fn answer(error: Error) -> (StatusCode, String, String, Value) {
        let response = error.into_response();
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let (status, code, id) = (response.status(), header(&ERROR_TYPE), header(&REQUEST_ID));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, code, id, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn refusal_has_aws_shape() {
        let (status, code, id, body) = answer(Error::not_found("job `x` does not exist")).await;
        assert_eq!((status.as_u16(), code.as_str()), (404, "NotFoundException"));
        assert_eq!(body, json!({"message": "job `x` does not exist"}));
        assert_eq!(id.len(), 36);
    }

    #[tokio::test]
    async fn internal_error_shows_id_but_not_cause() {
        let cause = std::io::Error::other("secret disk layout");
        let (status, code, id, body) = answer(Error::internal("cannot use the disk", cause)).await;
        assert_eq!((status.as_u16(), code.as_str()), (500, "InternalServerErrorException"));
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(&id) && !message.contains("disk"), "{message}");
    }

    #[test]
    fn kinds_map_to_aws_codes_and_statuses() {
        for (kind, code, status) in [
            (ErrorKind::MissingAuthentication, "MissingAuthenticationTokenException", 403),
            (ErrorKind::MalformedAuthentication, "IncompleteSignatureException", 400),
            (ErrorKind::UnknownKey, "UnrecognizedClientException", 403),
            (ErrorKind::InvalidSignature, "InvalidSignatureException", 403),
            (ErrorKind::TooMany, "TooManyRequestsException", 429),
            (ErrorKind::Conflict, "ConflictException", 409),
        ] {
            let (actual, actual_status) = kind.code_and_status();
            assert_eq!((actual, actual_status.as_u16()), (code, status));
        }
    }

    #[test]
    fn request_ids_differ() {
        assert_ne!(request_id(), request_id());
    }
}
