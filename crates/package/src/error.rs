//! Errors of packaging.

/// Why a stream cannot be packaged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A codec configuration record is too short or has an unknown version.
    #[error("the codec configuration `{what}` cannot be read: {why}")]
    CodecConfiguration {
        /// Name of the box, such as `avcC`.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The track lacks a box, or the box is truncated.
    #[error("the track cannot be cut: its box `{name}` is missing or truncated")]
    TrackBox {
        /// Type of the box, or the field that is missing in it.
        name: &'static str,
    },
    /// A chunk does not match the others, so they cannot be stitched.
    #[error("chunk {number} does not fit: {why}")]
    Chunk {
        /// Number of the chunk, from 0.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The track has a structure that this crate does not support.
    #[error("the track cannot be cut: {why}")]
    Track {
        /// What is wrong.
        why: &'static str,
    },
}

impl Error {
    /// Whether a retry can help. Always false, because the same input gives the same error.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
