//! The same job by abanico's own encoders: in a plan, out CPU seconds and what they cost on Lambda and on a machine that
//! one owns. The CPU is measured, not promised: `bench/encode_speed.py` writes it.

use abanico_media::{MediaInfo, Rational};
use abanico_plan::{Plan, SpeedPreset, TaskKind, VideoCodec};
use serde::Serialize;

use crate::{MicroUsd, Prices, RegionPrices};

/// Memory in MB that comes with one processor on Lambda (AWS, "Configure Lambda function memory").
const MB_A_PROCESSOR: i64 = 1769;
/// Longest time of one invocation, in seconds, and most processors of a function (AWS, "Lambda quotas").
const MOST_SECONDS: i64 = 900;
const MOST_PROCESSORS: i64 = 6;

/// What the job takes and costs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ComputeEstimate {
    /// CPU seconds of decoding and encoding, rounded up.
    pub cpu_seconds: i64,
    /// Invocations or machines that are needed, at least 1.
    pub parts: i64,
    /// Seconds until it is done, at least, rounded up.
    pub wall_seconds: i64,
    /// What it costs.
    pub price: MicroUsd,
}

/// A machine that one owns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Machine {
    /// Processors.
    pub processors: i64,
    /// Power under load, in watts.
    pub watts: i64,
    /// Dollars for a kilowatt-hour.
    pub kilowatt_hour: Rational,
    /// Dollars for an hour of the machine itself, such as its write-off or its rent.
    pub hour: Rational,
}

/// On Lambda with abanico's encoders: CPU seconds at the price of the memory that comes with the processors. A film too
/// long for one invocation is cut into as many as it needs. `speed` is a Lambda processor's speed against the measured
/// one.
pub fn serverless(
    plan: &Plan,
    input: &MediaInfo,
    prices: &Prices,
    region: &RegionPrices,
    speed: Rational,
) -> Option<ComputeEstimate> {
    let cpu = cpu_seconds(plan, input, prices)? / speed;
    let capacity = Rational::from(MOST_SECONDS * MOST_PROCESSORS);
    let parts = (cpu / capacity).ceil().max(1);
    let wall = (cpu / Rational::from(parts * MOST_PROCESSORS)).ceil();
    let gigabytes = Rational::new(MB_A_PROCESSOR, 1024);
    let requests = region.lambda_million_requests * Rational::from(parts) / Rational::from(1_000_000);
    let dollars = cpu * gigabytes * region.lambda_gb_second + requests;
    Some(ComputeEstimate {
        cpu_seconds: cpu.ceil(),
        parts,
        wall_seconds: wall,
        price: MicroUsd::rounded_up(dollars * Rational::from(1_000_000)),
    })
}

/// On a machine that one owns, alone on it.
pub fn own_machine(
    plan: &Plan,
    input: &MediaInfo,
    prices: &Prices,
    machine: Machine,
) -> Option<ComputeEstimate> {
    let cpu = cpu_seconds(plan, input, prices)?;
    let wall = cpu / Rational::from(machine.processors.max(1));
    let hours = wall / Rational::from(3600);
    let energy = hours * Rational::new(machine.watts, 1000) * machine.kilowatt_hour;
    Some(ComputeEstimate {
        cpu_seconds: cpu.ceil(),
        parts: 1,
        wall_seconds: wall.ceil(),
        price: MicroUsd::rounded_up((energy + hours * machine.hour) * Rational::from(1_000_000)),
    })
}

/// CPU seconds to decode the input for each pass and to encode all renditions; none for a codec that was not measured.
fn cpu_seconds(plan: &Plan, input: &MediaInfo, prices: &Prices) -> Option<Rational> {
    let gigapixels = |pixels: u64, frames: u64| {
        // Thousands of frames and of thousand pixels keep the fraction within 64 bits.
        Rational::new(i64::try_from(pixels / 1000).unwrap_or(i64::MAX), 1000)
            * Rational::new(i64::try_from(frames).unwrap_or(i64::MAX), 1000)
    };
    let video = input.video.as_ref()?;
    let decode = gigapixels(video.size.area(), video.frames) * prices.speed.decode_cpu_seconds_per_gigapixel;
    let mut total = Rational::ZERO;
    for task in &plan.tasks {
        let (TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode)) = &task.kind else { continue };
        total = total + decode;
        for (branch, rendition) in encode.renditions() {
            if rendition.coding.codec() != VideoCodec::H264 {
                return None;
            }
            let step = match rendition.coding.speed {
                SpeedPreset::VeryFast => "very_fast",
                SpeedPreset::Fast => "fast",
                SpeedPreset::Medium => "medium",
            };
            let rate = prices.speed.encode_cpu_seconds_per_gigapixel.get(step)?;
            total = total + gigapixels(rendition.frame.area(), branch.frames) * *rate;
        }
    }
    // Hundredths of a second are exact enough, and keep later products within 64 bits.
    Some(Rational::new((total * Rational::from(100)).ceil(), 100))
}
