//! The HTTP edge of abanico: serves AWS's SDKs, browsers and monitoring, and passes their requests on to the engine
//! and the S3 endpoint. Owns no state that must last: that is in the engine or the outbox.

mod absent_services;
mod access;
mod admission;
mod authentication;
pub mod backup;
mod console;
mod dead_letters;
mod download;
mod edge;
pub mod error_table;
mod event_bus;
mod event_delivery;
mod events_stream;
mod forwarded_jobs;
mod guesses;
mod health;
pub mod job_view;
mod local_outbox;
mod metrics;
mod object_events;
mod operations;
mod places;
mod receiver_metrics;
mod receivers;
mod redelivery;
mod router;
mod same_origin;
mod security_headers;
mod serve;
mod sessions;
pub mod sigv4;
mod storage;
mod sts;
#[cfg(test)]
mod testing;
mod triggers;
mod upload_outbox;
mod webhooks;

pub use access::Access;
pub use authentication::{Credentials, MAX_API_BODY_BYTES};
pub use axum::Router as HttpRouter;
pub use edge::{S3Fallback, ServerParts, s3_fallback};
pub use event_bus::{EVENT_SOURCE, EventBus};
pub use event_delivery::{EventSink, RetryPolicy, deliver_events};
pub use forwarded_jobs::MediaConvertJobs;
pub use object_events::{Destinations, OBJECT_EVENT_SOURCE, deliver_object_events};
pub use receivers::{Receivers, Seat};
pub use router::Server;
pub use serve::{ServeLimits, serve, serve_within};
pub use storage::{Freed, RoomUse, free_objects, room_uses};
pub use triggers::{EngineSubmitter, run_triggers};
pub use upload_outbox::{Backlog, OutboxError, UploadEntry, UploadOutbox};
pub use webhooks::{Webhook, WebhookError};
