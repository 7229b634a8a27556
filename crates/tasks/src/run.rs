//! Runs one task: picks the function for its kind, and returns what it used and measured. It decides nothing about
//! attempts.

use abanico_ffmpeg::Finished;
use abanico_plan::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kinds::audio;
use crate::kinds::captions;
use crate::kinds::capture;
use crate::kinds::manifests;
use crate::kinds::package;
use crate::kinds::segment;
use crate::kinds::verify;
use crate::kinds::video;
use crate::machine::workbench::Workbench;

/// An output file and its measurements.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MeasuredOutput {
    /// Index in the plan's outputs.
    pub output: u32,
    /// URL of the file at its destination.
    pub url: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Duration of the longest track, in milliseconds.
    pub duration_ms: i64,
    /// Measured video bit rate in bits per second, 0 without video.
    pub video_bit_rate_bps: u64,
    /// Width in pixels, 0 without video.
    pub width: u32,
    /// Height in pixels, 0 without video.
    pub height: u32,
}

/// What a task that succeeded has used and measured.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// CPU time of its child processes in milliseconds.
    pub cpu_ms: u64,
    /// What was measured of the output, for tasks that measure one.
    pub output: Option<MeasuredOutput>,
}

impl TaskOutcome {
    fn used(cpu_ms: u64) -> Self {
        Self { cpu_ms, output: None }
    }
}

impl From<Finished> for TaskOutcome {
    fn from(finished: Finished) -> Self {
        Self::used(finished.cpu_ms())
    }
}

/// Runs a task. Once this returns, the task's files are complete in its folder; if it fails or the future is dropped,
/// there are none.
///
/// # Errors
/// Fails as the task does, with MediaConvert's code and what to do.
pub async fn run(task: &Task, bench: &Workbench) -> Result<TaskOutcome, Failure> {
    let id = &task.id;
    match &task.kind {
        TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => {
            video::encode(bench, id, encode).await.map(TaskOutcome::from)
        }
        TaskKind::SumFirstPasses { chunks, analyses } => {
            video::sum_first_passes(bench, id, *chunks, analyses).await?;
            Ok(TaskOutcome::default())
        }
        TaskKind::CompareJoint(joint) => video::compare_joint(bench, id, *joint).await.map(TaskOutcome::used),
        TaskKind::JudgeChunks(judged) => {
            video::judge_chunks(bench, id, judged).await?;
            Ok(TaskOutcome::default())
        }
        TaskKind::EncodeAgain(again) => {
            video::encode_chunks_again(bench, id, again).await.map(TaskOutcome::used)
        }
        TaskKind::StitchVideo(video) => {
            video::stitch_chunks(bench, id, video).await?;
            Ok(TaskOutcome::default())
        }
        TaskKind::EncodeAudio(encode) => audio::encode(bench, id, encode).await.map(TaskOutcome::from),
        TaskKind::Package(package) => package::package(bench, id, package).await.map(TaskOutcome::from),
        TaskKind::CaptureFrames(capture) => {
            let (finished, made) = capture::capture_frames(bench, id, capture).await?;
            Ok(TaskOutcome { output: Some(made), ..TaskOutcome::from(finished) })
        }
        TaskKind::MakeCaptions(captions) => {
            let output = captions::make_captions(bench, id, captions).await?;
            Ok(TaskOutcome { cpu_ms: 0, output })
        }
        TaskKind::Segment(output) => segment::segment(bench, id, output).await.map(TaskOutcome::used),
        TaskKind::GroupManifests(group) => {
            manifests::group_manifests(bench, id, group).await?;
            Ok(TaskOutcome::default())
        }
        TaskKind::Verify(verification) => {
            let output = verify::verify(bench, verification).await?;
            Ok(TaskOutcome { cpu_ms: 0, output: Some(output) })
        }
    }
}
