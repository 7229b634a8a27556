//! The MediaConvert wire model: types, validation, presets, templates and events.
//!
//! Turns the JSON of jobs, presets and events into checked types and completed settings. It does no I/O, reads no clock
//! and decides nothing about encoding.

pub mod arn;
pub mod coverage;
pub mod errors;
pub mod events;
pub mod generated;
pub mod generated_tables;
pub mod keys;
mod open_enum;
pub mod output_groups;
pub mod parse;
pub mod presets;
pub mod problem;
pub mod s3_event;
pub mod shape;
pub mod templates;
pub mod validate;
mod wire;
