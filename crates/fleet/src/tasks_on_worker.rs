//! The activity of a worker: does one task, tells how far it is, and ends it when it is cancelled.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abanico_artifacts::{ObjectArtifacts, WholeSources};
use abanico_engine::artifacts_of;
use abanico_plan::TaskId;
use abanico_process::WorkPlace;
use abanico_store::{ObjectStore, ObjectUrl};
use abanico_tasks::{
    Capacity, Failure, Machine, Site, SourceReader, TaskOutcome, TaskSink, failure, from_artifacts,
    read_assignment,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use crate::fitness::Fitness;
use crate::messages::{Beat, TaskAnswer, TaskEnd, TaskOrder};

/// How often a task tells how far it is. Temporal hears of it at most as often as the worker's throttle allows.
const BEAT: Duration = Duration::from_millis(500);
/// How often in a row what the machine lacks may keep a task from being done before the machine takes no more.
const MOST_IN_A_ROW: u32 = 3;

/// What the tasks of a worker work with.
pub struct TasksOnWorker {
    /// Name of the worker.
    pub name: String,
    /// Where artifacts and sources are.
    pub store: Arc<dyn ObjectStore>,
    /// Folder of all artifacts.
    pub artifacts: ObjectUrl,
    /// The machine.
    pub machine: Arc<Machine>,
    /// Gives the tasks their turns on the machine.
    pub capacity: Arc<dyn Capacity>,
    /// Inputs that were fetched whole.
    pub whole: WholeSources,
    /// Folder below which each task has one of its own.
    pub folder: PathBuf,
    /// Tests the machine.
    pub fitness: Fitness,
    /// How often in a row the machine was at fault.
    pub faults: AtomicU32,
    /// Cancelled when the machine should take no more tasks.
    pub unfit: CancellationToken,
}

/// Counts the frames of a task.
#[derive(Default)]
struct Frames {
    delivered: AtomicU64,
    lost_cpu_ms: AtomicU64,
}

impl TaskSink for Frames {
    fn begins(&self, task: &TaskId, _renditions: &[u32]) {
        tracing::debug!(%task, "an encode begins");
    }

    fn delivered(&self, _task: &TaskId, frames: u64) {
        self.delivered.fetch_max(frames, Ordering::Relaxed);
    }

    fn lost(&self, cpu_ms: u64) {
        self.lost_cpu_ms.fetch_add(cpu_ms, Ordering::Relaxed);
    }
}

#[activities]
impl TasksOnWorker {
    /// Does one task of a job.
    #[activity]
    pub async fn do_task(
        self: Arc<Self>,
        ctx: ActivityContext,
        order: TaskOrder,
    ) -> Result<TaskAnswer, ActivityError> {
        let (job, task) = (order.job.clone(), order.task.clone());
        if order.beside.as_ref() == Some(&self.name) {
            // Temporal offers it again until another worker takes it.
            return Err(ActivityError::application(
                anyhow::anyhow!("{} does this task already", self.name).into(),
            ));
        }
        tracing::info!(job.id = job, %task, attempt = order.attempt, "a task begins");
        let cancel = CancellationToken::new();
        // Whatever ends this future ends ffmpeg.
        let _ended = cancel.clone().drop_guard();
        let (frames, begun) = (Arc::new(Frames::default()), Instant::now());
        let mut work = std::pin::pin!(self.perform(&order, &frames, &cancel));
        let mut beat = tokio::time::interval(BEAT);
        let ended = loop {
            tokio::select! {
                biased;
                () = ctx.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
                ended = &mut work => break ended,
                _ = beat.tick() => {
                    let told = ctx.record_heartbeat(self.beat(&order, &frames, begun)).await;
                    told.map_err(|error| ActivityError::application(anyhow::Error::new(error).into()))?;
                }
            }
        };
        let ran_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let lost_cpu_ms = frames.lost_cpu_ms.load(Ordering::Relaxed);
        if cancel.is_cancelled() && ended.is_err() {
            tracing::info!(job.id = job, %task, ran_ms, "a task was stopped");
            return Err(ActivityError::cancelled());
        }
        match ended {
            Ok(TaskOutcome { cpu_ms, output }) => {
                self.faults.store(0, Ordering::Relaxed);
                tracing::info!(job.id = job, %task, ran_ms, cpu_ms, "a task is done");
                Ok(self.answer(TaskEnd::Done { cpu_ms: cpu_ms + lost_cpu_ms, ran_ms, output }))
            }
            Err(failed) => self.judged(failed, &order).await,
        }
    }
}

impl TasksOnWorker {
    fn answer(&self, end: TaskEnd) -> TaskAnswer {
        TaskAnswer { worker: self.name.clone(), end }
    }

    fn beat(&self, order: &TaskOrder, frames: &Frames, begun: Instant) -> Beat {
        Beat {
            task: order.task.clone(),
            frames: frames.delivered.load(Ordering::Relaxed),
            ran_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            worker: self.name.clone(),
        }
    }

    async fn perform(
        &self,
        order: &TaskOrder,
        frames: &Arc<Frames>,
        cancel: &CancellationToken,
    ) -> Result<TaskOutcome, Failure> {
        let folder = artifacts_of(&self.artifacts, &order.job).map_err(|error| failure::broken(&error.0))?;
        let store =
            ObjectArtifacts::new(self.store.clone(), folder).map_err(|error| from_artifacts(&error))?;
        let place = WorkPlace { folder: &self.folder, prefix: "task-", suffix: "" };
        let own = place.create().map_err(|error| failure::from_disk("create a folder for a task", &error))?;
        let assignment = read_assignment(&store, &order.assignments, order.index, own.path()).await?;
        if assignment.task.id != order.task {
            return Err(failure::broken("an assignment is for another task"));
        }
        let site = Site {
            store: &store,
            sources: SourceReader { store: self.store.as_ref(), whole: Some(&self.whole) },
            machine: self.machine.clone(),
            capacity: self.capacity.clone(),
            folder: own.path(),
            sink: frames.clone(),
            cancel: cancel.clone(),
        };
        tokio::select! {
            performed = site.perform(&assignment) => performed,
            // The task kills its child processes before it ends, but a store may never answer.
            () = given_up(cancel) => Err(failure::broken("a task was stopped")),
        }
    }

    /// Decides whether a failure is the work's or the machine's. Only a failure that may pass can be the machine's; then
    /// the machine is tested.
    async fn judged(&self, failed: Failure, order: &TaskOrder) -> Result<TaskAnswer, ActivityError> {
        let (job, task) = (&order.job, &order.task);
        let fault = match failed.is_retryable || failed.lack.is_some() {
            true => self.fitness.fault().await,
            false => None,
        };
        let fault = fault.or_else(|| failed.lack.map(|_| failed.message.clone()));
        let Some(fault) = fault else {
            tracing::warn!(job.id = job, %task, reason = failed.message, "a task failed");
            return Ok(self.answer(TaskEnd::Failed(failed)));
        };
        let in_a_row = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(job.id = job, %task, reason = fault, in_a_row, "this machine cannot do a task");
        if in_a_row >= MOST_IN_A_ROW {
            self.unfit.cancel();
        }
        Err(ActivityError::application(anyhow::anyhow!("{}: {fault}", self.name).into()))
    }
}

/// Completes a while after a task was cancelled.
async fn given_up(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}
