//! Estimates MediaConvert's bill for the outputs of a plan, in normalised minutes and dollars.
//!
//! MediaConvert bills each output separately: its duration in whole seconds, at least ten, times the multipliers for its
//! size and frame rate (AWS, "AWS Elemental MediaConvert Pricing").

use abanico_media::{ExactTime, Rational};
use abanico_plan::{Plan, PlannedOutput, PlannedVideo, SpeedPreset, TaskKind};
use serde::Serialize;

use crate::{MicroUsd, Prices, RegionPrices};

/// Shortest billed duration, in seconds.
const LEAST_SECONDS: i64 = 10;
/// Fewest and most lines of a high-definition video (AWS's pricing page: SD below 720 lines, HD up to 1080, 4K above).
const HD_LINES: u32 = 720;
const MOST_HD_LINES: u32 = 1080;

/// One output on the bill.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BilledOutput {
    /// Destination of the output.
    pub url: String,
    /// Codec, as ffprobe names it.
    pub codec: String,
    /// `SD`, `HD`, `4K`, or `audio` for an audio-only output.
    pub size_class: &'static str,
    /// `<=30`, `<=60`, `<=120` or `>120` frames per second; `-` for an audio-only output.
    pub rate_class: &'static str,
    /// `basic` or `professional`.
    pub tier: &'static str,
    /// Billed seconds.
    pub seconds: i64,
    /// Product of the multipliers; `None` if one of them is not known.
    pub multiplier: Option<u32>,
    /// Cost; `None` if a price or multiplier is not known.
    pub price: Option<MicroUsd>,
}

/// The bill for a job.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MediaConvertEstimate {
    /// One entry per output.
    pub outputs: Vec<BilledOutput>,
    /// Sum of all outputs; `None` if the cost of one is not known.
    pub total: Option<MicroUsd>,
}

/// Estimates the bill for the outputs of a plan.
pub fn bill(plan: &Plan, prices: &Prices, region: &RegionPrices) -> MediaConvertEstimate {
    let outputs: Vec<BilledOutput> = plan
        .outputs
        .iter()
        .enumerate()
        .map(|(index, output)| billed(plan, index, output, prices, region))
        .collect();
    let total = outputs.iter().map(|output| output.price).sum::<Option<MicroUsd>>();
    MediaConvertEstimate { outputs, total }
}

fn billed(
    plan: &Plan,
    index: usize,
    output: &PlannedOutput,
    prices: &Prices,
    region: &RegionPrices,
) -> BilledOutput {
    let video = output.facts.video.as_ref();
    let (size_class, rate_class) = video.map_or(("audio", "-"), classes);
    let codec = video.map(|video| video.codec.as_str());
    let codec = codec.or(output.facts.audio.first().map(|audio| audio.codec.as_str())).unwrap_or("none");
    // Single-pass H.264 at the two faster speeds is the basic tier; everything else is the professional tier (AWS's
    // pricing page).
    let is_basic = codec == "h264" && speed(plan, index) != Some(SpeedPreset::Medium);
    let tier = if is_basic { "basic" } else { "professional" };
    let minute = match (is_basic, codec) {
        (true, _) => Some(region.basic_minute),
        (false, "h264") => region.professional_avc_minute,
        (false, _) => None,
    };
    let seconds = billed_seconds(output.facts.duration());
    let of = |classes: &std::collections::BTreeMap<String, u32>, name: &str| classes.get(name).copied();
    let multiplier = of(&prices.multipliers.size, size_class)
        .zip(of(&prices.multipliers.rate, rate_class))
        .map(|(size, rate)| size * rate);
    let price = minute.zip(multiplier).map(|(minute, multiplier)| price(minute, multiplier, seconds));
    BilledOutput {
        url: output.url.clone(),
        codec: codec.to_owned(),
        size_class,
        rate_class,
        tier,
        seconds,
        multiplier,
        price,
    }
}

/// Returns the size class and the rate class of a video.
fn classes(video: &PlannedVideo) -> (&'static str, &'static str) {
    let lines = video.size.width.min(video.size.height);
    let size_class = match lines {
        _ if lines < HD_LINES => "SD",
        _ if lines <= MOST_HD_LINES => "HD",
        _ => "4K",
    };
    let rate = video.rate.per_second();
    let classes = [(30, "<=30"), (60, "<=60"), (120, "<=120")];
    let rate_class =
        classes.into_iter().find(|(most, _)| rate <= Rational::from(*most)).map_or(">120", |(_, name)| name);
    (size_class, rate_class)
}

/// Multiplies the dollars per normalised minute by the multiplier and the duration.
fn price(minute: Rational, multiplier: u32, seconds: i64) -> MicroUsd {
    let minutes = Rational::new(seconds, 60);
    MicroUsd::rounded_up(minute * minutes * Rational::from(i64::from(multiplier)) * Rational::from(1_000_000))
}

/// Rounds the duration up to whole seconds, at least ten.
fn billed_seconds(duration: ExactTime) -> i64 {
    duration.seconds().ceil().max(LEAST_SECONDS)
}

/// Returns the speed preset of an output's rendition.
fn speed(plan: &Plan, output: usize) -> Option<SpeedPreset> {
    let rendition = plan.tasks.iter().find_map(|task| match &task.kind {
        TaskKind::Package(made) if made.file.output as usize == output => made.file.streams.video,
        TaskKind::Segment(cut) if cut.output as usize == output => cut.streams.video,
        _ => None,
    })?;
    plan.tasks.iter().find_map(|task| match &task.kind {
        TaskKind::EncodeVideo(encode) => {
            encode.renditions().find(|(_, made)| made.index == rendition).map(|(_, made)| made.coding.speed)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hd_minute_costs_two_normalised_minutes() {
        // 0.0075 USD per normalised minute, times 2 for HD, times 1 for up to 30 fps.
        assert_eq!(price(Rational::new(75, 10_000), 2, 60), MicroUsd(15_000));
        // 4K at 60 fps is 4 x 2.
        assert_eq!(price(Rational::new(75, 10_000), 8, 60), MicroUsd(60_000));
    }

    #[test]
    fn duration_rounds_up_to_at_least_ten_seconds() {
        assert_eq!(billed_seconds(ExactTime::from_millis(45_001)), 46);
        assert_eq!(billed_seconds(ExactTime::from_millis(45_000)), 45);
        assert_eq!(billed_seconds(ExactTime::from_millis(400)), 10);
    }

    proptest! {
        #[test]
        fn longer_output_never_costs_less(seconds in 0_i64..100_000, more in 0_i64..1000, multiplier in 1_u32..9) {
            let minute = Rational::new(75, 10_000);
            prop_assert!(price(minute, multiplier, seconds) <= price(minute, multiplier, seconds + more));
        }
    }
}
