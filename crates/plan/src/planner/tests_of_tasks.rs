//! Checks for plans of many kinds that each task names all that it reads, and that waves can be built on that.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{job, output, planned_in_chunks, source, video};
use crate::waves;
use crate::{Artifact, Chunking, Plan, Task, TaskId, TaskKind};

/// Returns what the values of a task refer to, found in its serialised form: whatever kind of task it is, inputs,
/// images, captions, streams and passes are always written alike.
fn named_in(task: &Task) -> BTreeSet<Artifact> {
    let value = serde_json::to_value(&task.kind).unwrap();
    let mut named = BTreeSet::new();
    let chunk = value.pointer("/encode_video/chunk").and_then(Value::as_u64);
    let chunk = chunk.map(|chunk| u32::try_from(chunk).unwrap());
    look(&value, chunk, &mut named);
    match &task.kind {
        TaskKind::SumFirstPasses { chunks, .. } => {
            named.extend((0..*chunks).map(|chunk| Artifact::Made(TaskId::analysis(Some(chunk)))));
        }
        TaskKind::CompareJoint(seam) => {
            named.extend([seam.chunk - 1, seam.chunk].map(|chunk| Artifact::Made(TaskId::chunk(chunk))));
        }
        TaskKind::JudgeChunks(judged) => {
            named.extend((0..judged.chunks).map(|chunk| Artifact::Made(TaskId::chunk(chunk))));
            named.extend((1..judged.chunks).map(|chunk| Artifact::Made(TaskId::joint(chunk))));
        }
        TaskKind::EncodeAgain(again) => {
            named.extend((0..again.chunks).map(|chunk| Artifact::Made(TaskId::chunk(chunk))));
            named.insert(Artifact::Made(TaskId::judgement()));
        }
        TaskKind::StitchVideo(video) => {
            named.extend((0..video.chunks).map(|chunk| Artifact::Made(TaskId::chunk(chunk))));
            let renditions = video.renditions.iter().map(|rendition| TaskId::again(rendition.index));
            named.extend(renditions.map(Artifact::Made));
        }
        TaskKind::GroupManifests(group) => {
            named.extend(group.streams.iter().map(|stream| Artifact::Made(TaskId::segment(stream.output))));
        }
        TaskKind::Verify(check) => named = [Artifact::Made(check.made_by.clone())].into(),
        TaskKind::MakeCaptions(captions) => {
            let files = captions.parts.iter().filter_map(|part| part.file);
            named.extend(files.map(Artifact::CaptionFile));
        }
        _ => {}
    }
    named
}

fn look(value: &Value, chunk: Option<u32>, named: &mut BTreeSet<Artifact>) {
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    match value {
        Value::Array(items) => items.iter().for_each(|item| look(item, chunk, named)),
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "input" => drop(named.insert(Artifact::Input(number(value)))),
                    "streams" if value.get("audio").is_some() => {
                        let sounds = value["audio"].as_array().unwrap();
                        let sounds = sounds.iter().map(|sound| TaskId::audio(number(&sound["index"])));
                        let videos = value["video"].is_u64().then(TaskId::video);
                        named.extend(sounds.chain(videos).map(Artifact::Made));
                    }
                    "texts" => named.extend(
                        value
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|text| Artifact::Made(TaskId::captions(number(&text["captions"])))),
                    ),
                    "overlays" => named.extend(value.as_array().unwrap().iter().filter_map(|overlay| {
                        let captions = overlay.get("captions").map(|it| TaskId::captions(number(it)));
                        let image = overlay.pointer("/image/file").map(|it| Artifact::Image(number(it)));
                        captions.map(Artifact::Made).or(image)
                    })),
                    "second" => {
                        named.insert(Artifact::Made(TaskId::analysis(chunk)));
                        named.extend(chunk.map(|_| Artifact::Made(TaskId::first_passes())));
                    }
                    "levelled" => {
                        let analysis =
                            chunk.map_or_else(|| TaskId::analysis(None), |_| TaskId::first_passes());
                        named.insert(Artifact::Made(analysis));
                    }
                    _ => look(value, chunk, named),
                }
            }
        }
        _ => {}
    }
}

fn inputs_of(task: &Task) -> Vec<Artifact> {
    task.reads.iter().filter(|artifact| matches!(artifact, Artifact::Input(_))).cloned().collect()
}

/// Checks everything that engines rely on.
fn check(plan: &Plan) {
    let places: BTreeMap<&TaskId, usize> =
        plan.tasks.iter().enumerate().map(|(place, task)| (&task.id, place)).collect();
    assert_eq!(places.len(), plan.tasks.len(), "each id is there once");
    for (place, task) in plan.tasks.iter().enumerate() {
        assert!(task.after().all(|before| places[before] < place), "{} comes after what it reads", task.id);
        let reads: BTreeSet<Artifact> = task.reads.iter().cloned().collect();
        let mut named = named_in(task);
        // These work on chunks, and find in the chunks' files how they were encoded.
        let chunks = plan.tasks.iter().filter(|other| task.after().any(|before| *before == other.id));
        let chunks = chunks.filter(|other| matches!(other.kind, TaskKind::EncodeVideo(_)));
        match &task.kind {
            TaskKind::CompareJoint(_) => named.extend(chunks.flat_map(inputs_of)),
            TaskKind::EncodeAgain(_) => named.extend(chunks.flat_map(|chunk| chunk.reads.clone())),
            _ => {}
        }
        assert_eq!(reads.len(), task.reads.len(), "each once");
        assert!(reads.is_superset(&named), "{} reads {named:?}, and names {reads:?}", task.id);
        assert_eq!(reads, named, "{} names more than it reads", task.id);
    }
    let mut made = BTreeSet::new();
    for (number, wave) in waves(plan).into_iter().enumerate() {
        assert!(!wave.is_empty());
        assert!(wave.iter().all(|task| task.after().all(|before| made.contains(before))), "wave {number}");
        made.extend(wave.into_iter().map(|task| &task.id));
    }
    assert_eq!(made.len(), plan.tasks.len());
}

/// Returns settings with outputs of all kinds, as far as the flags ask for them.
fn settings(rungs: usize, flags: u32) -> Value {
    let has = |bit: u32| flags & (1 << bit) != 0;
    let sizes = [(1920, 1080), (1280, 720), (640, 360)];
    let codings = [
        json!({"qualityTuningLevel": "MULTI_PASS_HQ", "rateControlMode": "VBR", "bitrate": 900_000}),
        json!({"qualityTuningLevel": "SINGLE_PASS_HQ"}),
        json!({}),
    ];
    let rung = |index: usize| {
        let (width, height) = sizes[index];
        let coding = if has(0) { codings[index].clone() } else { codings[2].clone() };
        output(&format!("_{height}"), width, height, coding)
    };
    let mut outputs: Vec<Value> = (0..rungs).map(rung).collect();
    if has(1) {
        outputs[0]["videoDescription"]["videoPreprocessors"] = json!({"imageInserter": {"insertableImages": [
            {"imageInserterInput": "s3://b/a.png", "imageX": 10, "imageY": 20, "layer": 1, "opacity": 50}]}});
    }
    if has(2) {
        outputs[0]["captionDescriptions"] = json!([{"captionSelectorName": "C",
            "destinationSettings": {"destinationType": "SRT"}}]);
    }
    if has(3) {
        outputs.push(json!({"nameModifier": "_image", "containerSettings": {"container": "RAW"},
            "videoDescription": {"width": 320, "height": 180, "codecSettings": {"codec": "FRAME_CAPTURE",
            "frameCaptureSettings": {"framerateNumerator": 1, "framerateDenominator": 5, "maxCaptures": 3, "quality": 80}}}}));
    }
    let mut settings = job(outputs);
    if has(2) {
        settings["inputs"][0]["captionSelectors"] = json!({"C": {"sourceSettings": {"sourceType": "SRT",
            "fileSourceSettings": {"sourceFile": "s3://b/a.srt"}}}});
    }
    if has(4) {
        let mut streams: Vec<Value> = (0..rungs).map(rung).collect();
        for stream in &mut streams {
            stream.as_object_mut().unwrap().remove("extension");
            stream["containerSettings"] = json!({"container": "M3U8"});
        }
        let group = json!({"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS",
            "hlsGroupSettings": {"destination": "s3://out/h/", "segmentLength": 4, "minSegmentLength": 0}}, "outputs": streams});
        settings["outputGroups"].as_array_mut().unwrap().push(group);
    }
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_task_names_what_it_reads(rungs in 1_usize..4, flags in 0_u32..32, encoders in 0_u32..9) {
        let mut info = source(video(1920, 1080));
        info.container = "mov,mp4".into();
        let track = info.video.as_mut().unwrap();
        track.end = track.start + abanico_media::ExactTime::from_millis(60_000);
        track.frames = 1500;
        let ticks = (0..60).map(|second| 37 * 512 + second * 12_800).collect();
        track.entry_points.ticks = ticks;
        let chunking = if encoders == 0 { Chunking::Off } else { Chunking::For(encoders) };
        let plan = planned_in_chunks(&settings(rungs, flags), &info, chunking).unwrap();
        check(&plan);
    }
}

#[test]
fn chunks_are_compared_judged_and_joined() {
    let mut info = source(video(1920, 1080));
    info.container = "mov,mp4".into();
    let track = info.video.as_mut().unwrap();
    track.end = track.start + abanico_media::ExactTime::from_millis(60_000);
    track.frames = 1500;
    let plan = planned_in_chunks(&settings(2, 5), &info, Chunking::For(2)).unwrap();
    check(&plan);
    let reads = |id: TaskId| plan.task(&id).unwrap().reads.clone();
    let again = reads(TaskId::again(1));
    let wanted = [
        Artifact::Input(0),
        Artifact::Made(TaskId::analysis(Some(0))),
        Artifact::Made(TaskId::first_passes()),
        Artifact::Made(TaskId::chunk(0)),
        Artifact::Made(TaskId::judgement()),
    ];
    for artifact in wanted {
        assert!(again.contains(&artifact), "{artifact:?} in {again:?}");
    }
    assert_eq!(reads(TaskId::joint(1))[..1], [Artifact::Input(0)]);
    assert!(!reads(TaskId::video()).contains(&Artifact::Input(0)), "joining encodes nothing");
    let names: Vec<Vec<&str>> =
        waves(&plan).iter().map(|wave| wave.iter().map(|task| task.id.as_str()).collect()).collect();
    assert!(
        names[0].contains(&"analysis-0000") && names[0].contains(&"audio-0") && names[1] == ["first-passes"],
        "{names:?}"
    );
    assert!(names[2].contains(&"chunk-0000") && names[3].contains(&"joint-0001"), "{names:?}");
    assert_eq!(names[4..7], [vec!["judgement"], vec!["again-0", "again-1"], vec!["video"]], "{names:?}");
}
