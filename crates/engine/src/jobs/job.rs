//! A job as the engine stores it: one record of what was submitted and what has happened since. Crate `server` turns
//! it into AWS's wire shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use abanico_media::MediaInfo;
use abanico_plan::{GroupKind, Plan, Task, Warning};
use abanico_tasks::MeasuredOutput;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::jobs::ids::JobId;
use crate::jobs::job_machine::{JobMachine, Stage, Waiting};

/// What a client wants done, checked and complete: template and presets are already merged in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// Settings in wire form (`lowerCamel`), complete.
    pub settings: Value,
    /// The client's request in wire form.
    pub request: Value,
    /// The user's own labels, shown with the job and its events.
    pub user_metadata: BTreeMap<String, String>,
    /// ARN of the role that the client named; stored and shown, never used here.
    pub role: String,
    /// ARN of the queue.
    pub queue: String,
    /// Priority, -50 to 50; higher goes first.
    pub priority: i32,
    /// Identifies a repeated request, so that it gets the first request's job. With `None`, every request creates a
    /// job.
    pub token: Option<Token>,
    /// Notes on the settings that the user should see.
    pub messages: Vec<String>,
}

/// Distinguishes a repeated request from a new one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Text of the token.
    pub text: String,
    /// How long the token is remembered after the job was created, in milliseconds; `None` means forever.
    pub remembered_ms: Option<i64>,
}

/// Times of a job, in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobTimes {
    /// When the job was created.
    pub submitted_ms: i64,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

impl JobTimes {
    /// Returns `now_ms`, or the latest of these times if the clock was set back since.
    pub(crate) fn not_before(&self, now_ms: i64) -> i64 {
        [Some(self.submitted_ms), self.started_ms, self.finished_ms]
            .into_iter()
            .flatten()
            .fold(now_ms, i64::max)
    }

    /// Returns the times in their order: records of older versions may have an end before their start, from a clock
    /// that was set back.
    #[must_use]
    pub fn in_order(self) -> Self {
        let started_ms = self.started_ms.map(|ms| ms.max(self.submitted_ms));
        let least_ms = started_ms.unwrap_or(self.submitted_ms);
        Self { started_ms, finished_ms: self.finished_ms.map(|ms| ms.max(least_ms)), ..self }
    }
}

/// Measured progress of each phase, 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Fetching, probing, planning.
    pub probing_percent: u8,
    /// Encoding, by frames, up to 99; the last percent is for packaging and verifying.
    pub transcoding_percent: u8,
    /// Publishing, by bytes.
    pub uploading_percent: u8,
    /// Frames done of the rendition with the most frames, weighted by cost: a frame that has only been through a
    /// first pass counts as the fraction of the work that a first pass takes. So the number grows from the first pass
    /// on, in step with [`Self::transcoding_percent`]. Without first passes it is the number of frames encoded.
    pub frames_done: u64,
    /// Frames of the rendition with the most frames; 0 until the first are done.
    pub frames_total: u64,
}

impl Progress {
    /// Returns the percentage of the whole job: probing counts for 2 %, transcoding for 93 % and uploading for 5 %.
    pub fn job_percent(self) -> u8 {
        let parts =
            [(self.probing_percent, 2_u32), (self.transcoding_percent, 93), (self.uploading_percent, 5)];
        let sum: u32 = parts.iter().map(|(percent, weight)| u32::from(*percent) * weight).sum();
        u8::try_from(sum / 100).unwrap_or(100)
    }
}

/// A hop that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueTransition {
    /// ARN of the queue that the job left.
    pub source: String,
    /// ARN of the queue that it moved to.
    pub destination: String,
    /// Time of the hop, in milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
}

/// The state of the job at the other service, as far as it is known.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Forwarded {
    /// Whether the job was requested; the answer may be lost.
    pub is_asked_for: bool,
    /// Id of the job there.
    pub id: Option<String>,
    /// `outputGroupDetails` of the finished job, as in the COMPLETE event, with our buckets.
    pub outputs: Option<Value>,
}

/// Everything that is known about a job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// Id of the job.
    pub id: JobId,
    /// What the client wants done.
    pub submission: Submission,
    /// State machine of the job.
    pub machine: JobMachine,
    /// When the job was submitted, started and ended.
    pub times: JobTimes,
    /// Progress; kept in memory while the job runs, stored at its end.
    pub progress: Progress,
    /// Measured facts of the inputs in the job's order, once probed.
    #[serde(default)]
    pub inputs: Vec<MediaInfo>,
    /// The plan, once made. It contains its tasks only while a driver runs the job, because a long input has thousands
    /// of them and every read of the job would load them. After the job's end, it contains only what is reported about
    /// the job.
    pub plan: Option<Arc<Plan>>,
    /// Verified outputs; visible at their destinations once the job is complete.
    pub outputs: Vec<MeasuredOutput>,
    /// CPU time of finished ffmpeg processes, in milliseconds.
    pub child_cpu_ms: u64,
    /// Hops from queue to queue while the job waited.
    #[serde(default)]
    pub transitions: Vec<QueueTransition>,
    /// The job at another service that does this one's work, if jobs are forwarded.
    #[serde(default)]
    pub forwarded: Forwarded,
}

impl JobRecord {
    /// Returns the job's stage.
    pub fn stage(&self) -> Stage {
        self.machine.stage()
    }

    /// Drops the parts of the plan that are not needed after the job's end: the tasks, and the caption files and images
    /// that they read. Outputs, groups, notes and warnings stay.
    pub(crate) fn forget_work(&mut self) {
        let told =
            |plan: Arc<Plan>| Plan { caption_files: Vec::new(), images: Vec::new(), ..plan.without_tasks() };
        self.plan = self.plan.take().map(|plan| Arc::new(told(plan)));
    }

    /// Returns the plan's tasks; empty if they are not loaded.
    pub(crate) fn tasks(&self) -> &[Task] {
        self.plan.as_deref().map_or(&[], |plan| &plan.tasks)
    }

    /// Puts the plan's tasks back.
    ///
    /// # Errors
    /// Fails if some of the tasks could never begin.
    pub(crate) fn take_up(&mut self, tasks: Vec<Task>) -> Result<(), String> {
        self.machine.take_up(tasks.iter().map(Waiting::from).collect())?;
        self.plan = self.plan.take().map(|plan| Arc::new(Plan { tasks, ..plan.without_tasks() }));
        Ok(())
    }

    /// Returns the record without the plan's tasks, neither in the plan nor in the state machine.
    pub(crate) fn without_tasks(&self) -> Self {
        let plan = self.plan.as_deref().map(|plan| Arc::new(plan.without_tasks()));
        Self { plan, ..self.with_machine(self.machine.without_tasks()) }
    }

    /// Returns the record as steps need it, with the plan's tasks and without the state machine, which has as many parts
    /// as the plan.
    pub(crate) fn for_steps(&self) -> Self {
        self.with_machine(JobMachine::default())
    }

    /// Returns the record with another state machine.
    fn with_machine(&self, machine: JobMachine) -> Self {
        Self {
            id: self.id.clone(),
            submission: self.submission.clone(),
            machine,
            times: self.times,
            progress: self.progress,
            inputs: self.inputs.clone(),
            plan: self.plan.clone(),
            outputs: self.outputs.clone(),
            child_cpu_ms: self.child_cpu_ms,
            transitions: self.transitions.clone(),
            forwarded: self.forwarded.clone(),
        }
    }

    /// Returns the kind of an output group, or [`GroupKind::File`] if no plan contains it.
    pub fn group_kind(&self, group: u32) -> GroupKind {
        let planned = self.plan.iter().flat_map(|plan| &plan.groups).find(|planned| planned.group == group);
        planned.map_or(GroupKind::File, |planned| planned.kind)
    }

    /// Returns the plan's warnings about the inputs.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.plan.iter().flat_map(|plan| &plan.warnings)
    }

    /// Returns how often each warning occurred, by its code.
    pub fn warning_counts(&self) -> Vec<(u32, u32)> {
        let mut counts = BTreeMap::new();
        for warning in self.warnings() {
            *counts.entry(warning.code).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Returns the notes of the submission and the plan, and the warnings.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        let warnings = self.warnings().map(|warning| &warning.message);
        let plan = self.plan.iter().flat_map(|plan| plan.notes.iter()).chain(warnings);
        self.submission.messages.iter().chain(plan).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_comes_before_an_earlier_one() {
        let times = JobTimes { submitted_ms: 50, started_ms: Some(40), finished_ms: Some(30) };
        let expected = JobTimes { submitted_ms: 50, started_ms: Some(50), finished_ms: Some(50) };
        assert_eq!(times.in_order(), expected);
        let ended = JobTimes { submitted_ms: 50, started_ms: None, finished_ms: Some(60) };
        assert_eq!(ended.in_order(), ended);
        assert_eq!((ended.not_before(55), ended.not_before(70)), (60, 70));
    }

    #[test]
    fn job_reaches_100_percent_only_at_the_end() {
        let done = Progress {
            probing_percent: 100,
            transcoding_percent: 100,
            uploading_percent: 99,
            ..Progress::default()
        };
        assert_eq!(done.job_percent(), 99);
        assert_eq!(Progress { uploading_percent: 100, ..done }.job_percent(), 100);
        assert_eq!(Progress::default().job_percent(), 0);
    }
}
