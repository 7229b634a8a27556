//! Checks facts about outputs, and starts and rates that no shared file has, on files made for the purpose.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::{Path, PathBuf};

use abanico_ffmpeg::{OutputFacts, Tools, output_facts, probe};
use abanico_media::{ExactTime, FrameRate, Size, VideoTrack};
use abanico_testkit::{Clip, Sound};
use tokio_util::sync::CancellationToken;

/// Writes a clip into a temporary folder, which is removed when the returned handle is dropped.
fn made(name: &str, clip: &Clip) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    clip.write(&file);
    (folder, file)
}

async fn facts(file: &Path) -> OutputFacts {
    output_facts(&Tools::find(None, None).unwrap(), file, &CancellationToken::new()).await.unwrap()
}

async fn video(file: &Path) -> VideoTrack {
    let info = probe(&Tools::find(None, None).unwrap(), file, &CancellationToken::new()).await;
    info.unwrap().video.unwrap()
}

#[tokio::test]
async fn all_facts_of_an_output_are_measured() {
    let options = [
        "-profile:v",
        "high",
        "-preset",
        "medium",
        "-g",
        "20",
        "-sc_threshold",
        "0",
        "-movflags",
        "+faststart",
    ];
    let clip = Clip { rate: "30000/1001".into(), frames: 60, ..Clip::default() }.with_options(&options);
    let (_folder, file) = made("out.mp4", &clip);
    let facts = facts(&file).await;
    assert!(facts.fast_start);
    assert_eq!(facts.size_bytes, std::fs::metadata(&file).unwrap().len());
    let video = facts.video.unwrap();
    let ntsc = FrameRate::new(30000, 1001).unwrap();
    assert_eq!((video.codec.as_str(), video.profile.as_deref()), ("h264", Some("High")));
    assert_eq!((video.pixel_format.as_str(), video.size), ("yuv420p", Size::new(320, 180)));
    assert_eq!((video.frames, video.rate, video.constant, video.key_frames), (60, ntsc, true, 3));
    assert_eq!((video.start, video.end), (ExactTime::ZERO, ExactTime::of_frames(60, ntsc)));
    assert!(video.first_is_key && !video.rotated && video.bit_rate_bps > 0);
    let audio = &facts.audio[0];
    assert_eq!((audio.codec.as_str(), audio.channels, audio.sample_rate_hz), ("aac", 2, 48_000));
    assert!((audio.end - audio.start).distance(video.end) < ExactTime::from_millis(50), "{audio:?}");
}

#[tokio::test]
async fn index_at_the_end_is_not_fast_start() {
    let (_folder, file) = made("out.mp4", &Clip { frames: 5, sound: None, ..Clip::default() });
    let plain = facts(&file).await;
    assert!(!plain.fast_start && plain.audio.is_empty() && plain.video.is_some());
    let (_folder, file) = made("out.mkv", &Clip { frames: 5, ..Clip::default() });
    assert!(!facts(&file).await.fast_start, "matroska has no moov");
}

#[tokio::test]
async fn one_frame_out_of_step_is_detected() {
    let gap =
        ["-vf", "setpts=PTS+gt(N\\,9)*4/TB/100", "-fps_mode", "passthrough", "-video_track_timescale", "100"];
    let (_folder, file) = made("out.mp4", &Clip { frames: 20, ..Clip::default() }.with_options(&gap));
    let video = facts(&file).await.video.unwrap();
    assert_eq!((video.frames, video.constant), (20, false));
    assert!(video.rate < FrameRate::new(25, 1).unwrap(), "{}", video.rate);
}

#[tokio::test]
async fn audio_alone_is_an_output_without_video() {
    let clip =
        Clip { frames: 25, sound: Some(Sound { channels: 1, sample_rate_hz: 44_100 }), ..Clip::default() };
    let (_folder, file) = made("out.m4a", &clip.with_options(&["-vn", "-t", "1"]));
    let facts = facts(&file).await;
    assert_eq!(facts.video, None);
    let audio = &facts.audio[0];
    assert_eq!((audio.channels, audio.sample_rate_hz), (1, 44_100));
}

#[tokio::test]
async fn frames_count_from_the_first_key_frame() {
    let (folder, whole) =
        made("whole.ts", &Clip { sound: None, ..Clip::default() }.with_options(&["-g", "20", "-bf", "0"]));
    // Transport packets are 188 bytes: keep the tables and drop the first tenth of the video.
    let bytes = std::fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.ts");
    std::fs::write(&cut, [&bytes[..188 * 3], &bytes[bytes.len() / 10 / 188 * 188..]].concat()).unwrap();
    let (whole, late) = (video(&whole).await, video(&cut).await);
    assert_eq!((whole.frames, late.frames), (50, 30));
    assert_eq!((late.start - whole.start, late.end), (ExactTime::from_millis(800), whole.end));
    let raw = facts(&cut).await.video.unwrap();
    assert!(!raw.first_is_key && raw.frames > 30, "verification must see what a probe leaves out: {raw:?}");
}

#[tokio::test]
async fn late_start_stays_on_the_files_clock() {
    let clip =
        Clip { start_ms: 10_000, ..Clip::default() }.with_options(&["-muxdelay", "0", "-muxpreload", "0"]);
    let (_folder, file) = made("late.ts", &clip);
    let track = video(&file).await;
    assert!(track.start >= ExactTime::from_millis(10_000) && track.start < ExactTime::from_millis(10_200));
    assert_eq!(track.end - track.start, ExactTime::from_millis(2000));
}

#[tokio::test]
async fn odd_rates_are_measured() {
    for (rate, frames) in [("25/2", 25), ("1", 4), ("24000/1001", 48), ("120", 60), ("50", 50)] {
        for name in ["clip.mp4", "clip.mkv"] {
            let (_folder, file) =
                made(name, &Clip { rate: rate.into(), frames, sound: None, ..Clip::default() });
            let track = video(&file).await;
            assert_eq!(
                (track.frame_rate.to_string().as_str(), track.frames),
                (rate, frames.into()),
                "{name}"
            );
            assert!(!track.variable_frame_rate, "{name} at {rate}");
        }
    }
}

#[tokio::test]
async fn fragmented_file_is_measured_by_its_packets() {
    let options = ["-g", "10", "-movflags", "+frag_keyframe+empty_moov"];
    let (_folder, file) = made("frag.mp4", &Clip::default().with_options(&options));
    assert_eq!(video(&file).await.frames, 50);
    assert!(facts(&file).await.fast_start);
}
