//! What the workflow and its activities tell each other. It is small: keys of artifacts, counts and failures.

use abanico_artifacts::ArtifactKey;
use abanico_engine::FleetReport;
use abanico_plan::TaskId;
use abanico_tasks::{Failure, MeasuredOutput};
use serde::{Deserialize, Serialize};
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;

use crate::task_list::TaskList;

/// Input of a workflow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobOrder {
    /// Id of the job, which is also the workflow's.
    pub job: String,
    /// Key of the job's assignments.
    pub assignments: ArtifactKey,
    /// The tasks, in the order of their assignments.
    pub tasks: TaskList,
    /// Queue of the machines that may do them.
    pub task_queue: String,
    /// Most tasks that are handed out at once.
    pub lanes: u32,
    /// A worker that is silent for this long has lost its task, in milliseconds.
    pub heartbeat_ms: u64,
    /// Temporal's priority, 1 (first) to 5.
    pub priority: u32,
    /// Whose tasks these are, where several compete: the name of the job's queue.
    pub fairness_key: String,
    /// Share of that queue.
    pub fairness_weight: f32,
}

/// Input of an activity: one task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskOrder {
    /// Id of the job.
    pub job: String,
    /// Key of the job's assignments.
    pub assignments: ArtifactKey,
    /// Place of the task's assignment among them.
    pub index: usize,
    /// The task.
    pub task: TaskId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Name of the worker that does the same already, and must not do it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// Result of an activity. A failure of the work is a result, too: the state machine decides what follows. Only what the
/// machine lacks is an error of the activity, which Temporal has another machine try.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskAnswer {
    /// Name of the worker.
    pub worker: String,
    /// What became of it.
    pub end: TaskEnd,
}

/// What became of a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Its artifact is stored.
    Done {
        /// CPU time of its child processes, in milliseconds.
        cpu_ms: u64,
        /// How long it ran, in milliseconds.
        ran_ms: u64,
        /// What its verification measured.
        output: Option<MeasuredOutput>,
    },
    /// It failed.
    Failed(Failure),
}

/// What an activity tells while it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Beat {
    /// The task.
    pub task: TaskId,
    /// Frames that it has delivered.
    pub frames: u64,
    /// How long it has run, in milliseconds.
    pub ran_ms: u64,
    /// Name of the worker.
    pub worker: String,
}

impl Beat {
    /// Returns what a pending activity has told last.
    pub fn of(activity: &PendingActivityInfo) -> Option<Self> {
        let payload = activity.heartbeat_details.as_ref()?.payloads.first()?;
        serde_json::from_slice(&payload.data).ok()
    }
}

/// Signal to a workflow: a task is to be begun a second time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Beside {
    /// The task.
    pub task: TaskId,
    /// Name of the worker that does it already.
    pub worker: String,
}

/// Answer to the workflow's query for news.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct News {
    /// Key of the assignments that the workflow works on.
    pub assignments: Option<ArtifactKey>,
    /// Reports from the one that was asked for.
    pub reports: Vec<FleetReport>,
    /// Whether the workflow will report nothing more.
    pub has_ended: bool,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
}
