//! Who is in a fleet, and what each worker does, as Temporal knows it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use abanico_process::with_causes;
use futures::StreamExt;
use temporalio_client::{Client, WorkflowDescribeOptions, WorkflowListOptions};
use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;
use temporalio_common::protos::temporal::api::taskqueue::v1::{PollerInfo, TaskQueue};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeTaskQueueRequest;
use tonic::IntoRequest;

use crate::connection::{ConnectError, Connecting};
use crate::messages::Beat;
use crate::names;
use crate::workflow::TranscodeJob;

/// Most running jobs that are asked what their tasks do.
const MOST_JOBS: usize = 200;

/// The workers of a fleet that take tasks for one version of ffmpeg.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Roster {
    /// Name of their queue.
    pub queue: String,
    /// Tasks that wait for a worker, approximately.
    pub backlog: i64,
    /// The workers by name.
    pub workers: BTreeMap<String, Engaged>,
}

/// What a worker does.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Engaged {
    /// How long ago it last asked for a task; `None` if it has not asked for some minutes.
    pub asked: Option<Duration>,
    /// Its tasks.
    pub tasks: Vec<Doing>,
}

/// A task that a worker does.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Doing {
    /// Id of the job.
    pub job: String,
    /// Id of the task.
    pub task: String,
    /// Frames delivered so far.
    pub frames: u64,
    /// How long it has run.
    pub ran: Duration,
}

/// Asks Temporal for the workers with this version of ffmpeg. A worker that does nothing is seen for some minutes after it
/// was killed.
///
/// # Errors
/// Fails if Temporal is not reached.
pub async fn roster(
    connecting: &Connecting,
    queue_prefix: &str,
    ffmpeg_version: &str,
) -> Result<Roster, ConnectError> {
    let client = connecting.connect("abanico-workers").await?;
    let not_reached =
        |reason: String| ConnectError::NotReached { address: connecting.address.clone(), reason };
    let queue = names::of_tasks(queue_prefix, ffmpeg_version);
    let request = DescribeTaskQueueRequest {
        namespace: connecting.namespace.clone(),
        task_queue: Some(TaskQueue { name: queue.clone(), ..Default::default() }),
        task_queue_type: TaskQueueType::Activity as i32,
        report_stats: true,
        ..Default::default()
    };
    let described = client.connection().workflow_service().describe_task_queue(request.into_request()).await;
    let described = described.map_err(|status| not_reached(with_causes(&status)))?.into_inner();
    let backlog = described.stats.map_or(0, |stats| stats.approximate_backlog_count);
    let workers = described.pollers.iter().map(|poller| (poller.identity.clone(), engaged(poller))).collect();
    let mut roster = Roster { queue, backlog, workers };
    let running = doing(&client).await.map_err(not_reached)?;
    for (worker, doing) in running {
        roster.workers.entry(worker).or_default().tasks.push(doing);
    }
    Ok(roster)
}

fn engaged(poller: &PollerInfo) -> Engaged {
    let asked = poller.last_access_time.and_then(|time| SystemTime::try_from(time).ok());
    Engaged { asked: asked.and_then(|time| time.elapsed().ok()), tasks: Vec::new() }
}

/// Returns the running tasks of all jobs, with the names of their workers.
async fn doing(client: &Client) -> Result<Vec<(String, Doing)>, String> {
    let query = "WorkflowType = 'TranscodeJob' AND ExecutionStatus = 'Running'";
    let options = WorkflowListOptions::builder().limit(MOST_JOBS).build();
    let mut jobs = std::pin::pin!(client.list_workflows(query, options));
    let mut all = Vec::new();
    while let Some(job) = jobs.next().await {
        let job = job.map_err(|error| with_causes(&error))?.id().to_owned();
        let handle = client.get_workflow_handle::<TranscodeJob>(&job);
        // It may have ended meanwhile.
        let Ok(described) = handle.describe(WorkflowDescribeOptions::default()).await else { continue };
        for activity in &described.raw().pending_activities {
            let Some(beat) = Beat::of(activity) else { continue };
            let ran = Duration::from_millis(beat.ran_ms);
            let doing = Doing { job: job.clone(), task: beat.task.to_string(), frames: beat.frames, ran };
            all.push((beat.worker, doing));
        }
    }
    Ok(all)
}
