//! Who gets in, and what strangers may send: access, signatures, sessions, and limits for those who are not known.

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod authentication;
pub(crate) mod guesses;
pub(crate) mod places;
pub(crate) mod same_origin;
pub(crate) mod security_headers;
pub(crate) mod sessions;
pub mod sigv4;
