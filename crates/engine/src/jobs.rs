//! Jobs: what is known of one, how it goes from stage to stage, and what is told about it.

pub(crate) mod events;
pub(crate) mod hops;
pub(crate) mod ids;
pub(crate) mod job;
pub mod job_machine;
pub(crate) mod tallies;
