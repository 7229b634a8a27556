//! Lists the files of a cut stream that are published, and writes its playlists. Every file that a playlist names is
//! published before it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use abanico_package::{ByteRange, DurationFormat, MediaPlaylist, MediaSegment, ProgramDateTime};
use abanico_plan::{PlaylistStyle, SegmentedOutput};

use super::{CutStream, initialisation_name, segment_name, single_file_name};
use crate::files::packaged_files::{PackagedFile, Turn, write_manifest};

/// MIME type of a playlist (RFC 8216 section 4).
pub(crate) const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
/// Names of playlists in the task's folder.
const PLAYLIST: &str = "media.m3u8";
const I_FRAME_PLAYLIST: &str = "i-frames.m3u8";

/// Returns all files of the stream that the user gets. Writes the playlists, and joins the segments of a single-file
/// output.
pub(super) fn files(
    output: &SegmentedOutput,
    cut: &CutStream,
    folder: &Path,
) -> io::Result<Vec<PackagedFile>> {
    let mut files = media_files(output, cut, folder)?;
    let Some(style) = &output.playlist else { return Ok(files) };
    let whole = playlist(output, cut, style, false);
    files.push(listed_playlist(output, style, folder, PLAYLIST, &output.names.playlist, &whole)?);
    if output.i_frames {
        let key_frames = playlist(output, cut, style, true);
        let path = output.names.i_frame_playlist();
        files.push(listed_playlist(output, style, folder, I_FRAME_PLAYLIST, &path, &key_frames)?);
    }
    Ok(files)
}

/// Returns the media files. Joins the segments into one file if the job wants that.
fn media_files(output: &SegmentedOutput, cut: &CutStream, folder: &Path) -> io::Result<Vec<PackagedFile>> {
    let file = |name: String, path: &str| PackagedFile {
        name,
        url: output.names.url(path),
        content_type: output.media_type().to_owned(),
        is_gzip: false,
        turn: Turn::Media,
    };
    if output.single_file {
        join(output, cut, folder)?;
        return Ok(vec![file(single_file_name(output), &output.names.single_file())]);
    }
    let mut files = Vec::with_capacity(cut.segments.len() + 1);
    if cut.fragmented.is_some() {
        files.push(file(initialisation_name(output), &output.names.initialisation()));
    }
    let segments = 0..cut.segments.len();
    files.extend(segments.map(|index| file(segment_name(output, index), &output.names.segment(index))));
    Ok(files)
}

/// Joins all segments into one file, after what a decoder needs first.
fn join(output: &SegmentedOutput, cut: &CutStream, folder: &Path) -> io::Result<()> {
    let partial = folder.join(format!("{}.partial", single_file_name(output)));
    let mut whole = File::create(&partial)?;
    if let Some(head) = &cut.fragmented {
        whole.write_all(&head.initialisation)?;
        whole.write_all(&head.index)?;
        std::fs::remove_file(folder.join(initialisation_name(output)))?;
    }
    for index in 0..cut.segments.len() {
        let segment = folder.join(segment_name(output, index));
        io::copy(&mut File::open(&segment)?, &mut whole)?;
        std::fs::remove_file(segment)?;
    }
    drop(whole);
    std::fs::rename(partial, folder.join(single_file_name(output)))
}

/// Returns the playlist of the segments; with `i_frames_only`, only the bytes of each segment's key frame.
fn playlist(
    output: &SegmentedOutput,
    cut: &CutStream,
    style: &PlaylistStyle,
    i_frames_only: bool,
) -> MediaPlaylist {
    let head_bytes =
        |head: &super::FragmentedHead| (head.initialisation.len() as u64, head.index.len() as u64);
    let (initialisation, index) = cut.fragmented.as_ref().map_or((0, 0), head_bytes);
    let mut offset = initialisation + index;
    let mut segments = Vec::with_capacity(cut.segments.len());
    for (number, segment) in cut.segments.iter().enumerate() {
        let length_bytes = if i_frames_only { segment.key_frame_bytes } else { segment.size_bytes };
        let offset_bytes = if output.single_file { offset } else { 0 };
        let in_part = output.single_file || i_frames_only;
        segments.push(MediaSegment {
            path: if output.single_file { output.names.single_file() } else { output.names.segment(number) },
            byte_range: in_part.then_some(ByteRange { offset_bytes, length_bytes }),
            duration: segment.duration,
        });
        offset += segment.size_bytes;
    }
    let whole_file = || (output.names.initialisation(), None);
    let part =
        || (output.names.single_file(), Some(ByteRange { offset_bytes: 0, length_bytes: initialisation }));
    MediaPlaylist {
        initialisation: cut
            .fragmented
            .as_ref()
            .map(|_| if output.single_file { part() } else { whole_file() }),
        i_frames_only,
        ..media_playlist(style, segments)
    }
}

/// Returns a playlist in a group's style.
pub(crate) fn media_playlist(style: &PlaylistStyle, segments: Vec<MediaSegment>) -> MediaPlaylist {
    MediaPlaylist {
        duration_format: if style.whole_seconds {
            DurationFormat::Integer
        } else {
            DurationFormat::FloatingPoint
        },
        target_duration_rounds: style.target_rounds,
        base_url: style.base_url.clone(),
        client_cache: style.client_cache,
        program_date_time: style.date_period.map(|period| ProgramDateTime { start_epoch_ms: 0, period }),
        ..MediaPlaylist::new(segments)
    }
}

fn listed_playlist(
    output: &SegmentedOutput,
    style: &PlaylistStyle,
    folder: &Path,
    name: &str,
    path: &str,
    playlist: &MediaPlaylist,
) -> io::Result<PackagedFile> {
    let file = PackagedFile {
        name: name.to_owned(),
        url: output.names.url(path),
        content_type: HLS_TYPE.to_owned(),
        is_gzip: style.is_compressed,
        turn: Turn::Playlist,
    };
    write_manifest(folder, &file, &playlist.render())?;
    Ok(file)
}
