//! The HTTP edge of abanico: in requests of AWS's SDKs, of browsers and of monitoring, out answers of engine and S3.
//! Never owns state: everything that must last is behind the engine or the outbox.

mod authentication;
pub mod error_table;
pub mod job_view;
pub mod sigv4;
pub use authentication::{Credentials, MAX_API_BODY_BYTES};
