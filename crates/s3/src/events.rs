//! The events of objects: who is told, and what waits to be told.

pub(crate) mod notifications;
pub(crate) mod outbox;
pub(crate) mod receiver;
