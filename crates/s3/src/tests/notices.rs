//! Questions to notices.
