//! Translates a planned coding into the options of ffmpeg's encoders.
//!
//! It makes no decisions: the plan has made them all.

use std::path::PathBuf;

use abanico_media::{FieldOrder, MasteringDisplay};
use abanico_plan::{
    AudioCodec, AudioCoding, AudioRate, CodecSettings, EntropyCoder, H264Profile, H264Settings, H265Settings,
    RateControl, SpeedPreset, VideoCoding, Zone,
};

use crate::command::Args;
use crate::graph_text::option_value;

/// How libx264 moves bits from busy blocks to flat ones: relative to the frame's own variance, and less
/// strongly than by default. For the same VMAF this takes 10 to 15 % fewer bits than libx264's defaults,
/// measured at preset faster with 30 s of traffic seen from above, 10 s of a motorway and 20 s of a trailer
/// (libx264 of Debian 12). Flat and dark areas still get more than their share.
const ADAPTIVE_QUANTISATION: &str = "aq-mode=2:aq-strength=0.7";
/// How libx264 places B-frames: it takes the best path through all frames of its lookahead, where its presets
/// up to `medium` only compare neighbours. Measured like [`QUICK_SEARCH`]: for the same VMAF, 10 and 26 %
/// fewer bits on a drawn and a rendered film, and 1 % more on two live-action ones.
const B_FRAME_CHOICE: &str = "b-adapt=2";
/// Makes libx264's `faster` quicker: the motion search uses a smaller pattern and less subpixel refinement.
///
/// Measured with a half-size first pass, against a single pass at `medium`. The largest rung of 10 s of a drawn
/// film (1080p) took 0.43 of the processor time and 12 % fewer bits for the same VMAF; a motorway (540p) 0.42 and
/// 9 % fewer; a rendered film (720p) 0.47 and 21 % fewer. Without these options, the figures were 0.61 and 13 %,
/// 0.60 and 8 %, 0.61 and 27 %. One thread, libx264 of Debian 12, VMAF of every second frame.
const QUICK_SEARCH: &str = "me=dia:subme=3";
/// Number of reference frames of `faster`: a second one saved at most 2 % of the bits and cost a tenth of the
/// time.
const QUICK_REFERENCES: u8 = 1;

/// How one pass of a multi-pass encode uses the statistics file.
pub(crate) enum Statistics {
    /// The first pass writes this file.
    Written(PathBuf),
    /// The second pass reads this file.
    Read(PathBuf),
}

/// Constraints on an encode that is one of several: a chunk among others, or one of two passes.
#[derive(Default)]
pub(crate) struct OneOfSeveral {
    /// Whether it is joined with other chunks. If so, its parameter sets must not depend on the chunk's
    /// content.
    pub is_chunk: bool,
    /// The statistics that it shares with another pass.
    pub statistics: Option<Statistics>,
    /// Its number of threads, if other encodes run beside it.
    pub threads: Option<u32>,
}

impl OneOfSeveral {
    /// Returns the parameters for libx264.
    fn params(&self) -> String {
        let chunk = if self.is_chunk { ":stitchable=1" } else { "" };
        format!("{chunk}{}", self.statistics.as_ref().map_or(String::new(), Statistics::params))
    }
}

impl Statistics {
    /// Returns the parameters for libx264. Both passes use the same `weightp`, or libx264 would refuse the
    /// second one. The first pass looks as far ahead as the slower presets do, because the second does not
    /// look ahead at all.
    fn params(&self) -> String {
        match self {
            Self::Written(file) => {
                format!(":weightp=1:rc-lookahead=40:pass=1:stats={}", option_value(&file.to_string_lossy()))
            }
            Self::Read(file) => format!(":weightp=1:pass=2:stats={}", option_value(&file.to_string_lossy())),
        }
    }
}

/// Adds the arguments of one video encode.
pub(crate) fn video_args(args: &mut Args, coding: &VideoCoding, one_of_several: &OneOfSeveral) {
    args.pair("-c:v", coding.codec().encoder());
    match &coding.codec {
        CodecSettings::H264(own) => h264_args(args, coding, own, one_of_several),
        CodecSettings::H265(own) => h265_args(args, coding, own, one_of_several),
        CodecSettings::Vp9 => vp9_args(args, coding),
        CodecSettings::Av1 => av1_args(args, coding, one_of_several),
    }
    args.pair("-pix_fmt", coding.pixel_format());
}

fn h264_args(args: &mut Args, coding: &VideoCoding, own: &H264Settings, one_of_several: &OneOfSeveral) {
    let preset = match coding.speed {
        SpeedPreset::VeryFast => "veryfast",
        SpeedPreset::Fast => "faster",
        SpeedPreset::Medium => "medium",
    };
    args.pair("-preset", preset).pair("-profile:v", profile(own.profile));
    if let Some(level) = own.level {
        args.pair("-level:v", format!("{}.{}", level.0 / 10, level.0 % 10));
    }
    rate_control(args, coding);
    args.pair("-bufsize:v", coding.buffer_bits.to_string());
    if let Some(percent) = coding.buffer_fill_percent {
        let bits = u128::from(coding.buffer_bits) * u128::from(percent.min(100)) / 100;
        args.pair("-rc_init_occupancy:v", bits.to_string());
    }
    args.pair("-g", coding.gop.frames.to_string()).pair("-keyint_min", coding.gop.min_frames.to_string());
    if !coding.gop.scene_cuts {
        args.pair("-sc_threshold", "0");
    }
    args.pair("-bf", coding.b_frames.to_string());
    let is_quick = coding.speed == SpeedPreset::Fast;
    if let Some(references) = coding.references.or(is_quick.then_some(QUICK_REFERENCES)) {
        args.pair("-refs", references.to_string());
    }
    args.pair("-coder", if own.entropy == EntropyCoder::Cabac { "1" } else { "0" });
    // Closed groups: every group can be decoded by itself. No b-pyramid if the job forbids B-frames as
    // references.
    let pyramid = if own.b_references && coding.b_frames > 1 { "normal" } else { "none" };
    // Constant rate in one pass gets a tenth of the usual tolerance: 12 s of noise at 1 Mb/s missed the rate
    // by 1.5 % instead of 5.5 %. An average rate keeps the usual tolerance: a tenth would bring the miss from
    // 1.2 % down to 0.3 %, but takes 11 % more bits for the same VMAF, measured on 10 s of traffic (libx264
    // of Debian 12).
    let is_constant = matches!(coding.rate_control, RateControl::Constant { .. });
    let leeway = if is_constant && one_of_several.statistics.is_none() { ":ratetol=0.1" } else { "" };
    let search = if is_quick { format!(":{QUICK_SEARCH}") } else { String::new() };
    let fields = match coding.fields {
        FieldOrder::Progressive => "",
        FieldOrder::TopFirst => ":tff=1",
        FieldOrder::BottomFirst => ":bff=1",
    };
    if coding.fields != FieldOrder::Progressive {
        args.all(["-flags:v", "+ilme+ildct"]);
    }
    args.pair(
        "-x264-params",
        format!(
            "open-gop=0:b-pyramid={pyramid}:{B_FRAME_CHOICE}:{ADAPTIVE_QUANTISATION}{search}{leeway}{fields}{}{}",
            one_of_several.params(),
            zones(&coding.zones).map(|zones| format!(":{zones}")).unwrap_or_default()
        ),
    );
}

/// Formats zones for libx264 and libx265, with shares of bits to three decimals. Returns `None` if there are
/// no zones.
fn zones(zones: &[Zone]) -> Option<String> {
    let of = |zone: &Zone| {
        let share = zone.bits_permille;
        format!("{},{},b={}.{:03}", zone.first, zone.last, share / 1000, share % 1000)
    };
    (!zones.is_empty()).then(|| format!("zones={}", zones.iter().map(of).collect::<Vec<_>>().join("/")))
}

fn h265_args(args: &mut Args, coding: &VideoCoding, own: &H265Settings, one_of_several: &OneOfSeveral) {
    let profile = if coding.bit_depth > 8 { "main10" } else { "main" };
    let preset = match coding.speed {
        SpeedPreset::VeryFast => "veryfast",
        SpeedPreset::Fast => "fast",
        SpeedPreset::Medium => "medium",
    };
    args.pair("-preset", preset).pair("-profile:v", profile);
    rate_control(args, coding);
    args.pair("-bufsize:v", coding.buffer_bits.to_string());
    // Forced key frames start closed groups, as segments need them.
    args.pair("-forced-idr", "1");
    let gop = &coding.gop;
    let mut params = vec![
        // Log only warnings, like ffmpeg itself.
        "log-level=warning".to_owned(),
        format!("keyint={}:min-keyint={}", gop.frames, gop.min_frames),
        format!(
            "bframes={}:b-pyramid={}",
            coding.b_frames,
            u8::from(own.b_references && coding.b_frames > 1)
        ),
        "open-gop=0".to_owned(),
        format!("high-tier={}", u8::from(own.high_tier)),
    ];
    params.extend((!gop.scene_cuts).then(|| "scenecut=0".to_owned()));
    params.extend(zones(&coding.zones));
    // libx265's thread pool ignores `-threads`.
    params.extend(one_of_several.threads.map(|threads| format!("pools={threads}:frame-threads=1")));
    // Otherwise libx265 writes a description of its settings among the parameter sets, which differs between
    // chunks.
    params.extend(one_of_several.is_chunk.then(|| "info=0".to_owned()));
    params.extend(coding.references.map(|count| format!("ref={count}")));
    params.extend(own.level.map(|level| format!("level-idc={}.{}", level.0 / 10, level.0 % 10)));
    params.extend(coding.buffer_fill_percent.map(|percent| format!("vbv-init=0.{:02}", percent.min(99))));
    params.extend(coding.static_hdr.mastering.map(|screen| format!("master-display={}", in_units(screen))));
    params.extend(
        coding.static_hdr.light.map(|light| format!("max-cll={},{}", light.max, light.max_frame_average)),
    );
    args.pair("-x265-params", params.join(":"));
    args.pair("-tag:v", if own.in_band_parameters { "hev1" } else { "hvc1" });
}

/// Formats a mastering display for libx265, in the units of SMPTE ST 2086.
fn in_units(screen: MasteringDisplay) -> String {
    described(screen, |chromaticity| chromaticity.to_string(), |luminance| luminance.to_string())
}

/// Formats a mastering display for SVT-AV1, in decimals.
fn in_decimals(screen: MasteringDisplay) -> String {
    let chromaticity = |units: u32| format!("{}.{:05}", units / 50_000, units % 50_000 * 2);
    let luminance = |units: u32| format!("{}.{:04}", units / 10_000, units % 10_000);
    described(screen, chromaticity, luminance)
}

/// Formats primaries, white point and luminance in the order that both encoders expect.
fn described(
    screen: MasteringDisplay,
    chromaticity: impl Fn(u32) -> String,
    luminance: impl Fn(u32) -> String,
) -> String {
    let point = |(x, y): (u32, u32)| format!("({},{})", chromaticity(x), chromaticity(y));
    let (green, blue, red, white) =
        (point(screen.green), point(screen.blue), point(screen.red), point(screen.white));
    let (most, least) = (luminance(screen.max_luminance), luminance(screen.min_luminance));
    format!("G{green}B{blue}R{red}WP{white}L({most},{least})")
}

fn vp9_args(args: &mut Args, coding: &VideoCoding) {
    // libvpx's speed levels, from 0 (slow) to 8, in its mode for files.
    let step = match coding.speed {
        SpeedPreset::VeryFast => "5",
        SpeedPreset::Fast => "4",
        SpeedPreset::Medium => "2",
    };
    args.all(["-deadline", "good", "-row-mt", "1", "-tile-columns", "2", "-auto-alt-ref", "1"]);
    args.pair("-cpu-used", step);
    // In one pass, libvpx's variable rate misses its average: 12 s of noise at 600 kb/s came out at 1,038.
    // Its constant rate, which equal bounds select, came out at 637 (libvpx of Debian 12).
    let rate = match coding.rate_control {
        RateControl::Constant { bit_rate_bps } | RateControl::Average { bit_rate_bps, .. } => bit_rate_bps,
        RateControl::Quality { max_bit_rate_bps, .. } => max_bit_rate_bps,
    };
    for flag in ["-b:v", "-minrate:v", "-maxrate:v"] {
        args.pair(flag, rate.to_string());
    }
    args.pair("-bufsize:v", coding.buffer_bits.to_string());
    args.pair("-g", coding.gop.frames.to_string());
}

fn av1_args(args: &mut Args, coding: &VideoCoding, one_of_several: &OneOfSeveral) {
    // SVT-AV1's presets, from 0 (slow) to 12.
    let step = match coding.speed {
        SpeedPreset::VeryFast => "11",
        SpeedPreset::Fast => "9",
        SpeedPreset::Medium => "7",
    };
    args.pair("-preset", step);
    // SVT-AV1 ignores `-threads`.
    let mut params: Vec<String> =
        one_of_several.threads.map(|threads| format!("lp={threads}")).into_iter().collect();
    params.extend(
        coding.static_hdr.mastering.map(|screen| format!("mastering-display={}", in_decimals(screen))),
    );
    params.extend(
        coding
            .static_hdr
            .light
            .map(|light| format!("content-light={},{}", light.max, light.max_frame_average)),
    );
    match coding.rate_control {
        RateControl::Quality { rate_factor_tenths, max_bit_rate_bps, .. } => {
            args.pair("-crf", (rate_factor_tenths / 10).to_string());
            // The maximum bit rate for constant quality, in kilobits per second.
            params.push(format!("mbr={}", max_bit_rate_bps.div_ceil(1000)));
        }
        RateControl::Constant { bit_rate_bps } | RateControl::Average { bit_rate_bps, .. } => {
            args.pair("-b:v", bit_rate_bps.to_string());
        }
    }
    if !params.is_empty() {
        args.pair("-svtav1-params", params.join(":"));
    }
    args.pair("-g", coding.gop.frames.to_string());
}

fn rate_control(args: &mut Args, coding: &VideoCoding) {
    match coding.rate_control {
        RateControl::Constant { bit_rate_bps } => {
            args.pair("-b:v", bit_rate_bps.to_string()).pair("-maxrate:v", bit_rate_bps.to_string());
        }
        RateControl::Average { bit_rate_bps, max_bit_rate_bps } => {
            args.pair("-b:v", bit_rate_bps.to_string()).pair("-maxrate:v", max_bit_rate_bps.to_string());
        }
        RateControl::Quality { rate_factor_tenths, max_bit_rate_bps, .. } => {
            args.pair("-crf", format!("{}.{}", rate_factor_tenths / 10, rate_factor_tenths % 10));
            args.pair("-maxrate:v", max_bit_rate_bps.to_string());
        }
    }
}

fn profile(profile: H264Profile) -> &'static str {
    match profile {
        H264Profile::Baseline => "baseline",
        H264Profile::Main => "main",
        H264Profile::High => "high",
    }
}

/// Adds the arguments of one audio encode.
pub(crate) fn audio_args(args: &mut Args, coding: &AudioCoding) {
    let encoder = match (coding.codec, coding.rate) {
        (AudioCodec::Wav | AudioCodec::Aiff, _) => coding.probed_name(),
        (codec, _) => codec.encoder(),
    };
    args.pair("-c:a", encoder);
    match (coding.codec, coding.rate) {
        (AudioCodec::Aac, _) => {
            args.all(["-profile:a", "aac_low"]);
        }
        // 24-bit samples occupy the upper bits of 32. ffmpeg 5.1 treats FLAC in MP4 as experimental.
        (AudioCodec::Flac, AudioRate::Lossless(24)) => {
            args.all(["-sample_fmt", "s32", "-bits_per_raw_sample", "24", "-strict", "-2"]);
        }
        (AudioCodec::Flac, _) => {
            args.all(["-sample_fmt", "s16", "-strict", "-2"]);
        }
        _ => {}
    }
    match coding.rate {
        AudioRate::BitRate(rate) => {
            args.pair("-b:a", rate.to_string());
        }
        AudioRate::QualityTenths(tenths) => {
            let sign = if tenths < 0 { "-" } else { "" };
            args.pair("-q:a", format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10));
        }
        AudioRate::Lossless(_) | AudioRate::Copied(_) => {}
    }
    args.pair("-ar", coding.sample_rate_hz.to_string()).pair("-ac", coding.channels.to_string());
}
