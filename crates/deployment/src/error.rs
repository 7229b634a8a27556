//! Why a deployment did not do what was asked: in an AWS error or a fault of what was given, out a message and the
//! remedy. Never a credential.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Kinds of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No credentials or no region.
    Credentials,
    /// The account does not allow it.
    Denied,
    /// Something that was given does not fit.
    Usage,
    /// AWS did not do it.
    Aws,
    /// The stack failed.
    Stack,
}

/// A failed step of a deployment.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into() }
    }

    /// Something that was given does not fit.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message, hint)
    }

    /// The SDK could not do `what`.
    pub(crate) fn sdk<E>(what: &str) -> impl FnOnce(E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        let what = what.to_owned();
        move |error| {
            let code = error.code().unwrap_or_default().to_owned();
            let text = match error.message() {
                Some(message) => format!("{code}: {message}"),
                None => with_causes(&error),
            };
            Self::classified(&what, &code, &text)
        }
    }

    /// The small client could not do `what`.
    pub(crate) fn client(what: &str) -> impl FnOnce(abanico_aws::Error) -> Self {
        let what = what.to_owned();
        move |error| {
            let mut code = error.error_type().unwrap_or_default().to_owned();
            if error.kind() == abanico_aws::ErrorKind::Credentials {
                code = "CredentialsNotLoaded".to_owned();
            } else if error.status() == Some(403) && code.is_empty() {
                code = "AccessDenied".to_owned();
            }
            Self::classified(&what, &code, &error.to_string())
        }
    }

    fn classified(what: &str, code: &str, text: &str) -> Self {
        let message = format!("cannot {what}: {text}");
        let lower = text.to_lowercase();
        if code.contains("AccessDenied") || code.contains("Unauthorized") || code == "AccessDeniedException" {
            let hint = "the action that is named must be allowed: `abanico aws policy` prints the policy that a deployer needs";
            return Self::new(ErrorKind::Denied, message, hint);
        }
        let no_credentials = lower.contains("credential") || lower.contains("no providers in chain");
        if no_credentials || code == "CredentialsNotLoaded" {
            let hint = "log in with the AWS CLI (`aws configure sso`), name a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            // The SDK lists every place that it looked at, and that again as it sees it from inside.
            let message = format!("cannot {what}: no AWS credentials were found");
            return Self::new(ErrorKind::Credentials, message, hint);
        }
        if code.contains("ExpiredToken") || code.contains("InvalidClientTokenId") {
            return Self::new(
                ErrorKind::Credentials,
                message,
                "the credentials are not valid any more: log in again",
            );
        }
        let hint = "look at the message; with --log json and RUST_LOG=debug the requests are shown";
        Self::new(ErrorKind::Aws, message, hint)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the user can do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether the same call may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_every_kind_have_its_remedy() {
        let denied =
            Error::classified("create", "AccessDeniedException", "not authorized to perform: iam:CreateRole");
        assert_eq!(denied.kind(), ErrorKind::Denied);
        assert!(denied.to_string().contains("iam:CreateRole") && denied.hint().contains("aws policy"));
        let none = Error::classified("look", "", "no providers in chain provided credentials");
        assert_eq!(none.kind(), ErrorKind::Credentials);
        assert_eq!(none.to_string(), "cannot look: no AWS credentials were found");
        assert_eq!(Error::classified("look", "ExpiredToken", "x").kind(), ErrorKind::Credentials);
        assert_eq!(Error::classified("look", "Throttling", "slow").kind(), ErrorKind::Aws);
    }
}
