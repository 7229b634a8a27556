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
        let samples = part.length.map(|length| {
            let before = samples(at, encode.coding.sample_rate_hz);
            at = at + length;
            samples(at, encode.coding.sample_rate_hz) - before
        });
        chains.push(part_chain(encode, part, number, samples));
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

fn part_chain(encode: &AudioEncode, part: &AudioPart, number: usize, samples: Option<i64>) -> String {
    let rate = encode.coding.sample_rate_hz;
    let layout = layout(encode.coding.channels);
    let cut = samples.map(|samples| format!(",apad=whole_len={samples},atrim=end_sample={samples}"));
    let cut = cut.unwrap_or_default();
    if part.streams.is_empty() {
        // Silence; the plan gives it a length.
        return format!("anullsrc=r={rate}:cl={layout}{cut}[part{number}]");
    }
    // Drops audio before the clip's start with sample accuracy.
    let start = if part.length.is_some() { ",atrim=start=0" } else { "" };
    // `first_pts=0` drops audio before the video's start, and adds silence if the audio starts later.
    // `async=1000` lets the resampler follow the time stamps by at most 1000 samples per second (about 2 %,
    // inaudible) instead of drifting.
    let timed = format!(
        "asetpts={}{start},aresample={rate}:async=1000:first_pts=0",
        moved_to_zero(part.start - part.offset)
    );
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
