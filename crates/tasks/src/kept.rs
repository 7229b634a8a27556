//! Encodes that are kept for later jobs.

pub mod results;
pub(crate) mod reuse;
