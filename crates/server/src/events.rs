//! Events on their way: uploads to their functions, and what happened to jobs and objects to those who want to know.

pub(crate) mod dead_letters;
pub(crate) mod event_bus;
pub(crate) mod event_delivery;
pub(crate) mod events_stream;
pub(crate) mod local_outbox;
pub(crate) mod object_events;
pub(crate) mod receivers;
pub(crate) mod redelivery;
pub(crate) mod triggers;
pub(crate) mod upload_outbox;
pub(crate) mod webhooks;
