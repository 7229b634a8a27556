//! What keeps the data folder in order: opening and checking it, repair, backups, and what takes room in it.

mod clock;
pub(crate) mod fsck;
pub(crate) mod identity;
mod judgement;
pub(crate) mod opening;
mod saved_buckets;
pub(crate) mod snapshot;
pub(crate) mod stocktaking;
pub(crate) mod storage;
