//! A worker: tests its machine, then takes tasks until it is told to stop or the machine becomes unfit; then it tests the
//! machine again until it is fit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use abanico_artifacts::WholeSources;
use abanico_process::{WorkPlace, with_causes};
use abanico_store::{ObjectStore, ObjectUrl};
use abanico_tasks::Machine;
use temporalio_client::Client;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker as Poller, WorkerOptions as PollerOptions};
use tokio_util::sync::CancellationToken;

use crate::connection::{ConnectError, Connecting};
use crate::fitness::Fitness;
use crate::names;
use crate::processors::Processors;
use crate::tasks_on_worker::TasksOnWorker;

/// How often Temporal hears of a running task at most, and so how soon a cancelled task ends.
const THROTTLE: Duration = Duration::from_secs(2);
/// Pause before an unfit machine is tested again, or a lost connection is tried again.
const PAUSE: Duration = Duration::from_secs(30);
/// Inputs that were fetched whole and that no task has read for this long are removed.
const UNUSED: Duration = Duration::from_secs(3600);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(600);

/// Options of a worker.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Temporal.
    pub connecting: Connecting,
    /// How the names of task queues begin; the same as the server's.
    pub queue_prefix: String,
    /// Name of the worker, shown to people.
    pub name: String,
    /// Where artifacts and inputs are.
    pub store: Arc<dyn ObjectStore>,
    /// Folder of all artifacts; its URL ends with `/`.
    pub artifacts: ObjectUrl,
    /// The machine.
    pub machine: Arc<Machine>,
    /// Tasks at once, at least 1.
    pub slots: usize,
    /// How long running tasks may go on after the signal to stop.
    pub grace: Duration,
    /// Folder for work in progress, which exists. Only folders that workers made are changed in it.
    pub folder: PathBuf,
}

/// A worker that has not begun.
pub struct Worker {
    options: WorkerOptions,
    client: Client,
    fitness: Fitness,
    processors: Arc<Processors>,
}

impl Worker {
    /// Connects to Temporal. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Fails if Temporal is not reached.
    pub async fn new(options: WorkerOptions, stop: &CancellationToken) -> Result<Self, ConnectError> {
        let client = options.connecting.connect(&options.name).await?;
        let fitness = Fitness {
            machine: options.machine.clone(),
            store: options.store.clone(),
            artifacts: options.artifacts.clone(),
            folder: options.folder.clone(),
            stop: stop.clone(),
        };
        let processors = Arc::new(Processors::new(options.machine.cores));
        Ok(Self { options, client, fitness, processors })
    }

    /// Returns the name of the queue that the worker takes tasks from.
    pub fn queue(&self) -> String {
        names::of_tasks(&self.options.queue_prefix, &self.options.machine.ffmpeg_version)
    }

    /// Tests the machine. Returns what keeps it from doing tasks; `None` if nothing does.
    pub async fn fault(&self) -> Option<String> {
        self.fitness.fault().await
    }

    /// Takes tasks until `stop`. Running tasks then have the time of grace to end; afterwards they are given back.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.fault().await {
                None => match self.take_tasks(stop).await {
                    Ok(()) if stop.is_cancelled() => return,
                    Ok(()) => {
                        tracing::error!("this machine takes no more tasks until it passes its test");
                    }
                    Err(reason) => tracing::error!(reason, "cannot take tasks: trying again"),
                },
                Some(fault) => {
                    tracing::error!(reason = fault, "this machine takes no tasks: testing it again soon")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Takes tasks until `stop`, or until the machine is unfit.
    async fn take_tasks(&self, stop: &CancellationToken) -> Result<(), String> {
        let place = WorkPlace { folder: &self.options.folder, prefix: "worker-", suffix: "" };
        let removed = place.remove_abandoned() + WorkPlace { prefix: "test-", ..place }.remove_abandoned();
        if removed > 0 {
            tracing::info!(removed, "removed work folders of workers that were killed");
        }
        let own = place.create().map_err(|error| format!("cannot create a work folder: {error}"))?;
        let whole = WholeSources::open(&own.path().join("inputs"));
        let whole = whole.map_err(|error| format!("cannot create a work folder: {error}"))?;
        let unfit = CancellationToken::new();
        let tasks = TasksOnWorker {
            name: self.options.name.clone(),
            store: self.options.store.clone(),
            artifacts: self.options.artifacts.clone(),
            machine: self.options.machine.clone(),
            capacity: self.processors.clone(),
            whole: whole.clone(),
            folder: own.path().to_owned(),
            fitness: self.fitness.clone(),
            faults: AtomicU32::new(0),
            unfit: unfit.clone(),
        };
        let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| error.to_string())?;
        let tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(self.options.slots.max(1)))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .build();
        let options = PollerOptions::new(self.queue())
            .client_identity_override(self.options.name.clone())
            .graceful_shutdown_period(self.options.grace)
            .max_heartbeat_throttle_interval(THROTTLE)
            .default_heartbeat_throttle_interval(THROTTLE)
            .tuner(tuner)
            .register_activities(tasks)
            .build();
        let poller = Poller::new(&runtime, self.client.clone(), options);
        let mut poller = poller.map_err(|error| with_causes(&error))?;
        let shutdown = poller.shutdown_handle();
        tracing::info!(queue = self.queue(), slots = self.options.slots, "taking tasks");
        let mut run = std::pin::pin!(poller.run());
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                ended = &mut run => return ended.map_err(|error| with_causes(&error)),
                () = stop.cancelled() => break,
                () = unfit.cancelled() => break,
                _ = look.tick() => remove_unused(&whole).await,
            }
        }
        shutdown();
        run.await.map_err(|error| with_causes(&error))
    }
}

async fn remove_unused(whole: &WholeSources) {
    let whole = whole.clone();
    match tokio::task::spawn_blocking(move || whole.remove_unused(UNUSED)).await {
        Ok(Err(error)) => tracing::warn!(%error, "cannot remove inputs that no task reads any more"),
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(size_bytes)) => tracing::info!(size_bytes, "removed inputs that no task reads any more"),
    }
}
