//! The MediaConvert wire model: in JSON of jobs, presets and events, out checked types and completed settings.
//!
//! Never: I/O, a clock, a decision about encoding.

pub mod generated;
pub mod generated_tables;
mod open_enum;
pub mod shape;
