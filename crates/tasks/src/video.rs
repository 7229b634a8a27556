//! Encodes video: whole films or chunks, with the bits that each should have, and joins chunks into whole films.

mod budgets;
mod encode;
mod encoding;
mod excerpts;
mod joints;
mod likeness;
mod starts;
mod stitch;

pub(crate) use budgets::sum_first_passes;
pub(crate) use encode::encode;
pub(crate) use stitch::stitch_chunks;
