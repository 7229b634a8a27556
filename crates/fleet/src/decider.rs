//! Runs the workflows of jobs. They only decide, so one thread is enough for all; it has a runtime of its own, because the
//! worker of Temporal's SDK stays on the thread that it was begun on.

use std::time::Duration;

use abanico_process::with_causes;
use temporalio_client::Client;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;

use crate::workflow::TranscodeJob;

/// Workflows that decide at once.
const DECISIONS_AT_ONCE: usize = 20;
/// Workflows that are kept in memory, so that they need not be replayed for each decision.
const KEPT: usize = 200;
/// Pause before another try after an error.
const PAUSE: Duration = Duration::from_secs(5);

/// Begins to run the workflows that come through this queue, until `stop`. Must be called within a tokio runtime.
///
/// # Errors
/// Fails if there can be no thread or no worker, with the reason.
pub(crate) fn begin(client: Client, queue: String, stop: CancellationToken) -> Result<(), String> {
    let shared = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new().name("workflows".to_owned());
    let runs = move || {
        shared.block_on(async move {
            while !stop.is_cancelled() {
                if let Err(reason) = decide(client.clone(), &queue, &stop).await {
                    tracing::error!(reason, "cannot run the workflows of jobs: trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
    };
    thread.spawn(runs).map(drop).map_err(|error| format!("cannot begin a thread: {error}"))
}

/// Runs workflows until `stop` or an error.
async fn decide(client: Client, queue: &str, stop: &CancellationToken) -> Result<(), String> {
    let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| error.to_string())?;
    let tuner = TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(DECISIONS_AT_ONCE))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
        .build();
    let options = WorkerOptions::new(queue).max_cached_workflows(KEPT).tuner(tuner);
    let options = options.register_workflow::<TranscodeJob>().map_err(|error| error.to_string())?;
    let mut worker = Worker::new(&runtime, client, options.build()).map_err(|error| with_causes(&error))?;
    let shutdown = worker.shutdown_handle();
    let mut run = std::pin::pin!(worker.run());
    tokio::select! {
        ended = &mut run => return ended.map_err(|error| with_causes(&error)),
        () = stop.cancelled() => shutdown(),
    }
    run.await.map_err(|error| with_causes(&error))
}
