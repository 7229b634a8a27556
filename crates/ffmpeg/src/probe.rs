//! The stage probe.

mod cadence;
pub(crate) mod header;
pub(crate) mod packets;
mod reader;
