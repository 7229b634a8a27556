//! The HTTP edge of abanico.

pub mod sigv4;
