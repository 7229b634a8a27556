//! Why a request is not believed: out a kind that the edge turns into AWS's code, and words for the caller.
//! Never holds a secret, a signature or a computed hash that would help to forge one.

/// What the edge acts on. AWS answers each with HTTP status 403 unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SigV4ErrorKind {
    /// No SigV4 credentials at all (`MissingAuthenticationTokenException`).
    MissingAuthentication,
    /// Credentials that cannot be read (`IncompleteSignatureException`, status 400).
    Malformed,
    /// An access key that nobody has (`UnrecognizedClientException`).
    UnknownKey,
    /// The request is not the one that was signed, or it was signed with another secret
    /// (`InvalidSignatureException`).
    SignatureMismatch,
    /// Signed too long ago, or by a clock that is too far off (`InvalidSignatureException`).
    Expired,
    /// Signed for another day or another service (`InvalidSignatureException`).
    ScopeMismatch,
}

/// A request that is not believed.
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

    /// What the edge acts on.
    pub fn kind(&self) -> SigV4ErrorKind {
        self.kind
    }

    /// Whether the same request may be believed later: never, it has to be signed again.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
