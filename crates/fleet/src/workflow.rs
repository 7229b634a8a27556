//! The workflow of a job: the engine's state machine decides, and activities do the tasks. It reads no clock, file or random
//! number, so Temporal can replay it anywhere.
//!
//! Tasks are handed out by a bounded number of lanes, because Temporal fails workflows with thousands of pending
//! activities.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use abanico_artifacts::ArtifactKey;
use abanico_engine::FleetReport;
use abanico_engine::job_machine::{Command, Event, JobMachine, Stage, Step};
use abanico_plan::TaskId;
use abanico_tasks::Failure;
use abanico_tasks::failure::{broken, codes};
use futures::FutureExt;
use temporalio_common::{Priority, RetryPolicy};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::{join_all, select};
use temporalio_sdk::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, SyncWorkflowContext,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::messages::{Beside, JobOrder, News, TaskAnswer, TaskEnd, TaskOrder};
use crate::tasks_on_worker::TasksOnWorker;

/// Version of the workflow, shown by Temporal as the workflow's summary. Increase it whenever a history that an older
/// version wrote is not replayed any more, which the test of `histories` tells: work that an older version began is then
/// begun anew, and finds what was done by its artifacts.
pub(crate) const SUMMARY: &str = "tasks of a job, version 1";

/// No task takes longer. A worker that hangs is found by its heartbeats.
const LONGEST_TASK: Duration = Duration::from_secs(24 * 3600);
/// Pauses between tries of a task whose machine lacked something.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Reports in one answer: an answer has at most 2 MB.
const MOST_REPORTS: usize = 1_000;

/// A task that may begin.
#[derive(Clone, Debug)]
struct Ready {
    task: TaskId,
    attempt: u32,
    /// How long to wait first.
    not_before: Duration,
}

/// The tasks of one job.
#[workflow]
#[derive(Default)]
pub struct TranscodeJob {
    machine: JobMachine,
    /// Places of the tasks' assignments.
    places: BTreeMap<TaskId, usize>,
    ready: VecDeque<Ready>,
    reports: Vec<FleetReport>,
    assignments: Option<ArtifactKey>,
    has_ended: bool,
    /// Tasks to begin a second time, with the workers that do them already.
    late: BTreeMap<TaskId, String>,
}

impl TranscodeJob {
    fn take_in(&mut self, event: Event) {
        for command in self.machine.apply(event) {
            match command {
                Command::Run { step: Step::Task(task), attempt, not_before } => {
                    self.ready.push_back(Ready { task, attempt, not_before });
                }
                // The plan is made, and the server publishes.
                Command::Run { step: Step::Prepare, .. } => {}
                Command::Run { .. } | Command::StopAll | Command::Finish => {
                    self.ready.clear();
                    self.has_ended = true;
                }
            }
        }
    }

    fn begin(&mut self, order: &JobOrder) {
        self.assignments = Some(order.assignments);
        self.take_in(Event::Started);
        match order.tasks.unpacked() {
            Ok(tasks) => {
                self.places =
                    tasks.iter().enumerate().map(|(place, one)| (one.task.clone(), place)).collect();
                self.take_in(Event::Planned(tasks));
            }
            Err(error) => self.take_in(Event::GivenUp(broken(&error.to_string()))),
        }
    }

    fn next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    fn ended(&mut self, ready: &Ready, answer: TaskAnswer) {
        let Ready { task, attempt, .. } = ready.clone();
        self.late.remove(&task);
        let TaskAnswer { worker, end } = answer;
        match end {
            TaskEnd::Done { cpu_ms, ran_ms, output } => {
                self.reports.push(FleetReport::Done { task: task.clone(), cpu_ms, ran_ms, output, worker });
                self.take_in(Event::TaskDone(task));
            }
            TaskEnd::Failed(failure) => {
                let told = failure.clone();
                self.reports.push(FleetReport::Failed { task: task.clone(), attempt, failure: told, worker });
                self.take_in(Event::Failed { step: Step::Task(task), attempt, failure });
            }
        }
    }
}

#[workflow_methods]
impl TranscodeJob {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, order: JobOrder) -> WorkflowResult<String> {
        ctx.state_mut(|job| job.begin(&order));
        let lanes = join_all((0..order.lanes).map(|_| Box::pin(lane(ctx.clone(), order.clone()))));
        let mut lanes = lanes.fuse();
        let mut cancelled = Box::pin(ctx.cancelled().fuse());
        let mut is_cancelled = false;
        select! {
            _ = cancelled => { is_cancelled = true; }
            _ = lanes => {}
        }
        if is_cancelled {
            ctx.state_mut(|job| job.take_in(Event::CancelRequested));
            // Each activity is told, and ends first.
            lanes.await;
        }
        Ok(ctx.state(|job| format!("{:?}", job.machine.stage())))
    }

    /// A task takes too long.
    #[signal]
    pub fn double(&mut self, _ctx: &mut SyncWorkflowContext<Self>, late: Beside) {
        self.late.insert(late.task, late.worker);
    }

    /// What happened after the first reports.
    #[query]
    pub fn news(&self, _ctx: &WorkflowContextView, known: usize) -> News {
        let reports: Vec<FleetReport> = self.reports.iter().skip(known).take(MOST_REPORTS).cloned().collect();
        let has_all = known + reports.len() >= self.reports.len();
        let is_cancelled = self.machine.stage() == Stage::Canceled;
        News { assignments: self.assignments, reports, has_ended: self.has_ended && has_all, is_cancelled }
    }
}

/// Hands out one task after the other.
async fn lane(ctx: WorkflowContext<TranscodeJob>, order: JobOrder) {
    loop {
        if ctx.wait_condition(|job| !job.ready.is_empty() || job.has_ended).await.is_err() {
            return;
        }
        let Some(ready) = ctx.state_mut(TranscodeJob::next) else { return };
        if !ready.not_before.is_zero() {
            ctx.timer(ready.not_before).await;
        }
        done(&ctx, &order, &ready).await;
    }
}

/// Has a worker do a task, and another one beside it if it takes too long. The first to succeed counts, and the other is
/// stopped.
async fn done(ctx: &WorkflowContext<TranscodeJob>, order: &JobOrder, ready: &Ready) {
    let stop = ctx.cancellation_token().child_token();
    let mut first = Box::pin(handed_out(ctx, order, ready, None, stop.clone()).fuse());
    let is_late = ctx.wait_condition(|job| job.late.contains_key(&ready.task) || job.has_ended);
    let mut is_late = Box::pin(is_late.fuse());
    let mut answer = None;
    select! {
        ended = first => answer = Some(ended),
        _ = is_late => {}
    }
    let beside = ctx.state_mut(|job| job.late.remove(&ready.task));
    if let Some(ended) = answer {
        return take(ctx, ready, ended);
    }
    let Some(beside) = beside else { return take(ctx, ready, first.await) };
    let other_stop = ctx.cancellation_token().child_token();
    let mut second = Box::pin(handed_out(ctx, order, ready, Some(beside), other_stop.clone()).fuse());
    let (mut of_first, mut of_second) = (None, None);
    select! {
        ended = first => of_first = Some(ended),
        ended = second => of_second = Some(ended),
    }
    let has_won = |ended: &Option<TaskAnswer>| {
        ended.as_ref().is_some_and(|answer| matches!(answer.end, TaskEnd::Done { .. }))
    };
    match (of_first, of_second) {
        (Some(ended), _) if has_won(&ended) => {
            take(ctx, ready, ended);
            other_stop.cancel();
            second.await;
        }
        (_, Some(ended)) if has_won(&ended) => {
            take(ctx, ready, ended);
            stop.cancel();
            first.await;
        }
        // One has failed: the other continues.
        (Some(_), _) => take(ctx, ready, second.await),
        (_, _) => take(ctx, ready, first.await),
    }
}

/// Gives the state machine what became of a task, unless it was cancelled.
fn take(ctx: &WorkflowContext<TranscodeJob>, ready: &Ready, ended: Option<TaskAnswer>) {
    if let Some(answer) = ended {
        ctx.state_mut(|job| job.ended(ready, answer));
    }
}

/// Has a worker do a task. Returns nothing if it was cancelled.
async fn handed_out(
    ctx: &WorkflowContext<TranscodeJob>,
    order: &JobOrder,
    ready: &Ready,
    beside: Option<String>,
    stop: WorkflowCancellationToken,
) -> Option<TaskAnswer> {
    let index = ctx.state(|job| job.places.get(&ready.task).copied())?;
    let task = TaskOrder {
        job: order.job.clone(),
        assignments: order.assignments,
        index,
        task: ready.task.clone(),
        attempt: ready.attempt,
        beside,
    };
    match ctx.execute_activity(TasksOnWorker::do_task, task, options(order, stop)).await {
        Ok(answer) => Some(answer),
        Err(ActivityExecutionError::Cancelled(_)) => None,
        Err(error) => {
            let message = format!("no worker could do the task: {error}");
            let failure = Failure::new(codes::UNKNOWN, message, false);
            Some(TaskAnswer { worker: "none".to_owned(), end: TaskEnd::Failed(failure) })
        }
    }
}

fn options(order: &JobOrder, stop: WorkflowCancellationToken) -> ActivityOptions {
    let retries = RetryPolicy::builder().initial_interval(FIRST_PAUSE).maximum_interval(LONGEST_PAUSE);
    let priority = Priority::builder()
        .priority_key(order.priority)
        .fairness_key(order.fairness_key.clone())
        .fairness_weight(order.fairness_weight);
    ActivityOptions::with_start_to_close_timeout(LONGEST_TASK)
        .heartbeat_timeout(Duration::from_millis(order.heartbeat_ms))
        .task_queue(order.task_queue.clone())
        .cancellation_token(stop)
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .retry_policy(retries.build())
        .priority(priority.build())
        .do_not_eagerly_execute(true)
        .build()
}

#[cfg(test)]
mod tests {
    use temporalio_client::WorkflowHistory;
    use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

    use super::*;

    /// Replays a history that this version wrote. If this fails, jobs in progress cannot go on after an upgrade: increase
    /// the version in [`SUMMARY`], and write the history anew with the example `write_history`.
    #[tokio::test]
    async fn histories_are_replayed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/histories");
        let options = WorkflowReplayerOptions::new().register_workflow::<TranscodeJob>().unwrap().build();
        let replayer = WorkflowReplayer::new(options).unwrap();
        let mut replayed = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let history = WorkflowHistory::from_json(&std::fs::read(&path).unwrap()).unwrap();
            replayer
                .replay_workflow(history)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
            replayed += 1;
        }
        assert!(replayed > 0);
    }
}
