//! What operators look at: metrics, health, room in the data folder, and backups.

pub mod backup;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod receiver_metrics;
pub(crate) mod storage;
