//! The step segment: in the encoded streams of an output, out its media segments and their playlists, listed for
//! publishing, and what was measured of the stream for the group's playlist. Never a segment that was not planned.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::{Finished, command};
use abanico_media::{ExactTime, Rational};
use abanico_package::{
    ByteRange, DurationFormat, MediaPlaylist, MediaSegment, ProgramDateTime, key_frame_bytes,
};
use abanico_plan::{HlsOutput, PlaylistStyle, TaskId};
use serde::{Deserialize, Serialize};

use super::JobContext;
use super::encode::{begin, complete, ffmpeg, light, stream_files};
use super::packaged_files::{PackagedFile, Turn, list};
use crate::codec_names::video_codec_name;
use crate::failure;
use crate::job_machine::Failure;

/// MIME type of a playlist (RFC 8216 section 4) and of a transport stream (RFC 3555).
pub(super) const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const SEGMENT_TYPE: &str = "video/mp2t";

/// Names of a segmenting task's own files.
const SINGLE_FILE: &str = "segments.ts";
const PLAYLIST: &str = "media.m3u8";
const I_FRAME_PLAYLIST: &str = "i-frames.m3u8";
const MEASURED: &str = "stream.json";

/// What the group's playlist tells of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct MeasuredStream {
    /// RFC 6381 names.
    pub codecs: Vec<String>,
    /// Greatest bit rate of a segment.
    pub peak_bps: u64,
    /// Bits of all segments by the length of all.
    pub average_bps: u64,
    /// Greatest bit rate of a key frame over its segment; zero without a playlist of key frames.
    pub i_frame_peak_bps: u64,
}

/// Cuts the streams of one output.
pub(crate) async fn segment(
    context: &JobContext,
    task: &TaskId,
    output: &HlsOutput,
) -> Result<Finished, Failure> {
    let _permit = light(context).await?;
    let folder = begin(context, task)?;
    let (video, audio) = stream_files(context, &output.streams);
    let args = command::segment(output, video.as_deref(), &audio, &folder);
    let inputs: Vec<PathBuf> = video.iter().cloned().chain(audio).collect();
    let finished = ffmpeg(context, "cutting segments", args, &inputs, &folder, None).await?;
    check_count(output, &folder)?;
    let describing = |error: io::Error| failure::from_disk("describe the segments", &error);
    let codecs = codecs(output, video.as_deref()).map_err(describing)?;
    describe(output, codecs, &folder).map_err(describing)?;
    complete(context, task)?;
    Ok(finished)
}

/// What was measured of the stream of an output whose segmenting is done.
pub(super) fn measured(context: &JobContext, output: u32) -> io::Result<MeasuredStream> {
    let folder = context.work.task(&TaskId::new(format!("segment-{output}")));
    Ok(serde_json::from_slice(&std::fs::read(folder.join(MEASURED))?)?)
}

/// Writes all segments of a finished task one after the other into `destination`: one whole transport stream.
pub(super) fn join_segments(output: &HlsOutput, folder: &Path, destination: &Path) -> io::Result<()> {
    let mut whole = File::create(destination)?;
    let single = folder.join(SINGLE_FILE);
    if single.exists() {
        return io::copy(&mut File::open(single)?, &mut whole).map(drop);
    }
    for index in 0..output.segmentation.count() {
        io::copy(&mut File::open(folder.join(command::segment_file_name(index)))?, &mut whole)?;
    }
    Ok(())
}

fn check_count(output: &HlsOutput, folder: &Path) -> Result<(), Failure> {
    let planned = output.segmentation.count();
    let is_there = |index| folder.join(command::segment_file_name(index)).exists();
    if is_there(planned - 1) && !is_there(planned) {
        return Ok(());
    }
    Err(failure::broken(&format!(
        "ffmpeg did not cut {planned} segments: a key frame is not where one was forced"
    )))
}

fn codecs(output: &HlsOutput, video: Option<&Path>) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = video.map(video_codec_name).transpose()?.into_iter().collect();
    for sound in &output.streams.audio {
        names.extend(sound.coding.codec.manifest_name().map(str::to_owned));
    }
    names.dedup();
    Ok(names)
}

/// Writes playlists, measurements and the list of files.
fn describe(output: &HlsOutput, codecs: Vec<String>, folder: &Path) -> io::Result<()> {
    let sizes = sizes(output, folder)?;
    let durations = output.segmentation.durations();
    let key_frames = if output.i_frames { key_frames(output, folder)? } else { Vec::new() };
    let measured = MeasuredStream {
        codecs,
        peak_bps: peak_bps(&sizes, &durations),
        average_bps: bits_a_second(
            sizes.iter().sum(),
            durations.iter().fold(ExactTime::ZERO, |sum, one| sum + *one),
        ),
        i_frame_peak_bps: peak_bps(&key_frames, &durations),
    };
    std::fs::write(folder.join(MEASURED), serde_json::to_vec(&measured)?)?;
    let mut files = media_files(output, folder, &sizes)?;
    if output.style.written {
        let segments = segments(output, &sizes, &durations, None);
        files.push(playlist(output, folder, (PLAYLIST, &output.names.playlist), segments, false)?);
        if output.i_frames {
            let segments = self::segments(output, &sizes, &durations, Some(&key_frames));
            let names = (I_FRAME_PLAYLIST, output.names.i_frame_playlist());
            files.push(playlist(output, folder, (names.0, &names.1), segments, true)?);
        }
    }
    list(folder, &files)
}

fn sizes(output: &HlsOutput, folder: &Path) -> io::Result<Vec<u64>> {
    let size = |index| Ok(std::fs::metadata(folder.join(command::segment_file_name(index)))?.len());
    (0..output.segmentation.count()).map(size).collect()
}

/// Bytes of the key frame at the start of every segment.
fn key_frames(output: &HlsOutput, folder: &Path) -> io::Result<Vec<u64>> {
    let length = |index| {
        let file = File::open(folder.join(command::segment_file_name(index)))?;
        key_frame_bytes(io::BufReader::new(file), output.transport.video_pid)
    };
    (0..output.segmentation.count()).map(length).collect()
}

/// The media files; segments become one file where the job wants that.
fn media_files(output: &HlsOutput, folder: &Path, sizes: &[u64]) -> io::Result<Vec<PackagedFile>> {
    let file = |name: String, path: &str| PackagedFile {
        name,
        url: output.names.url(path),
        content_type: SEGMENT_TYPE.to_owned(),
        turn: Turn::Media,
    };
    if !output.single_file {
        let paths =
            (0..sizes.len()).map(|index| (command::segment_file_name(index), output.names.segment(index)));
        return Ok(paths.map(|(name, path)| file(name, &path)).collect());
    }
    let whole = folder.join(format!("{SINGLE_FILE}.partial"));
    join_segments(output, folder, &whole)?;
    std::fs::rename(whole, folder.join(SINGLE_FILE))?;
    for index in 0..sizes.len() {
        std::fs::remove_file(folder.join(command::segment_file_name(index)))?;
    }
    Ok(vec![file(SINGLE_FILE.to_owned(), &output.names.single_file())])
}

/// The segments as a playlist names them; with `key_frames` only the bytes of each one's key frame.
fn segments(
    output: &HlsOutput,
    sizes: &[u64],
    durations: &[ExactTime],
    key_frames: Option<&[u64]>,
) -> Vec<MediaSegment> {
    let mut offset = 0;
    let mut made = Vec::with_capacity(sizes.len());
    for (index, (size, duration)) in sizes.iter().zip(durations).enumerate() {
        let length_bytes = key_frames.and_then(|lengths| lengths.get(index)).copied().unwrap_or(*size);
        let offset_bytes = if output.single_file { offset } else { 0 };
        let in_part = output.single_file || key_frames.is_some();
        made.push(MediaSegment {
            path: if output.single_file { output.names.single_file() } else { output.names.segment(index) },
            byte_range: in_part.then_some(ByteRange { offset_bytes, length_bytes }),
            duration: *duration,
        });
        offset += size;
    }
    made
}

fn playlist(
    output: &HlsOutput,
    folder: &Path,
    (name, path): (&str, &str),
    segments: Vec<MediaSegment>,
    i_frames_only: bool,
) -> io::Result<PackagedFile> {
    let style: &PlaylistStyle = &output.style;
    let playlist = MediaPlaylist {
        duration_format: if style.whole_seconds {
            DurationFormat::Integer
        } else {
            DurationFormat::FloatingPoint
        },
        target_duration_rounds: style.target_rounds,
        base_url: style.base_url.clone(),
        client_cache: style.client_cache,
        program_date_time: style.date_period.map(|period| ProgramDateTime { start_epoch_ms: 0, period }),
        i_frames_only,
        ..MediaPlaylist::new(segments)
    };
    std::fs::write(folder.join(name), playlist.render())?;
    Ok(PackagedFile {
        name: name.to_owned(),
        url: output.names.url(path),
        content_type: PLAYLIST_TYPE.to_owned(),
        turn: Turn::Playlist,
    })
}

/// The greatest bit rate of any run of segments that lasts between half and one and a half of the longest one, as RFC
/// 8216 section 4.1 defines it: a last segment of some frames says nothing by itself.
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

/// Rounded up: a playlist's bandwidth is an upper bound.
fn bits_a_second(bytes: u64, duration: ExactTime) -> u64 {
    let micros = u128::try_from(duration.micros()).unwrap_or(0).max(1);
    u64::try_from((u128::from(bytes) * 8_000_000).div_ceil(micros)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_bit_rate_an_upper_bound() {
        assert_eq!(bits_a_second(1000, ExactTime::from_millis(3000)), 2667);
    }

    #[test]
    fn does_a_short_last_segment_not_make_the_peak_alone() {
        let durations = [2000, 2000, 500].map(ExactTime::from_millis);
        // 1,000 + 800 bytes in 2.5 s are more than 1,000 in 2 s; 800 in 0.5 s do not count.
        assert_eq!(peak_bps(&[500, 1000, 800], &durations), 5760);
        assert_eq!(peak_bps(&[500], &durations[2..]), 8000);
        assert_eq!(peak_bps(&[], &[]), 0);
    }
}
