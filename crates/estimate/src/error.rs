//! Why there is no estimate.

/// A failed estimate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of prices cannot be read.
    #[error("the prices cannot be read: {0}")]
    Prices(String),
    /// There are no prices for the region.
    #[error("there are no prices for the region `{region}`; there are some for {known}")]
    Region {
        /// What was asked for.
        region: String,
        /// What there is.
        known: String,
    },
}

impl Error {
    /// Whether another try may do: never, the same input gives the same error.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
