//! The segment step: cuts the encoded streams of an output into media segments and writes their playlists. Lists them
//! for publishing, and records what the group's manifests need to know. It never makes a segment that was not
//! planned.

use std::io;
use std::path::Path;

use abanico_ffmpeg::command::StreamFiles;
use abanico_media::{ExactTime, Rational};
use abanico_plan::{SegmentFormat, SegmentedOutput, TaskId};
use serde::{Deserialize, Serialize};

use crate::failure::{self, Failure};
use crate::files::codec_names::video_codec_name;
use crate::files::packaged_files::list;
use crate::machine::workbench::Workbench;

mod fragments;
mod listing;
mod transport_stream;

pub(crate) use listing::{HLS_TYPE, media_playlist};

/// File with the stream's measurements, in the task's folder beside its segments.
const MEASURED: &str = "stream.json";

/// A stream that was cut, in the task's folder.
struct CutStream {
    /// Its segments in order, one file each.
    segments: Vec<CutSegment>,
    /// What comes before the fragments, if the stream is fragmented.
    fragmented: Option<FragmentedHead>,
}

/// One segment.
struct CutSegment {
    size_bytes: u64,
    duration: ExactTime,
    /// Duration in ticks of the stream's clock; 0 in transport streams.
    ticks: u64,
    /// Number of bytes from the start to the end of the first key frame; 0 if it is not needed.
    key_frame_bytes: u64,
}

/// The data that a decoder needs before the fragments.
struct FragmentedHead {
    timescale: u32,
    initialisation: Vec<u8>,
    /// Segment index, for a single file.
    index: Vec<u8>,
}

/// The properties of a stream that a group's manifests contain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MeasuredStream {
    /// RFC 6381 names of the codecs.
    pub codecs: Vec<String>,
    /// Highest bit rate of the segments.
    pub peak_bps: u64,
    /// Bits of all segments, divided by their total duration.
    pub average_bps: u64,
    /// Highest bit rate of a key frame over its segment's duration; 0 without a playlist of key frames.
    pub i_frame_peak_bps: u64,
    /// Measurements of the fragments, if the stream is fragmented.
    pub fragmented: Option<MeasuredFragments>,
}

/// The properties of a stream's fragments that a DASH manifest contains.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MeasuredFragments {
    /// Ticks per second.
    pub timescale: u32,
    /// Duration of each segment in ticks.
    pub segment_ticks: Vec<u64>,
    /// Bytes of the initialisation section.
    pub initialisation_bytes: u64,
    /// Bytes of the index that follows it in a single file; otherwise 0.
    pub index_bytes: u64,
}

/// Cuts the streams of one output. Returns the CPU time of child processes in milliseconds.
pub(crate) async fn segment(
    bench: &Workbench,
    task: &TaskId,
    output: &SegmentedOutput,
) -> Result<u64, Failure> {
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let (video, audio) = bench.stream_files(&output.streams);
    let (cut, cpu_ms) = match &output.format {
        SegmentFormat::TransportStream(numbers) => {
            let files = StreamFiles { video: video.as_deref(), audio: &audio, texts: &[] };
            transport_stream::cut(bench, output, numbers, files, &folder).await?
        }
        SegmentFormat::Fragmented(how) => {
            let source = video.iter().chain(&audio).next();
            let source = source.ok_or_else(|| failure::broken("a fragmented output without a stream"))?;
            (fragments::cut(output, how, source, &folder).await?, 0)
        }
    };
    let describing = |error: io::Error| failure::from_disk("describe the segments", &error);
    let codecs = codecs(output, video.as_deref()).map_err(describing)?;
    note(&folder, &measure(output, &cut, codecs)).map_err(describing)?;
    let files = listing::files(output, &cut, &folder).map_err(describing)?;
    list(&folder, &files).map_err(describing)?;
    bench.complete(task.as_str()).await?;
    Ok(cpu_ms)
}

/// Writes what was measured of a stream, for [`measured`] to read.
pub(crate) fn note(folder: &Path, stream: &MeasuredStream) -> io::Result<()> {
    std::fs::write(folder.join(MEASURED), serde_json::to_vec(stream)?)
}

impl MeasuredStream {
    /// Returns the measurements of a text stream, whose bit rate nothing needs.
    pub fn of_text() -> Self {
        Self { codecs: Vec::new(), peak_bps: 0, average_bps: 0, i_frame_peak_bps: 0, fragmented: None }
    }
}

/// Reads what was measured of an output's stream, once its segmenting task is done.
pub(crate) fn measured(bench: &Workbench, output: u32) -> io::Result<MeasuredStream> {
    let folder = bench.made(&TaskId::segment(output));
    Ok(serde_json::from_slice(&std::fs::read(folder.join(MEASURED))?)?)
}

/// Returns the name of segment `index`, counted from 0, in the task's folder.
fn segment_name(output: &SegmentedOutput, index: usize) -> String {
    format!("segment-{:05}.{}", index + 1, output.names.extension)
}

fn single_file_name(output: &SegmentedOutput) -> String {
    format!("segments.{}", output.names.extension)
}

fn initialisation_name(output: &SegmentedOutput) -> String {
    format!("initialisation.{}", output.names.extension)
}

fn codecs(output: &SegmentedOutput, video: Option<&Path>) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = video.map(video_codec_name).transpose()?.into_iter().collect();
    for sound in &output.streams.audio {
        names.extend(sound.coding.codec.manifest_name().map(str::to_owned));
    }
    names.dedup();
    Ok(names)
}

fn measure(output: &SegmentedOutput, cut: &CutStream, codecs: Vec<String>) -> MeasuredStream {
    let of = |read: fn(&CutSegment) -> u64| -> Vec<u64> { cut.segments.iter().map(read).collect() };
    let (sizes, key_frames) = (of(|segment| segment.size_bytes), of(|segment| segment.key_frame_bytes));
    let durations: Vec<ExactTime> = cut.segments.iter().map(|segment| segment.duration).collect();
    let length = durations.iter().fold(ExactTime::ZERO, |sum, one| sum + *one);
    MeasuredStream {
        codecs,
        peak_bps: peak_bps(&sizes, &durations),
        average_bps: bits_a_second(sizes.iter().sum(), length),
        i_frame_peak_bps: peak_bps(&key_frames, &durations),
        fragmented: cut.fragmented.as_ref().map(|head| MeasuredFragments {
            timescale: head.timescale,
            segment_ticks: of(|segment| segment.ticks),
            initialisation_bytes: head.initialisation.len() as u64,
            index_bytes: if output.single_file { head.index.len() as u64 } else { 0 },
        }),
    }
}

/// Returns the highest bit rate of any run of segments that lasts between half and one and a half times the longest
/// one, as RFC 8216 section 4.1 defines it: a last segment of a few frames means nothing by itself.
fn peak_bps(sizes: &[u64], durations: &[ExactTime]) -> u64 {
    let longest = durations.iter().max().copied().unwrap_or(ExactTime::ZERO).seconds();
    let (least, most) = (longest / Rational::from(2), longest * Rational::new(3, 2));
    let mut peak = 0;
    for start in 0..sizes.len().min(durations.len()) {
        let (mut bytes, mut length) = (0, ExactTime::ZERO);
        for (size, duration) in sizes[start..].iter().zip(&durations[start..]) {
            (bytes, length) = (bytes + size, length + *duration);
            if length.seconds() > most {
                break;
            }
            if length.seconds() >= least {
                peak = peak.max(bits_a_second(bytes, length));
            }
        }
    }
    peak
}

/// Rounds up, because a playlist's bandwidth is an upper bound.
fn bits_a_second(bytes: u64, duration: ExactTime) -> u64 {
    let micros = u128::try_from(duration.micros()).unwrap_or(0).max(1);
    u64::try_from((u128::from(bytes) * 8_000_000).div_ceil(micros)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rate_is_rounded_up() {
        assert_eq!(bits_a_second(1000, ExactTime::from_millis(3000)), 2667);
    }

    #[test]
    fn short_last_segment_alone_is_no_peak() {
        let durations = [2000, 2000, 500].map(ExactTime::from_millis);
        // 1,000 + 800 bytes in 2.5 s are more than 1,000 in 2 s; 800 in 0.5 s do not count.
        assert_eq!(peak_bps(&[500, 1000, 800], &durations), 5760);
        assert_eq!(peak_bps(&[500], &durations[2..]), 8000);
        assert_eq!(peak_bps(&[], &[]), 0);
    }
}
