//! Probes real files, each with a difficulty. Compares the facts with a table written by hand, and the frame
//! counts with what a decoder shows.
//! Without the folder of real media all tests here are ignored; `made_odd_files.rs` tests the same kinds of facts
//! everywhere.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod decoder;

use std::path::Path;

use abanico_ffmpeg::{Tools, probe};
use abanico_media::{ColourRange, DynamicRange, FieldOrder, MediaInfo, VideoTrack};
use abanico_testkit::shared_media;
use tokio_util::sync::CancellationToken;

use decoder::{decoded_frames, first_picture};

/// File, frames, rate, whether the rate varies, start and end in ms, size, and quarter turns with `m` if
/// mirrored.
type Row = (&'static str, u64, &'static str, bool, i64, i64, &'static str, &'static str);

const TABLE: &[Row] = &[
    ("odd/av1_10bit_opus.webm", 30, "30", false, 0, 1000, "560x320", "0"),
    ("odd/cinepak_avi_noaudio.avi", 68, "15", true, 0, 29_600, "320x240", "0"),
    ("odd/derived_interlaced_tff_mpeg2_noaudio.ts", 120, "30000/1001", false, 1433, 5437, "720x480", "0"),
    ("odd/derived_prores_proxy_pcm51.mov", 12, "25", false, 0, 480, "1280x720", "0"),
    ("odd/derived_three_audio_two_subs.mkv", 227, "25", false, 28, 9108, "854x480", "0"),
    ("odd/derived_ts_pts_rollover.ts", 240, "25", false, -8238, 1362, "854x480", "0"),
    ("odd/edit_list_negative_dts_noaudio.mp4", 12, "1", false, 0, 12_000, "704x576", "0"),
    ("odd/fragmented_wrong_duration.mp4", 30, "30000/1001", false, 67, 1068, "1080x720", "0"),
    ("odd/h264_high10_4k_hlg_pattern.mp4", 420, "30", false, 0, 14_000, "3840x2160", "0"),
    ("odd/hdr10_pq_av1_portrait.mp4", 127, "30000/1001", false, 0, 4238, "720x1280", "0"),
    ("odd/hlg_hevc_main10_1080p.mp4", 9, "30", false, 0, 300, "1920x1080", "0"),
    ("odd/iphone_dolbyvision84_hlg.MOV", 4, "30", false, 0, 133, "1280x720", "1"),
    ("odd/moov_at_end_mono.mp4", 166, "30", false, 0, 5533, "560x320", "0"),
    ("odd/mpeg2_1080p24_mp2.ts", 58, "24", true, 1525, 4025, "1920x1080", "0"),
    ("odd/no_duration_mediarecorder.webm", 74, "15", false, 0, 4938, "1280x720", "0"),
    ("odd/one_frame_full_range_high10.mp4", 1, "25", false, 0, 40, "1280x720", "0"),
    ("odd/phone_4k60_rotate90_full_range.mp4", 18, "60", false, 0, 300, "3840x2160", "1"),
    ("odd/phone_rotate180_vfr.mp4", 25, "12", true, 0, 2380, "1280x720", "2"),
    ("odd/phone_rotate90_ios9.mov", 14, "30", false, 0, 467, "1280x720", "1"),
    ("odd/resolution_change_midstream.webm", 197, "30", false, 0, 6566, "60x40", "0"),
    ("odd/rotate90_and_mirror.mp4", 30, "30000/1001", false, 0, 1001, "1080x720", "3m"),
    ("odd/sar_2x1.mp4", 150, "30", false, 0, 5000, "640x360", "0"),
    ("odd/ts_gap_missing_segment_51.ts", 240, "25", true, 11_080, 22_600, "854x480", "0"),
    ("odd/ts_large_start_pts_noaudio.ts", 147, "24", false, 481_650, 487_775, "854x480", "0"),
    ("odd/vfr_phone_screen_recording.mp4", 190, "60", true, -7, 8379, "1080x2280", "0"),
    ("odd/vp8_48fps_reported_1000.webm", 49, "24", false, 0, 2042, "640x360", "0"),
    ("odd/vp9_540p60_vorbis51.webm", 60, "60", false, 0, 999, "960x540", "0"),
    ("odd/vp9_odd_dimensions_161x121.webm", 30, "30000/1001", false, 0, 1001, "161x121", "0"),
    ("odd/wrong_extension_webm_named.mp4", 82, "30000/1001", false, 0, 2736, "320x240", "0"),
    ("bench/bbb_1080p25_60s_aac51.ts", 1557, "25", false, 1480, 63_760, "1920x1080", "0"),
    ("bench/bbb_720p30_30s_aac.ts", 912, "30", false, 1467, 31_867, "1280x720", "0"),
    ("bench/car_detection_432p12_30s_aac.mp4", 377, "25/2", false, 0, 30_160, "768x432", "0"),
    ("bench/motorway_540p5994_30s_noaudio.mp4", 1769, "60000/1001", false, 0, 29_513, "960x540", "0"),
    ("bench/sintel_trailer_720p24_52s_aac.mp4", 1253, "24", false, 0, 52_208, "1280x720", "0"),
];

async fn info(media: &Path, name: &str) -> MediaInfo {
    let tools = Tools::find(None, None).unwrap();
    let info = probe(&tools, &media.join(name), &CancellationToken::new()).await;
    info.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn video(media: &Path, name: &str) -> VideoTrack {
    info(media, name).await.video.unwrap()
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn facts_of_every_file_match_the_table() {
    let media = shared_media().unwrap();
    for &(name, frames, rate, varies, start, end, size, turn) in TABLE {
        let found = video(&media, name).await;
        let mirrored = if found.orientation.mirrored { "m" } else { "" };
        let found = (
            (found.frames, found.frame_rate.to_string(), found.variable_frame_rate),
            (found.start.millis(), found.end.millis()),
            (found.size.to_string(), format!("{}{mirrored}", found.orientation.quarter_turns)),
        );
        let expected = ((frames, rate.into(), varies), (start, end), (size.into(), turn.into()));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
fn table_names_every_odd_video_file() {
    let media = shared_media().unwrap();
    for entry in std::fs::read_dir(media.join("odd")).unwrap() {
        let name = format!("odd/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(name.contains("audio_only") || TABLE.iter().any(|row| row.0 == name), "{name}");
    }
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn decoder_shows_as_many_frames_as_counted() {
    let media = shared_media().unwrap();
    for (name, frames, ..) in TABLE.iter().filter(|row| row.0.starts_with("odd/")) {
        assert_eq!(decoded_frames(&media.join(name)), *frames, "{name}");
    }
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn orientation_matches_ffmpegs_own_rotation() {
    let media = shared_media().unwrap();
    let turns = ["null", "transpose=clock", "hflip,vflip", "transpose=cclock"];
    for name in [
        "odd/phone_rotate90_ios9.mov",
        "odd/phone_rotate180_vfr.mp4",
        "odd/phone_4k60_rotate90_full_range.mp4",
    ] {
        let orientation = video(&media, name).await.orientation;
        assert!(!orientation.mirrored, "{name}");
        let file = media.join(name);
        let ours = first_picture(&file, Some(turns[usize::from(orientation.quarter_turns)]));
        assert!(ours == first_picture(&file, None), "{name}: {orientation:?}");
    }
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn colours_fields_and_sample_aspect_are_measured() {
    let media = shared_media().unwrap();
    let hdr = video(&media, "odd/hdr10_pq_av1_portrait.mp4").await;
    assert_eq!(
        (hdr.colour.dynamic_range(), hdr.bit_depth, hdr.pixel_format.as_str()),
        (DynamicRange::Pq, 10, "yuv420p10le")
    );
    let phone = video(&media, "odd/iphone_dolbyvision84_hlg.MOV").await;
    assert_eq!(
        (phone.colour.dynamic_range(), phone.colour.primaries.as_deref()),
        (DynamicRange::Hlg, Some("bt2020"))
    );
    assert_eq!(video(&media, "odd/phone_4k60_rotate90_full_range.mp4").await.colour.range, ColourRange::Full);
    let interlaced = video(&media, "odd/derived_interlaced_tff_mpeg2_noaudio.ts").await;
    assert_eq!(
        (interlaced.field_order, interlaced.sample_aspect.to_string().as_str()),
        (FieldOrder::TopFirst, "32/27")
    );
    assert_eq!(video(&media, "odd/sar_2x1.mp4").await.display_size().to_string(), "1280x360");
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn all_audio_tracks_and_clock_are_measured() {
    let media = shared_media().unwrap();
    let many = info(&media, "odd/derived_three_audio_two_subs.mkv").await;
    let tracks = many.audio.iter().map(|track| {
        let language = track.language.as_deref().unwrap_or("-");
        format!("{} {} {} {language} {}", track.stream_index, track.codec, track.channels, track.is_default)
    });
    assert_eq!(tracks.collect::<Vec<_>>(), ["1 aac 6 eng false", "2 ac3 2 fra true", "3 opus 1 deu false"]);
    assert_eq!((many.clock_start.millis(), many.audio[2].start.millis()), (-7, -7));
    let bunny = info(&media, "bench/bbb_1080p25_60s_aac51.ts").await;
    assert_eq!((bunny.clock_start.micros(), bunny.audio[0].start.micros()), (1_458_667, 1_458_667));
    assert_eq!((bunny.size_bytes, bunny.duration().millis()), (27_391_412, 62_336));
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn audio_alone_is_media_without_video() {
    let media = shared_media().unwrap();
    let tools = Tools::find(None, None).unwrap();
    let token = CancellationToken::new();
    for file in ["odd/audio_only_mono_16khz.mp4", "broken/zero_video_frames.ts"] {
        let info = probe(&tools, &media.join(file), &token).await.unwrap();
        assert!(info.video.is_none() && !info.audio.is_empty(), "{file}: {info:?}");
    }
}
