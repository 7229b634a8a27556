//! The steps that run ffmpeg: in a task and the files of its predecessors, out the task's files, complete or not there.
//! Never a file outside the task's folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abanico_ffmpeg::command::{EncodedFrom, Gain};
use abanico_ffmpeg::{Finished, FirstPass, RunErrorKind, Spending, chunk_rates, command, run};
use abanico_media::Size;
use abanico_plan::{
    AudioEncode, Loudness, Overlay, Pass, Plan, RateControl, Streams, TaskId, TaskKind, VideoEncode,
    VideoRendition,
};

use super::JobContext;
use super::captions::{SCRIPT_FILE, captions_folder};
use crate::failure;
use crate::job_machine::Failure;
use crate::results::{self, Circumstances};

/// How full a decoder's buffer is taken to be where a chunk begins, in per cent: usually it is full, but behind scenes that
/// are as hard as the rate allows it is not. What really was is checked when chunks are joined.
const FULL_PERCENT: u8 = 90;
const HALF_FULL_PERCENT: u8 = 50;

/// Encodes all video renditions of a film or a chunk in one ffmpeg with one decode.
pub(crate) async fn encode_video(
    context: &JobContext,
    plan: &Plan,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    context.meter.begin(plan, |done| context.work.task(done).exists());
    if encode.chunk.is_none() {
        return encode_into(context, plan, task, encode).await;
    }
    let own = with_budgets(context, plan, encode)?;
    encode_into(context, plan, task, &own).await
}

async fn encode_into(
    context: &JobContext,
    plan: &Plan,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    let keys = Keys::of(context, plan, encode).await?;
    let folder = begin(context, task)?;
    let missing = keys.missing(context, encode, &folder);
    if missing.is_empty() {
        tracing::info!(%task, "made before, with the same input and settings");
        complete(context, task)?;
        context.meter.note(context, plan, task, encode.most_frames());
        return Ok(Finished { wall: Duration::ZERO, user_cpu_ms: 0, system_cpu_ms: 0 });
    }
    let threads = threads(context, plan, encode);
    let _permits = context
        .workshop
        .encoders
        .acquire_many(threads.unwrap_or(context.workshop.cores))
        .await
        .map_err(|_| failure::broken("the encoder permits are gone"))?;
    let (inputs, captions) = (context.input_files(), caption_scripts(context, encode));
    let images: Vec<PathBuf> =
        plan.images.iter().enumerate().map(|(index, url)| context.work.image(index, url)).collect();
    let analysis = analysis_folder(context, encode);
    let from =
        EncodedFrom { inputs: &inputs, captions: &captions, images: &images, analysis: analysis.as_deref() };
    let args = command::encode_video(&encode.only(&missing), from, &folder, threads);
    let read: Vec<PathBuf> = inputs.into_iter().chain(captions).chain(images).chain(analysis).collect();
    let metered = Metered { plan, task };
    let finished = ffmpeg(context, "encoding the video", args, &read, &folder, Some(metered)).await?;
    complete(context, task)?;
    keys.keep(context, encode, &context.work.task(task), &missing);
    Ok(finished)
}

/// Under which keys the renditions of an encode are kept, by their index.
struct Keys(BTreeMap<u32, String>);

impl Keys {
    /// No keys where nothing is kept.
    async fn of(context: &JobContext, plan: &Plan, encode: &VideoEncode) -> Result<Self, Failure> {
        if context.workshop.results.is_none() {
            return Ok(Self(BTreeMap::new()));
        }
        let inputs = context.input_hashes().await?;
        let around =
            Circumstances { ffmpeg: &context.workshop.capabilities.version, inputs, first_passes: &[] };
        let key_of = |rendition: &VideoRendition| {
            let Pass::Second(index) = rendition.pass else {
                return results::key(encode, rendition.index, around);
            };
            // The bit rate of a chunk follows from the first passes of all of them, and stands in its own settings; its own
            // frames follow from its own first pass.
            let first = plan.task(&TaskId::analysis(encode.chunk))?;
            let TaskKind::AnalyseVideo(first) = &first.kind else { return None };
            let first_passes = [results::key(first, index, around)?];
            results::key(encode, rendition.index, Circumstances { first_passes: &first_passes, ..around })
        };
        let keys = encode.encoded().filter_map(|(_, rendition)| Some((rendition.index, key_of(rendition)?)));
        Ok(Self(keys.collect()))
    }

    /// Puts what was made before into `folder`; answers the renditions that are still to be encoded.
    fn missing(&self, context: &JobContext, encode: &VideoEncode, folder: &Path) -> Vec<u32> {
        let is_taken = |rendition: &VideoRendition| {
            let (Some(results), Some(key)) = (&context.workshop.results, self.0.get(&rendition.index)) else {
                return false;
            };
            results.take(key, &files(rendition, folder))
        };
        encode.encoded().map(|(_, one)| one).filter(|one| !is_taken(one)).map(|one| one.index).collect()
    }

    /// Keeps what was encoded. A result that cannot be kept is lost for later jobs, not for this one.
    fn keep(&self, context: &JobContext, encode: &VideoEncode, folder: &Path, encoded: &[u32]) {
        let Some(results) = &context.workshop.results else { return };
        for (_, rendition) in encode.encoded().filter(|(_, one)| encoded.contains(&one.index)) {
            let Some(key) = self.0.get(&rendition.index) else { continue };
            if let Err(error) = results.keep(key, &files(rendition, folder)) {
                tracing::warn!(%error, "a finished encode is not kept for later jobs");
            }
        }
    }
}

/// What an encode makes of a rendition in `folder`, by the names that it is kept under.
fn files(rendition: &VideoRendition, folder: &Path) -> Vec<(&'static str, PathBuf)> {
    if rendition.pass != Pass::First {
        return vec![("video.mp4", folder.join(command::video_file_name(rendition.index)))];
    }
    let statistics = command::statistics_file(rendition.index);
    let trees = folder.join(format!("{statistics}.mbtree"));
    vec![("first-pass.log", folder.join(statistics)), ("first-pass.log.mbtree", trees)]
}

/// Threads of a chunk's encode: all chunks that there are share the processors. A whole film has them all.
fn threads(context: &JobContext, plan: &Plan, encode: &VideoEncode) -> Option<u32> {
    encode.chunk?;
    Some((context.workshop.cores / chunks_of(plan).max(1)).max(1))
}

/// Chunks of the film.
fn chunks_of(plan: &Plan) -> u32 {
    let stitch = plan.tasks.iter().find_map(|task| match &task.kind {
        TaskKind::StitchVideo(stitch) => Some(stitch.chunks),
        _ => None,
    });
    stitch.unwrap_or(0)
}

/// A chunk whose renditions have bit rates of their own, by what the first passes of all chunks say.
fn with_budgets(context: &JobContext, plan: &Plan, encode: &VideoEncode) -> Result<VideoEncode, Failure> {
    let number = encode.chunk.unwrap_or(0);
    let mut own = encode.clone();
    for branch in &mut own.branches {
        for rendition in &mut branch.renditions {
            if number > 0 {
                rendition.coding.buffer_fill_percent = Some(FULL_PERCENT);
            }
            let Pass::Second(index) = rendition.pass else { continue };
            let RateControl::Average { bit_rate_bps, max_bit_rate_bps } = rendition.coding.rate_control
            else {
                // Each chunk of a constant rate has that rate.
                rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT).filter(|_| number > 0);
                continue;
            };
            let (passes, size) = first_passes(context, plan, index)?;
            let spending = Spending {
                mean_bps: bit_rate_bps,
                ceiling_bps: max_bit_rate_bps,
                area_ratio: rendition.frame.area() as f64 / size.area().max(1) as f64,
                frames_per_second: branch.rate.per_second().approximate(),
            };
            let rates = chunk_rates(&passes, spending);
            let rate = |number: u32| rates.get(number as usize).copied().unwrap_or(bit_rate_bps);
            let is_hard = |rate: u64| rate > max_bit_rate_bps / 10 * 8;
            if number > 0 && (is_hard(rate(number - 1)) || is_hard(rate(number))) {
                rendition.coding.buffer_fill_percent = Some(HALF_FULL_PERCENT);
            }
            rendition.coding.rate_control =
                RateControl::Average { bit_rate_bps: rate(number), max_bit_rate_bps };
        }
    }
    Ok(own)
}

/// What the first passes of all chunks say, and the size of their frames.
fn first_passes(context: &JobContext, plan: &Plan, index: u32) -> Result<(Vec<FirstPass>, Size), Failure> {
    let mut passes = Vec::new();
    let mut size = Size::new(1, 1);
    for number in 0..chunks_of(plan) {
        let id = TaskId::analysis(Some(number));
        let file = context.work.task(&id).join(command::statistics_file(index));
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| failure::from_disk("read a first pass's statistics", &error))?;
        passes.push(FirstPass::read(&text));
        if let Some(TaskKind::AnalyseVideo(analysis)) = plan.task(&id).map(|task| &task.kind) {
            let own = analysis.renditions().find(|(_, rendition)| rendition.index == index);
            size = own.map_or(size, |(_, rendition)| rendition.frame);
        }
    }
    Ok((passes, size))
}

/// A rendition of a chunk that is to be encoded once more.
#[derive(Clone, Copy)]
pub(super) struct Again {
    /// Number of the chunk.
    pub chunk: u32,
    /// Index of the rendition.
    pub rendition: u32,
    /// Counts from 1.
    pub attempt: u32,
    /// How full the decoder's buffer is when it begins.
    pub fill_percent: u8,
}

/// Encodes one rendition of a chunk for a buffer that is as full as it was found to be. Answers its file, and the processor time
/// of children in milliseconds.
pub(super) async fn encode_again(
    context: &JobContext,
    plan: &Plan,
    again: Again,
) -> Result<(PathBuf, u64), Failure> {
    let chunk = plan.task(&TaskId::chunk(again.chunk));
    let Some(TaskKind::EncodeVideo(encode)) = chunk.map(|task| &task.kind) else {
        return Err(failure::broken("a chunk that the plan does not have"));
    };
    let mut own = with_budgets(context, plan, encode)?.only(&[again.rendition]);
    for rendition in own.branches.iter_mut().flat_map(|branch| &mut branch.renditions) {
        rendition.coding.buffer_fill_percent = Some(again.fill_percent);
    }
    let id = TaskId::new(format!("chunk-{:04}-{}-again-{}", again.chunk, again.rendition, again.attempt));
    let finished = encode_into(context, plan, &id, &own).await?;
    let file = context.work.task(&id).join(command::video_file_name(again.rendition));
    Ok((file, finished.user_cpu_ms + finished.system_cpu_ms))
}

/// Folder of the first passes that an encode reads.
fn analysis_folder(context: &JobContext, encode: &VideoEncode) -> Option<PathBuf> {
    let is_second = |pass| matches!(pass, Pass::Second(_));
    let reads = encode.renditions().any(|(_, rendition)| is_second(rendition.pass));
    reads.then(|| context.work.task(&TaskId::analysis(encode.chunk)))
}

/// Scripts of the captions that are drawn into pictures, by the index that overlays name.
fn caption_scripts(context: &JobContext, encode: &VideoEncode) -> Vec<PathBuf> {
    let overlays = encode.renditions().flat_map(|(_, rendition)| &rendition.overlays);
    let indices = overlays.filter_map(|overlay| match overlay {
        Overlay::Captions(index) => Some(*index),
        Overlay::Image(_) | Overlay::Timecode(_) => None,
    });
    indices.max().map_or_else(Vec::new, |last| {
        (0..=last).map(|index| captions_folder(context, index).join(SCRIPT_FILE)).collect()
    })
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
    let gain = match encode.loudness {
        Some(loudness) => {
            let args = command::measure_loudness(encode, &inputs, &folder);
            ffmpeg(context, "measuring the loudness", args, &inputs, &folder, None).await?;
            measured_gain(loudness, &folder)?
        }
        None => None,
    };
    let args = command::encode_audio(encode, gain, &inputs, &folder);
    let finished = ffmpeg(context, "encoding the sound", args, &inputs, &folder, None).await?;
    complete(context, task)?;
    Ok(finished)
}

/// The gain that brings the measured sound to its target; none for silence and for what is too quiet to be corrected.
fn measured_gain(loudness: Loudness, folder: &Path) -> Result<Option<Gain>, Failure> {
    let file = folder.join(command::LOUDNESS_FILE);
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|error| failure::from_disk("read the measured loudness", &error))?;
    std::fs::remove_file(&file).map_err(|error| failure::from_disk("remove a measurement", &error))?;
    Ok(gain_for(loudness, &text))
}

/// Reads the last `lavfi.r128.I=-23.456`, the loudness of the whole sound.
fn gain_for(loudness: Loudness, measurement: &str) -> Option<Gain> {
    let last = measurement.lines().rev().find_map(|line| line.strip_prefix("lavfi.r128.I="))?;
    let measured: f64 = last.trim().parse().ok().filter(|measured: &f64| measured.is_finite())?;
    // -70 is the absolute gate of BS.1770: nothing was heard.
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
    context.work.begin(task).map_err(|error| failure::from_disk("make the task's folder", &error))
}

pub(super) fn complete(context: &JobContext, task: &TaskId) -> Result<(), Failure> {
    context.work.complete(task).map_err(|error| failure::from_disk("complete the task's folder", &error))
}

/// Whose frames make the job's progress.
#[derive(Clone, Copy)]
pub(super) struct Metered<'a> {
    plan: &'a Plan,
    task: &'a TaskId,
}

/// Runs ffmpeg; where it is metered its frames count for the job's progress.
pub(super) async fn ffmpeg(
    context: &JobContext,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    folder: &Path,
    metered: Option<Metered<'_>>,
) -> Result<Finished, Failure> {
    let workshop = &context.workshop;
    let invocation = workshop.sandboxing.invocation(workshop.tools.ffmpeg(), args, inputs, folder);
    let mut report = |progress: abanico_ffmpeg::Progress| {
        if let Some(Metered { plan, task }) = metered {
            context.meter.note(context, plan, task, progress.frames);
        }
    };
    run(&invocation, &mut report, &context.cancel).await.map_err(|error| {
        if error.kind() != RunErrorKind::Cancelled {
            tracing::warn!(details = error.details(), "{what} failed");
        }
        failure::from_run(what, context.first_input_url(), context.work.root(), &error)
    })
}

/// The intermediate files of an output's streams: the picture's and the sounds'.
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
    fn does_the_last_measurement_give_the_gain() {
        let text = "frame:0 pts:0\nlavfi.r128.I=-70.000\nframe:1 pts:4800\nlavfi.r128.I=-30.125\n";
        assert_eq!(gain_for(TARGET, text), Some(Gain { millidecibels: 7125, peak_millidbfs: None }));
    }

    #[test]
    fn is_silence_and_what_lies_below_the_gate_left_alone() {
        for text in
            ["", "lavfi.r128.I=-70.000", "lavfi.r128.I=-61.0", "lavfi.r128.I=nan", "lavfi.r128.I=-inf"]
        {
            assert_eq!(gain_for(TARGET, text), None, "{text}");
        }
    }
}
