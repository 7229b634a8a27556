//! The steps that run ffmpeg: in a task and the files of its predecessors, out the task's files, complete or not there.
//! Never a file outside the task's folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::{Finished, RunErrorKind, command, run};
use abanico_plan::{AudioEncode, TaskId, VideoEncode};

use super::JobContext;
use crate::failure;
use crate::job_machine::Failure;

/// Encodes all video renditions in one ffmpeg with one decode.
pub(crate) async fn encode_video(
    context: &JobContext,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    let cores = context.workshop.cores;
    let _permits = context
        .workshop
        .encoders
        .acquire_many(cores)
        .await
        .map_err(|_| failure::broken("the encoder permits are gone"))?;
    let folder = begin(context, task)?;
    let input = context.work.input();
    let args = command::encode_video(encode, &input, &folder, None);
    let total = encode.most_frames();
    let finished = ffmpeg(context, "encoding the video", args, &[input], &folder, Some(total)).await?;
    complete(context, task)?;
    Ok(finished)
}

/// Encodes one audio track.
pub(crate) async fn encode_audio(
    context: &JobContext,
    task: &TaskId,
    encode: &AudioEncode,
) -> Result<Finished, Failure> {
    let _permit = light(context).await?;
    let folder = begin(context, task)?;
    let input = context.work.input();
    let args = command::encode_audio(encode, &input, &folder);
    let finished = ffmpeg(context, "encoding the sound", args, &[input], &folder, None).await?;
    complete(context, task)?;
    Ok(finished)
}

pub(super) async fn light(context: &JobContext) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
    context.workshop.light.acquire().await.map_err(|_| failure::broken("the light permits are gone"))
}

pub(super) fn begin(context: &JobContext, task: &TaskId) -> Result<PathBuf, Failure> {
    context.work.begin(task).map_err(|error| failure::from_disk("make the task's folder", &error))
}

pub(super) fn complete(context: &JobContext, task: &TaskId) -> Result<(), Failure> {
    context.work.complete(task).map_err(|error| failure::from_disk("complete the task's folder", &error))
}

/// Runs ffmpeg; with `total_frames` its progress becomes the job's.
pub(super) async fn ffmpeg(
    context: &JobContext,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    folder: &Path,
    total_frames: Option<u64>,
) -> Result<Finished, Failure> {
    let workshop = &context.workshop;
    let invocation = workshop.sandboxing.invocation(workshop.tools.ffmpeg(), args, inputs, folder);
    let mut report = |progress: abanico_ffmpeg::Progress| {
        if let Some(total) = total_frames {
            context.update(|live| {
                live.frames_done = progress.frames.min(total);
                live.frames_total = total;
                // The last hundredth is packaging's and verifying's.
                live.transcoding_percent = u8::try_from(live.frames_done * 99 / total.max(1)).unwrap_or(99);
            });
        }
    };
    run(&invocation, &mut report, &context.cancel).await.map_err(|error| {
        if error.kind() != RunErrorKind::Cancelled {
            tracing::warn!(details = error.details(), "{what} failed");
        }
        failure::from_run(what, &context.input_url, context.work.root(), &error)
    })
}
