//! Builds the audio filter graphs of a plan, in ffmpeg's syntax.
//!
//! Audio never drifts: every part follows its time stamps, and consecutive parts have exact lengths.

use abanico_media::{ExactTime, Rational};
use abanico_plan::{AudioEncode, AudioPart, Remix};

use crate::filter_graph::moved_to_zero;

/// Returns the graph from the decoded audio to the pad `[sound]`, with `gain` applied after all parts are
/// joined.
pub(crate) fn audio_graph(encode: &AudioEncode, gain: Option<Gain>) -> String {
    let mut chains = Vec::new();
    let mut parts = String::new();
    let mut at = ExactTime::ZERO;
    for (number, part) in encode.parts.iter().enumerate() {
        let before = samples(at, encode.coding.sample_rate_hz);
        at = part.length.map_or(encode.end, |length| at + length);
        let length = samples(at, encode.coding.sample_rate_hz) - before;
        let cut = match part.length {
            Some(_) => format!(",apad=whole_len={length},atrim=end_sample={length}"),
            // A source's last packet may sound for longer than the source says: its encoder filled it up.
            None => format!(",atrim=end_sample={}", length.max(1)),
        };
        chains.push(part_chain(encode, part, number, &cut));
        parts.push_str(&format!("[part{number}]"));
    }
    let concat = if encode.parts.len() > 1 {
        format!("concat=n={}:v=0:a=1,", encode.parts.len())
    } else {
        String::new()
    };
    chains.push(format!("{parts}{concat}{}[sound]", gain.map_or("anull".to_owned(), Gain::filters)));
    chains.join(";")
}

/// The gain that brings audio to its target loudness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gain {
    /// Gain in thousandths of a decibel.
    pub millidecibels: i32,
    /// Highest peak in thousandths of dBFS. `None` applies no limiter.
    pub peak_millidbfs: Option<i32>,
}

impl Gain {
    fn filters(self) -> String {
        let volume = format!("volume={}dB", thousandths(self.millidecibels));
        match self.peak_millidbfs {
            // `level=0` keeps the limiter from adding gain. Its limit is a ratio, not decibels.
            Some(peak) => format!("{volume},alimiter=limit={:.6}:level=0", ratio(peak)),
            None => volume,
        }
    }
}

fn part_chain(encode: &AudioEncode, part: &AudioPart, number: usize, cut: &str) -> String {
    let rate = encode.coding.sample_rate_hz;
    let layout = layout(encode.coding.channels);
    if part.streams.is_empty() {
        // Silence; the plan gives it a length.
        return format!("anullsrc=r={rate}:cl={layout}{cut}[part{number}]");
    }
    // Drops audio before the clip's start with sample accuracy.
    let start = if part.length.is_some() { ",atrim=start=0" } else { "" };
    let timed =
        format!("asetpts={}{start},{}", moved_to_zero(part.start - part.offset), resampled(rate, part));
    let shaped = shaped(encode.remix.as_ref(), part, encode.coding.channels, layout.as_str());
    let [stream] = part.streams[..] else {
        let mut chain = String::new();
        let mut merged = String::new();
        for (index, stream) in part.streams.iter().enumerate() {
            chain.push_str(&format!(
                "[{number}:{stream}]{timed},aformat=sample_fmts=fltp[part{number}t{index}];"
            ));
            merged.push_str(&format!("[part{number}t{index}]"));
        }
        let count = part.streams.len();
        return format!("{chain}{merged}amerge=inputs={count},{shaped}{cut}[part{number}]");
    };
    format!("[{number}:{stream}]{timed},{shaped}{cut}[part{number}]")
}

/// Returns the filter that gives audio its sampling rate and an unbroken clock from zero.
fn resampled(rate: u32, part: &AudioPart) -> String {
    // With equal rates, a cutoff of 1 and floating point leave the samples as they are while nothing is stretched.
    let exact = if rate == part.sample_rate_hz { ":cutoff=1:internal_sample_fmt=fltp" } else { "" };
    // `first_pts=0` drops audio before the video's start, and adds silence if the audio starts later.
    // `async=1000` lets the resampler follow the time stamps by at most 1000 samples per second (about 2 %) instead of
    // drifting. `min_hard_comp` (in seconds, 0.1 by default) fills a gap as short as one lost packet with silence at
    // once: stretching it away takes two seconds, in which the pitch is audibly low. `flags=res` runs the resampler from
    // the start: where the rates are equal, ffmpeg would start it at the first time stamp that it must follow, and the
    // clock would then begin at `first_pts` again (seen with 5.1.9).
    let filled = if part.is_jittery { "" } else { ":min_hard_comp=0.015" };
    format!("aresample={rate}:flags=res{exact}:async=1000{filled}:first_pts=0")
}

/// Returns the filter that makes the output's channels: with the job's remix gains, from several tracks side
/// by side, or by the usual mixing rules.
fn shaped(remix: Option<&Remix>, part: &AudioPart, channels: u16, layout: &str) -> String {
    if let Some(remix) = remix {
        let rows: Vec<String> =
            remix.gains.iter().enumerate().map(|(row, gains)| sum(row, gains, part)).collect();
        return format!("pan={layout}|{}", rows.join("|"));
    }
    if part.streams.len() > 1 && part.channels == channels {
        let rows: Vec<String> = (0..channels).map(|channel| format!("c{channel}=c{channel}")).collect();
        return format!("pan={layout}|{}", rows.join("|"));
    }
    format!("aformat=channel_layouts={layout}")
}

/// Returns the mix of one output channel. Input channels that this part lacks are silent.
fn sum(row: usize, gains: &[Option<i32>], part: &AudioPart) -> String {
    let there = gains.iter().take(usize::from(part.channels)).enumerate();
    let terms: Vec<String> =
        there.filter_map(|(channel, gain)| Some(format!("{:.6}*c{channel}", ratio((*gain)?)))).collect();
    if terms.is_empty() { format!("c{row}=0*c0") } else { format!("c{row}={}", terms.join("+")) }
}

/// Converts thousandths of a decibel to an amplitude ratio.
fn ratio(millidecibels: i32) -> f64 {
    10_f64.powf(f64::from(millidecibels) / 20_000.0)
}

fn thousandths(number: i32) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", number.unsigned_abs() / 1000, number.unsigned_abs() % 1000)
}

fn samples(time: ExactTime, rate_hz: u32) -> i64 {
    (time.seconds() * Rational::from(rate_hz)).round()
}

/// Returns ffmpeg's name of the usual layout for a number of channels.
fn layout(channels: u16) -> String {
    match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        4 => "4.0".to_owned(),
        5 => "5.0".to_owned(),
        6 => "5.1".to_owned(),
        8 => "7.1".to_owned(),
        other => format!("{other}c"),
    }
}
