//! A part of a file: in an offset and a length, out the text that a playlist has for it.

use std::fmt;

/// A run of bytes within a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// First byte, from 0.
    pub offset_bytes: u64,
    /// Length, at least 1.
    pub length_bytes: u64,
}

impl ByteRange {
    /// The first byte behind it.
    pub fn end(self) -> u64 {
        self.offset_bytes + self.length_bytes
    }
}

impl fmt::Display for ByteRange {
    /// Length, `@`, offset, as RFC 8216 section 4.3.2.2 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.length_bytes, self.offset_bytes)
    }
}
