//! Runs one video encode of an input or a chunk. If the first attempt takes too long, a second one runs in parallel.
//! Each attempt has its own folder. The files of the first attempt that succeeds become the task's files, and those of
//! the other are removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abanico_ffmpeg::command::EncodedFrom;
use abanico_ffmpeg::{Finished, command};
use abanico_plan::{Overlay, Pass, TaskId, VideoEncode};

use super::encode::{NOTHING_USED, describe};
use crate::attempts::{Attempt, Ended, Which, first_to_end_well};
use crate::bounds;
use crate::caged::{Metered, Outputs, ffmpeg};
use crate::captions::SCRIPT_FILE;
use crate::encoders::Permits;
use crate::failure::{self, Failure};
use crate::reuse::{Keys, analysis_folder};
use crate::stragglers::{Alike, Course};
use crate::workbench::Workbench;

/// An encode to run. All attempts at it share this data.
pub(super) struct Encoding<'a> {
    pub bench: &'a Workbench,
    /// The task that it is done for.
    pub task: &'a TaskId,
    /// Name of the folder with its files: the task's, or that of a part of its work.
    pub name: &'a str,
    /// What to encode, with its budgets.
    pub encode: &'a VideoEncode,
    /// Keys under which its renditions are kept.
    pub keys: Keys,
    /// Largest number of frames that an attempt has delivered.
    pub furthest: AtomicU64,
}

/// Where an attempt works: its own folder with the reused renditions, the renditions still to be made there, and its
/// permits.
pub(super) struct Place {
    pub folder: PathBuf,
    pub missing: Vec<u32>,
    pub permits: Permits,
}

/// The result of an attempt.
struct Encoded {
    folder: PathBuf,
    missing: Vec<u32>,
    finished: Finished,
}

impl Encoded {
    fn cpu_ms(&self) -> u64 {
        self.finished.cpu_ms()
    }
}

impl Encoding<'_> {
    /// Runs the encode, and a second attempt in parallel if the first takes too long. Only the files of the attempt
    /// that succeeds first become the task's files.
    pub async fn run(&self, place: Place) -> Result<Finished, Failure> {
        let Self { bench, task, name, encode, .. } = *self;
        let (began, frames) = (Instant::now(), encode.most_frames());
        let underway = bench.paces.begin(alike(encode, &place.missing));
        let second = || {
            let delivered = self.furthest.load(Ordering::Relaxed);
            let course = Course { frames, delivered, ran: began.elapsed() };
            let place = if underway.is_straggler(course) { self.second_place(course) } else { None };
            place.map(|place| self.attempt(place))
        };
        let ended = first_to_end_well(self.attempt(place), second, |which, failure| {
            self.leave_to_other(which, failure);
        });
        let Ended { made, won, in_vain } = ended.await?;
        describe(encode, &made.folder)?;
        bench.complete_from(made.folder.clone(), name).await?;
        if let Some(which) = won {
            let (job, attempt, took_ms) = (&bench.name, which.name(), millis(made.finished.wall));
            tracing::info!(
                job.id = %job, %task, attempt, took_ms,
                "one of two attempts at an encode won: the other is dropped"
            );
            bench.folders.discard(name);
        }
        bench.sink.lost(in_vain.map_or(0, |encoded| encoded.cpu_ms()));
        if !made.missing.is_empty() {
            underway.note(frames, made.finished.wall);
        }
        bench.sink.delivered(task, frames);
        self.keys.keep(bench, encode, &bench.folders.task(name), &made.missing).await;
        Ok(made.finished)
    }

    /// Returns an attempt. It ends with all its files in its folder, or leaves nothing there.
    fn attempt(&self, place: Place) -> Attempt<impl Future<Output = Result<Encoded, Failure>>> {
        let cancel = self.bench.cancel.child_token();
        let bench = Workbench { cancel: cancel.clone(), ..self.bench.clone() };
        // Boxed: in a debug build, two of them in one future do not fit on a thread's stack.
        let work = Box::pin(async move {
            let Place { folder, missing, permits: _permits } = place;
            let finished = self.encode_in(&bench, &folder, &missing).await;
            let finished = finished.inspect_err(|_| bench.folders.discard_attempt(&folder))?;
            Ok(Encoded { folder, missing, finished })
        });
        Attempt { work, cancel }
    }

    /// Returns where a second attempt works; `None` if no encoders are idle. An encode of a whole input already uses
    /// all of them.
    fn second_place(&self, course: Course) -> Option<Place> {
        let Self { bench, task, .. } = *self;
        let permits = bench.machine.encoders.acquire_idle(self.encode.threads?)?;
        let job = &bench.name;
        let folder = bench.folders.begin_second(self.name).inspect_err(|error| {
            tracing::debug!(job.id = %job, %task, %error, "cannot start a second attempt at an encode");
        });
        let folder = folder.ok()?;
        let missing = self.keys.missing_now(bench, self.encode, &folder);
        let (frames_done, ran_ms) = (course.delivered, millis(course.ran));
        tracing::info!(
            job.id = %job, %task, frames_done, ran_ms,
            "an encode takes too long and is started a second time"
        );
        Some(Place { folder, missing, permits })
    }

    /// Logs that one of two attempts failed.
    fn leave_to_other(&self, which: Which, failure: &Failure) {
        let Self { bench, task, .. } = *self;
        if !bench.cancel.is_cancelled() {
            let (job, attempt, reason) = (&bench.name, which.name(), &failure.message);
            tracing::warn!(
                job.id = %job, %task, attempt, reason,
                "one of two attempts at an encode failed: the other continues"
            );
        }
    }

    /// Encodes the missing renditions into `folder`, and measures how long it took.
    async fn encode_in(
        &self,
        bench: &Workbench,
        folder: &Path,
        missing: &[u32],
    ) -> Result<Finished, Failure> {
        let Self { task, encode, .. } = *self;
        let began = Instant::now();
        if missing.is_empty() {
            // Another job has encoded the same renditions since the first attempt began.
            return Ok(NOTHING_USED);
        }
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
        let metered = Metered { task, furthest: &self.furthest };
        let outputs = Outputs { folder, bounds: bounds::of_video(encode) };
        let finished = ffmpeg(bench, "encoding the video", args, &read, outputs, Some(metered)).await?;
        let cpu_ms = finished.cpu_ms();
        let measured = measure_samples(bench, encode, missing, folder).await;
        let user_cpu_ms = finished.user_cpu_ms + measured.inspect_err(|_| bench.sink.lost(cpu_ms))?;
        Ok(Finished { wall: began.elapsed(), user_cpu_ms, ..finished })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the properties that encodes with the same time per frame have in common.
fn alike(encode: &VideoEncode, missing: &[u32]) -> Alike {
    let analyses = encode.renditions().any(|(_, one)| matches!(one.pass, Pass::First | Pass::Sample(_)));
    Alike { analyses, renditions: missing.to_vec() }
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
fn caption_scripts(bench: &Workbench, encode: &VideoEncode) -> Vec<PathBuf> {
    let overlays = encode.renditions().flat_map(|(_, rendition)| &rendition.overlays);
    let indices = overlays.filter_map(|overlay| match overlay {
        Overlay::Captions(index) => Some(*index),
        Overlay::Image(_) | Overlay::Timecode(_) => None,
    });
    indices.max().map_or_else(Vec::new, |last| {
        (0..=last).map(|index| bench.made(&TaskId::captions(index)).join(SCRIPT_FILE)).collect()
    })
}
