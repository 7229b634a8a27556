//! The step that encodes chunks of one rendition again: those that do not show what their source shows, with the source
//! read from farther back, and those that would empty the decoder's buffer. Usually there are none. Chunks that need
//! nothing are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use abanico_ffmpeg::command;
use abanico_plan::{Joint, RenditionAgain, TaskId};

use super::buffers::{buffer_of, from_chunks, read_track, run_through};
use super::encode::{Again, encode_again, encode_farther_back};
use super::excerpts::Broken;
use super::joints::{BrokenJoint, Seam};
use super::judge::Verdict;
use crate::failure::{self, Compared, Failure};
use crate::machine::workbench::Workbench;

/// How often a chunk is encoded again before it is accepted anyway: the buffer would then run dry in an encode of the
/// whole input, too.
const TRIES: u32 = 2;
/// How far below the measured fullness the buffer is assumed to be when a chunk is encoded again, in percent; doubled
/// at the second attempt.
const MARGIN_PERCENT: u8 = 5;

/// Returns the name of the file of a chunk that was encoded again, in the folder of the rendition's task.
pub(super) fn again_file(chunk: u32) -> String {
    format!("chunk-{chunk:04}.mp4")
}

/// Encodes chunks of a rendition again, as the verdict says. Returns the CPU time of child processes in milliseconds.
pub(crate) async fn encode_chunks_again(
    bench: &Workbench,
    task: &TaskId,
    again: &RenditionAgain,
) -> Result<u64, Failure> {
    let verdict = Verdict::read(bench)?;
    let farther_back = BTreeMap::new();
    let mut work = Work { bench, task, again, verdict, farther_back, parts: BTreeSet::new(), cpu_ms: 0 };
    let made = match work.verdict.renditions.contains(&again.rendition.index) {
        true => work.all().await?,
        false => BTreeMap::new(),
    };
    let folder = bench.begin(task.as_str())?;
    for (chunk, file) in made {
        std::fs::rename(file, folder.join(again_file(chunk)))
            .map_err(|error| failure::from_disk("keep a chunk that was encoded again", &error))?;
    }
    bench.complete(task.as_str()).await?;
    for part in work.parts.iter().filter_map(|file| file.parent()) {
        bench.folders.remove(&part.file_name().unwrap_or_default().to_string_lossy());
    }
    Ok(work.cpu_ms)
}

/// The work on one rendition.
struct Work<'a> {
    bench: &'a Workbench,
    task: &'a TaskId,
    again: &'a RenditionAgain,
    verdict: Verdict,
    /// Files of the chunks that were encoded with their source read from farther back.
    farther_back: BTreeMap<u32, PathBuf>,
    /// All files that were made on the way.
    parts: BTreeSet<PathBuf>,
    /// CPU time of child processes in milliseconds.
    cpu_ms: u64,
}

impl Work<'_> {
    /// Encodes again what must be. Returns the new files of chunks.
    ///
    /// # Errors
    /// Fails if a chunk that was read from farther back still begins with something else for certain. Small differences,
    /// and what only the end of a chunk shows, are accepted then: an encoder without bits smears there or repeats itself.
    async fn all(&mut self) -> Result<BTreeMap<u32, PathBuf>, Failure> {
        for chunk in self.verdict.farther_back.clone() {
            self.read_farther_back(chunk).await?;
        }
        loop {
            let files = self.keep_buffer().await?;
            let mut is_new = false;
            let broken = self.look_again(&files).await?;
            for BrokenJoint { chunk, broken: Broken { rendition, time, fault, .. } } in &broken {
                if self.verdict.joints.contains_key(chunk) && !self.farther_back.contains_key(chunk) {
                    tracing::warn!(
                        job.id = %self.bench.name, number = chunk, rendition, time = %time, fault = %fault,
                        "a chunk does not show what its source shows: encoding it again, with the source read from farther back"
                    );
                    self.read_farther_back(*chunk).await?;
                    is_new = true;
                }
            }
            let certain = broken.iter().map(|joint| joint.broken);
            let certain = certain.filter(|broken| !broken.is_before && broken.fault.is_certain());
            match { certain }.next() {
                _ if is_new => {}
                Some(Broken { time, fault, .. }) => {
                    let (subject, fault) = (&self.bench.subject, fault.to_string());
                    return Err(failure::from_comparison(subject, Compared::Joint, time, &fault));
                }
                None => return Ok(files),
            }
        }
    }

    fn joint(&self, chunk: u32) -> Result<Joint, Failure> {
        let joint = self.verdict.joints.get(&chunk).copied();
        joint.ok_or_else(|| failure::broken("a chunk has no joint"))
    }

    /// Returns the file of a chunk as it was encoded first.
    fn original(&self, chunk: u32) -> PathBuf {
        self.bench.made(&TaskId::chunk(chunk)).join(command::video_file_name(self.again.rendition.index))
    }

    /// Encodes a chunk again with its source read from farther back: decoding may not start where the source says it may.
    async fn read_farther_back(&mut self, chunk: u32) -> Result<(), Failure> {
        let (joint, rendition) = (self.joint(chunk)?, self.again.rendition.index);
        let (file, took_ms) = encode_farther_back(self.bench, self.task, chunk, rendition, joint).await?;
        self.parts.insert(file.clone());
        self.farther_back.insert(chunk, file);
        self.cpu_ms += took_ms;
        Ok(())
    }

    /// Runs the whole rendition through a model of the decoder's buffer. A chunk that empties the buffer is encoded
    /// again, for the buffer's fullness at its start. Returns the new files of chunks.
    async fn keep_buffer(&mut self) -> Result<BTreeMap<u32, PathBuf>, Failure> {
        let mut files = self.farther_back.clone();
        let rendition = self.again.rendition;
        if !rendition.keeps_buffer {
            return Ok(files);
        }
        let mut buffer = buffer_of(&rendition);
        for chunk in 0..self.again.chunks {
            let mut tries = 0;
            buffer = loop {
                let file = files.get(&chunk).cloned().unwrap_or_else(|| self.original(chunk));
                let read = tokio::task::spawn_blocking(move || read_track(&file));
                let track = read.await.map_err(|_| failure::broken("reading a chunk ended early"))?;
                let (after, lowest_bits) = run_through(buffer, &track.map_err(from_chunks)?);
                if lowest_bits >= 0 || tries == TRIES || chunk == 0 {
                    break after;
                }
                tries += 1;
                let margin = MARGIN_PERCENT * u8::try_from(tries).unwrap_or(1);
                let fill_percent = buffer.fill_percent().saturating_sub(margin);
                tracing::info!(
                    number = chunk,
                    rendition = rendition.index,
                    lowest_bits,
                    fill_percent,
                    "a chunk empties the buffer: encoding it again"
                );
                let farther_back =
                    if self.farther_back.contains_key(&chunk) { Some(self.joint(chunk)?) } else { None };
                let again = Again {
                    task: self.task,
                    chunk,
                    rendition: rendition.index,
                    attempt: tries,
                    fill_percent,
                    farther_back,
                };
                let (made, took_ms) = encode_again(self.bench, again).await?;
                self.parts.insert(made.clone());
                files.insert(chunk, made);
                self.cpu_ms += took_ms;
            };
        }
        Ok(files)
    }

    /// Compares the joints of new files with the source. Returns the broken ones.
    async fn look_again(&mut self, files: &BTreeMap<u32, PathBuf>) -> Result<Vec<BrokenJoint>, Failure> {
        let file = |chunk: u32| files.get(&chunk).cloned().unwrap_or_else(|| self.original(chunk));
        // A chunk has a joint at its start and one at its end.
        let joints: BTreeSet<u32> = files.keys().flat_map(|chunk| [*chunk, chunk + 1]).collect();
        let mut broken = Vec::new();
        let mut cpu_ms = 0;
        for chunk in joints.into_iter().filter(|chunk| (1..self.again.chunks).contains(chunk)) {
            let seam = Seam::of(self.bench, chunk, self.joint(chunk)?)?;
            let made = [seam.made(self.again.rendition.index, file(chunk - 1), file(chunk))];
            let name = format!("{}-joint-{chunk:04}", self.task);
            let (found, took_ms) = seam.look(self.bench, &name, &made).await?;
            broken.extend(found);
            cpu_ms += took_ms;
        }
        self.cpu_ms += cpu_ms;
        Ok(broken)
    }
}
