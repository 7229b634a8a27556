//! Tests of where films are cut, and that their chunks together make up the film.

use abanico_media::{EntryPoints, MediaInfo};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::planner::tests::{job, output, planned_in_chunks, source, video};
use crate::{Plan, TaskId, TaskKind};

/// A film of this many seconds at 25 frames a second, with a key frame every two seconds, in a container with
/// an index.
fn film(seconds: i64) -> MediaInfo {
    let mut track = video(1280, 720);
    track.end = track.start + ExactTime::from_millis(seconds * 1000);
    track.frames = u64::try_from(seconds * 25).unwrap();
    let tick = Rational::new(1, 12_800);
    let first = (track.start.seconds() / tick).round();
    track.entry_points = EntryPoints { tick, ticks: (0..seconds / 2).map(|n| first + n * 25_600).collect() };
    MediaInfo { container: "mov,mp4,m4a,3gp,3g2,mj2".into(), ..source(track) }
}

fn rung(extra: Value) -> Value {
    let mut own = json!({"rateControlMode": "VBR", "bitrate": 900_000});
    own.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    output("_a", 640, 360, own)
}

fn plan_of(info: &MediaInfo, outputs: Vec<Value>, encoders: u32) -> Plan {
    planned_in_chunks(&job(outputs), info, Chunking::For(encoders)).unwrap()
}

fn encodes(plan: &Plan) -> Vec<&VideoEncode> {
    let mut made = Vec::new();
    for task in &plan.tasks {
        if let TaskKind::EncodeVideo(encode) = &task.kind {
            made.push(encode);
        }
    }
    made
}

/// First frame and number of frames of each chunk.
fn runs(plan: &Plan) -> Vec<(u64, u64)> {
    let run = |encode: &&VideoEncode| (encode.branches[0].run.unwrap().first, encode.branches[0].frames);
    encodes(plan).iter().map(run).collect()
}

fn why(info: &MediaInfo, outputs: Vec<Value>) -> String {
    let plan = plan_of(info, outputs, 2);
    assert_eq!(encodes(&plan).len(), 1);
    plan.notes.into_iter().find(|note| note.contains("chunks")).unwrap_or_default()
}

#[test]
fn chunks_shorten_and_begin_at_key_frames() {
    let plan = plan_of(&film(120), vec![rung(json!({}))], 2);
    let starts: Vec<u64> = runs(&plan).iter().map(|(first, _)| *first).collect();
    assert_eq!(starts, [0, 750, 1300, 1700, 2000, 2250, 2450, 2600, 2750]);
    let seeks: Vec<_> = encodes(&plan).iter().map(|encode| encode.clips[0].seek).collect();
    // The file's clock starts 80 ms before its video.
    assert_eq!(seeks[1], ExactTime::from_millis(30_080));
}

#[test]
fn all_encoders_get_equally_many_equal_chunks() {
    for (seconds, encoders, chunks) in [
        (18, 2, 2),
        (30, 2, 4),
        (30, 8, 8),
        (600, 128, 256),
        (7200, 1000, 3000),
        (600, 1000, 300),
        (60, 16, 16),
    ] {
        let lengths: Vec<u64> = runs(&plan_of(&film(seconds), vec![rung(json!({}))], encoders))
            .iter()
            .map(|(_, frames)| *frames)
            .collect();
        assert_eq!(lengths.len(), chunks, "{seconds} s for {encoders}");
        let mean = seconds as f64 * 25.0 / chunks as f64;
        assert!(lengths.iter().all(|frames| (*frames as f64 / mean - 1.0).abs() < 0.3), "{lengths:?}");
    }
}

#[test]
fn short_films_stay_whole() {
    for (seconds, encoders) in [(17, 2), (15, 100), (23, 32), (8, 2), (14, 5)] {
        assert_eq!(
            encodes(&plan_of(&film(seconds), vec![rung(json!({}))], encoders)).len(),
            1,
            "{seconds} s"
        );
    }
}

#[test]
fn every_chunk_is_analysed_and_stitched_in_order() {
    let plan = plan_of(&film(30), vec![rung(json!({}))], 2);
    let count = u32::try_from(encodes(&plan).len()).unwrap();
    let analyses: Vec<TaskId> = (0..count).map(|number| TaskId::analysis(Some(number))).collect();
    let after = |id: TaskId| plan.task(&id).unwrap().after().cloned().collect::<Vec<_>>();
    assert_eq!(after(TaskId::first_passes()), analyses);
    for number in 0..count {
        assert_eq!(after(TaskId::chunk(number)), [TaskId::analysis(Some(number)), TaskId::first_passes()]);
        let (TaskKind::AnalyseVideo(first), TaskKind::EncodeVideo(second)) = (
            &plan.task(&analyses[number as usize]).unwrap().kind,
            &plan.task(&TaskId::chunk(number)).unwrap().kind,
        ) else {
            panic!("other tasks")
        };
        assert_eq!(first.branches[0].run, second.branches[0].run);
        assert_eq!((first.branches[0].frames, &first.clips), (second.branches[0].frames, &second.clips));
    }
    let TaskKind::StitchVideo(stitch) = &plan.task(&TaskId::video()).unwrap().kind else {
        panic!("no stitch")
    };
    assert_eq!((stitch.chunks, stitch.renditions[0].frames.iter().sum::<u64>()), (count, 750));
}

#[test]
fn whole_films_have_a_reason() {
    let long = film(60);
    let tape = MediaInfo { container: "mpegts".into(), ..film(60) };
    assert!(why(&tape, vec![rung(json!({}))]).ends_with("its container has no index for seeking"));
    let quick = rung(json!({"qualityTuningLevel": "SINGLE_PASS"}));
    assert!(why(&long, vec![quick]).contains("no first pass"));
    let mut denoised = rung(json!({}));
    denoised["videoDescription"]["videoPreprocessors"] = json!({"noiseReducer": {"filter": "TEMPORAL"}});
    assert!(why(&long, vec![denoised]).contains("depends on all earlier frames"));
    assert_eq!(why(&film(12), vec![rung(json!({}))]), "", "short films need no note");
    let plan = planned_in_chunks(&job(vec![rung(json!({}))]), &long, Chunking::Off).unwrap();
    assert_eq!((encodes(&plan).len(), plan.notes.len()), (1, 0));
}

#[test]
fn cuts_respect_fixed_groups_and_forced_key_frames() {
    let groups = json!({"gopSize": 75, "gopSizeUnits": "FRAMES", "sceneChangeDetect": "DISABLED"});
    let plan = plan_of(&film(120), vec![rung(groups)], 2);
    let runs = runs(&plan);
    assert!(runs.len() > 4 && runs.iter().all(|(first, _)| first % 75 == 0), "{runs:?}");
    // Chunks of three seconds are wanted. The next cut that groups of ten seconds allow is taken.
    let groups = json!({"gopSize": 250, "gopSizeUnits": "FRAMES", "sceneChangeDetect": "DISABLED"});
    let lengths = self::runs(&plan_of(&film(60), vec![rung(groups)], 8));
    assert!(lengths.len() == 6 && lengths.iter().all(|(_, frames)| *frames == 250), "{lengths:?}");
    let three_seconds = ExactTime::from_millis(3000);
    let rate = FrameRate::new(30_000, 1001).unwrap();
    // 3 s are 89.9 frames, so the forced key frames are 0, 90, 180 and 270.
    assert_eq!([0, 90, 180, 270].map(|frame| forced_before(three_seconds, frame, rate)), [0, 1, 2, 3]);
    assert_eq!([1, 91, 269].map(|frame| forced_before(three_seconds, frame, rate)), [1, 2, 3]);
}

#[test]
fn rates_share_cuts_and_interlaced_sources_get_lead() {
    let mut tape = film(60);
    tape.video.as_mut().unwrap().field_order = FieldOrder::TopFirst;
    let fast = json!({"framerateControl": "SPECIFIED", "framerateNumerator": 50, "framerateDenominator": 1});
    let mut other = rung(fast);
    other["nameModifier"] = json!("_b");
    let plan = plan_of(&tape, vec![rung(json!({})), other], 2);
    let chunks = encodes(&plan);
    assert!(chunks.len() > 2);
    for chunk in &chunks[1..] {
        let (slow, fast) = (chunk.branches[0].run.unwrap(), chunk.branches[1].run.unwrap());
        assert_eq!((slow.first * 2, slow.lead, fast.lead), (fast.first, 13, 25));
    }
    assert_eq!(chunks[0].branches[0].run.unwrap().lead, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn chunks_tile_films_of_any_length(seconds in 18_i64..4000, encoders in 1_u32..2000, gap in 1_usize..40) {
        let mut info = film(seconds);
        let points = &mut info.video.as_mut().unwrap().entry_points.ticks;
        *points = points.iter().copied().step_by(gap).collect();
        let plan = plan_of(&info, vec![rung(json!({}))], encoders);
        let mut next = 0;
        for (first, frames) in runs(&plan) {
            prop_assert_eq!(first, next);
            prop_assert!((25..=125 * 25).contains(&frames), "{}", frames);
            next += frames;
        }
        prop_assert_eq!(next, u64::try_from(seconds * 25).unwrap());
        for chunk in encodes(&plan) {
            let start = ExactTime::of_frames(chunk.branches[0].run.unwrap().first, chunk.branches[0].rate);
            prop_assert!(chunk.clips[0].seek <= start + ExactTime::from_millis(80), "entered too late");
        }
    }
}
