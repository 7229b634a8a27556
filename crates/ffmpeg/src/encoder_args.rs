//! Encoder settings as libx264 options: in an [`H264Encode`], out arguments. Never a decision: those are the plan's.

use abanico_plan::{EntropyCoder, H264Encode, H264Profile, RateControl, SpeedPreset};

use crate::command::Args;

/// Adds the arguments of one H.264 encode.
pub(crate) fn h264_args(args: &mut Args, encode: &H264Encode) {
    args.all(["-c:v", "libx264"])
        .pair("-preset", preset(encode.speed))
        .pair("-profile:v", profile(encode.profile));
    if let Some(level) = encode.level {
        args.pair("-level:v", format!("{}.{}", level.0 / 10, level.0 % 10));
    }
    rate_control(args, encode);
    args.pair("-g", encode.gop.frames.to_string()).pair("-keyint_min", encode.gop.min_frames.to_string());
    if !encode.gop.scene_cuts {
        args.pair("-sc_threshold", "0");
    }
    args.pair("-bf", encode.b_frames.to_string());
    if let Some(references) = encode.references {
        args.pair("-refs", references.to_string());
    }
    args.pair("-coder", if encode.entropy == EntropyCoder::Cabac { "1" } else { "0" });
    // Closed groups: every group can be decoded by itself. Without b-pyramid where the job forbids B references.
    let pyramid = if encode.b_references && encode.b_frames > 1 { "normal" } else { "none" };
    args.pair("-x264-params", format!("open-gop=0:b-pyramid={pyramid}"));
    args.pair("-pix_fmt", "yuv420p");
}

fn rate_control(args: &mut Args, encode: &H264Encode) {
    match encode.rate_control {
        RateControl::Constant { bit_rate_bps } => {
            args.pair("-b:v", bit_rate_bps.to_string()).pair("-maxrate:v", bit_rate_bps.to_string());
        }
        RateControl::Average { bit_rate_bps, max_bit_rate_bps } => {
            args.pair("-b:v", bit_rate_bps.to_string()).pair("-maxrate:v", max_bit_rate_bps.to_string());
        }
        RateControl::Quality { rate_factor_tenths, max_bit_rate_bps } => {
            args.pair("-crf", format!("{}.{}", rate_factor_tenths / 10, rate_factor_tenths % 10));
            args.pair("-maxrate:v", max_bit_rate_bps.to_string());
        }
    }
    args.pair("-bufsize:v", encode.buffer_bits.to_string());
}

fn preset(speed: SpeedPreset) -> &'static str {
    match speed {
        SpeedPreset::VeryFast => "veryfast",
        SpeedPreset::Fast => "fast",
        SpeedPreset::Medium => "medium",
    }
}

fn profile(profile: H264Profile) -> &'static str {
    match profile {
        H264Profile::Baseline => "baseline",
        H264Profile::Main => "main",
        H264Profile::High => "high",
    }
}
