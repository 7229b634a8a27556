//! Tests how the settings of each codec are translated for its encoder.

use serde_json::{Value, json};

use super::*;

fn coding(settings: Value) -> Result<VideoCoding, Error> {
    let settings: VideoCodecSettings = serde_json::from_value(settings).unwrap();
    let shared = SharedSettings::read(&settings, "/c")?;
    VideoCoding::from_settings(&settings, &shared, FrameRate::new(25, 1).unwrap(), Size::new(640, 360), "/c")
}

#[test]
fn each_codec_is_read_from_its_settings() {
    let h265 =
        coding(json!({"codec": "H_265", "h265Settings": {"rateControlMode": "VBR", "bitrate": 1_000_000,
        "codecProfile": "MAIN10_HIGH", "codecLevel": "LEVEL_5_1", "gopSize": 50.0,
        "hrdBufferInitialFillPercentage": 90}}))
        .unwrap();
    assert_eq!((h265.codec(), h265.bit_depth, h265.pixel_format()), (VideoCodec::H265, 10, "yuv420p10le"));
    assert_eq!((h265.gop.frames, h265.gop.is_fixed, h265.buffer_fill_percent), (50, true, Some(90)));
    let CodecSettings::H265(own) = &h265.codec else { panic!("{:?}", h265.codec) };
    assert_eq!((own.high_tier, own.level, own.in_band_parameters), (true, Some(H265Level(51)), false));
    let vp9 = coding(json!({"codec": "VP9", "vp9Settings": {"bitrate": 800_000}})).unwrap();
    let expected = RateControl::Average { bit_rate_bps: 800_000, max_bit_rate_bps: 1_200_000 };
    assert_eq!((vp9.codec(), vp9.rate_control), (VideoCodec::Vp9, expected));
    let av1 =
        coding(json!({"codec": "AV1", "av1Settings": {"rateControlMode": "QVBR", "maxBitrate": 900_000,
        "qvbrSettings": {"qvbrQualityLevel": 7}, "bitDepth": "BIT_10"}}))
        .unwrap();
    assert_eq!((av1.codec(), av1.bit_depth), (VideoCodec::Av1, 10));
    let expected =
        RateControl::Quality { rate_factor_tenths: 350, max_bit_rate_bps: 900_000, max_mean_bps: None };
    assert_eq!(av1.rate_control, expected);
}

#[test]
fn higher_quality_levels_lower_the_rate_factor() {
    let size = Size::new(1920, 1080);
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        let mut last = u32::MAX;
        for level in 1..=10 {
            for fine in [0.0, 0.33, 0.66] {
                let factor = rate_factor_tenths(codec, Some(level), Some(fine), size);
                assert!(factor <= last && factor >= 10, "{codec:?} {level} {fine}: {factor}");
                last = factor;
            }
        }
    }
    assert_eq!(rate_factor_tenths(VideoCodec::H264, Some(9), Some(0.33), size), 176);
    assert_eq!(rate_factor_tenths(VideoCodec::H265, Some(7), None, size), 272);
}

#[test]
fn missing_settings_and_unknown_codecs_are_refused() {
    let why = |settings: Value| coding(settings).unwrap_err().to_string();
    assert!(why(json!({"codec": "H_265"})).contains("h265Settings is a required property"));
    assert!(why(json!({"codec": "PRORES"})).contains("/c/codec: PRORES is not supported"));
    let profile =
        json!({"codec": "H_264", "h264Settings": {"bitrate": 1_000_000, "codecProfile": "HIGH_422"}});
    assert!(why(profile).contains("/c/h264Settings/codecProfile"));
    assert!(why(json!({"codec": "VP9", "vp9Settings": {}})).contains("bitrate is required"));
}
