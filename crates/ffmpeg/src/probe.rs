//! Probes an input: measures a file into [`MediaInfo`], or returns why it cannot be used.
//!
//! Facts come from the packets wherever the header alone could be wrong. It never reads any file other than
//! the given one.

mod cadence;
mod clock;
mod first_frame;
mod frames;
pub(crate) mod header;
mod magic;
mod matroska;
pub(crate) mod measure;
pub(crate) mod packets;
pub(crate) mod reader;
mod scrambled;
mod sounds;
mod static_hdr;
mod tables;
pub(crate) use reader::FORMATS;

use std::collections::BTreeMap;
use std::path::Path;

use abanico_media::{ClockJumps, DynamicRange, MediaInfo, Rational, Size, VideoTrack};
use tokio_util::sync::CancellationToken;

use self::header::{Header, Stream};
use self::packets::{BeforeFirstKey, Packets, Scan};
use crate::facts::boxes::Layout;
use crate::{Error, ErrorKind, Tools};

/// Maximum number of pixels per frame, since a decoder's memory grows with them.
const MOST_PIXELS: u64 = 67_108_864;
/// Maximum width or height in pixels.
const LONGEST_SIDE: u32 = 8192;

/// Measures `file` from its header and all of its packets.
///
/// A frame is a packet that is shown: one that no edit list hides, and not before the first key packet, or before the
/// first frame that a decoder shows if the video does not begin with a key packet. Runs ffprobe once, again to look at
/// some frames if there is more than one key frame or the field order is in doubt, again for sound of which the header may
/// not tell enough, again for PQ video, again for a clock
/// that jumps, and two more times for video that does not begin with a key packet, each time for at most ten minutes.
/// Memory use stays small however long the file is.
///
/// # Errors
/// - The file is at fault: [`ErrorKind::NotMedia`], [`ErrorKind::NoVideo`], [`ErrorKind::Truncated`] or
///   [`ErrorKind::Unsupported`].
/// - The probe failed: [`ErrorKind::Tool`], [`ErrorKind::Failed`], [`ErrorKind::TimedOut`] or
///   [`ErrorKind::Io`].
/// - `cancel` was triggered first: [`ErrorKind::Cancelled`].
pub async fn probe(tools: &Tools, file: &Path, cancel: &CancellationToken) -> Result<MediaInfo, Error> {
    let size_bytes = size_of(file)?;
    let scanned = packets::scan(tools, file, BeforeFirstKey::Hidden, cancel).await;
    let mut scanned = match scanned {
        Err(error) if error.kind() == ErrorKind::NotMedia && is_cut_mp4(file)? => {
            return Err(Error::cut_off(file));
        }
        other => other?,
    };
    refuse_unusable(file, &scanned.header)?;
    let mut before_key = BeforeFirstKey::Hidden;
    if let Some(stream) = without_a_start(&scanned.header, &scanned.packets)
        && let Some(tick) = first_frame::read(tools, file, stream, cancel).await?
    {
        before_key = BeforeFirstKey::HiddenUntil { stream, tick };
        scanned = packets::scan(tools, file, before_key, cancel).await?;
    }
    let Scan { header, packets, jumps } = without_jumps(tools, file, scanned, before_key, cancel).await?;
    let mut video = video(&header, &packets);
    if let Some(video) = &mut video {
        if matches!(video.pixel_format.as_str(), "" | "unknown") {
            refuse_scrambled(file, &header, Stream::is_real_video)?;
            return Err(Error::unsupported(file, "its pixel format is unknown, so it cannot be decoded"));
        }
        refuse_missing_frames(file, &header, &packets, video)?;
        video.timecode = header.timecode();
        if let Some(stream) = header.streams.iter().find(|stream| stream.index == video.stream_index) {
            frames::look(tools, file, stream, video, cancel).await?;
        }
        if header.format.format_name.contains("matroska") {
            matroska::crop(file, &header, video);
        }
        if video.colour.dynamic_range() == DynamicRange::Pq {
            video.colour.static_hdr = static_hdr::read(tools, file, video.stream_index, cancel).await?;
        }
    }
    let audio = header.streams.iter().filter(|stream| stream.is_audio());
    let mut audio: Vec<_> =
        audio.filter_map(|stream| measure::audio_track(stream, packets.get(&stream.index)?)).collect();
    sounds::look(tools, file, &header, &mut audio, cancel).await?;
    if audio.iter().all(|track| track.is_undecodable) {
        refuse_scrambled(file, &header, Stream::is_audio)?;
    }
    if video.is_none() {
        refuse_scrambled(file, &header, Stream::is_real_video)?;
    }
    if video.is_none() && audio.is_empty() {
        return Err(Error::no_video(file));
    }
    Ok(MediaInfo {
        clock_start: header.format.clock_start(),
        size_bytes,
        video,
        audio,
        jumps,
        container: header.format.format_name,
    })
}

/// Reads the packets again with an unbroken clock, if the file's clock jumps.
async fn without_jumps(
    tools: &Tools,
    file: &Path,
    scanned: Scan,
    before_key: BeforeFirstKey,
    cancel: &CancellationToken,
) -> Result<Scan, Error> {
    if scanned.jumps.count == 0 {
        return Ok(scanned);
    }
    let base = |index: u32| scanned.header.streams.iter().find(|stream| stream.index == index)?.time_base();
    let in_ticks = |jumps: &ClockJumps| -> Vec<_> {
        let shifts = jumps.shifts.iter();
        shifts
            .map(|shift| {
                let ticks = base(shift.stream_index).and_then(Rational::inverse);
                (*shift, ticks.map_or(0, |per_second| (shift.by.seconds() * per_second).round()))
            })
            .collect()
    };
    let shifts = in_ticks(&scanned.jumps);
    let again = packets::scan_shifted(tools, file, before_key, &shifts, cancel).await?;
    Ok(Scan { jumps: scanned.jumps, ..again })
}

/// Returns the size in bytes of a regular file that is not empty.
pub(crate) fn size_of(file: &Path) -> Result<u64, Error> {
    let unreadable = |cause| Error::io(format!("read `{}`", file.display()), cause);
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(Error::not_media(file, "it is not a regular file")),
        0 => Err(Error::not_media(file, "it is empty")),
        bytes => Ok(bytes),
    }
}

/// Whether the file is an MP4 file whose boxes run past its end.
fn is_cut_mp4(file: &Path) -> Result<bool, Error> {
    let layout =
        Layout::read(file).map_err(|cause| Error::io(format!("read `{}`", file.display()), cause))?;
    Ok(layout.is_mp4() && layout.is_cut_off)
}

/// Refuses a transport stream in which a stream of this kind is scrambled.
fn refuse_scrambled(file: &Path, header: &Header, is_of_kind: fn(&Stream) -> bool) -> Result<(), Error> {
    let ids: Vec<u32> =
        header.streams.iter().filter(|stream| is_of_kind(stream)).filter_map(Stream::container_id).collect();
    if header.format.format_name != "mpegts" || ids.is_empty() {
        return Ok(());
    }
    let scrambled = scrambled::scrambled(file);
    if ids.iter().any(|id| scrambled.contains(id)) {
        return Err(Error::unsupported(file, "it is scrambled; upload it without encryption"));
    }
    Ok(())
}

/// Refuses a file that must not be decoded, judged by its header.
fn refuse_unusable(file: &Path, header: &Header) -> Result<(), Error> {
    if header.streams.iter().all(|stream| stream.codec_name.as_deref().is_none_or(|name| name == "unknown")) {
        return Err(Error::not_media(file, "no track has a known codec; its header may be damaged"));
    }
    header
        .streams
        .iter()
        .filter(|stream| stream.is_real_video())
        .try_for_each(|stream| refuse_size(file, stream))
}

fn refuse_size(file: &Path, stream: &Stream) -> Result<(), Error> {
    let size = Size::new(stream.width, stream.height);
    if size.area() > MOST_PIXELS || size.width.max(size.height) > LONGEST_SIDE {
        let why = format!(
            "its frame size of {size} exceeds {LONGEST_SIDE} pixels per side or {MOST_PIXELS} in all"
        );
        return Err(Error::unsupported(file, &why));
    }
    Ok(())
}

/// Returns the first real video stream, if it does not begin with a key packet.
fn without_a_start(header: &Header, packets: &BTreeMap<u32, Packets>) -> Option<u32> {
    let stream = header.streams.iter().find(|stream| stream.is_real_video() && stream.width > 0)?;
    packets.get(&stream.index).filter(|packets| !packets.first_is_key).map(|_| stream.index)
}

/// Returns the first real video stream that has a shown frame.
fn video(header: &Header, packets: &BTreeMap<u32, Packets>) -> Option<VideoTrack> {
    let mut real = header.streams.iter().filter(|stream| stream.is_real_video() && stream.width > 0);
    real.find_map(|stream| {
        let packets = packets.get(&stream.index).filter(|packets| packets.shown > 0)?;
        measure::video_track(stream, packets)
    })
}

/// Refuses an MP4 file that is cut off and therefore has fewer frames than its header promises. A lower count
/// alone is not enough: ffprobe may skip samples because of an edit list.
fn refuse_missing_frames(
    file: &Path,
    header: &Header,
    packets: &BTreeMap<u32, Packets>,
    video: &VideoTrack,
) -> Result<(), Error> {
    let stream = header.streams.iter().find(|stream| stream.index == video.stream_index);
    let Some(promised) = stream.and_then(Stream::promised_frames) else { return Ok(()) };
    let found = packets.get(&video.stream_index).map_or(0, |packets| packets.all);
    if found < promised && is_cut_mp4(file)? {
        return Err(Error::truncated(file, found, promised));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Header {
        serde_json::from_str(json).unwrap()
    }

    fn refused(json: &str) -> Option<ErrorKind> {
        refuse_unusable(Path::new("a.mp4"), &header(json)).err().map(|error| error.kind())
    }

    #[test]
    fn frames_above_the_limits_are_refused() {
        let of = |width: u32, height: u32| {
            let stream =
                format!(r#"{{"codec_name":"vp9","codec_type":"video","width":{width},"height":{height}}}"#);
            refused(&format!(r#"{{"streams":[{{"codec_name":"aac","codec_type":"audio"}},{stream}]}}"#))
        };
        assert_eq!((of(7680, 4320), of(8192, 8192)), (None, None));
        assert_eq!(
            (of(8194, 100), of(100, 8194)),
            (Some(ErrorKind::Unsupported), Some(ErrorKind::Unsupported))
        );
    }

    #[test]
    fn file_without_a_known_track_is_not_media() {
        assert_eq!(refused(r#"{"streams":[]}"#), Some(ErrorKind::NotMedia));
        assert_eq!(
            refused(r#"{"streams":[{"codec_type":"data"},{"codec_name":"unknown"}]}"#),
            Some(ErrorKind::NotMedia)
        );
        assert_eq!(refused(r#"{"streams":[{"codec_type":"data"},{"codec_name":"h264"}]}"#), None);
    }

    #[test]
    fn first_track_with_frames_wins_over_cover_art() {
        let header = header(
            r#"{"streams":[
                {"index":0,"codec_type":"video","width":9,"time_base":"1/25","disposition":{"attached_pic":1}},
                {"index":1,"codec_type":"video","width":9,"time_base":"1/25"},
                {"index":2,"codec_type":"video","width":9,"time_base":"1/25"}]}"#,
        );
        let frames = || packets::tally_of(["0,0,0,1,9,K_".into()]);
        let shown = |streams: &[u32]| {
            let packets = streams.iter().map(|&stream| (stream, frames())).collect();
            video(&header, &packets).map(|track| track.stream_index)
        };
        assert_eq!((shown(&[0, 1, 2]), shown(&[0, 2]), shown(&[0])), (Some(1), Some(2), None));
    }
}
