//! Cuts films in time: inputs into clips by their timecodes, and films into chunks that are encoded separately.

pub(crate) mod chunks;
pub(crate) mod clips;
pub(crate) mod joints;
pub(crate) mod timecode;
