//! Runs jobs to completion. Jobs survive a crash, and their use of resources is limited.
//!
//! [`job_machine`] decides what happens next, and [`Engine`] carries it out. The engine knows nothing of
//! HTTP, and of AWS's wire shapes only the job settings.

mod claims;
mod context;
mod database;
mod destinations;
mod driver;
mod embedded;
mod engine;
mod error;
mod events;
mod executor;
mod failure;
mod fetching;
mod forwarding;
mod hops;
mod ids;
mod items;
mod job;
pub mod job_machine;
mod job_store;
mod outlook;
mod probing;
mod publish;
mod quotas;
mod resource_checks;
mod resources;
mod retention;
mod room;
mod storage;
pub mod submission;
mod tallies;
mod work_folder;

pub use abanico_tasks::failure::codes;
pub use abanico_tasks::{Bounds, MeasuredOutput, Sandboxing};
pub use database::{Database, ListFilter, Place, PutAside, StoredEvent};
pub use engine::{Engine, EngineOptions, ResultsOptions, Troubles};
pub use error::{Error, ErrorKind};
pub use forwarding::{Forwarded, Forwarding, RemoteError, RemoteJobs};
pub use hops::QueueTransition;
pub use items::ItemKind;
pub use job::{JobId, JobRecord, JobTimes, Progress, Submission, Token};
pub use job_machine::Stage;
pub use outlook::DiskOutlook;
pub use quotas::Stored;
pub use resources::Resource;
pub use retention::{Expired, Retention};
pub use storage::{EngineStorage, Held, free_stopped};
pub use tallies::{Figures, Histogram, Tallies};
