//! Whole commands, read as a person would type them.

use std::path::Path;

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Size};
use abanico_plan::{
    EntropyCoder, Gop, H264Encode, H264Level, H264Profile, RateBranch, RateControl, ScaleSource, SpeedPreset,
    ToneMap, VideoRendition,
};

use super::*;

fn line(args: Vec<OsString>) -> String {
    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn source() -> SourceVideo {
    SourceVideo {
        stream_index: 1,
        start: ExactTime::from_ticks(5310, Rational::new(1, 90_000)),
        size: Size::new(1920, 1080),
        sample_aspect: Rational::ONE,
        orientation: Orientation::UPRIGHT,
        deinterlace: FieldOrder::Progressive,
        tone_map: ToneMap::None,
        pixel_format: "yuv420p".into(),
        colour: Colour::default(),
    }
}

fn rendition(index: u32, scale_from: ScaleSource, picture: Size, frame: Size) -> VideoRendition {
    let encode = H264Encode {
        rate_control: RateControl::Constant { bit_rate_bps: 6_000_000 },
        buffer_bits: 12_000_000,
        speed: SpeedPreset::Medium,
        profile: H264Profile::High,
        level: Some(H264Level(40)),
        gop: Gop { frames: 48, min_frames: 12, scene_cuts: true },
        b_frames: 1,
        b_references: false,
        references: Some(3),
        entropy: EntropyCoder::Cabac,
    };
    VideoRendition { index, scale_from, picture, frame, key_frame_every: None, encode }
}

fn three(source: SourceVideo) -> VideoEncode {
    let rate = FrameRate::new(24000, 1001).unwrap();
    let renditions = vec![
        rendition(0, ScaleSource::Source, Size::new(1920, 1080), Size::new(1920, 1080)),
        rendition(1, ScaleSource::Rendition(0), Size::new(1280, 720), Size::new(1280, 720)),
        rendition(2, ScaleSource::Rendition(1), Size::new(640, 360), Size::new(640, 480)),
    ];
    VideoEncode { source, branches: vec![RateBranch { rate, frames: 1493, renditions }] }
}

#[test]
fn is_the_three_rendition_command_one_decode_and_a_cascade() {
    insta::assert_snapshot!(line(encode_video(
        &three(source()),
        Path::new("/w/input"),
        Path::new("/w/video"),
        None
    )));
}

#[test]
fn does_a_turned_interlaced_hdr_source_get_its_filters_in_order() {
    let mut odd = source();
    odd.orientation = Orientation { quarter_turns: 1, mirrored: true };
    odd.deinterlace = FieldOrder::TopFirst;
    odd.tone_map = ToneMap::Hable;
    odd.size = Size::new(3840, 2160);
    let command = line(encode_video(&three(odd), Path::new("/w/i"), Path::new("/w"), Some(2)));
    let (graph, _) = command.split_once("[prepared]").unwrap();
    insta::assert_snapshot!(graph);
    assert!(!command.contains("-reinit_filter"), "fields must not be mixed over a size change");
}

#[test]
fn do_two_rates_share_one_decode() {
    let mut encode = three(source());
    let mut second = encode.branches[0].clone();
    second.rate = FrameRate::new(50, 1).unwrap();
    second.renditions = vec![rendition(3, ScaleSource::Source, Size::new(960, 540), Size::new(640, 540))];
    encode.branches.push(second);
    let command = line(encode_video(&encode, Path::new("/w/i"), Path::new("/w"), None));
    assert!(
        command.contains("[prepared]split=2[r0][r1]") && command.contains("[r1]fps=fps=50:"),
        "{command}"
    );
    assert!(command.contains("[p3]crop=640:540,setsar=1[v3]"), "{command}");
}

#[test]
fn is_sound_moved_by_start_and_offset() {
    let encode = AudioEncode {
        index: 2,
        stream_index: 4,
        start: ExactTime::from_millis(60),
        offset: ExactTime::from_millis(-40),
        end: ExactTime::from_millis(1000),
        sample_rate_hz: 48_000,
        channels: 2,
        bit_rate_bps: 160_000,
    };
    insta::assert_snapshot!(line(encode_audio(&encode, Path::new("/w/input"), Path::new("/w/audio-2"))));
}

#[test]
fn does_packaging_copy_both_streams() {
    let output =
        Mp4Output { output: 1, video: 0, audio: Some(2), language: Some("spa".into()), fast_start: true };
    let with =
        package(&output, Path::new("/w/v.mp4"), Some(Path::new("/w/a.mp4")), Path::new("/w/package-1"));
    insta::assert_snapshot!(line(with));
    let without = package(
        &Mp4Output { audio: None, fast_start: false, ..output },
        Path::new("/v"),
        None,
        Path::new("/w"),
    );
    assert!(!line(without).contains("1:a:0"));
}

#[test]
fn is_a_path_never_taken_for_a_url_or_a_flag() {
    let command = line(encode_audio(
        &AudioEncode {
            index: 0,
            stream_index: 0,
            start: ExactTime::ZERO,
            offset: ExactTime::ZERO,
            end: ExactTime::ZERO,
            sample_rate_hz: 48_000,
            channels: 1,
            bit_rate_bps: 64_000,
        },
        Path::new("-y"),
        Path::new("http:"),
    ));
    assert!(command.contains("-i file:-y ") && command.ends_with("file:http:/audio-0.mp4"), "{command}");
}
