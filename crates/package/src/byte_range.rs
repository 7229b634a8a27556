//! A byte range within a file, and its text in a playlist.

use std::fmt;

/// A range of bytes within a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// Position of the first byte, from 0.
    pub offset_bytes: u64,
    /// Length in bytes, at least 1.
    pub length_bytes: u64,
}

impl ByteRange {
    /// Returns the position after the last byte.
    pub fn end(self) -> u64 {
        self.offset_bytes + self.length_bytes
    }
}

impl fmt::Display for ByteRange {
    /// Writes `length@offset`, as in RFC 8216 section 4.3.2.2.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.length_bytes, self.offset_bytes)
    }
}
