//! Checks which files segmented output groups publish, and what their events say about them.

#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use abanico_engine::Stage;
use abanico_testkit::Clip;
use common::{Bench, finished, submit};
use serde_json::{Value, json};

/// Returns a job of one group with one video output and one audio output.
fn request(kind: &str, member: &str, container: &str, settings: &Value) -> Value {
    let video = json!({"width": 320, "height": 180, "codecSettings": {"codec": "H_264", "h264Settings":
        {"rateControlMode": "QVBR", "maxBitrate": 500_000, "qualityTuningLevel": "SINGLE_PASS"}}});
    let aac = json!({"codec": "AAC", "aacSettings":
        {"bitrate": 96_000, "codingMode": "CODING_MODE_2_0", "sampleRate": 48_000}});
    let mut group = json!({"destination": "s3://out/made/film", "segmentLength": 2, "fragmentLength": 2});
    group.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let input = json!({"fileInput": "s3://in/a.mp4",
        "audioSelectors": {"Audio Selector 1": {"defaultSelection": "DEFAULT"}}});
    json!({"role": "arn:aws:iam::000000000000:role/r", "settings": {
        "inputs": [input],
        "outputGroups": [{
            "outputGroupSettings": {"type": kind, member: group},
            "outputs": [
                {"nameModifier": "_v", "containerSettings": {"container": container}, "videoDescription": video},
                {"nameModifier": "_a", "containerSettings": {"container": container},
                 "audioDescriptions": [{"codecSettings": aac}]},
            ],
        }],
    }})
}

/// Runs a job. Returns the group's details in its last event, and the names of the published files.
async fn made(request: Value) -> (Value, Vec<String>) {
    let bench = Bench::new();
    let sound = Some(abanico_testkit::Sound { channels: 2, sample_rate_hz: 48_000 });
    Clip { width: 320, height: 180, frames: 90, sound, ..Clip::default() }.write(&bench.input("a.mp4"));
    let engine = bench.engine().await;
    let id = submit(&engine, request).await.id;
    let record = finished(&engine, &id).await;
    assert_eq!((record.stage(), record.machine.failure()), (Stage::Complete, None));
    let last = engine.events_after(0, 100).await.unwrap().pop().unwrap();
    (last.body["detail"]["outputGroupDetails"][0].clone(), bench.published())
}

#[tokio::test(flavor = "multi_thread")]
async fn cmaf_group_reports_mpd_before_playlist() {
    let (told, files) = made(request("CMAF_GROUP_SETTINGS", "cmafGroupSettings", "CMFC", &json!({}))).await;
    assert_eq!(told["type"], "CMAF_GROUP");
    assert_eq!(told["playlistFilePaths"], json!(["s3://out/made/film.mpd", "s3://out/made/film.m3u8"]));
    assert_eq!(told["outputDetails"][0].get("outputFilePaths"), None);
    assert_eq!(told["outputDetails"][0]["videoDetails"]["widthInPx"], 320);
    let wanted = ["film.m3u8", "film.mpd", "film_a.cmfa", "film_a.m3u8", "film_v.cmfv", "film_v.m3u8"];
    assert_eq!(files, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn dash_group_reports_only_its_mpd() {
    let settings = json!({"segmentControl": "SEGMENTED_FILES"});
    let (told, files) =
        made(request("DASH_ISO_GROUP_SETTINGS", "dashIsoGroupSettings", "MPD", &settings)).await;
    assert_eq!(told["type"], "DASH_ISO_GROUP");
    assert_eq!(told["playlistFilePaths"], json!(["s3://out/made/film.mpd"]));
    assert_eq!(told["outputDetails"][0].get("outputFilePaths"), None);
    // 90 frames at 24000/1001 are 3.75 s: two segments of each stream.
    let wanted = [
        "film.mpd",
        "film_a_000000001.mp4",
        "film_a_000000002.mp4",
        "film_ainit.mp4",
        "film_v_000000001.mp4",
        "film_v_000000002.mp4",
        "film_vinit.mp4",
    ];
    assert_eq!(files, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_group_reports_each_stream() {
    let settings = json!({"segmentLength": 2, "minSegmentLength": 0});
    let (told, files) = made(request("HLS_GROUP_SETTINGS", "hlsGroupSettings", "M3U8", &settings)).await;
    assert_eq!(told["type"], "HLS_GROUP");
    assert_eq!(told["playlistFilePaths"], json!(["s3://out/made/film.m3u8"]));
    let paths = |output: usize| &told["outputDetails"][output]["outputFilePaths"];
    assert_eq!(
        [paths(0), paths(1)],
        [&json!(["s3://out/made/film_v.m3u8"]), &json!(["s3://out/made/film_a.m3u8"])]
    );
    // 90 frames at 24000/1001 are 3.75 s: two segments of each stream.
    let wanted = [
        "film.m3u8",
        "film_a.m3u8",
        "film_a_00001.ts",
        "film_a_00002.ts",
        "film_v.m3u8",
        "film_v_00001.ts",
        "film_v_00002.ts",
    ];
    assert_eq!(files, wanted);
}
