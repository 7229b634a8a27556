//! Encodes video: whole films or chunks, with the bits that each should have. Judges chunks, encodes some again, and joins
//! them into whole films.

mod again;
mod budgets;
mod buffers;
mod encode;
mod encoding;
mod excerpts;
mod joints;
mod judge;
mod likeness;
mod reading;
mod starts;
mod stitch;

pub(crate) use again::encode_chunks_again;
pub(crate) use budgets::sum_first_passes;
pub(crate) use encode::encode;
pub(crate) use joints::compare_joint;
pub(crate) use judge::judge_chunks;
pub(crate) use reading::{decided_by, has_work, read_of};
pub(crate) use stitch::stitch_chunks;
