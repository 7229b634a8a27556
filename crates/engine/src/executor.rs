//! The port between the engine and whatever carries out a job. The driver hands every attempt at a step to an executor
//! and gets reports back; it knows no machine, and the executor knows no state machine and no database.
//!
//! The embedded executor does the work on this machine. Forwarding hands whole jobs to another service.

pub(crate) mod trials;

use std::sync::Arc;
use std::time::Duration;

use abanico_media::MediaInfo;
use abanico_plan::{Plan, TaskId};
use abanico_tasks::MeasuredOutput;
use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::jobs::job::{Forwarded, JobRecord};
use crate::jobs::job_machine::{Failure, Step};

/// Maximum number of reports that wait for the driver. Steps with further reports wait.
pub(crate) const REPORTS: usize = 16;

/// How long the end of a publication may still take once the process was told to stop. The next start finishes it.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What ends a job from outside.
#[derive(Clone)]
pub(crate) struct Signals {
    /// The user cancelled the job.
    pub cancel: CancellationToken,
    /// The process is stopping: the driver stops too, and the next start resumes the job.
    pub stop: CancellationToken,
}

impl Signals {
    /// Completes a while after the process was told to stop.
    pub async fn out_of_time(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_WAIT).await;
    }
}

/// An attempt at a step, as the state machine wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Attempt {
    /// The step.
    pub step: Step,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// How long to wait first.
    pub not_before: Duration,
}

/// What an executor tells the driver of its job.
#[derive(Debug)]
pub(crate) enum Report {
    /// The inputs are probed and the plan is made.
    Prepared(Box<Prepared>),
    /// Another service has begun the job, which is one task for us: [`TaskId::elsewhere`].
    HandedOn,
    /// A task is done.
    TaskDone {
        /// The task.
        task: TaskId,
        /// CPU time of its child processes, in milliseconds.
        cpu_ms: u64,
        /// What its verification measured.
        verified: Option<MeasuredOutput>,
    },
    /// All files are published.
    Published,
    /// What stood at the destinations stands there again.
    TakenBack,
    /// An attempt at a step failed.
    Failed {
        /// The step.
        step: Step,
        /// Number of the attempt.
        attempt: u32,
        /// Why it failed.
        failure: Failure,
    },
    /// The other service's user has cancelled the job there.
    CancelledElsewhere,
    /// What the executor must find again after a restart. It goes on once `kept` tells that this is stored.
    Noted {
        /// The state of the job at the other service.
        forwarded: Forwarded,
        /// Told once it is durable; dropped if it cannot be stored.
        kept: oneshot::Sender<()>,
    },
}

/// The result of preparing a job.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Facts of the inputs, in the job's order.
    pub inputs: Vec<MediaInfo>,
    /// The plan of the job.
    pub plan: Plan,
}

/// Carries out one job. Reports go into the channel that the executor was made with.
#[async_trait]
pub(crate) trait Executor: Send + Sync {
    /// Begins an attempt and returns at once. It ends with one report, or with none once it was cancelled. `record` is
    /// the job as it is stored, without its state machine.
    fn start(&mut self, attempt: Attempt, record: Arc<JobRecord>);

    /// Cancels the attempts that run. Taking back goes on.
    fn cancel(&self);

    /// Ends all attempts, and returns when nothing of them runs any more.
    async fn stop(&mut self);

    /// Returns whether everything is still there that the job's finished steps have made, so that it can go on after a
    /// restart.
    async fn has_all(&self, record: &JobRecord) -> bool;

    /// Tells others who work for the job that it has ended, once its end is stored. Returns false if that has to be tried
    /// again later.
    async fn end(&self, record: &JobRecord) -> bool;
}
