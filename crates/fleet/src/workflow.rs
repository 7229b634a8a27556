//! The workflow of a job: the engine's state machine decides, and activities do the tasks. It reads no clock, file or random
//! number, so Temporal can replay it anywhere.
//!
//! Tasks are handed out by a bounded number of lanes, because Temporal fails workflows with thousands of pending
//! activities.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use abanico_artifacts::ArtifactKey;
use abanico_engine::FleetReport;
use abanico_engine::job_machine::{Command, Event, JobMachine, Step};
use abanico_plan::TaskId;
use abanico_tasks::Failure;
use abanico_tasks::failure::{broken, codes};
use temporalio_common::{Priority, RetryPolicy};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::{join_all, select};
use temporalio_sdk::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, WorkflowContext, WorkflowContextView,
    WorkflowResult,
};

use crate::messages::{JobOrder, News, TaskAnswer, TaskEnd, TaskOrder};
use crate::tasks_on_worker::TasksOnWorker;

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

    fn ended(&mut self, ready: Ready, answer: TaskAnswer) {
        let Ready { task, attempt, .. } = ready;
        let TaskAnswer { worker, end } = answer;
        match end {
            TaskEnd::Done { cpu_ms, output } => {
                self.reports.push(FleetReport::Done { task: task.clone(), cpu_ms, output, worker });
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
        let mut lanes = futures::FutureExt::fuse(lanes);
        let mut cancelled = Box::pin(futures::FutureExt::fuse(ctx.cancelled()));
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

    /// What happened after the first reports.
    #[query]
    pub fn news(&self, _ctx: &WorkflowContextView, known: usize) -> News {
        let reports: Vec<FleetReport> = self.reports.iter().skip(known).take(MOST_REPORTS).cloned().collect();
        let has_all = known + reports.len() >= self.reports.len();
        News { assignments: self.assignments, reports, has_ended: self.has_ended && has_all }
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
        let answer = handed_out(&ctx, &order, &ready).await;
        if let Some(answer) = answer {
            ctx.state_mut(|job| job.ended(ready, answer));
        }
    }
}

/// Has a worker do a task. Returns nothing if it was cancelled.
async fn handed_out(
    ctx: &WorkflowContext<TranscodeJob>,
    order: &JobOrder,
    ready: &Ready,
) -> Option<TaskAnswer> {
    let index = ctx.state(|job| job.places.get(&ready.task).copied())?;
    let task = TaskOrder {
        job: order.job.clone(),
        assignments: order.assignments,
        index,
        task: ready.task.clone(),
        attempt: ready.attempt,
    };
    match ctx.execute_activity(TasksOnWorker::do_task, task, options(order)).await {
        Ok(answer) => Some(answer),
        Err(ActivityExecutionError::Cancelled(_)) => None,
        Err(error) => {
            let message = format!("no worker could do the task: {error}");
            let failure = Failure::new(codes::UNKNOWN, message, false);
            Some(TaskAnswer { worker: "none".to_owned(), end: TaskEnd::Failed(failure) })
        }
    }
}

fn options(order: &JobOrder) -> ActivityOptions {
    let retries = RetryPolicy::builder().initial_interval(FIRST_PAUSE).maximum_interval(LONGEST_PAUSE);
    let priority = Priority::builder()
        .priority_key(order.priority)
        .fairness_key(order.fairness_key.clone())
        .fairness_weight(order.fairness_weight);
    ActivityOptions::with_start_to_close_timeout(LONGEST_TASK)
        .heartbeat_timeout(Duration::from_millis(order.heartbeat_ms))
        .task_queue(order.task_queue.clone())
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .retry_policy(retries.build())
        .priority(priority.build())
        .do_not_eagerly_execute(true)
        .build()
}
