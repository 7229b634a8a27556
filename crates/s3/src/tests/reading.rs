//! Questions to reading.
