//! The plan: everything that a job will do and make. It has no state; only the engine knows which tasks have run.

pub(crate) mod planned;
pub(crate) mod task;
pub(crate) mod waves;

use serde::{Deserialize, Serialize};

use crate::{CaptionFile, PlannedGroup, PlannedOutput, Task, TaskId};

/// Number of the plans that this version of the program makes. It is increased whenever tasks of older plans can no
/// longer be run as they are; a job with such a plan is planned again.
pub const PLAN_VERSION: u32 = 2;

/// Everything that a job will do and make, decided before the first frame is decoded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the program that made the plan; 0 in plans from before there were versions.
    #[serde(default)]
    pub version: u32,
    /// Tasks, each after the tasks that it depends on.
    pub tasks: Vec<Task>,
    /// Outputs in the job's order.
    pub outputs: Vec<PlannedOutput>,
    /// Output groups in the job's order.
    #[serde(default)]
    pub groups: Vec<PlannedGroup>,
    /// Caption files that the job reads.
    #[serde(default)]
    pub caption_files: Vec<CaptionFile>,
    /// URLs of the images that are drawn over the video.
    #[serde(default)]
    pub images: Vec<String>,
    /// Oddities of the inputs, with AWS's warning codes.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Decisions that the user should know about, such as dropped rungs, missing audio and tone mapping. One
    /// sentence each.
    pub notes: Vec<String>,
    /// Whether the video is cut into chunks, which encoders work on at the same time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

/// Leaves a member that is usually false out of what is stored.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

impl Plan {
    /// Returns the task with this id.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// Returns a copy without tasks: what the job makes and reports, but not how.
    #[must_use]
    pub fn without_tasks(&self) -> Self {
        Self {
            version: self.version,
            tasks: Vec::new(),
            outputs: self.outputs.clone(),
            groups: self.groups.clone(),
            caption_files: self.caption_files.clone(),
            images: self.images.clone(),
            warnings: self.warnings.clone(),
            notes: self.notes.clone(),
            is_cut: self.is_cut,
        }
    }
}

/// Something odd about an input that does not stop the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Warning {
    /// AWS's code for the warning (MediaConvert's user guide on warning codes).
    pub code: u32,
    /// A sentence that names the input and says what is odd.
    pub message: String,
}
