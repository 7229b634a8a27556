//! Why a function could not do its work: in a cause, out a message and whether Lambda should try again.

/// A failed invocation or a function that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment or the package does not fit.
    #[error("{0}")]
    Setting(String),
    /// An AWS service did not do what it was asked for.
    #[error("{what}")]
    Aws {
        /// What was being done.
        what: String,
        /// The service's answer.
        #[source]
        source: abanico_aws::Error,
    },
    /// The event is not of the kind that the function is for.
    #[error("{0}")]
    Event(String),
    /// Uploads became no jobs for now.
    #[error("{0}")]
    Submission(String),
}

impl Error {
    pub(crate) fn aws(what: impl Into<String>) -> impl FnOnce(abanico_aws::Error) -> Self {
        let what = what.into();
        move |source| Self::Aws { what, source }
    }

    /// Whether the same event may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Aws { source, .. } => source.is_retryable(),
            Self::Submission(_) => true,
            Self::Setting(_) | Self::Event(_) => false,
        }
    }

    /// The message with those of its causes.
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// A message with those of its causes behind it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
