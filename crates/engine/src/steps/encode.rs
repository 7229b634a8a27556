//! The steps that encode with ffmpeg. A task's files are either complete or absent, and nothing is written outside
//! the task's folder.

mod encoding;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abanico_ffmpeg::command::Gain;
use abanico_ffmpeg::{Finished, RunErrorKind, command, run};
use abanico_plan::{AudioEncode, Joint, Loudness, Plan, Streams, TaskId, TaskKind, VideoEncode};

use self::encoding::{Encoding, Place};
use super::JobContext;
use super::bounds;
use super::budgets::{chunks_of, with_budgets};
use super::made_files::{self, SetAside};
use super::reuse::Keys;
use crate::failure;
use crate::job_machine::Failure;
use crate::sandboxing::Bounds;
use crate::work_folder::WorkFolder;

/// Encodes all video renditions of an input or a chunk in one ffmpeg process with one decode.
pub(crate) async fn encode_video(
    context: &JobContext,
    plan: &Plan,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    context.meter.begin(plan, |done| context.work.task(done).exists());
    let own = with_budgets(context, plan, encode)?;
    encode_into(context, plan, task, &own).await
}

/// Resources used by an encode that is taken from an earlier job.
const NOTHING_USED: Finished = Finished { wall: Duration::ZERO, user_cpu_ms: 0, system_cpu_ms: 0 };

async fn encode_into(
    context: &JobContext,
    plan: &Plan,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    let keys = Keys::of(context, plan, encode).await?;
    let folder = begin(context, task)?;
    let missing = keys.missing(context, encode, &folder).await?;
    if missing.is_empty() {
        tracing::info!(%task, "reusing an encode made before with the same input and settings");
        complete(context, task).await?;
        context.meter.note(context, plan, task, encode.most_frames());
        return Ok(NOTHING_USED);
    }
    let threads = threads(context, plan, encode);
    let wanted = threads.unwrap_or(context.workshop.cores);
    let permits = context.workshop.encoders.acquire_many(wanted, encode.chunk.unwrap_or(0));
    let permits = tokio::select! {
        permits = permits => permits.map_err(|_| failure::broken("the encoder permits are gone"))?,
        // Other jobs may hold the permits for hours, so a cancellation must end the wait.
        () = context.cancel.cancelled() => return Err(failure::broken("a cancelled encode continued")),
    };
    let encoding = Encoding { context, plan, task, encode, keys, threads, furthest: AtomicU64::new(0) };
    encoding.run(Place { folder, missing, permits }).await
}

/// Returns the number of threads for the encode of a chunk, because all chunks of the plan share the processors.
/// Returns `None` for a whole input, which may use all of them.
fn threads(context: &JobContext, plan: &Plan, encode: &VideoEncode) -> Option<u32> {
    encode.chunk?;
    Some((context.workshop.cores / chunks_of(plan).max(1)).max(1))
}

/// A rendition of a chunk to encode again.
#[derive(Clone, Copy)]
pub(super) struct Again {
    /// Number of the chunk.
    pub chunk: u32,
    /// Index of the rendition.
    pub rendition: u32,
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    /// Fullness of the decoder's buffer where the chunk begins, in percent.
    pub fill_percent: u8,
    /// Whether its source is read from farther back.
    pub farther_back: Option<Joint>,
}

/// Encodes one rendition of a chunk again, with the measured fullness of the decoder's buffer at its start. Returns its
/// file and the CPU time of child processes in milliseconds.
pub(super) async fn encode_again(
    context: &JobContext,
    plan: &Plan,
    again: Again,
) -> Result<(PathBuf, u64), Failure> {
    let encode = chunk_of(plan, again.chunk)?;
    let encode = again.farther_back.map_or_else(|| encode.clone(), |joint| joint.farther_back(encode));
    let mut own = with_budgets(context, plan, &encode)?.only(&[again.rendition]);
    for rendition in own.branches.iter_mut().flat_map(|branch| &mut branch.renditions) {
        rendition.coding.buffer_fill_percent = Some(again.fill_percent);
    }
    let id = TaskId::new(format!("chunk-{:04}-{}-again-{}", again.chunk, again.rendition, again.attempt));
    let finished = encode_into(context, plan, &id, &own).await?;
    let file = context.work.task(&id).join(command::video_file_name(again.rendition));
    Ok((file, finished.cpu_ms()))
}

/// Encodes all renditions of a chunk again, with the source read from farther back. Returns the task whose files they
/// are, and the CPU time of child processes in milliseconds.
pub(super) async fn encode_farther_back(
    context: &JobContext,
    plan: &Plan,
    chunk: u32,
    joint: Joint,
) -> Result<(TaskId, u64), Failure> {
    let encode = joint.farther_back(chunk_of(plan, chunk)?);
    let own = with_budgets(context, plan, &encode)?;
    let id = TaskId::new(format!("chunk-{chunk:04}-farther-back"));
    let finished = encode_into(context, plan, &id, &own).await?;
    Ok((id, finished.cpu_ms()))
}

/// Returns the encode of a chunk.
pub(super) fn chunk_of(plan: &Plan, number: u32) -> Result<&VideoEncode, Failure> {
    match plan.task(&TaskId::chunk(number)).map(|task| &task.kind) {
        Some(TaskKind::EncodeVideo(encode)) => Ok(encode),
        _ => Err(failure::broken("the plan has no such chunk")),
    }
}

/// Encodes one audio track.
pub(crate) async fn encode_audio(
    context: &JobContext,
    task: &TaskId,
    encode: &AudioEncode,
) -> Result<Finished, Failure> {
    let _permit = light(context).await?;
    let folder = begin(context, task)?;
    let inputs = context.input_files();
    let task_folder = Outputs { folder: &folder, bounds: bounds::of_audio(encode) };
    let gain = match encode.loudness {
        Some(loudness) => {
            let args = command::measure_loudness(encode, &inputs, &folder);
            ffmpeg(context, "measuring the loudness", args, &inputs, task_folder, None).await?;
            measured_gain(loudness, &folder)?
        }
        None => None,
    };
    let args = command::encode_audio(encode, gain, &inputs, &folder);
    let finished = ffmpeg(context, "encoding the audio", args, &inputs, task_folder, None).await?;
    complete(context, task).await?;
    Ok(finished)
}

/// Returns the gain that brings the measured audio to its target; `None` for silence and for audio too quiet to be
/// corrected.
fn measured_gain(loudness: Loudness, folder: &Path) -> Result<Option<Gain>, Failure> {
    let file = folder.join(command::LOUDNESS_FILE);
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|error| failure::from_disk("read the measured loudness", &error))?;
    std::fs::remove_file(&file).map_err(|error| failure::from_disk("remove a measurement", &error))?;
    Ok(gain_for(loudness, &text))
}

/// Reads the last `lavfi.r128.I=-23.456`, the loudness of the whole track.
fn gain_for(loudness: Loudness, measurement: &str) -> Option<Gain> {
    let last = measurement.lines().rev().find_map(|line| line.strip_prefix("lavfi.r128.I="))?;
    let measured: f64 = last.trim().parse().ok().filter(|measured: &f64| measured.is_finite())?;
    // -70 LKFS is the absolute gate of BS.1770: nothing louder was measured, so this is silence.
    if measured <= -70.0 || measured < f64::from(loudness.gate_lkfs) {
        return None;
    }
    let millidecibels = loudness.target_millilkfs - (measured * 1000.0).round() as i32;
    Some(Gain { millidecibels, peak_millidbfs: loudness.peak_millidbfs })
}

pub(super) async fn light(context: &JobContext) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
    context.workshop.light.acquire().await.map_err(|_| failure::broken("the light permits are gone"))
}

pub(super) fn begin(context: &JobContext, task: &TaskId) -> Result<PathBuf, Failure> {
    context.work.begin(task).map_err(|error| failure::from_disk("create the task's folder", &error))
}

/// Makes the files of a task final.
pub(super) async fn complete(context: &JobContext, task: &TaskId) -> Result<(), Failure> {
    completing(context, task, WorkFolder::complete).await
}

/// Makes the files of the attempt that wrote to `folder` the task's.
pub(super) async fn complete_from(
    context: &JobContext,
    folder: PathBuf,
    task: &TaskId,
) -> Result<(), Failure> {
    completing(context, task, move |work, task| work.complete_from(&folder, task)).await
}

/// Flushing and hashing large files takes seconds, so a thread for such work does it.
async fn completing(
    context: &JobContext,
    task: &TaskId,
    complete: impl FnOnce(&WorkFolder, &TaskId) -> io::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let (work, task) = (context.work.clone(), task.clone());
    let completed = tokio::task::spawn_blocking(move || complete(&work, &task));
    let completed = completed.await.map_err(|_| failure::broken("completing a task ended early"))?;
    completed.map_err(|error| failure::from_disk("complete the task's folder", &error))
}

/// An encode whose frames count towards the job's progress.
#[derive(Clone, Copy)]
pub(super) struct Metered<'a> {
    plan: &'a Plan,
    task: &'a TaskId,
    /// Largest number of frames that an attempt at the task has delivered.
    furthest: &'a AtomicU64,
}

/// Where ffmpeg writes, and what it may use up for that.
#[derive(Clone, Copy)]
pub(super) struct Outputs<'a> {
    /// The only folder that it may write to.
    pub folder: &'a Path,
    /// What it may use up.
    pub bounds: Bounds,
}

/// Runs ffmpeg. If it is metered, its frames count towards the job's progress. Succeeds only if all it leaves are plain
/// files within the bound; no process is left that could change them later.
pub(super) async fn ffmpeg(
    context: &JobContext,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    outputs: Outputs<'_>,
    metered: Option<Metered<'_>>,
) -> Result<Finished, Failure> {
    let aside =
        SetAside::from(outputs.folder).map_err(|error| failure::from_disk("set files aside", &error))?;
    let finished = run_ffmpeg(context, what, args, inputs, outputs, metered).await;
    let (folder, most_bytes) = (outputs.folder.to_owned(), outputs.bounds.bytes);
    let succeeded = finished.is_ok();
    let accepted = tokio::task::spawn_blocking(move || {
        let fault = if succeeded { made_files::fault(&folder, most_bytes)? } else { None };
        if !succeeded || fault.is_some() {
            made_files::remove_odd(&folder)?;
        }
        let back = aside.put_back();
        // What is in the way of a file is a fault too, and the better explanation.
        if fault.is_some() { Ok(fault) } else { back.map(|()| None) }
    });
    let accepted = accepted.await.map_err(|_| failure::broken("the check of the outputs ended early"))?;
    let finished = finished?;
    match accepted.map_err(|error| failure::from_disk("check the outputs", &error))? {
        None => Ok(finished),
        Some(fault) => {
            context.lose(finished.cpu_ms());
            tracing::warn!(fault, "{what} left files that are not accepted");
            Err(failure::from_outputs(what, context.first_input_url(), &fault))
        }
    }
}

async fn run_ffmpeg(
    context: &JobContext,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    outputs: Outputs<'_>,
    metered: Option<Metered<'_>>,
) -> Result<Finished, Failure> {
    let workshop = &context.workshop;
    let Outputs { folder, bounds } = outputs;
    let ffmpeg = workshop.tools.ffmpeg();
    let invocation = workshop.sandboxing.invocation(ffmpeg, args, inputs, folder, bounds);
    let mut report = |progress: abanico_ffmpeg::Progress| {
        if let Some(Metered { plan, task, furthest }) = metered {
            let before = furthest.fetch_max(progress.frames, Ordering::Relaxed);
            context.meter.note(context, plan, task, before.max(progress.frames));
        }
    };
    run(&invocation, &mut report, &context.cancel).await.map_err(|error| {
        context.lose(error.cpu_ms());
        if error.kind() != RunErrorKind::Cancelled {
            tracing::warn!(details = error.details(), "{what} failed");
        }
        failure::from_run(what, context.first_input_url(), context.work.root(), &error)
    })
}

/// Returns the intermediate files of an output's streams: the video file and the audio files.
pub(super) fn stream_files(context: &JobContext, streams: &Streams) -> (Option<PathBuf>, Vec<PathBuf>) {
    let video =
        streams.video.map(|index| context.work.task(&TaskId::video()).join(command::video_file_name(index)));
    let sounds = streams.audio.iter().map(|sound| {
        let folder = context.work.task(&TaskId::new(format!("audio-{}", sound.index)));
        folder.join(command::audio_file_name(sound.index, sound.coding.codec))
    });
    (video, sounds.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Loudness = Loudness { target_millilkfs: -23_000, gate_lkfs: -60, peak_millidbfs: None };

    #[test]
    fn last_measurement_gives_the_gain() {
        let text = "frame:0 pts:0\nlavfi.r128.I=-70.000\nframe:1 pts:4800\nlavfi.r128.I=-30.125\n";
        assert_eq!(gain_for(TARGET, text), Some(Gain { millidecibels: 7125, peak_millidbfs: None }));
    }

    #[test]
    fn silence_and_quiet_audio_get_no_gain() {
        for text in
            ["", "lavfi.r128.I=-70.000", "lavfi.r128.I=-61.0", "lavfi.r128.I=nan", "lavfi.r128.I=-inf"]
        {
            assert_eq!(gain_for(TARGET, text), None, "{text}");
        }
    }
}
