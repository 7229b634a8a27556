//! Combines the header and the packets of a stream into a [`VideoTrack`] or an [`AudioTrack`].
//!
//! Where the two disagree, the packets win.

use abanico_media::{AudioTrack, EntryPoints, ExactTime, FrameRate, Rational, Size, VideoTrack};

use super::cadence::{Rhythm, Typical};
use super::header::Stream;
use super::packets::Packets;

/// Frame rate to assume if neither the packets nor the header give one.
const FALLBACK_RATE: (i64, i64) = (25, 1);
/// Maximum rate of a track with a variable frame rate.
const HIGHEST_VARIABLE_RATE: (i64, i64) = (60, 1);

/// Returns the video track, or `None` if the stream has no tick length or no shown frame with a time.
pub(crate) fn video_track(stream: &Stream, packets: &Packets) -> Option<VideoTrack> {
    let base = stream.time_base()?;
    let (first, last) = (packets.rhythm.first?, packets.rhythm.last?);
    let (frame_rate, variable_frame_rate) = rate(stream, packets, base);
    let start = ExactTime::from_ticks(first, base);
    let end = ExactTime::from_ticks(last, base) + last_frame(packets, base, frame_rate);
    Some(VideoTrack {
        stream_index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        profile: stream.known_profile(),
        pixel_format: stream.pix_fmt.clone().unwrap_or_default(),
        bit_depth: stream.bit_depth(),
        size: Size::new(stream.width, stream.height),
        sample_aspect: stream.sample_aspect(),
        orientation: stream.orientation(),
        frame_rate,
        variable_frame_rate,
        frames: packets.shown,
        start,
        end,
        field_order: stream.field_order(),
        colour: stream.colour(),
        bit_rate_bps: bit_rate_bps(packets.bytes, end - start),
        timecode: stream.timecode(),
        entry_points: EntryPoints { tick: base, ticks: packets.entry_points.clone() },
    })
}

/// Returns the audio track, or `None` if it has no packet with a time.
pub(crate) fn audio_track(stream: &Stream, packets: &Packets) -> Option<AudioTrack> {
    let base = stream.time_base()?;
    let time = |ticks: i64| ExactTime::from_ticks(ticks, base);
    let last = packets.rhythm.last?;
    let stated = packets.end.unwrap_or(last);
    let typical = packets.rhythm.typical().map_or(0, |typical| typical.sum / typical.count);
    let end = if stated > last { stated } else { last + typical };
    Some(AudioTrack {
        stream_index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        channels: stream.channels,
        channel_layout: stream.channel_layout.clone().filter(|layout| layout != "unknown"),
        sample_rate_hz: stream.sample_rate_hz(),
        start: time(packets.rhythm.first?),
        end: time(end),
        is_jittery: packets.rhythm.is_jittery(),
        packet: time(if typical > 0 { typical } else { packets.last_duration }),
        language: stream.language(),
        is_default: stream.is_default(),
        is_aside: stream.is_aside(),
        id: stream.container_id(),
    })
}

/// Returns the bit rate in bits per second, rounded; 0 if the duration is zero.
pub(crate) fn bit_rate_bps(bytes: u64, duration: ExactTime) -> u64 {
    let seconds = duration.seconds();
    if seconds <= Rational::ZERO {
        return 0;
    }
    let bits = i64::try_from(bytes.saturating_mul(8)).unwrap_or(i64::MAX);
    u64::try_from((Rational::from(bits) / seconds).round()).unwrap_or(0)
}

/// Returns how long the last frame is shown: as its packet states, unless that is less than half a typical
/// frame.
pub(crate) fn last_frame(packets: &Packets, base: Rational, rate: FrameRate) -> ExactTime {
    let (stated, typical) = (ExactTime::from_ticks(packets.last_duration, base), rate.frame_duration());
    if stated + stated < typical { typical } else { stated }
}

/// Returns the constant rate that represents the track, and whether its frame rate varies.
fn rate(stream: &Stream, packets: &Packets, base: Rational) -> (FrameRate, bool) {
    let Some(typical) = packets.rhythm.typical() else { return (rate_of_one(stream, packets, base), false) };
    let measured = grid_rate(stream, base).or_else(|| measured_rate(stream, typical, base));
    let rate = measured.unwrap_or_else(fallback);
    let varies = varies(&packets.rhythm, base, rate);
    let highest = FrameRate::new(HIGHEST_VARIABLE_RATE.0, HIGHEST_VARIABLE_RATE.1).unwrap_or(rate);
    if varies && rate > highest { (highest, true) } else { (rate, varies) }
}

/// Returns the rate of a file whose clock ticks once per frame (AVI). There, a distance of several ticks
/// means that frames are left out.
fn grid_rate(stream: &Stream, base: Rational) -> Option<FrameRate> {
    let stated = FrameRate::from_rational(stream.base_rate()?)?;
    let ticks_by_frames = base.inverse()? == stated.per_second() && stated.per_second() <= Rational::from(60);
    ticks_by_frames.then(|| stated.customary())
}

/// Returns the rate of the typical distance. Coarse ticks make it inexact; if the header's rate lies within
/// that error, the header is right.
fn measured_rate(stream: &Stream, typical: Typical, base: Rational) -> Option<FrameRate> {
    let span = Rational::from(typical.sum) * base;
    let measured = FrameRate::from_rational(Rational::from(typical.count) / span)?;
    let within_doubt = |rate: &FrameRate| {
        let expected = Rational::from(typical.count) / rate.per_second();
        let doubt = base + base / Rational::from(2);
        (expected - span).abs() <= doubt
    };
    let stated = [stream.base_rate(), stream.average_rate()].into_iter().flatten();
    let stated = stated.filter_map(FrameRate::from_rational).find(within_doubt);
    Some(stated.unwrap_or(measured).customary())
}

/// Returns the rate of a single frame: by its duration, else by the header.
fn rate_of_one(stream: &Stream, packets: &Packets, base: Rational) -> FrameRate {
    let lasts = ExactTime::from_ticks(packets.last_duration, base).seconds();
    let own = lasts.inverse().and_then(FrameRate::from_rational);
    let stated = || stream.average_rate().and_then(FrameRate::from_rational);
    own.or_else(stated).map_or_else(fallback, FrameRate::customary)
}

/// Whether a distance is off by more than half a frame.
fn varies(rhythm: &Rhythm, base: Rational, rate: FrameRate) -> bool {
    let Some((smallest, largest)) = rhythm.extremes() else { return false };
    let frame = rate.frame_duration().seconds();
    [smallest, largest].iter().any(|ticks| {
        let off = (Rational::from(*ticks) * base - frame).abs();
        off + off > frame
    })
}

fn fallback() -> FrameRate {
    FrameRate::new(FALLBACK_RATE.0, FALLBACK_RATE.1).expect("25 frames a second are above zero")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::packets::tally_of;

    fn stream(json: &str) -> Stream {
        serde_json::from_str(json).unwrap()
    }

    /// Builds a video track from `(pts, duration)` pairs, with 1000 bytes per frame.
    fn track(json: &str, frames: impl IntoIterator<Item = (i64, i64)>) -> VideoTrack {
        let lines = frames.into_iter().map(|(pts, duration)| format!("0,{pts},{pts},{duration},1000,K_"));
        video_track(&stream(json), &tally_of(lines)).unwrap()
    }

    const MILLIS: &str = r#"{"time_base":"1/1000","r_frame_rate":"1000/1","avg_frame_rate":"1000/1"}"#;

    #[test]
    fn millisecond_times_override_the_headers_rate() {
        let track = track(MILLIS, (0..48).map(|frame| (frame * 1000 / 24, 1)));
        assert_eq!((track.frame_rate.to_string().as_str(), track.variable_frame_rate), ("24", false));
        assert_eq!(
            track.end.micros(),
            1_958_000 + 41_667,
            "a stated duration of 1 ms is too short for a frame"
        );
    }

    #[test]
    fn header_settles_the_doubt_of_rounded_times() {
        let times = || (0..30).map(|frame| (frame * 1001 / 30, 33));
        let hinted =
            |rate: &str| track(&format!(r#"{{"time_base":"1/1000","r_frame_rate":"{rate}"}}"#), times());
        assert_eq!(hinted("30000/1001").frame_rate.to_string(), "30000/1001");
        assert_eq!(hinted("2997/100").frame_rate.to_string(), "30000/1001");
        assert_eq!(hinted("60/1").frame_rate.per_second().round(), 30, "a header far off is ignored");
    }

    #[test]
    fn skipped_frames_make_a_grid_rate_variable() {
        let grid = r#"{"time_base":"66667/1000000","r_frame_rate":"1000000/66667"}"#;
        let track = track(grid, [0, 7, 14, 20, 27].map(|pts| (pts, 1)));
        assert_eq!((track.frame_rate.to_string().as_str(), track.variable_frame_rate), ("15", true));
    }

    #[test]
    fn only_variable_rates_are_capped_at_sixty() {
        let fast = (0..20).map(|frame| (frame * 8, 8));
        let holed = fast.clone().chain([(400, 8), (408, 8)]);
        assert_eq!(track(MILLIS, holed).frame_rate.to_string(), "60");
        let constant = track(MILLIS, fast);
        assert_eq!((constant.frame_rate.to_string().as_str(), constant.variable_frame_rate), ("125", false));
    }

    #[test]
    fn single_frame_lasts_its_duration_or_a_25th() {
        let base = r#"{"time_base":"1/12800"}"#;
        let stated = track(base, [(0, 1024)]);
        assert_eq!((stated.frame_rate.to_string().as_str(), stated.end.millis()), ("25/2", 80));
        let silent = track(base, [(128, 0)]);
        assert_eq!(
            (silent.frame_rate.to_string().as_str(), silent.start.millis(), silent.end.millis()),
            ("25", 10, 50)
        );
    }

    #[test]
    fn last_frame_keeps_its_long_duration() {
        let track = track(MILLIS, [(0, 40), (40, 40), (80, 40), (120, 2200)]);
        assert_eq!((track.end.millis(), track.bit_rate_bps), (2320, 13_793));
    }

    #[test]
    fn audio_ends_with_its_last_packet() {
        let sound =
            stream(r#"{"time_base":"1/48000","channels":2,"sample_rate":"48000","codec_name":"aac"}"#);
        let end = |lines: [&str; 3]| audio_track(&sound, &tally_of(lines.map(String::from))).unwrap().end;
        let packet_times = ["0,0,0,1024,9,K_", "0,1024,1024,1024,9,K_", "0,2048,2048,1024,9,K_"];
        assert_eq!(end(packet_times), ExactTime::from_millis(64));
        assert_eq!(
            end(["0,0,0,N/A,9,K_", "0,1024,1024,N/A,9,K_", "0,2048,2048,N/A,9,K_"]),
            ExactTime::from_millis(64)
        );
    }
}
