//! Estimates what a job costs with abanico's own encoders, on Lambda and on your own machine.
//!
//! The estimate starts from the CPU seconds of a plan. The speed of the encoders is measured by `bench/encode_speed.py`.

use abanico_media::{MediaInfo, Rational};
use abanico_plan::{Pass, Plan, Sampling, TaskKind, VideoCodec, VideoEncode};
use serde::Serialize;

use crate::{MicroUsd, Prices, RegionPrices};

/// Memory in MB per processor on Lambda (AWS, "Configure Lambda function memory").
const MB_A_PROCESSOR: i64 = 1769;
/// Longest duration of one invocation, in seconds, and most processors of a function (AWS, "Lambda quotas").
const MOST_SECONDS: i64 = 900;
const MOST_PROCESSORS: i64 = 6;

/// Resources that a job needs, and their cost.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ComputeEstimate {
    /// CPU seconds for decoding and encoding, rounded up.
    pub cpu_seconds: i64,
    /// Invocations or machines needed, at least 1.
    pub parts: i64,
    /// Lower bound of the elapsed time in seconds, rounded up.
    pub wall_seconds: i64,
    /// Cost.
    pub price: MicroUsd,
}

/// A machine of your own.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Machine {
    /// Processors.
    pub processors: i64,
    /// Power under load, in watts.
    pub watts: i64,
    /// Dollars per kilowatt-hour.
    pub kilowatt_hour: Rational,
    /// Dollars per hour for the machine itself, such as depreciation or rent.
    pub hour: Rational,
}

/// Estimates the job on Lambda with abanico's encoders: CPU seconds at the price of the memory per processor.
///
/// A film that is too long for one invocation is split over as many as it needs. `speed` is the speed of a Lambda
/// processor relative to the measured processor. Returns `None` if the input has no video or a codec's speed was not
/// measured.
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

/// Estimates the job on your own machine, with nothing else running on it.
///
/// Returns `None` if the input has no video or a codec's speed was not measured.
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

/// Returns the CPU seconds to decode the input once per pass and to encode all renditions; `None` for a codec that was
/// not measured. A chunk decodes only its own frames.
fn cpu_seconds(plan: &Plan, input: &MediaInfo, prices: &Prices) -> Option<Rational> {
    let gigapixels = |pixels: u64, frames: u64| {
        // Counts in thousands of frames and of pixels, to keep the fraction within 64 bits.
        Rational::new(i64::try_from(pixels / 1000).unwrap_or(i64::MAX), 1000)
            * Rational::new(i64::try_from(frames).unwrap_or(i64::MAX), 1000)
    };
    let video = input.video.as_ref()?;
    let film_frames = film_frames(plan);
    let decode = |encode: &VideoEncode| {
        let own = if encode.chunk.is_some() { encode.most_frames() } else { film_frames };
        let frames = (video.frames.saturating_mul(own)).div_ceil(film_frames.max(1));
        gigapixels(video.size.area(), frames) * prices.speed.decode_cpu_seconds_per_gigapixel
    };
    let mut total = Rational::ZERO;
    for task in &plan.tasks {
        let (TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode)) = &task.kind else { continue };
        total = total + decode(encode);
        for (branch, rendition) in encode.renditions() {
            if rendition.coding.codec() != VideoCodec::H264 {
                return None;
            }
            let rate = prices.speed.encode(rendition.coding.speed, rendition.pass)?;
            let frames = match rendition.pass {
                // Each sampled frame is encoded twice: once losslessly as the reference, once to be compared with it.
                // The time to compute the metric is not counted.
                Pass::Sample(Sampling { every, taken, .. }) => {
                    2 * (branch.frames * taken).div_ceil(every.max(1))
                }
                _ => branch.frames,
            };
            total = total + gigapixels(rendition.frame.area(), frames) * rate;
        }
    }
    // Hundredths of a second are precise enough and keep later products within 64 bits.
    Some(Rational::new((total * Rational::from(100)).ceil(), 100))
}

/// Returns the number of frames that all encodes together deliver, counting each one's fastest branch.
fn film_frames(plan: &Plan) -> u64 {
    let encodes = plan.tasks.iter().filter_map(|task| match &task.kind {
        TaskKind::EncodeVideo(encode) => Some(encode.most_frames()),
        _ => None,
    });
    encodes.sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use abanico_media::{ClockJumps, Colour, EntryPoints, ExactTime, Orientation, VideoTrack};
    use abanico_plan::{Capabilities, Chunking, PlanRequest, plan};
    use serde_json::{Value, json};

    use super::*;

    /// Ten minutes of 1080p25 with a key frame every second.
    fn film() -> MediaInfo {
        let video = json!({"stream_index": 0, "codec": "h264", "profile": null, "pixel_format": "yuv420p", "bit_depth": 8,
            "size": {"width": 1920, "height": 1080}, "sample_aspect": "1/1", "orientation": Orientation::UPRIGHT,
            "frame_rate": "25/1", "variable_frame_rate": false, "frames": 15_000, "start": ExactTime::ZERO,
            "end": ExactTime::from_millis(600_000), "field_order": "progressive", "colour": Colour::default(),
            "bit_rate_bps": 8_000_000});
        let entry_points =
            EntryPoints { tick: Rational::new(1, 25), ticks: (0..15_000).step_by(25).collect() };
        let video = VideoTrack { entry_points, ..serde_json::from_value(video).unwrap() };
        let container = "mov,mp4,m4a,3gp,3g2,mj2".to_owned();
        let clock_start = ExactTime::ZERO;
        let jumps = ClockJumps::default();
        MediaInfo { container, size_bytes: 1, clock_start, video: Some(video), audio: vec![], jumps }
    }

    fn planned(film: &MediaInfo, chunking: Chunking) -> Plan {
        let output = |modifier: &str, width: u32, height: u32| -> Value {
            let coding = json!({"rateControlMode": "VBR", "bitrate": 4_000_000, "qualityTuningLevel": "SINGLE_PASS_HQ"});
            json!({"nameModifier": modifier, "containerSettings": {"container": "MP4"},
                "videoDescription": {"width": width, "height": height,
                    "codecSettings": {"codec": "H_264", "h264Settings": coding}}})
        };
        let settings = json!({
            "inputs": [{"fileInput": "s3://in/film.mp4"}],
            "outputGroups": [{
                "outputGroupSettings": {"type": "FILE_GROUP_SETTINGS",
                    "fileGroupSettings": {"destination": "s3://out/"}},
                "outputs": [output("_a", 1920, 1080), output("_b", 1280, 720)],
            }],
        });
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (encoders, filters) = (names(&["libx264"]), names(&[]));
        plan(PlanRequest {
            settings: &serde_json::from_value(settings).unwrap(),
            user_metadata: &BTreeMap::new(),
            inputs: std::slice::from_ref(film),
            capabilities: &Capabilities { version: "5.1.9".to_owned(), encoders, filters },
            started_epoch_ms: 0,
            chunking,
        })
        .unwrap()
    }

    fn prices() -> Prices {
        let mut prices = Prices::built_in();
        let speed = &mut prices.speed;
        speed.decode_cpu_seconds_per_gigapixel = Rational::from(1);
        speed.first_pass_cpu_seconds_per_gigapixel = Some(Rational::from(10));
        speed.second_pass_cpu_seconds_per_gigapixel = [("fast".to_owned(), Rational::from(20))].into();
        prices
    }

    #[test]
    fn each_pass_has_its_own_rate() {
        let film = film();
        let seconds = cpu_seconds(&planned(&film, Chunking::Off), &film, &prices()).unwrap();
        // 31.104 gigapixels are decoded twice, 7.776 are analysed, and 31.104 and 13.824 are encoded. The pixels are rounded
        // down to thousands.
        let exact = Rational::new(31_095, 1000) * Rational::from(2)
            + Rational::new(7770, 1000) * Rational::from(10)
            + Rational::new(31_095 + 13_815, 1000) * Rational::from(20);
        assert_eq!(seconds, exact);
    }

    #[test]
    fn chunks_together_decode_once_per_pass() {
        let film = film();
        let (whole, chunks) = (planned(&film, Chunking::Off), planned(&film, Chunking::For(4)));
        let count = chunks.tasks.iter().filter(|task| matches!(task.kind, TaskKind::EncodeVideo(_))).count();
        assert!(count > 4, "{count}");
        let seconds = |plan: &Plan| cpu_seconds(plan, &film, &prices()).unwrap();
        assert!((seconds(&whole) - seconds(&chunks)).abs() < Rational::ONE);
    }
}
