//! Runs one video encode of an input or a chunk: one ffmpeg process for all renditions, then the measurement of samples.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use abanico_ffmpeg::command::EncodedFrom;
use abanico_ffmpeg::{Finished, command};
use abanico_plan::{Overlay, Pass, TaskId, VideoEncode};

use crate::failure::{self, Failure};
use crate::kept::reuse::analysis_folder;
use crate::kinds::captions::SCRIPT_FILE;
use crate::machine::bounds;
use crate::machine::caged::{Metered, Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// An encode to run.
pub(super) struct Encoding<'a> {
    pub bench: &'a Workbench,
    /// The task that it is done for.
    pub task: &'a TaskId,
    /// What to encode, with its budgets.
    pub encode: &'a VideoEncode,
    /// The folder for its files.
    pub folder: &'a Path,
}

impl Encoding<'_> {
    /// Encodes these renditions, and measures how long it took.
    pub async fn run(&self, missing: &[u32]) -> Result<Finished, Failure> {
        let Self { bench, task, encode, folder } = *self;
        let began = Instant::now();
        let (inputs, captions, images) = (bench.inputs(), caption_scripts(bench, encode), bench.images());
        let analysis = analysis_folder(bench, encode);
        let from = EncodedFrom {
            inputs: &inputs,
            captions: &captions,
            images: &images,
            analysis: analysis.as_deref(),
        };
        let args = command::encode_video(&encode.only(missing), from, folder, encode.threads);
        let read: Vec<PathBuf> = inputs.into_iter().chain(captions).chain(images).chain(analysis).collect();
        let metered = Metered { task, furthest: &AtomicU64::new(0) };
        let outputs = Outputs { folder, bounds: bounds::of_video(encode) };
        let finished = ffmpeg(bench, "encoding the video", args, &read, outputs, Some(metered)).await?;
        let cpu_ms = finished.cpu_ms();
        let measured = measure_samples(bench, encode, missing, folder).await;
        let user_cpu_ms = finished.user_cpu_ms + measured.inspect_err(|_| bench.sink.lost(cpu_ms))?;
        Ok(Finished { wall: began.elapsed(), user_cpu_ms, ..finished })
    }
}

/// Measures the samples among `indices` and deletes their video. Returns the CPU time of child processes in
/// milliseconds. If a sample cannot be measured, the input is still encoded, but its quality is less even.
async fn measure_samples(
    bench: &Workbench,
    encode: &VideoEncode,
    indices: &[u32],
    folder: &Path,
) -> Result<u64, Failure> {
    let mut cpu_ms = 0;
    for (_, rendition) in encode.encoded().filter(|(_, one)| indices.contains(&one.index)) {
        let Pass::Sample(sampling) = rendition.pass else { continue };
        let index = rendition.index;
        let measure = async |metric| {
            let args = command::measure_quality(index, metric, folder, encode.threads);
            let outputs = Outputs { folder, bounds: bounds::of_video(encode) };
            ffmpeg(bench, "measuring a sample", args, &[], outputs, None).await
        };
        match measure(sampling.metric).await {
            Ok(finished) => cpu_ms += finished.cpu_ms(),
            Err(failure) if bench.cancel.is_cancelled() => return Err(failure),
            Err(failure) => {
                tracing::warn!(?failure, "cannot measure a sample: the quality of its input is not levelled");
                let nothing = std::fs::write(folder.join(command::quality_file(index)), "");
                nothing.map_err(|error| failure::from_disk("write a measurement", &error))?;
            }
        }
        for name in command::sample_files(index) {
            let removed = std::fs::remove_file(folder.join(name));
            removed.map_err(|error| failure::from_disk("remove a sample", &error))?;
        }
    }
    Ok(cpu_ms)
}

/// Returns the scripts of the captions to draw into the video, by the index that overlays use.
pub(super) fn caption_scripts(bench: &Workbench, encode: &VideoEncode) -> Vec<PathBuf> {
    let overlays = encode.renditions().flat_map(|(_, rendition)| &rendition.overlays);
    let indices = overlays.filter_map(|overlay| match overlay {
        Overlay::Captions(index) => Some(*index),
        Overlay::Image(_) | Overlay::Timecode(_) => None,
    });
    indices.max().map_or_else(Vec::new, |last| {
        (0..=last).map(|index| bench.made(&TaskId::captions(index)).join(SCRIPT_FILE)).collect()
    })
}
