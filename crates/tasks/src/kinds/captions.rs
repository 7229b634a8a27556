//! The captions step: turns fetched caption files into captions on the output's clock, in the form that the task
//! wants, and lists those that go to the user for publishing. It drops cues outside the clips.

use std::io;
use std::path::Path;

use abanico_captions::{
    CaptionFormat, CaptionTrack, Clip, clip, decode, join, merge_simultaneous, parse_srt, parse_webvtt,
    shift, write_ass, write_srt, write_webvtt, write_webvtt_segments,
};
use abanico_media::{ExactTime, Rational};
use abanico_package::MediaSegment;
use abanico_plan::{
    Artifact, CaptionDelivery, CaptionFile, CaptionForm, CaptionTask, PlaylistStyle, SegmentNames, TaskId,
};

use crate::failure::{self, Failure};
use crate::files::packaged_files::{PackagedFile, Turn, list, write_manifest};
use crate::kinds::segment::{HLS_TYPE, MeasuredStream, media_playlist, note};
use crate::machine::workbench::Workbench;
use crate::run::MeasuredOutput;

/// Names of the files that a task makes.
pub(crate) const SCRIPT_FILE: &str = "captions.ass";
pub(crate) const SRT_FILE: &str = "captions.srt";
const WEBVTT_FILE: &str = "captions.vtt";
const PLAYLIST: &str = "media.m3u8";

/// Largest caption file to read; hours of speech take a few hundred kilobytes, and the limits on what can be shown allow
/// for four million characters.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// MIME type of WebVTT.
const WEBVTT_TYPE: &str = "text/vtt";
/// Ticks per second of the clock of transport streams.
const PTS_TICKS: i64 = 90_000;

/// Reads a fetched caption file.
///
/// # Errors
/// Fails if it is too large or not in its format.
pub fn read(path: &Path, file: &CaptionFile) -> Result<CaptionTrack, Failure> {
    let disk = |error: io::Error| failure::from_disk("read a caption file", &error);
    let size = std::fs::metadata(path).map_err(disk)?.len();
    if size > MOST_BYTES {
        let why = format!("it has {size} bytes, more than the limit of {MOST_BYTES}");
        return Err(failure::from_captions(&file.url, &why));
    }
    let text = decode(&std::fs::read(path).map_err(disk)?);
    if text.encoding.is_guess() {
        tracing::warn!(
            url = abanico_store::without_secrets(&file.url),
            encoding = text.encoding.name(),
            "a caption file is not UTF-8: save it as UTF-8 if letters look wrong"
        );
    }
    let parsed = match file.format {
        CaptionFormat::SubRip => parse_srt(&text.text),
        CaptionFormat::WebVtt => parse_webvtt(&text.text),
    };
    parsed.map_err(|error| failure::from_captions(&file.url, &error.to_string()))
}

/// Makes the captions of one task. Returns the output that the user gets, if any.
pub(crate) async fn make_captions(
    bench: &Workbench,
    task: &TaskId,
    captions: &CaptionTask,
) -> Result<Option<MeasuredOutput>, Failure> {
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let track = on_the_outputs_clock(bench, captions)?;
    let made = write(&folder, captions, &track);
    let made = made.map_err(|error| failure::from_disk("write the captions", &error))?;
    bench.complete(task.as_str()).await?;
    Ok(made)
}

/// Returns the captions of all clips, one clip after the other.
fn on_the_outputs_clock(bench: &Workbench, captions: &CaptionTask) -> Result<CaptionTrack, Failure> {
    let (mut at, mut tracks) = (ExactTime::ZERO, Vec::new());
    for part in &captions.parts {
        if let Some((index, file)) = part.file.and_then(|index| Some((index, captions.files.get(&index)?))) {
            let track = read(&bench.file(&Artifact::CaptionFile(index))?, file)?;
            let shown = clip(&shift(&track, part.delta), &[Clip { start: part.start, length: part.length }]);
            tracks.push((shown, at));
        }
        at = at + part.length;
    }
    let track = join(tracks);
    Ok(if captions.merges { merge_simultaneous(&track) } else { track })
}

fn write(folder: &Path, captions: &CaptionTask, track: &CaptionTrack) -> io::Result<Option<MeasuredOutput>> {
    let (name, text) = match &captions.form {
        CaptionForm::Script(style, picture) => (SCRIPT_FILE, write_ass(track, style, *picture)),
        CaptionForm::Srt(passthrough) => (SRT_FILE, write_srt(track, *passthrough)),
        CaptionForm::WebVtt(passthrough) => (WEBVTT_FILE, write_webvtt(track, *passthrough)),
        CaptionForm::Segments { passthrough, starts, first_pts } => {
            let ticks = (first_pts.seconds() * Rational::from(PTS_TICKS)).round();
            let offset = Some(u64::try_from(ticks).unwrap_or(0));
            let texts = write_webvtt_segments(track, starts, captions.length(), offset, *passthrough);
            return write_stream(folder, captions, starts, &texts).map(Some);
        }
    };
    std::fs::write(folder.join(name), &text)?;
    let Some(CaptionDelivery::File { output, url, content_type }) = &captions.delivery else {
        return Ok(None);
    };
    let file = PackagedFile {
        name: name.to_owned(),
        url: url.clone(),
        content_type: content_type.clone(),
        is_gzip: false,
        turn: Turn::Media,
    };
    list(folder, &[file])?;
    Ok(Some(measured(*output, url.clone(), text.len(), captions)))
}

fn measured(output: u32, url: String, size_bytes: usize, captions: &CaptionTask) -> MeasuredOutput {
    MeasuredOutput {
        output,
        url,
        size_bytes: size_bytes as u64,
        duration_ms: captions.length().millis(),
        video_bit_rate_bps: 0,
        width: 0,
        height: 0,
    }
}

/// Writes segments and the playlist that lists them.
fn write_stream(
    folder: &Path,
    captions: &CaptionTask,
    starts: &[ExactTime],
    texts: &[String],
) -> io::Result<MeasuredOutput> {
    let Some(CaptionDelivery::Stream { output, names, playlist }) = &captions.delivery else {
        return Err(io::Error::other("caption segments without a destination"));
    };
    let mut files = Vec::with_capacity(texts.len() + 1);
    for (index, text) in texts.iter().enumerate() {
        let name = format!("segment-{:05}.vtt", index + 1);
        std::fs::write(folder.join(&name), text)?;
        files.push(PackagedFile {
            name,
            url: names.url(&names.segment(index)),
            content_type: WEBVTT_TYPE.to_owned(),
            is_gzip: false,
            turn: Turn::Media,
        });
    }
    if let Some(style) = playlist {
        files.push(write_playlist(folder, names, style, durations(starts, captions.length()))?);
    }
    list(folder, &files)?;
    let size: usize = texts.iter().map(String::len).sum();
    note(folder, &MeasuredStream::of_text())?;
    Ok(measured(*output, names.url(&names.playlist), size, captions))
}

fn durations(starts: &[ExactTime], end: ExactTime) -> Vec<ExactTime> {
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().zip(ends).map(|(start, end)| end - *start).collect()
}

fn write_playlist(
    folder: &Path,
    names: &SegmentNames,
    style: &PlaylistStyle,
    durations: Vec<ExactTime>,
) -> io::Result<PackagedFile> {
    let segment = |(index, duration)| MediaSegment { path: names.segment(index), byte_range: None, duration };
    let segments = durations.into_iter().enumerate().map(segment).collect();
    let file = PackagedFile {
        name: PLAYLIST.to_owned(),
        url: names.url(&names.playlist),
        content_type: HLS_TYPE.to_owned(),
        is_gzip: style.is_compressed,
        turn: Turn::Playlist,
    };
    write_manifest(folder, &file, &media_playlist(style, segments).render())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(format: CaptionFormat) -> CaptionFile {
        CaptionFile { url: "s3://in/a.srt".to_owned(), format }
    }

    #[test]
    fn unreadable_file_names_url_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        std::fs::write(&path, "1\n00:00:xx --> 00:00:02,000\nHola\n").unwrap();
        let failure = read(&path, &file(CaptionFormat::SubRip)).unwrap_err();
        assert_eq!((failure.code, failure.is_retryable), (1010, false));
        assert!(
            failure.message.contains("s3://in/a.srt") && failure.message.contains("line 2"),
            "{}",
            failure.message
        );
        std::fs::write(&path, "1\n00:00:01,000 --> 00:00:02,000\nHola\n").unwrap();
        assert_eq!(read(&path, &file(CaptionFormat::SubRip)).unwrap().cues().len(), 1);
        assert!(read(&path, &file(CaptionFormat::WebVtt)).is_err(), "a WebVTT file has a header");
    }

    #[test]
    fn segment_durations_fill_the_output() {
        let at = ExactTime::from_millis;
        assert_eq!(durations(&[at(0), at(4000)], at(5500)), [at(4000), at(1500)]);
        assert_eq!(durations(&[at(0)], at(700)), [at(700)]);
    }
}
