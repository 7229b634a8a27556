//! The edge of the endpoint: what happens to every request and answer, whichever operation it is.

pub(crate) mod answers;
pub(crate) mod base_domains;
mod browser;
mod document;
mod door;
mod guests;
mod post_form;
mod ranges;
pub(crate) mod service;
mod sieve;
