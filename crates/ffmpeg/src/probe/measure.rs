//! Combines the header and the packets of a stream into a [`VideoTrack`] or an [`AudioTrack`].
//!
//! Where the two disagree, the packets win.

use abanico_media::{AudioTrack, EntryPoints, ExactTime, FrameRate, Rational, Size, VideoTrack};

use super::cadence::{OnTicks, PHASES, Rhythm, Typical};
use super::header::Stream;
use super::packets::Packets;

/// Frame rate to assume if neither the packets nor the header give one.
const FALLBACK_RATE: (i64, i64) = (25, 1);
/// Cost of a repeated frame, where one that is moved by a whole tick costs a million.
const REPEAT_COST: i64 = 4_000_000;
/// Maximum rate of a track with a variable frame rate.
const HIGHEST_VARIABLE_RATE: (i64, i64) = (60, 1);

/// Returns the video track, or `None` if the stream has no tick length or no shown frame with a time.
pub(crate) fn video_track(stream: &Stream, packets: &Packets) -> Option<VideoTrack> {
    let base = stream.time_base()?;
    let (first, last) = (packets.rhythm.first?, packets.rhythm.last?);
    let Chosen { rate: frame_rate, varies: variable_frame_rate, on_ticks } = rate(stream, packets, base);
    let mut start = ExactTime::from_ticks(first, base);
    let mut end = ExactTime::from_ticks(last, base) + last_frame(packets, base, frame_rate);
    if let Some(OnTicks { phase, ticks, .. }) = on_ticks {
        let sixteenth = frame_rate.frame_duration().seconds() / Rational::from(16);
        start = start + ExactTime::from_seconds(sixteenth * Rational::from(i64::from(phase)));
        // The nearest tick may lie behind a short last frame, which would be lost.
        let ticks = ExactTime::of_frames(u64::try_from(ticks).unwrap_or(0), frame_rate);
        end = end.max(start + ticks);
    }
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
        window: None,
        shapes: Vec::new(),
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
        is_undecodable: false,
        forms: Vec::new(),
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

/// The constant rate that represents a track.
struct Chosen {
    rate: FrameRate,
    /// Whether frames are not simply one tick apart.
    varies: bool,
    /// How frames are moved to the nearest tick, if they come at uneven times.
    on_ticks: Option<OnTicks>,
}

/// Returns the constant rate that represents the track.
fn rate(stream: &Stream, packets: &Packets, base: Rational) -> Chosen {
    let Some(typical) = packets.rhythm.typical() else {
        return Chosen { rate: rate_of_one(stream, packets, base), varies: false, on_ticks: None };
    };
    let grid = grid_rate(stream, base);
    let measured = grid.or_else(|| measured_rate(stream, typical, base)).unwrap_or_else(fallback);
    let varies = varies(&packets.rhythm, base, measured);
    if grid.is_none()
        && !packets.rhythm.is_steady(rounding(base))
        && let Some(chosen) = standard_rate(&packets.rhythm, base, measured)
    {
        return chosen;
    }
    let highest = highest_variable_rate();
    let rate = if varies && measured > highest { highest } else { measured };
    Chosen { rate, varies, on_ticks: None }
}

/// Returns the rate for frames that come at uneven times (jitter, a rate that changes, soft telecine, holes): of the
/// rates that lose the fewest frames, the one that repeats few and fits best. Besides the customary rates, the
/// `measured` one takes part if it is the track's real one, with holes in it, and so does that of the grid which the
/// times lie on. `None` if the track is too fast for all of them, or if the distances were not kept.
fn standard_rate(rhythm: &Rhythm, base: Rational, measured: FrameRate) -> Option<Chosen> {
    if measured > highest_variable_rate() {
        return None;
    }
    let is_real = rhythm.is_mostly_steady(rounding(base));
    let mut tried = Vec::new();
    let of_grid = rate_of_grid(rhythm, base).filter(|rate| *rate <= highest_variable_rate());
    for rate in FrameRate::all_customary().chain(is_real.then_some(measured)).chain(of_grid) {
        for phase in PHASES {
            tried.push((rate, rhythm.on_ticks(rate.frame_duration().seconds() / base, phase)?));
        }
    }
    let fewest = tried.iter().map(|(_, found)| found.lost).min()?;
    // One frame in a thousand may go: no customary rate is so exact that a long film at 29.98 frames a second loses
    // none, and twice the frames would be no better.
    let allowed = fewest + rhythm.count() / 1000;
    let kept = || tried.iter().filter(|(_, found)| found.lost <= allowed);
    let (mut rate, mut best) = *kept().min_by_key(|(_, found)| cost(found))?;
    // The usual distance tells rates apart that are all but equal, such as 30 and 30000/1001.
    let usual = kept().filter(|(rate, _)| *rate == measured).min_by_key(|(_, found)| cost(found));
    if let Some((_, usual)) = usual
        && cost(usual) <= cost(&best).saturating_add(cost(&best) / 4)
    {
        (rate, best) = (measured, *usual);
    }
    // If the first frame can be on time as well, it is.
    let is_as_good =
        |found: &OnTicks| found.phase == 0 && found.lost <= best.lost && found.repeated <= best.repeated;
    let punctual = kept().find(|(other, found)| *other == rate && is_as_good(found));
    let found = punctual.map_or(best, |(_, found)| *found);
    let varies = found.lost + found.repeated > 0 || varies(rhythm, base, rate);
    Some(Chosen { rate, varies, on_ticks: Some(found) })
}

/// Returns the rate of the grid that the times lie on: a customary one if it is near, otherwise the simplest that the
/// length allows, because the ticks of clocks are rounded.
fn rate_of_grid(rhythm: &Rhythm, base: Rational) -> Option<FrameRate> {
    let grid = rhythm.grid(rounding(base))?;
    let (span, steps) = (Rational::from(grid.sum) * base, Rational::from(grid.count));
    let doubt = base + Rational::new(1, 1000);
    let measured = FrameRate::from_rational(steps / span)?.customary();
    let is_customary = FrameRate::all_customary().any(|rate| rate == measured);
    if is_customary || span <= doubt {
        return Some(measured);
    }
    FrameRate::from_rational(simplest(steps / (span + doubt), steps / (span - doubt)))
}

/// Returns the fraction with the smallest denominator between two numbers above zero, the lower one first.
fn simplest(low: Rational, high: Rational) -> Rational {
    let whole = Rational::from(low.ceil());
    if whole <= high {
        return whole;
    }
    let floor = Rational::from(low.floor());
    floor + Rational::ONE / simplest(Rational::ONE / (high - floor), Rational::ONE / (low - floor))
}

/// Weighs repeated frames against an uneven rhythm. Without the latter, a wrong rate would win that saves a single
/// repeated frame by moving all others.
fn cost(found: &OnTicks) -> i64 {
    found.repeated.saturating_mul(REPEAT_COST).saturating_add(found.unevenness)
}

/// Returns how many ticks apart equal distances may be because times were rounded, often to milliseconds before they
/// got a finer clock.
fn rounding(base: Rational) -> i64 {
    (Rational::new(1, 1000) / base).ceil().max(1) + 1
}

fn highest_variable_rate() -> FrameRate {
    FrameRate::new(HIGHEST_VARIABLE_RATE.0, HIGHEST_VARIABLE_RATE.1)
        .expect("60 frames a second are above zero")
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

    /// Returns the rate of frames at these times in ticks of 1/90000 s, and whether it varies.
    fn chosen(times: impl IntoIterator<Item = i64>) -> (String, bool) {
        let clock = r#"{"time_base":"1/90000","r_frame_rate":"90000/1","avg_frame_rate":"90000/1"}"#;
        let track = track(clock, times.into_iter().map(|pts| (pts, 0)));
        (track.frame_rate.to_string(), track.variable_frame_rate)
    }

    /// A number from -1000 to 1000 that looks random.
    fn wobble(index: i64) -> i64 {
        (index * 7919 + index * index * 104_729) % 2001 - 1000
    }

    #[test]
    fn jitter_below_half_a_frame_loses_nothing() {
        // Off by up to 18 ms at 25 and up to 14 ms at 30 frames a second.
        let jittered = |frame: i64| 3600 * frame + wobble(frame) * 1620 / 1000;
        assert_eq!(chosen((0..200).map(jittered)), ("25".into(), true));
        let jittered = |frame: i64| 3000 * frame + wobble(frame) * 1260 / 1000;
        assert_eq!(chosen((0..300).map(jittered)), ("30".into(), true));
        let slight = |frame: i64| 3003 * frame + wobble(frame) * 200 / 1000;
        assert_eq!(chosen((0..300).map(slight)), ("30000/1001".into(), false));
    }

    #[test]
    fn soft_telecine_is_film() {
        // Three fields, then two, at 60000/1001 fields a second.
        let field = |fields: i64| (fields * 3003 + 1) / 2;
        let film = |first: i64| {
            (0..240).map(move |frame| field(5 * (frame / 2) + if frame % 2 == 1 { first } else { 0 }))
        };
        assert_eq!(chosen(film(3)), ("24000/1001".into(), false));
        assert_eq!(chosen(film(2)), ("24000/1001".into(), false));
        let video = (0..3000).map(|frame| field(2 * frame) + field(5 * 120));
        assert_eq!(chosen(film(3).chain(video)).0, "30000/1001", "most of it is video");
    }

    #[test]
    fn rate_that_changes_is_the_faster_one() {
        let two = (0..100).map(|frame| 6000 * frame).chain((0..100).map(|frame| 600_000 + 3600 * frame));
        assert_eq!(chosen(two), ("25".into(), true), "15, then 25");
    }

    #[test]
    fn holes_keep_an_uncustomary_rate() {
        let holed = (0..60).chain(64..130).chain(150..200).map(|frame| 5625 * frame);
        assert_eq!(chosen(holed), ("16".into(), true));
        let ntsc = (0..60).chain(64..130).map(|frame| 3003 * frame);
        assert_eq!(chosen(ntsc), ("30000/1001".into(), true));
    }

    #[test]
    fn times_on_a_grid_of_any_rate_get_that_rate() {
        // Places of a grid with many holes, so that no distance prevails.
        let places = |frame: i64| frame + frame / 3 + 2 * (frame / 7);
        let of = |ticks: i64| chosen((0..200).map(move |frame| ticks * places(frame)));
        assert_eq!(of(9000), ("10".into(), true));
        assert_eq!(of(18_000), ("5".into(), true));
        assert_eq!(of(4500), ("20".into(), true));
        assert_eq!(of(6300), ("100/7".into(), true));
        assert_eq!(of(90_000), ("1".into(), true));
        assert_eq!(of(3003), ("30000/1001".into(), true));
        let millis = |num: i64, den: i64| {
            let times = (0..200).map(move |frame| ((places(frame) * 1000 * den + num / 2) / num, 0));
            track(MILLIS, times).frame_rate.to_string()
        };
        let rates = [(10, 1), (100, 7), (20, 1), (15, 1), (30_000, 1001), (18, 1), (5, 2)];
        let found: Vec<String> = rates.iter().map(|(num, den)| millis(*num, *den)).collect();
        assert_eq!(found, ["10", "100/7", "20", "15", "30000/1001", "18", "5/2"]);
    }

    #[test]
    fn simplest_fraction_is_found() {
        let of = |low: (i64, i64), high: (i64, i64)| {
            simplest(Rational::new(low.0, low.1), Rational::new(high.0, high.1)).to_string()
        };
        assert_eq!(of((141, 10), (144, 10)), "43/3");
        assert_eq!((of((99, 10), (101, 10)), of((1, 3), (1, 2))), ("10/1".into(), "1/2".into()));
    }

    #[test]
    fn short_last_frame_is_not_lost() {
        // The last frame is 17 ms late at 25 frames a second, and lasts 21 ms.
        let frames = (0..50).map(|frame| (3600 * frame + wobble(frame) * 1530 / 1000, 3600));
        let frames = frames.chain([(3600 * 50 + 1710, 1890)]);
        let track = track(r#"{"time_base":"1/90000"}"#, frames);
        let start = track.start;
        assert_eq!(
            (track.frame_rate.to_string().as_str(), (track.end - start).frames(track.frame_rate) >= 51),
            ("25", true)
        );
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
