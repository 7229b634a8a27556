//! The HTTP edge of abanico: serves AWS's SDKs, browsers and monitoring, and passes their requests on to the engine
//! and the S3 endpoint. Owns no state that must last: that is in the engine or the outbox.

mod api;
mod console;
mod edge;
mod entry;
mod events;
mod router;
mod serve;
#[cfg(test)]
mod testing;
mod upkeep;

pub use api::forwarded_jobs::MediaConvertJobs;
pub use api::{error_table, job_view};
pub use axum::Router as HttpRouter;
pub use edge::{S3Fallback, ServerParts, s3_fallback};
pub use entry::access::Access;
pub use entry::authentication::{Credentials, MAX_API_BODY_BYTES};
pub use entry::sigv4;
pub use events::event_bus::{EVENT_SOURCE, EventBus};
pub use events::event_delivery::{EventSink, RetryPolicy, deliver_events};
pub use events::object_events::{Destinations, OBJECT_EVENT_SOURCE, deliver_object_events};
pub use events::receivers::{Receivers, Seat};
pub use events::triggers::{EngineSubmitter, run_triggers};
pub use events::upload_outbox::{Backlog, OutboxError, UploadEntry, UploadOutbox};
pub use events::webhooks::{Webhook, WebhookError};
pub use router::Server;
pub use serve::{ServeLimits, serve, serve_within};
pub use upkeep::backup;
pub use upkeep::storage::{Freed, RoomUse, free_objects, room_uses};
