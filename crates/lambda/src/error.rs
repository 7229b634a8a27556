//! Why a function failed, and whether Lambda should retry.

/// A failed invocation, or a function that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment or the package is wrong.
    #[error("{0}")]
    Setting(String),
    /// A request to an AWS service failed.
    #[error("{what}")]
    Aws {
        /// What failed.
        what: String,
        /// The service's error.
        #[source]
        source: abanico_aws::Error,
    },
    /// The event is not of the kind that the function handles.
    #[error("{0}")]
    Event(String),
    /// No upload became a job, but a retry may succeed.
    #[error("{0}")]
    Submission(String),
}

impl Error {
    pub(crate) fn aws(what: impl Into<String>) -> impl FnOnce(abanico_aws::Error) -> Self {
        let what = what.into();
        move |source| Self::Aws { what, source }
    }

    /// Returns whether the same event may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Aws { source, .. } => source.is_retryable(),
            Self::Submission(_) => true,
            Self::Setting(_) | Self::Event(_) => false,
        }
    }

    /// Returns the message joined with those of its causes.
    pub fn with_causes(&self) -> String {
        abanico_process::with_causes(self)
    }
}
