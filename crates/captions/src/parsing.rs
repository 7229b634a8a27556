//! What the parsers of several formats share: bytes become text, and text becomes times, lines and colours.

pub(crate) mod colour_names;
pub(crate) mod line_builder;
pub(crate) mod text;
pub(crate) mod timestamp;
