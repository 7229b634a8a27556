//! Tests the same kinds of facts as `odd_files.rs`, but on generated files, so that every clone can run the tests.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod decoder;

use std::path::{Path, PathBuf};

use abanico_ffmpeg::{Tools, probe};
use abanico_media::{ColourRange, DynamicRange, FieldOrder, MediaInfo, VideoTrack};
use abanico_testkit::Clip;
use tokio_util::sync::CancellationToken;

use decoder::{decoded_frames, first_picture};

/// File, options, frames, rate, whether it varies, length in ms. Without the options, every clip has 50 frames at 25 a
/// second.
type Row = (&'static str, &'static [&'static str], u64, &'static str, bool, i64);

const TABLE: &[Row] = &[
    ("plain.mp4", &["-bf", "2"], 50, "25", false, 2000),
    ("fragments.mp4", &["-an", "-g", "10", "-movflags", "+frag_keyframe+empty_moov"], 50, "25", false, 2000),
    ("wraps.ts", &["-bf", "2", "-output_ts_offset", "95441.5"], 50, "25", false, 2000),
    ("late.ts", &["-output_ts_offset", "481"], 50, "25", false, 2000),
    ("old.ts", &["-c:v", "mpeg2video", "-c:a", "mp2"], 50, "25", false, 2000),
    ("hole.mp4", &["-vf", "select=not(between(n\\,10\\,29))", "-fps_mode", "vfr"], 30, "25", true, 2000),
    (
        "grid.avi",
        &["-an", "-c:v", "mpeg4", "-vf", "select=not(mod(n\\,7))", "-fps_mode", "vfr"],
        8,
        "25",
        true,
        2000,
    ),
    ("vp8.webm", &["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"], 50, "25", false, 2000),
    (
        "live.webm",
        &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-an", "-live", "1"],
        50,
        "25",
        false,
        2000,
    ),
    ("one.mp4", &["-frames:v", "1", "-an"], 1, "25", false, 40),
];

/// Makes a clip in a temporary folder.
fn made(name: &str, options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    Clip::default().with_options(options).write(&file);
    (folder, file)
}

async fn info(file: &Path) -> MediaInfo {
    let info = probe(&Tools::find(None, None).unwrap(), file, &CancellationToken::new()).await;
    info.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

async fn video(file: &Path) -> VideoTrack {
    info(file).await.video.unwrap()
}

#[tokio::test]
async fn frame_count_matches_the_decoder() {
    for &(name, options, frames, rate, varies, length_ms) in TABLE {
        let (_folder, file) = made(name, options);
        let found = video(&file).await;
        let told = (found.frames, found.frame_rate.to_string(), found.variable_frame_rate);
        assert_eq!(told, (frames, rate.into(), varies), "{name}");
        assert_eq!((found.end - found.start).millis(), length_ms, "{name}");
        assert_eq!(decoded_frames(&file), frames, "{name}");
    }
}

/// Writes a display matrix into the first track of an MP4 file: `a`, `b`, `c` and `d` of ISO 14496-12.
fn turn(file: &Path, [a, b, c, d]: [i32; 4]) {
    let mut bytes = std::fs::read(file).unwrap();
    let header = bytes.windows(4).position(|word| word == b"tkhd").unwrap();
    let entries = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
    for (index, entry) in entries.iter().enumerate() {
        let at = header + 44 + 4 * index;
        bytes[at..at + 4].copy_from_slice(&entry.to_be_bytes());
    }
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn orientation_rotates_pictures_as_players_do() {
    let turns = ["null", "transpose=clock", "hflip,vflip", "transpose=cclock"];
    let (_folder, file) = made("turned.mp4", &["-frames:v", "2", "-an"]);
    let matrices = [
        ([0, 1, -1, 0], "1"),
        ([-1, 0, 0, -1], "2"),
        ([0, -1, 1, 0], "3"),
        ([-1, 0, 0, 1], "0m"),
        ([0, 1, 1, 0], "3m"),
        ([1, 0, 0, -1], "2m"),
        ([0, -1, -1, 0], "1m"),
    ];
    for (matrix, expected) in matrices {
        turn(&file, matrix);
        let found = video(&file).await.orientation;
        let mirror = if found.mirrored { "m" } else { "" };
        assert_eq!(format!("{}{mirror}", found.quarter_turns), expected, "{matrix:?}");
        let flip = if found.mirrored { "hflip," } else { "" };
        let ours = format!("{flip}{}", turns[usize::from(found.quarter_turns)]);
        assert!(first_picture(&file, Some(&ours)) == first_picture(&file, None), "{matrix:?}: {found:?}");
    }
}

/// Makes a 10-bit H.265 clip with BT.2020 primaries and this transfer function.
async fn high_range(transfer: &str) -> VideoTrack {
    let coded =
        ["-c:v", "libx265", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le", "-frames:v", "3"];
    let colours = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc"];
    let (_folder, file) = made("high.mp4", &[&coded[..], &colours].concat());
    video(&file).await
}

#[tokio::test]
async fn colours_field_order_and_pixel_shape_are_measured() {
    let pq = high_range("smpte2084").await;
    assert_eq!(
        (pq.colour.dynamic_range(), pq.bit_depth, pq.pixel_format.as_str()),
        (DynamicRange::Pq, 10, "yuv420p10le")
    );
    let hlg = high_range("arib-std-b67").await;
    assert_eq!(
        (hlg.colour.dynamic_range(), hlg.colour.primaries.as_deref()),
        (DynamicRange::Hlg, Some("bt2020"))
    );
    let (_folder, file) = made("full.mp4", &["-pix_fmt", "yuvj420p", "-color_range", "pc"]);
    assert_eq!(video(&file).await.colour.range, ColourRange::Full);
    let woven =
        ["-vf", "scale=720:480,interlace=scan=tff,setsar=32/27", "-flags", "+ilme+ildct", "-top", "1"];
    let (_folder, file) = made("woven.ts", &[&["-c:v", "mpeg2video"][..], &woven].concat());
    let interlaced = video(&file).await;
    assert_eq!(
        (interlaced.field_order, interlaced.sample_aspect.to_string().as_str()),
        (FieldOrder::TopFirst, "32/27")
    );
    let (_folder, file) = made("oblong.mp4", &["-vf", "setsar=2"]);
    assert_eq!(video(&file).await.display_size().to_string(), "640x180");
}

#[tokio::test]
async fn all_audio_tracks_and_the_clock_start_are_measured() {
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "1:a", "-map", "1:a"];
    let codecs = [
        "-c:a:0", "aac", "-ac:a:0", "6", "-c:a:1", "ac3", "-ac:a:1", "2", "-c:a:2", "libopus", "-ac:a:2", "1",
    ];
    let defaults = ["-disposition:a:0", "0", "-disposition:a:1", "default", "-disposition:a:2", "0"];
    let languages = [
        "-metadata:s:a:0",
        "language=eng",
        "-metadata:s:a:1",
        "language=fra",
        "-metadata:s:a:2",
        "language=deu",
    ];
    let clock = ["-avoid_negative_ts", "disabled"];
    let (_folder, file) = made("many.mkv", &[&maps[..], &codecs, &defaults, &languages, &clock].concat());
    let many = info(&file).await;
    let tracks = many.audio.iter().map(|track| {
        let language = track.language.as_deref().unwrap_or("-");
        format!("{} {} {} {language} {}", track.stream_index, track.codec, track.channels, track.is_default)
    });
    assert_eq!(tracks.collect::<Vec<_>>(), ["1 aac 6 eng false", "2 ac3 2 fra true", "3 opus 1 deu false"]);
    let starts = many.audio.iter().map(|track| track.start.millis()).collect::<Vec<_>>();
    // Delays of the encoders before the video, in samples of 48 kHz: 1024, 256 and 312. The last one is subtracted
    // twice: by the file's times and by its header.
    assert_eq!((many.clock_start.millis(), starts), (-21, vec![-21, -5, -13]));
    assert_eq!(many.size_bytes, std::fs::metadata(&file).unwrap().len());
}

#[tokio::test]
async fn file_with_audio_only_has_no_video_track() {
    let (folder, song) = made("song.m4a", &["-vn", "-t", "1"]);
    let (announced, whole) = (folder.path().join("announced.ts"), folder.path().join("whole.ts"));
    Clip::default().write(&whole);
    // The first stream of a transport stream that ffmpeg writes has the packets of PID 0x100.
    let bytes = std::fs::read(&whole).unwrap();
    let sound = bytes.chunks(188).filter(|packet| packet[1] & 0x1F != 1 || packet[2] != 0).flatten();
    std::fs::write(&announced, sound.copied().collect::<Vec<_>>()).unwrap();
    for file in [song, announced] {
        let info = info(&file).await;
        assert!(info.video.is_none() && !info.audio.is_empty(), "{}: {info:?}", file.display());
    }
}
