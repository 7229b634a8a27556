//! What can be wrong with streams that are to be packaged.

/// Why a stream cannot be described.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A codec's configuration record is too short or of an unknown version.
    #[error("the codec configuration `{what}` cannot be read: {why}")]
    CodecConfiguration {
        /// Name of the box, such as `avcC`.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A file's track has no such box.
    #[error("the track cannot be cut: its box `{name}` is missing or cut off")]
    TrackBox {
        /// Type of the box, or what is missing in it.
        name: &'static str,
    },
    /// A chunk does not fit the one before it.
    #[error("chunk {number} does not fit: {why}")]
    Chunk {
        /// Its number, from 0.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A file's track is not of the plain kind that is cut here.
    #[error("the track cannot be cut: {why}")]
    Track {
        /// What is wrong.
        why: &'static str,
    },
}

impl Error {
    /// Whether another try may do: never, the same input gives the same error.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
