//! The stitch step: joins the encoded chunks of each rendition into one file. Copies bytes without changing them,
//! refuses a chunk that does not fit, and encodes a chunk again if it would empty the decoder's buffer, or if it does not
//! show what the source shows where it meets the chunk before it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use abanico_ffmpeg::{Buffer, BufferModel, command};
use abanico_media::{ExactTime, Rational};
use abanico_package::{Mp4Track, StitchedTrack, stitch};
use abanico_plan::{Joint, StitchedRendition, TaskId, VideoStitch};

use super::encode::{Again, encode_again, encode_farther_back};
use super::excerpts::Broken;
use super::joints::{BrokenJoint, broken_joints};
use crate::codec_names::moov;
use crate::failure::{self, Compared, Failure};
use crate::workbench::Workbench;

/// How often a chunk is encoded again before it is accepted anyway: the buffer would then run dry in an encode of the
/// whole input, too.
const TRIES: u32 = 2;
/// How far below the measured fullness the buffer is assumed to be when a chunk is encoded again, in percent; doubled
/// at the second attempt.
const MARGIN_PERCENT: u8 = 5;
const COPY_BYTES: usize = 1 << 20;

/// Joins the chunks. Returns the CPU time of child processes in milliseconds.
pub(crate) async fn stitch_chunks(
    bench: &Workbench,
    task: &TaskId,
    video: &VideoStitch,
) -> Result<u64, Failure> {
    let is_there = |number| {
        let files = video.renditions.iter().map(|one| command::video_file_name(one.index));
        files.map(|name| bench.made(&TaskId::chunk(number)).join(name)).all(|file| file.exists())
    };
    // Chunks are deleted once they are joined; the program may have ended before it recorded that.
    if bench.made(task).exists() && !(0..video.chunks).all(is_there) {
        return Ok(0);
    }
    let (mut cpu_ms, mut sources) = (0, Sources::default());
    loop {
        let (folder, joining_ms) = join_all(bench, task, video, &sources).await?;
        let (broken, comparing_ms) = broken_joints(bench, video, &folder).await?;
        cpu_ms += joining_ms + comparing_ms;
        match read_farther_back(bench, task, &broken, &mut sources).await? {
            Some(again_ms) => cpu_ms += again_ms,
            None => break,
        }
    }
    bench.complete(task.as_str()).await?;
    // The chunks take as much space as the joined files.
    let chunks = (0..video.chunks).map(|number| TaskId::chunk(number).to_string());
    for name in chunks.chain(sources.0.into_values().map(|(name, _)| name)) {
        if let Err(error) = bench.folders.empty(&name) {
            tracing::warn!(task = name, %error, "cannot remove a chunk that was joined");
        }
    }
    Ok(cpu_ms)
}

/// The chunks that were encoded again with their source read from farther back: by number, the name of the folder with
/// their files, and from where the source was read.
#[derive(Default)]
struct Sources(BTreeMap<u32, (String, Joint)>);

impl Sources {
    /// Returns the name of the folder with the files of a chunk.
    fn folder(&self, chunk: u32) -> String {
        self.0.get(&chunk).map_or_else(|| TaskId::chunk(chunk).to_string(), |(name, _)| name.clone())
    }

    /// Returns from where the source of a chunk is read, if that is not where its plan says.
    fn joint(&self, chunk: u32) -> Option<Joint> {
        self.0.get(&chunk).map(|(_, joint)| *joint)
    }
}

/// Joins the chunks of all renditions into files of the unfinished task. Returns their folder, and the CPU time of
/// child processes in milliseconds.
async fn join_all(
    bench: &Workbench,
    task: &TaskId,
    video: &VideoStitch,
    sources: &Sources,
) -> Result<(PathBuf, u64), Failure> {
    let mut cpu_ms = 0;
    let mut joined = Vec::with_capacity(video.renditions.len());
    for rendition in &video.renditions {
        let name = command::video_file_name(rendition.index);
        let chunks = (0..video.chunks).map(|number| bench.folders.task(&sources.folder(number)).join(&name));
        let mut files: Vec<PathBuf> = chunks.collect();
        if rendition.keeps_buffer {
            cpu_ms += keep_buffer(bench, (task, rendition), &mut files, sources).await?;
        }
        joined.push((rendition.clone(), files));
    }
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let into = folder.clone();
    let written = tokio::task::spawn_blocking(move || {
        joined.iter().try_for_each(|(rendition, files)| {
            join(files, &rendition.frames, &into.join(command::video_file_name(rendition.index)))
        })
    });
    let written = written.await.map_err(|_| failure::broken("stitching ended early"))?;
    written.map_err(from_stitching)?;
    Ok((folder, cpu_ms))
}

/// Encodes the chunks at broken joints again, with the source read from farther back: decoding may not start where the
/// source says it may. Returns the CPU time of child processes in milliseconds; `None` if all was done that can be.
///
/// # Errors
/// Fails if a chunk that was encoded again still begins with something else for certain. Small differences, and what
/// only the end of a chunk shows, are accepted then: an encoder without bits smears there or repeats itself.
async fn read_farther_back(
    bench: &Workbench,
    task: &TaskId,
    broken: &[BrokenJoint],
    sources: &mut Sources,
) -> Result<Option<u64>, Failure> {
    let mut cpu_ms = 0;
    let mut is_new = false;
    for BrokenJoint { chunk, broken: Broken { rendition, time, fault, .. }, again } in broken {
        let Some(joint) = again.filter(|_| !sources.0.contains_key(chunk)) else { continue };
        tracing::warn!(
            job.id = %bench.name, number = chunk, rendition, time = %time, fault = %fault,
            "a chunk does not show what its source shows: encoding it again, with the source read from farther back"
        );
        let (name, took_ms) = encode_farther_back(bench, task, *chunk, joint).await?;
        sources.0.insert(*chunk, (name, joint));
        cpu_ms += took_ms;
        is_new = true;
    }
    let is_fatal = |joint: &&BrokenJoint| !joint.broken.is_before && joint.broken.fault.is_certain();
    match broken.iter().find(is_fatal) {
        Some(BrokenJoint { chunk, broken: Broken { time, fault, .. }, .. }) if !is_new => {
            let place = if *chunk == 0 { Compared::Start } else { Compared::Joint };
            Err(failure::from_comparison(&bench.subject, place, *time, &fault.to_string()))
        }
        _ => Ok(is_new.then_some(cpu_ms)),
    }
}

fn from_stitching(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => failure::broken(&error.to_string()),
        _ => failure::from_disk("stitch the chunks", &error),
    }
}

/// Runs the whole rendition through a model of the decoder's buffer. A chunk that empties the buffer is encoded
/// again, for the buffer's fullness at its start; the new file replaces the old one in `files`. Returns the CPU time
/// of child processes in milliseconds.
async fn keep_buffer(
    bench: &Workbench,
    (task, rendition): (&TaskId, &StitchedRendition),
    files: &mut [PathBuf],
    sources: &Sources,
) -> Result<u64, Failure> {
    let mut cpu_ms = 0;
    let mut buffer = Buffer::new(BufferModel {
        rate_bps: rendition.ceiling_bps,
        size_bits: rendition.buffer_bits,
        fill_percent: rendition.buffer_fill_percent,
    });
    for (number, file) in files.iter_mut().enumerate() {
        let mut tries = 0;
        buffer = loop {
            let track = read_track(file).map_err(from_stitching)?;
            let (after, lowest_bits) = run_through(buffer, &track);
            if lowest_bits >= 0 || tries == TRIES || number == 0 {
                break after;
            }
            tries += 1;
            let fill_percent =
                buffer.fill_percent().saturating_sub(MARGIN_PERCENT * u8::try_from(tries).unwrap_or(1));
            tracing::info!(
                number,
                rendition = rendition.index,
                lowest_bits,
                fill_percent,
                "a chunk empties the buffer: encoding it again"
            );
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let farther_back = sources.joint(number);
            let again = Again {
                task,
                chunk: number,
                rendition: rendition.index,
                attempt: tries,
                fill_percent,
                farther_back,
            };
            let (made, took_ms) = encode_again(bench, again).await?;
            *file = made;
            cpu_ms += took_ms;
        };
    }
    Ok(cpu_ms)
}

/// Returns the buffer after a chunk, and the lowest level that it reached.
fn run_through(mut buffer: Buffer, track: &Mp4Track) -> (Buffer, i64) {
    let tick = Rational::new(1, i64::from(track.timescale));
    let mut lowest = i64::MAX;
    for sample in &track.samples {
        lowest = lowest.min(buffer.take(u64::from(sample.size_bytes) * 8));
        buffer.wait(ExactTime::from_ticks(i64::from(sample.duration), tick));
    }
    (buffer, lowest)
}

fn read_track(file: &Path) -> io::Result<Mp4Track> {
    let moov = moov(file)?.ok_or_else(|| invalid("an encoded chunk has no moov box"))?;
    Mp4Track::read(&moov, std::fs::metadata(file)?.len()).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Joins the chunks of one rendition into `destination`.
fn join(files: &[PathBuf], frames: &[u64], destination: &Path) -> io::Result<()> {
    let tracks: Vec<Mp4Track> = files.iter().map(|file| read_track(file)).collect::<io::Result<_>>()?;
    let StitchedTrack { head, media } = stitch(&tracks, frames).map_err(invalid)?;
    let mut made = BufWriter::with_capacity(COPY_BYTES, File::create(destination)?);
    made.write_all(&head)?;
    for (file, ranges) in files.iter().zip(media) {
        let mut source = BufReader::with_capacity(COPY_BYTES, File::open(file)?);
        for range in ranges {
            source.seek(SeekFrom::Start(range.start))?;
            let wanted = range.end - range.start;
            let copied = io::copy(&mut source.by_ref().take(wanted), &mut made)?;
            if copied != wanted {
                return Err(invalid("an encoded chunk is cut off"));
            }
        }
    }
    made.flush()
}
