//! Why a signature is refused: a kind, which the edge maps to AWS's error code, and a message for the caller. Never
//! holds a secret, a signature or a computed hash that would help to forge one.

/// Kinds of refusal. AWS answers each with HTTP status 403 unless noted otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SigV4ErrorKind {
    /// The request has no SigV4 credentials (`MissingAuthenticationTokenException`).
    MissingAuthentication,
    /// The credentials cannot be parsed (`IncompleteSignatureException`, status 400).
    Malformed,
    /// The access key is unknown (`UnrecognizedClientException`).
    UnknownKey,
    /// The request differs from the one that was signed, or was signed with another secret
    /// (`InvalidSignatureException`).
    SignatureMismatch,
    /// The request was signed too long ago, or by a clock that is too far off (`InvalidSignatureException`).
    Expired,
    /// The request was signed for another day or service (`InvalidSignatureException`).
    ScopeMismatch,
}

/// A refused signature.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SigV4Error {
    kind: SigV4ErrorKind,
    message: String,
}

impl SigV4Error {
    pub(super) fn new(kind: SigV4ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(SigV4ErrorKind::Malformed, message)
    }

    pub(super) fn missing_authentication() -> Self {
        Self::new(
            SigV4ErrorKind::MissingAuthentication,
            "request has neither an `Authorization` header with `AWS4-HMAC-SHA256` nor `X-Amz-Signature`",
        )
    }

    pub(super) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(SigV4ErrorKind::SignatureMismatch, message)
    }

    /// Returns the kind, for the edge to act on.
    pub fn kind(&self) -> SigV4ErrorKind {
        self.kind
    }

    /// Always returns false: a refused request must be signed again.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
