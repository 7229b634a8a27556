//! The stage probe.

mod cadence;
mod reader;
