//! Measures finished files, so that verification can compare them with the plan.
//!
//! Facts come from packets wherever possible, not from the header's claims. This file does not judge them.

pub(crate) mod boxes;

use std::path::Path;

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Rational, Size};
use tokio_util::sync::CancellationToken;

use self::boxes::Layout;
use crate::probe::header::Stream;
use crate::probe::measure;
use crate::probe::packets::{self, BeforeFirstKey, Packets, Scan};
use crate::probe::size_of;
use crate::{Error, Tools};

/// What was measured of a finished file.
#[derive(Clone, PartialEq, Debug)]
pub struct OutputFacts {
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Whether an MP4 file has its `moov` before its media; false for other kinds of files.
    pub fast_start: bool,
    /// The first video track that has a frame, if any.
    pub video: Option<VideoFacts>,
    /// The audio tracks that have a packet, in the file's order.
    pub audio: Vec<AudioFacts>,
}

/// What was measured of a finished file's video track. Times are on the file's own clock.
#[derive(Clone, PartialEq, Debug)]
pub struct VideoFacts {
    /// Codec name as ffprobe prints it, such as `h264`.
    pub codec: String,
    /// Codec profile, such as `High`.
    pub profile: Option<String>,
    /// Pixel format, such as `yuv420p`.
    pub pixel_format: String,
    /// Stored frame size.
    pub size: Size,
    /// Sample aspect ratio, width over height; 1 if the stream does not state it.
    pub sample_aspect: Rational,
    /// Field order.
    pub fields: FieldOrder,
    /// Colour description.
    pub colour: Colour,
    /// Number of shown frames.
    pub frames: u64,
    /// Frame rate by the mean distance of all frames, exact and not rounded to a customary rate. For a single
    /// frame, it follows from that frame's own duration.
    pub rate: FrameRate,
    /// Whether all frames are equally far apart, to the tick.
    pub constant: bool,
    /// Ticks of the track's clock per second, rounded down.
    pub ticks_a_second: i64,
    /// Presentation time of the first shown frame.
    pub start: ExactTime,
    /// Presentation time at which the last shown frame ends.
    pub end: ExactTime,
    /// Whether the first packet is a key packet.
    pub first_is_key: bool,
    /// Number of shown key frames.
    pub key_frames: u64,
    /// Bit rate of the track's packets, in bits per second, rounded.
    pub bit_rate_bps: u64,
    /// Whether a display matrix rotates or mirrors the video.
    pub rotated: bool,
}

/// What was measured of a finished file's audio track. Times are on the file's own clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AudioFacts {
    /// Codec name as ffprobe prints it, such as `aac`.
    pub codec: String,
    /// Number of channels.
    pub channels: u16,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Presentation time of the first audible packet.
    pub start: ExactTime,
    /// Presentation time at which the last audible packet ends.
    pub end: ExactTime,
    /// Number of audible packets.
    pub packets: u64,
    /// Sum of the durations that the audible packets state.
    pub covered: ExactTime,
    /// Shortest and longest time from the start of an audible packet to the start of the next, if there are two.
    pub steps: Option<(ExactTime, ExactTime)>,
    /// Longest time by which an audible packet starts before or after the stated end of the one before it.
    pub unevenness: ExactTime,
    /// Length of a tick of the track's clock.
    pub tick: ExactTime,
}

/// Measures a file that abanico made.
///
/// # Errors
/// Fails like [`crate::probe`], except that a file without video is fine.
pub async fn output_facts(
    tools: &Tools,
    file: &Path,
    cancel: &CancellationToken,
) -> Result<OutputFacts, Error> {
    let size_bytes = size_of(file)?;
    let layout =
        Layout::read(file).map_err(|cause| Error::io(format!("read `{}`", file.display()), cause))?;
    // Frames before the first key packet count here: they are a fault that verification must see.
    let Scan { header, packets, .. } = packets::scan(tools, file, BeforeFirstKey::Shown, cancel).await?;
    let of = |stream: &Stream| packets.get(&stream.index).filter(|packets| packets.shown > 0);
    let mut videos = header.streams.iter().filter(|stream| stream.is_real_video());
    let audios = header.streams.iter().filter(|stream| stream.is_audio());
    Ok(OutputFacts {
        size_bytes,
        fast_start: layout.is_mp4() && layout.is_fast_start(),
        video: videos.find_map(|stream| video_facts(stream, of(stream)?)),
        audio: audios.filter_map(|stream| audio_facts(stream, of(stream)?)).collect(),
    })
}

fn video_facts(stream: &Stream, packets: &Packets) -> Option<VideoFacts> {
    let track = measure::video_track(stream, packets)?;
    let (first, last) = (packets.rhythm.first?, packets.rhythm.last?);
    let distances = packets.rhythm.count();
    let span = ExactTime::from_ticks(last - first, stream.time_base()?).seconds();
    let mean = span.inverse().and_then(|per| FrameRate::from_rational(Rational::from(distances) * per));
    let equal = packets.rhythm.extremes().is_none_or(|(smallest, largest)| smallest == largest);
    Some(VideoFacts {
        fields: track.field_order,
        frames: track.frames,
        rate: mean.unwrap_or(track.frame_rate),
        // Frames with equal times have no distance between them.
        constant: equal && u64::try_from(distances).is_ok_and(|distances| distances + 1 == packets.shown),
        ticks_a_second: stream.time_base()?.inverse().map_or(0, Rational::floor),
        start: track.start,
        end: track.end,
        first_is_key: packets.first_is_key,
        key_frames: packets.keys,
        bit_rate_bps: track.bit_rate_bps,
        rotated: track.orientation != abanico_media::Orientation::UPRIGHT,
        codec: track.codec,
        profile: track.profile,
        pixel_format: track.pixel_format,
        size: track.size,
        sample_aspect: track.sample_aspect,
        colour: track.colour,
    })
}

fn audio_facts(stream: &Stream, packets: &Packets) -> Option<AudioFacts> {
    let track = measure::audio_track(stream, packets)?;
    let base = stream.time_base()?;
    let time = |ticks: i64| ExactTime::from_ticks(ticks, base);
    Some(AudioFacts {
        codec: track.codec,
        channels: track.channels,
        sample_rate_hz: track.sample_rate_hz,
        start: track.start,
        end: track.end,
        packets: packets.shown,
        covered: time(packets.steps.covered),
        steps: packets.steps.range.map(|(shortest, longest)| (time(shortest), time(longest))),
        unevenness: time(packets.steps.unevenness),
        tick: time(1),
    })
}
