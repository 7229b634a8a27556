//! Questions to disk.
