//! Takes bytes as a CreateJob request, checks and plans it for films of several kinds, and builds ffmpeg's commands.

#![no_main]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use abanico_engine::submission::{Catalogue, Refusal, from_request, from_request_for_others};
use abanico_media::{EntryPoints, MediaInfo, Rational, VideoTrack};
use abanico_model::parse::job_settings;
use abanico_plan::{Capabilities, Chunking, PlanRequest, plan};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// More inputs than this take longer to plan than a fuzzer waits, and find nothing that fewer do not find.
const MOST_INPUTS: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = serde_json::from_slice::<Value>(bytes) else { return };
    let _ = from_request_for_others(request.clone(), &Catalogue::default());
    let submission = match from_request(request) {
        Ok(submission) => submission,
        Err(Refusal::Broken(why)) => panic!("a request cannot break anything: {why}"),
        Err(_) => return,
    };
    let settings = job_settings(submission.settings.clone()).expect("accepted settings can be read");
    let inputs = settings.inputs.as_ref().map_or(0, Vec::len);
    if inputs > MOST_INPUTS {
        return;
    }
    for film in films() {
        for chunking in [Chunking::Off, Chunking::For(8)] {
            let planned = plan(PlanRequest {
                settings: &settings,
                user_metadata: &submission.user_metadata,
                inputs: &vec![film.clone(); inputs],
                capabilities: capabilities(),
                started_epoch_ms: 1_700_000_000_000,
                chunking,
            });
            if let Ok(planned) = planned {
                let text = serde_json::to_string(&planned).expect("a plan can be stored");
                let again: abanico_plan::Plan =
                    serde_json::from_str(&text).expect("a stored plan can be read");
                assert_eq!(planned, again);
            }
        }
    }
});

fn capabilities() -> &'static Capabilities {
    static ALL: OnceLock<Capabilities> = OnceLock::new();
    ALL.get_or_init(|| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let encoders = [
            "libx264",
            "libx265",
            "libsvtav1",
            "libaom-av1",
            "libvpx-vp9",
            "prores_ks",
            "mpeg2video",
            "aac",
            "libmp3lame",
            "libopus",
            "libvorbis",
            "ac3",
            "eac3",
            "flac",
            "pcm_s16le",
            "pcm_s24le",
            "mjpeg",
            "webvtt",
        ];
        let filters =
            ["zscale", "tonemap", "loudnorm", "ebur128", "libvmaf", "subtitles", "ass", "bwdif", "yadif"];
        Capabilities { version: "7.1".to_owned(), encoders: names(&encoders), filters: names(&filters) }
    })
}

/// A plain film, an upright one with a variable rate and without sound, one with a wide picture in HDR, and sound alone.
fn films() -> &'static [MediaInfo] {
    static FILMS: OnceLock<Vec<MediaInfo>> = OnceLock::new();
    FILMS.get_or_init(|| {
        let sound = json!({"stream_index": 1, "codec": "aac", "channels": 2, "channel_layout": "stereo",
            "sample_rate_hz": 48_000, "start": "0/1", "end": "600/1", "language": "eng", "is_default": true, "id": null});
        let picture = |changes: Value| {
            let mut video = json!({"stream_index": 0, "codec": "h264", "profile": "High", "pixel_format": "yuv420p",
                "bit_depth": 8, "size": {"width": 1920, "height": 1080}, "sample_aspect": "1/1",
                "orientation": abanico_media::Orientation::UPRIGHT, "frame_rate": "25/1", "variable_frame_rate": false,
                "frames": 15_000, "start": "0/1", "end": "600/1", "field_order": "progressive",
                "colour": abanico_media::Colour::default(), "bit_rate_bps": 8_000_000});
            for (name, value) in changes.as_object().expect("changes are an object") {
                video[name] = value.clone();
            }
            let video: VideoTrack = serde_json::from_value(video).expect("a track as it is stored");
            let ticks = (0..15_000).step_by(50).collect();
            VideoTrack { entry_points: EntryPoints { tick: Rational::new(1, 25), ticks }, ..video }
        };
        let film = |video: Option<VideoTrack>, sounds: usize| MediaInfo {
            container: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
            size_bytes: 600_000_000,
            clock_start: abanico_media::ExactTime::ZERO,
            video,
            audio: vec![serde_json::from_value(sound.clone()).expect("a track as it is stored"); sounds],
            jumps: abanico_media::ClockJumps::default(),
        };
        let upright = json!({"size": {"width": 720, "height": 1280}, "variable_frame_rate": true, "frame_rate": "30000/1001"});
        let wide = json!({"size": {"width": 4096, "height": 1716}, "bit_depth": 10, "pixel_format": "yuv420p10le",
            "sample_aspect": "4/3", "field_order": "top_first", "timecode": "23:59:58:00"});
        vec![film(Some(picture(json!({}))), 2), film(Some(picture(upright)), 0), film(Some(picture(wide)), 1), film(None, 1)]
    })
}
