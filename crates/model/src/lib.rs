//! The MediaConvert wire model: in JSON of jobs, presets and events, out checked types and completed settings.
//!
//! Never: I/O, a clock, a decision about encoding.

pub mod arn;
pub mod coverage;
pub mod errors;
pub mod events;
pub mod generated;
pub mod generated_tables;
pub mod keys;
mod open_enum;
pub mod parse;
pub mod presets;
pub mod problem;
pub mod s3_event;
pub mod shape;
pub mod templates;
pub mod validate;
