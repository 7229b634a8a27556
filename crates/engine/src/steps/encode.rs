//! The steps that run ffmpeg: in a task and the files of its predecessors, out the task's files, complete or not there.
//! Never a file outside the task's folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::command::{EncodedFrom, Gain};
use abanico_ffmpeg::{Finished, RunErrorKind, command, run};
use abanico_plan::{AudioEncode, Loudness, Overlay, Pass, Plan, Streams, TaskId, VideoEncode};

use super::JobContext;
use super::captions::{SCRIPT_FILE, captions_folder};
use crate::failure;
use crate::job_machine::Failure;

/// How far a job is when its first passes are done, in per cent: a rough share, which differs from film to film.
const FIRST_PASS_PERCENT: u8 = 14;

/// Encodes all video renditions in one ffmpeg with one decode.
pub(crate) async fn encode_video(
    context: &JobContext,
    plan: &Plan,
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
    let (inputs, captions) = (context.input_files(), caption_scripts(context, encode));
    let images: Vec<PathBuf> =
        plan.images.iter().enumerate().map(|(index, url)| context.work.image(index, url)).collect();
    let analyses = analysis_folders(context, encode);
    let from = EncodedFrom { inputs: &inputs, captions: &captions, images: &images, analyses: &analyses };
    let args = command::encode_video(encode, from, &folder, None);
    let read: Vec<PathBuf> = inputs.into_iter().chain(captions).chain(images).chain(analyses).collect();
    let finished = ffmpeg(context, "encoding the video", args, &read, &folder, Some(share(encode))).await?;
    complete(context, task)?;
    Ok(finished)
}

/// What an encode is of the work on a job's pictures: first passes are its beginning, the encode after them is the rest. The last hundredth is packaging's and verifying's.
fn share(encode: &VideoEncode) -> Share {
    let passes = || encode.renditions().map(|(_, rendition)| rendition.pass);
    let (from_percent, to_percent) = if passes().any(|pass| pass == Pass::First) {
        (0, FIRST_PASS_PERCENT)
    } else if passes().any(|pass| pass != Pass::Only) {
        (FIRST_PASS_PERCENT, 99)
    } else {
        (0, 99)
    };
    Share { frames: encode.most_frames(), from_percent, to_percent }
}

/// Folders of the first passes' statistics, by the index that second passes name.
fn analysis_folders(context: &JobContext, encode: &VideoEncode) -> Vec<PathBuf> {
    let indices = encode.renditions().filter_map(|(_, rendition)| match rendition.pass {
        Pass::Second(index) => Some(index),
        Pass::Only | Pass::First => None,
    });
    let folder = |index| context.work.task(&TaskId::new(format!("analysis-{index}")));
    indices.max().map_or_else(Vec::new, |last| (0..=last).map(folder).collect())
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

/// Which part of the job's progress is one ffmpeg's.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Frames that it delivers.
    frames: u64,
    /// Where it begins, in per cent.
    from_percent: u8,
    /// Where it ends.
    to_percent: u8,
}

impl Share {
    /// How far the job is when so many frames are done.
    fn percent(self, done: u64) -> u8 {
        let width = u64::from(self.to_percent - self.from_percent);
        let part = done.min(self.frames) * width / self.frames.max(1);
        self.from_percent + u8::try_from(part).unwrap_or(0)
    }
}

/// Runs ffmpeg; with a share its progress becomes the job's.
pub(super) async fn ffmpeg(
    context: &JobContext,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    folder: &Path,
    share: Option<Share>,
) -> Result<Finished, Failure> {
    let workshop = &context.workshop;
    let invocation = workshop.sandboxing.invocation(workshop.tools.ffmpeg(), args, inputs, folder);
    let mut report = |progress: abanico_ffmpeg::Progress| {
        if let Some(share) = share {
            context.update(|live| {
                live.frames_done = progress.frames.min(share.frames);
                live.frames_total = share.frames;
                live.transcoding_percent = live.transcoding_percent.max(share.percent(progress.frames));
            });
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
    let video = streams
        .video
        .map(|index| context.work.task(&TaskId::new("video")).join(command::video_file_name(index)));
    let sounds = streams.audio.iter().map(|sound| {
        let folder = context.work.task(&TaskId::new(format!("audio-{}", sound.index)));
        folder.join(command::audio_file_name(sound.index, sound.coding.codec))
    });
    (video, sounds.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_progress_go_from_where_a_pass_begins_to_where_it_ends() {
        let share = Share { frames: 200, from_percent: 14, to_percent: 99 };
        assert_eq!([0, 100, 200, 500].map(|done| share.percent(done)), [14, 56, 99, 99]);
        assert_eq!(Share { frames: 0, from_percent: 0, to_percent: 99 }.percent(3), 0);
    }

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
