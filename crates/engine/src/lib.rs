//! Runs jobs to completion. Jobs survive a crash, and their use of resources is limited.
//!
//! [`job_machine`] decides what happens next, and [`Engine`] carries it out. The engine knows nothing of
//! HTTP, and of AWS's wire shapes only the job settings.

mod driver;
mod embedded;
mod engine;
mod error;
mod executor;
mod failure;
mod fleet;
mod forwarding;
mod jobs;
mod records;
mod requests;
mod site;

pub use abanico_tasks::failure::codes;
pub use abanico_tasks::{Bounds, MeasuredOutput, Sandboxing};
pub use engine::{
    DiskOutlook, DoneBy, Engine, EngineOptions, EngineStorage, Expired, Figures, Held, ResultsOptions,
    Retention, Troubles, free_stopped,
};
pub use error::{Error, ErrorKind};
pub use fleet::{
    Fleet, FleetError, FleetNews, FleetOptions, FleetReport, FleetWork, RunningTask, artifacts_of,
};
pub use forwarding::{Forwarding, RemoteError, RemoteJobs};
pub use jobs::ids::JobId;
pub use jobs::job::{Forwarded, JobRecord, JobTimes, Progress, QueueTransition, Submission, Token};
pub use jobs::job_machine::{self, Stage};
pub use jobs::tallies::{Histogram, StepFailures, Tallies};
pub use records::database::{Database, ListFilter, Place, PutAside, StoredEvent};
pub use records::items::ItemKind;
pub use records::resources::Resource;
pub use requests::quotas::Stored;
pub use requests::submission;
