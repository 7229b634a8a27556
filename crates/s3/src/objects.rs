//! The operations on objects, and what they share.

pub(crate) mod conditions;
pub(crate) mod copy;
pub(crate) mod get;
pub(crate) mod list;
mod object_store;
pub(crate) mod publication;
pub(crate) mod put;
pub(crate) mod tagging;
mod versions;
