//! The access keys that sign requests, and the sources that provide them. Secrets are never printed.

use async_trait::async_trait;

use crate::Error;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key ID, which is public.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token of a temporary key.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A source of credentials. The client asks it before each attempt, because temporary credentials change.
#[async_trait]
pub trait CredentialsSource: Send + Sync {
    /// Returns the current credentials.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Credentials`](crate::ErrorKind::Credentials) if there are none.
    async fn credentials(&self) -> Result<Credentials, Error>;
}

#[async_trait]
impl CredentialsSource for Credentials {
    async fn credentials(&self) -> Result<Credentials, Error> {
        Ok(self.clone())
    }
}

/// Credentials from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, as Lambda sets them.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvironmentCredentials;

#[async_trait]
impl CredentialsSource for EnvironmentCredentials {
    async fn credentials(&self) -> Result<Credentials, Error> {
        from_variables(&|name| std::env::var(name).ok())
    }
}

fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, Error> {
    let needed = |name: &str| {
        let value = variable(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Error::credentials(format!("the environment variable `{name}` is not set")))
    };
    Ok(Credentials {
        access_key_id: needed("AWS_ACCESS_KEY_ID")?,
        secret_access_key: needed("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn missing_variable_is_named() {
        let error =
            from_variables(&|name| (name == "AWS_ACCESS_KEY_ID").then(|| "AKID".to_owned())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.to_string(), "the environment variable `AWS_SECRET_ACCESS_KEY` is not set");
    }

    #[test]
    fn empty_session_token_is_ignored() {
        let all = |name: &str| Some(if name == "AWS_SESSION_TOKEN" { "" } else { "x" }.to_owned());
        assert_eq!(from_variables(&all).unwrap().session_token, None);
    }

    #[test]
    fn secrets_are_never_printed() {
        let credentials = Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "hidden".to_owned(),
            session_token: Some("hidden".to_owned()),
        };
        let text = format!("{credentials:?}");
        assert!(text.contains("AKID") && !text.contains("hidden"), "{text}");
    }
}
