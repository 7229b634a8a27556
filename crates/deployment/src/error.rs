//! The error of a failed deployment step, with a hint about the remedy. It never contains a credential.

/// Kinds of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No credentials or no region.
    Credentials,
    /// The credentials lack a permission.
    Denied,
    /// An option, parameter or file is invalid.
    Usage,
    /// A call to AWS failed or took too long.
    Aws,
    /// The stack failed or cannot be changed.
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

    /// Creates an error about an invalid option, parameter or file.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message, hint)
    }

    /// Converts a client's error. `what` completes the message `cannot ...`.
    pub(crate) fn client(what: &str) -> impl FnOnce(abanico_aws::Error) -> Self {
        let what = what.to_owned();
        move |error| {
            if error.kind() == abanico_aws::ErrorKind::Credentials {
                let hint = "log in with the AWS CLI (`aws sso login`, `aws configure`), name a profile with --profile, \
                            or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
                let message = format!("cannot {what}: no AWS credentials were found: {error}");
                return Self::new(ErrorKind::Credentials, message, hint);
            }
            let mut code = error.error_type().unwrap_or_default().to_owned();
            if error.status() == Some(403) && code.is_empty() {
                code = "AccessDenied".to_owned();
            }
            Self::classified(&what, &code, &error.to_string())
        }
    }

    fn classified(what: &str, code: &str, text: &str) -> Self {
        let message = format!("cannot {what}: {text}");
        if code.contains("AccessDenied") || code.contains("Unauthorized") || code == "AccessDeniedException" {
            let hint = "allow the action that the message names; `abanico aws policy` prints the policy that a deployer needs";
            return Self::new(ErrorKind::Denied, message, hint);
        }
        if ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"]
            .iter()
            .any(|name| code.contains(name))
        {
            return Self::new(
                ErrorKind::Credentials,
                message,
                "the credentials are invalid or have expired: log in again, or correct the keys",
            );
        }
        let hint = "run it again with RUST_LOG=debug to see the requests";
        Self::new(ErrorKind::Aws, message, hint)
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what the user can do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether the same call may succeed later without a change. Always false.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_remedy() {
        let denied =
            Error::classified("create", "AccessDeniedException", "not authorized to perform: iam:CreateRole");
        assert_eq!(denied.kind(), ErrorKind::Denied);
        assert!(denied.to_string().contains("iam:CreateRole") && denied.hint().contains("aws policy"));
        let none = Error::client("look")(abanico_aws::Error::credentials("`aws` is not installed"));
        assert_eq!(none.kind(), ErrorKind::Credentials);
        assert_eq!(none.to_string(), "cannot look: no AWS credentials were found: `aws` is not installed");
        assert_eq!(Error::classified("look", "ExpiredToken", "x").kind(), ErrorKind::Credentials);
        assert_eq!(Error::classified("look", "Throttling", "slow").kind(), ErrorKind::Aws);
    }
}
