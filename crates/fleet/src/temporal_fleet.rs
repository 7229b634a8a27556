//! The server's side of the fleet: begins a workflow for each job, asks it for news, and ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use abanico_engine::{Fleet, FleetError, FleetNews, FleetWork, JobId, RunningTask};
use abanico_plan::TaskId;
use abanico_process::with_causes;
use async_trait::async_trait;
use temporalio_client::errors::{WorkflowInteractionError, WorkflowQueryError, WorkflowStartError};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecutionStatus, WorkflowHandle,
    WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowQueryOptions, WorkflowSignalOptions,
    WorkflowStartOptions,
};
use tokio_util::sync::CancellationToken;

use crate::connection::{ConnectError, Connecting};
use crate::messages::{Beat, Beside, JobOrder, News};
use crate::task_list::TaskList;
use crate::workflow::{SUMMARY, TranscodeJob};
use crate::{decider, names};

/// Most tasks of a job that are handed out at once. Temporal fails a workflow with 2,000.
const MOST_LANES: u32 = 1_000;
/// Priorities of MediaConvert that share one of Temporal's five.
const PRIORITIES_IN_A_LEVEL: u32 = 20;
/// Longest wait for a workflow's answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// How tasks are handed out.
#[derive(Clone, PartialEq, Debug)]
pub struct Dispatch {
    /// How the names of task queues begin.
    pub queue_prefix: String,
    /// A worker that is silent for this long has lost its task.
    pub heartbeat_timeout: Duration,
    /// Shares of MediaConvert's queues by their names, where their jobs compete; a queue that is not named has 1.
    pub weights: BTreeMap<String, f32>,
}

/// A fleet on Temporal.
#[derive(Clone)]
pub struct TemporalFleet {
    client: Client,
    dispatch: Arc<Dispatch>,
}

impl TemporalFleet {
    /// Connects to Temporal, and runs the workflows of jobs until `stop`.
    ///
    /// # Errors
    /// Fails if Temporal is not reached or the configuration cannot be used.
    pub async fn open(
        connecting: &Connecting,
        dispatch: Dispatch,
        stop: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let client = connecting.connect(&format!("abanico-serve/{}", std::process::id())).await?;
        let queue = names::of_jobs(&dispatch.queue_prefix);
        decider::begin(client.clone(), queue, stop).map_err(ConnectError::Configuration)?;
        Ok(Self { client, dispatch: Arc::new(dispatch) })
    }

    fn handle(&self, job: &JobId) -> WorkflowHandle<Client, TranscodeJob> {
        self.client.get_workflow_handle::<TranscodeJob>(job.as_str())
    }

    fn order(&self, work: &FleetWork) -> Result<JobOrder, FleetError> {
        let Dispatch { queue_prefix, heartbeat_timeout, weights } = self.dispatch.as_ref();
        let queue = work.queue.rsplit('/').next().unwrap_or_default();
        let lanes = u32::try_from(work.tasks.len()).unwrap_or(MOST_LANES).clamp(1, MOST_LANES);
        Ok(JobOrder {
            job: work.job.to_string(),
            assignments: work.assignments,
            tasks: TaskList::new(&work.tasks).map_err(|error| FleetError(error.to_string()))?,
            task_queue: names::of_tasks(queue_prefix, &work.ffmpeg_version),
            lanes,
            heartbeat_ms: u64::try_from(heartbeat_timeout.as_millis()).unwrap_or(u64::MAX),
            priority: level_of(work.priority),
            fairness_key: queue.to_owned(),
            fairness_weight: weights.get(queue).copied().unwrap_or(1.0),
        })
    }

    async fn start(&self, order: &JobOrder, replaces: bool) -> Result<Started, FleetError> {
        let (conflict, reuse) = match replaces {
            true => (WorkflowIdConflictPolicy::TerminateExisting, WorkflowIdReusePolicy::AllowDuplicate),
            false => (WorkflowIdConflictPolicy::Fail, WorkflowIdReusePolicy::RejectDuplicate),
        };
        let queue = names::of_jobs(&self.dispatch.queue_prefix);
        let options = WorkflowStartOptions::new(queue, order.job.clone())
            .id_conflict_policy(conflict)
            .id_reuse_policy(reuse)
            .static_summary(SUMMARY)
            .build();
        match self.client.start_workflow(TranscodeJob::run, order.clone(), options).await {
            Ok(_) => Ok(Started::Now),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(Started::Before),
            Err(error) => Err(FleetError(with_causes(&error))),
        }
    }

    /// Returns whether the workflow of a job can go on: this version of the program began it, and nobody has ended it from
    /// outside.
    async fn can_go_on(&self, job: &JobId) -> Result<bool, FleetError> {
        let described = self.handle(job).describe(WorkflowDescribeOptions::default()).await;
        let described = described.map_err(|error| FleetError(with_causes(&error)))?;
        let is_whole = matches!(
            described.status(),
            WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Completed
        );
        Ok(is_whole && described.static_summary() == Some(SUMMARY))
    }

    /// Returns the workflow's news; `None` if there is no such workflow.
    async fn asked(&self, job: &JobId, known: usize) -> Result<Option<News>, FleetError> {
        let handle = self.handle(job);
        let asked = handle.query(TranscodeJob::news, known, WorkflowQueryOptions::default());
        match tokio::time::timeout(ANSWER_WAIT, asked).await {
            Ok(Ok(news)) => Ok(Some(news)),
            Ok(Err(WorkflowQueryError::NotFound(_))) => Ok(None),
            Ok(Err(error)) => Err(FleetError(with_causes(&error))),
            Err(_) => Err(FleetError(format!("no answer within {} s", ANSWER_WAIT.as_secs()))),
        }
    }
}

/// Whether a workflow was there before.
enum Started {
    Now,
    Before,
}

#[async_trait]
impl Fleet for TemporalFleet {
    async fn begin(&self, work: &FleetWork) -> Result<(), FleetError> {
        let order = self.order(work)?;
        match self.start(&order, false).await? {
            Started::Now => return Ok(()),
            Started::Before => {}
        }
        if self.can_go_on(&work.job).await? {
            let at_work = self.asked(&work.job, usize::MAX).await?;
            if at_work.is_some_and(|news| news.assignments == Some(work.assignments)) {
                return Ok(());
            }
        }
        tracing::warn!(job.id = %work.job, "a job is begun anew on the fleet: its former workflow is ended");
        self.start(&order, true).await.map(drop)
    }

    async fn news(&self, job: &JobId, known: usize) -> Result<Option<FleetNews>, FleetError> {
        let Some(news) = self.asked(job, known).await? else { return Ok(None) };
        let News { reports, has_ended, is_cancelled, .. } = news;
        let running = match has_ended {
            true => Some(BTreeMap::new()),
            false => self.running(job).await?,
        };
        Ok(running.map(|running| FleetNews { reports, running, has_ended, is_cancelled }))
    }

    async fn double(&self, job: &JobId, task: &TaskId, running: &RunningTask) -> Result<(), FleetError> {
        let told = Beside { task: task.clone(), worker: running.worker.clone() };
        let handle = self.handle(job);
        let signalled = handle.signal(TranscodeJob::double, told, WorkflowSignalOptions::default());
        signalled.await.map_err(|error| FleetError(with_causes(&error)))
    }

    async fn end(&self, job: &JobId) -> Result<bool, FleetError> {
        let handle = self.handle(job);
        let described = match handle.describe(WorkflowDescribeOptions::default()).await {
            Ok(described) => described,
            Err(WorkflowInteractionError::NotFound(_)) => return Ok(true),
            Err(error) => return Err(FleetError(with_causes(&error))),
        };
        if described.status() != WorkflowExecutionStatus::Running {
            return Ok(true);
        }
        let options = WorkflowCancelOptions::builder().reason("the job has ended").build();
        match handle.cancel(options).await {
            Ok(()) => Ok(false),
            Err(WorkflowInteractionError::NotFound(_)) => Ok(true),
            Err(error) => Err(FleetError(with_causes(&error))),
        }
    }
}

impl TemporalFleet {
    /// Returns the running tasks that have told of themselves; `None` if somebody has ended the workflow from outside.
    async fn running(&self, job: &JobId) -> Result<Option<BTreeMap<TaskId, RunningTask>>, FleetError> {
        let described = self.handle(job).describe(WorkflowDescribeOptions::default()).await;
        let described = described.map_err(|error| FleetError(with_causes(&error)))?;
        if !matches!(
            described.status(),
            WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Completed
        ) {
            return Ok(None);
        }
        let mut running: BTreeMap<TaskId, RunningTask> = BTreeMap::new();
        for Beat { task, frames, ran_ms, worker } in
            described.raw().pending_activities.iter().filter_map(Beat::of)
        {
            let told = RunningTask { frames, ran: Duration::from_millis(ran_ms), worker };
            let known = running.entry(task).or_insert_with(|| told.clone());
            if known.frames < frames {
                *known = told;
            }
        }
        Ok(Some(running))
    }
}

/// Returns Temporal's priority for one of MediaConvert's, -50 to 50.
fn level_of(priority: i32) -> u32 {
    let above_lowest = (priority.clamp(-50, 50) + 50).unsigned_abs();
    // Temporal's first is 1.
    5 - (above_lowest / PRIORITIES_IN_A_LEVEL).min(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priorities_come_first() {
        let levels = [-50, -31, -30, -10, 0, 9, 10, 30, 50, 99, -99].map(level_of);
        assert_eq!(levels, [5, 5, 4, 3, 3, 3, 2, 1, 1, 1, 5]);
    }
}
