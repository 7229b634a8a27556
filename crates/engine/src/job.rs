//! A job as the engine keeps it: in what was submitted and what happened since, out one record that is all there is to
//! know. Never AWS's wire shape: crate `server` makes that.

use std::collections::BTreeMap;
use std::sync::Arc;

use abanico_media::MediaInfo;
use abanico_plan::{GroupKind, Plan, Task, Warning};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::forwarding::Forwarded;
use crate::hops::QueueTransition;
use crate::job_machine::{JobMachine, Stage};

/// Names a job, `<milliseconds>-<six letters or digits>`, as MediaConvert's ids do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Takes a text as an id.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client wants done, checked and complete: template and presets are already merged in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// Settings in wire form (`lowerCamel`), complete.
    pub settings: Value,
    /// The client's request in wire form, as it came.
    pub request: Value,
    /// The user's own labels, shown with the job and its events.
    pub user_metadata: BTreeMap<String, String>,
    /// ARN of the role that the client named; kept and shown, never used here.
    pub role: String,
    /// ARN of the queue.
    pub queue: String,
    /// Higher goes first, -50 to 50.
    pub priority: i32,
    /// Makes a repeated request find the first one's job; none makes every request a new job.
    pub token: Option<Token>,
    /// Remarks about the settings that the user should see.
    pub messages: Vec<String>,
}

/// Tells a repeated request from a new one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The text that repeats.
    pub text: String,
    /// How long it is remembered after the job was made, in milliseconds; none means forever.
    pub remembered_ms: Option<i64>,
}

/// Times of a job, in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobTimes {
    /// When it was made.
    pub submitted_ms: i64,
    /// When its turn came.
    pub started_ms: Option<i64>,
    /// When it reached its end.
    pub finished_ms: Option<i64>,
}

/// True progress of each phase, 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Fetching, probing, planning.
    pub probing_percent: u8,
    /// Encoding by frames, up to 99; the last is packaging's and verifying's.
    pub transcoding_percent: u8,
    /// Publishing, by bytes.
    pub uploading_percent: u8,
    /// Frames done of the rendition with most frames, by what they cost: one that has only been through a first pass counts as
    /// the part of a frame that this pass is. So this grows from the first pass on, and as [`Self::transcoding_percent`] does;
    /// without first passes it is just the number of frames encoded.
    pub frames_done: u64,
    /// Frames of the rendition with most frames; 0 until the first are done.
    pub frames_total: u64,
}

impl Progress {
    /// One number for the whole job: probing counts 2, transcoding 93, uploading 5 parts of a hundred.
    pub fn job_percent(self) -> u8 {
        let parts =
            [(self.probing_percent, 2_u32), (self.transcoding_percent, 93), (self.uploading_percent, 5)];
        let sum: u32 = parts.iter().map(|(percent, weight)| u32::from(*percent) * weight).sum();
        u8::try_from(sum / 100).unwrap_or(100)
    }
}

/// A file that stands in its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublishedOutput {
    /// Index in the plan's outputs.
    pub output: u32,
    /// Its URL.
    pub url: String,
    /// Its size.
    pub size_bytes: u64,
    /// Duration of the longest track, in milliseconds.
    pub duration_ms: i64,
    /// Measured video bit rate, 0 without a picture.
    pub video_bit_rate_bps: u64,
    /// Width in pixels, 0 without a picture.
    pub width: u32,
    /// Height in pixels, 0 without a picture.
    pub height: u32,
}

/// Everything that is known of a job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its name.
    pub id: JobId,
    /// What was asked for.
    pub submission: Submission,
    /// Its course so far.
    pub machine: JobMachine,
    /// When things happened.
    pub times: JobTimes,
    /// How far it is; kept in memory while it runs, stored at its end.
    pub progress: Progress,
    /// Facts of the inputs in the job's order, once probed.
    #[serde(default)]
    pub inputs: Vec<MediaInfo>,
    /// The plan, once made. Its tasks are there only where the job is driven: a long film has thousands, and whoever looks at the job
    /// would read them. From the job's end on it has only what was made and what is to be told of it.
    pub plan: Option<Arc<Plan>>,
    /// Verified outputs; visible in their places once the job is complete.
    pub outputs: Vec<PublishedOutput>,
    /// URLs of outputs that already stand in their places; taken back should the job not complete.
    pub published: Vec<String>,
    /// CPU time of the ffmpeg processes that finished, in milliseconds.
    pub child_cpu_ms: u64,
    /// Queues that it hopped from and to while it waited.
    #[serde(default)]
    pub transitions: Vec<QueueTransition>,
    /// The job of another service that does this one's work, where jobs are handed on.
    #[serde(default)]
    pub forwarded: Forwarded,
}

impl JobRecord {
    /// Where the job stands.
    pub fn stage(&self) -> Stage {
        self.machine.stage()
    }

    /// Drops what nobody reads of a job that is at its end: tasks and what they read. Outputs, groups, notes and warnings stay.
    pub(crate) fn forget_work(&mut self) {
        let told =
            |plan: Arc<Plan>| Plan { caption_files: Vec::new(), images: Vec::new(), ..plan.without_tasks() };
        self.plan = self.plan.take().map(|plan| Arc::new(told(plan)));
    }

    /// Tasks of the plan that are there.
    pub(crate) fn tasks(&self) -> &[Task] {
        self.plan.as_deref().map_or(&[], |plan| &plan.tasks)
    }

    /// Puts the plan's tasks back.
    pub(crate) fn take_up(&mut self, tasks: Vec<Task>) {
        self.plan = self.plan.take().map(|plan| Arc::new(Plan { tasks, ..plan.without_tasks() }));
    }

    /// The same without the plan's tasks.
    pub(crate) fn without_tasks(&self) -> Self {
        let plan = self.plan.as_deref().map(|plan| Arc::new(plan.without_tasks()));
        Self { plan, ..self.clone() }
    }

    /// What an output group is made as; files where no plan tells.
    pub fn group_kind(&self, group: u32) -> GroupKind {
        let planned = self.plan.iter().flat_map(|plan| &plan.groups).find(|planned| planned.group == group);
        planned.map_or(GroupKind::File, |planned| planned.kind)
    }

    /// What is odd about the inputs.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.plan.iter().flat_map(|plan| &plan.warnings)
    }

    /// How often each warning came, by its number.
    pub fn warning_counts(&self) -> Vec<(u32, u32)> {
        let mut counts = BTreeMap::new();
        for warning in self.warnings() {
            *counts.entry(warning.code).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Remarks of submission and plan.
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
    fn does_the_whole_jobs_percentage_reach_a_hundred_only_at_the_end() {
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
