//! The errors of an estimate.

/// The reason why an estimate failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list of prices cannot be parsed.
    #[error("cannot read the prices: {0}")]
    Prices(String),
    /// The list has no prices for the region.
    #[error("no prices for region `{region}`; known regions: {known}")]
    Region {
        /// The requested region.
        region: String,
        /// The regions that have prices, separated by commas.
        known: String,
    },
}

impl Error {
    /// Returns `false`: the same input always gives the same error.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
