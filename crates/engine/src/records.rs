//! What the engine stores durably: jobs with their events, the resources of users, and small items.

pub(crate) mod database;
mod hopping;
pub(crate) mod items;
pub(crate) mod job_store;
pub(crate) mod resources;
