//! The fleet: many machines do the tasks of one job, on Temporal. It takes the tasks of prepared jobs from the engine, and
//! gives back what became of each; films and plans never pass through Temporal, only keys of artifacts do.
//!
//! [`TemporalFleet`] is the side of the server: a workflow for each job, whose id is the job's. [`Worker`] is the side of
//! a machine that encodes. Both find each other by task queues alone, and share one artifact store.

mod connection;
mod decider;
mod fitness;
mod messages;
mod names;
mod processors;
mod roster;
mod task_list;
mod tasks_on_worker;
mod temporal_fleet;
mod worker;
mod workflow;

pub use connection::{ConnectError, Connecting, TlsFiles};
pub use roster::{Doing, Engaged, Roster, roster};
pub use temporal_fleet::{Dispatch, TemporalFleet};
pub use worker::{Worker, WorkerOptions};
