//! Plans jobs other than an MP4 from one input: audio only, several inputs, HLS with audio groups, 10 bits.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use serde_json::{Value, json};

use super::tests::{capabilities, job, output, planned, source, video};
use super::*;
use crate::{
    AudioCodec, Container, ErrorKind, Pass, PlanRequest, QualityMetric, Sampling, StreamRole, TaskId,
    TaskKind, ToneMap,
};

fn sound(codec: Value) -> Value {
    json!({"containerSettings": {"container": "RAW"}, "audioDescriptions": [{"codecSettings": codec}]})
}

fn kinds(plan: &Plan) -> Vec<String> {
    plan.tasks.iter().map(|task| task.id.as_str().to_owned()).collect()
}

#[test]
fn audio_only_outputs_need_no_video() {
    let alone = job(vec![sound(json!({"codec": "MP3", "mp3Settings": {"bitrate": 128_000}}))]);
    let plan = planned(&alone, &source(video(1920, 1080)), false).unwrap();
    assert_eq!(kinds(&plan), ["audio-0", "package-0", "verify-0"]);
    assert_eq!(
        (plan.outputs[0].url.as_str(), plan.outputs[0].content_type.as_str()),
        ("s3://out/x/a.b.mp3", "audio/mpeg")
    );
    let radio = MediaInfo { video: None, ..source(video(16, 16)) };
    let plan = planned(&alone, &radio, false).unwrap();
    let TaskKind::Package(file) = &plan.tasks[1].kind else { panic!("{:?}", plan.tasks[1]) };
    assert_eq!((&file.file.container, file.file.streams.video), (&Container::Raw(AudioCodec::Mp3), None));
    let both = job(vec![sound(json!({"codec": "MP3"})), output("_v", 640, 360, json!({}))]);
    assert_eq!(planned(&both, &radio, false).unwrap_err().kind(), ErrorKind::NoVideo);
}

#[test]
fn missing_encoders_fail_only_jobs_that_need_them() {
    let opus = json!({"containerSettings": {"container": "OGG"},
        "audioDescriptions": [{"codecSettings": {"codec": "OPUS"}}]});
    let error = planned(&job(vec![opus]), &source(video(640, 360)), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingCapability);
    assert!(error.to_string().contains("`libopus`"), "{error}");
}

fn two_inputs() -> (JobSettings, [MediaInfo; 2]) {
    let mut settings = job(vec![output("_a", 1280, 720, json!({})), output("_b", 640, 360, json!({}))]);
    let first = settings["inputs"][0].clone();
    settings["inputs"] = json!([first, first]);
    settings["inputs"][1]["inputClippings"] =
        json!([{"startTimecode": "00:00:02:00", "endTimecode": "00:00:02:24"}]);
    let square = VideoTrack { frame_rate: FrameRate::new(25, 1).unwrap(), ..video(720, 720) };
    let mut silent = source(square);
    silent.audio.clear();
    (serde_json::from_value(settings).unwrap(), [source(video(1920, 1080)), silent])
}

fn planned_both(settings: &JobSettings, infos: &[MediaInfo]) -> Plan {
    plan(PlanRequest {
        settings,
        user_metadata: &BTreeMap::new(),
        inputs: infos,
        capabilities: &capabilities(),
        started_epoch_ms: 0,
        chunking: Chunking::Off,
    })
    .unwrap()
}

#[test]
fn clips_of_two_inputs_fit_the_first_frame() {
    let (settings, infos) = two_inputs();
    let plan = planned_both(&settings, &infos);
    let TaskKind::EncodeVideo(encode) = &plan.tasks[0].kind else { panic!("{:?}", plan.tasks[0]) };
    assert_eq!(encode.clips.iter().map(|clip| clip.input).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(encode.clips[1].start, ExactTime::from_millis(1480 + 2000));
    let branch = &encode.branches[0];
    assert_eq!((branch.clip_frames.as_slice(), branch.frames), ([250, 25].as_slice(), 275));
    let pictures = &branch.renditions[0].pictures;
    assert_eq!((pictures[0].size, pictures[1].size), (Size::new(1280, 720), Size::new(720, 720)));
    assert_eq!(branch.renditions[0].frame, Size::new(1280, 720));
    let TaskKind::EncodeAudio(audio) = &plan.tasks[1].kind else { panic!("{:?}", plan.tasks[1]) };
    assert_eq!(
        audio.parts.iter().map(|part| part.streams.len()).collect::<Vec<_>>(),
        [1, 0],
        "silence replaces a missing track"
    );
    assert_eq!(
        (audio.parts[0].length, audio.parts[1].length),
        (Some(ExactTime::from_millis(10_000)), Some(ExactTime::from_millis(1000)))
    );
    assert_eq!(audio.end.millis(), 11_000);
}

#[test]
fn high_dynamic_range_needs_ten_bits() {
    let mut hdr = video(1920, 1080);
    hdr.colour.transfer = Some("smpte2084".into());
    let mut ten = output("_ten", 1280, 720, json!({}));
    ten["videoDescription"]["codecSettings"] = json!({"codec": "H_265", "h265Settings": {
        "rateControlMode": "QVBR", "maxBitrate": 2_000_000, "codecProfile": "MAIN10_MAIN"}});
    let settings = job(vec![ten, output("_eight", 640, 360, json!({}))]);
    let settings: JobSettings = serde_json::from_value(settings).unwrap();
    let plan = planned_both(&settings, &[source(hdr)]);
    let video = plan.task(&TaskId::video()).map(|task| &task.kind);
    let Some(TaskKind::EncodeVideo(encode)) = video else { panic!("{video:?}") };
    let passes: Vec<Pass> = encode.renditions().map(|(_, rendition)| rendition.pass).collect();
    assert_eq!(passes, [Pass::Only, Pass::Levelled(0)], "metrics are for standard dynamic range");
    assert_eq!(encode.clips[0].tone_map, ToneMap::Hable);
    assert_eq!(encode.branches.iter().map(|branch| branch.keeps_range).collect::<Vec<_>>(), [true, false]);
    assert_eq!(plan.outputs[0].facts.video.as_ref().unwrap().pixel_format, "yuv420p10le");
}

#[test]
fn audio_of_a_group_is_a_separate_stream() {
    let hls = |name: &str, more: Value| {
        let mut made = json!({"nameModifier": name, "containerSettings": {"container": "M3U8"}});
        made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made
    };
    let mut picture = output("_v", 640, 360, json!({}));
    picture.as_object_mut().unwrap().remove("audioDescriptions");
    let picture = hls(
        "_v",
        json!({"videoDescription": picture["videoDescription"],
        "outputSettings": {"hlsSettings": {"audioRenditionSets": "a, b"}}}),
    );
    let aac = json!({"codec": "AAC", "aacSettings": {"codingMode": "CODING_MODE_2_0", "sampleRate": 48_000}});
    let speech = hls(
        "_s",
        json!({"audioDescriptions": [{"codecSettings": aac, "streamName": "Speech"}],
        "outputSettings": {"hlsSettings": {"audioGroupId": "a", "audioTrackType": "ALTERNATE_AUDIO_AUTO_SELECT"}}}),
    );
    let mut settings = job(vec![picture, speech]);
    settings["outputGroups"][0]["outputGroupSettings"] = json!({"type": "HLS_GROUP_SETTINGS",
        "hlsGroupSettings": {"destination": "s3://out/x/", "segmentLength": 4, "minSegmentLength": 0}});
    let plan = planned(&settings, &source(video(1280, 720)), false).unwrap();
    let roles: Vec<StreamRole> = plan
        .tasks
        .iter()
        .filter_map(|task| match &task.kind {
            TaskKind::Segment(cut) => Some(cut.role.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(roles[0], StreamRole::Variant { audio_groups: vec!["a".into(), "b".into()] });
    let speech = StreamRole::Audio {
        group: "a".into(),
        name: "Speech".into(),
        is_default: false,
        auto_select: true,
        describes_video: false,
    };
    assert_eq!(roles[1], speech);
    let TaskKind::Segment(cut) =
        &plan.tasks.iter().find(|task| task.id.as_str() == "segment-1").unwrap().kind
    else {
        panic!()
    };
    // 10.02 s plus 1024 samples of priming are 471 packets. A packet lasts 1024/48000 s, so packet 188 is the
    // first at or after 4 s.
    assert_eq!(
        (cut.segmentation.starts(), cut.segmentation.durations().len()),
        ([0, 188, 375].as_slice(), 3)
    );
}

#[test]
fn names_expand_the_job_variables() {
    let mut named = output("_$w$x$h$_$rv$", 640, 360, json!({}));
    named["extension"] = json!("m4v");
    let mut settings = job(vec![named]);
    settings["outputGroups"][0]["outputGroupSettings"]["fileGroupSettings"]["destination"] =
        json!("s3://out/$fn$/$d$/");
    let plan = planned(&settings, &source(video(1280, 720)), false).unwrap();
    assert_eq!(plan.outputs[0].url, "s3://out/a.b/19700101/a.b_640x360_4000.m4v");
}

#[test]
fn audio_gaps_give_numbered_warnings() {
    let told = |sound_start_ms: i64, sound_end_ms: i64| {
        let mut info = source(video(1280, 720));
        let picture = info.video.as_ref().unwrap().start;
        info.audio[1].start = picture + ExactTime::from_millis(sound_start_ms);
        info.audio[1].end = picture + ExactTime::from_millis(sound_end_ms);
        let plan = planned(&job(vec![output("", 640, 360, json!({}))]), &info, false).unwrap();
        plan.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>()
    };
    assert_eq!(told(0, 2000), [0; 0]);
    assert_eq!((told(99, 2000), told(100, 2000)), (vec![], vec![240_000]));
    assert_eq!((told(-99, 2000), told(-100, 2000)), (vec![], vec![240_001]));
}

/// Returns the sizes and passes of a job's analyses, and the pass of each rendition.
fn passes(outputs: Vec<Value>) -> (Vec<(Size, Pass)>, Vec<Pass>) {
    let plan = planned(&job(outputs), &source(video(1920, 1080)), false).unwrap();
    let of = |id: TaskId| match plan.task(&id).map(|task| &task.kind) {
        Some(TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode)) => {
            encode.renditions().map(|(_, rendition)| (rendition.frame, rendition.pass)).collect()
        }
        _ => Vec::new(),
    };
    let first = of(TaskId::analysis(None));
    let analyses = plan.tasks.iter().filter(|task| matches!(task.kind, TaskKind::AnalyseVideo(_)));
    assert_eq!(analyses.count(), usize::from(!first.is_empty()), "one decode for all");
    (first, of(TaskId::video()).into_iter().map(|(_, pass)| pass).collect())
}

#[test]
fn long_whole_films_are_sampled_less_often() {
    let every = |hours: u64| {
        let mut info = source(video(1920, 1080));
        let film = info.video.as_mut().unwrap();
        film.frames = hours * 90_000;
        film.end = film.start + ExactTime::of_frames(film.frames, film.frame_rate);
        let rung = output("", 640, 360, json!({"qualityTuningLevel": "SINGLE_PASS_HQ"}));
        let plan = planned(&job(vec![rung]), &info, false).unwrap();
        let analysis = plan.task(&TaskId::analysis(None)).map(|task| &task.kind);
        let Some(TaskKind::AnalyseVideo(encode)) = analysis else { panic!("{analysis:?}") };
        match encode.branches[0].renditions[0].pass {
            Pass::Sample(Sampling { every, .. }) => every,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((every(0), every(4)), (25, 200));
}

#[test]
fn unenforceable_max_average_is_refused() {
    let mut rung = output("", 640, 360, json!({"qualityTuningLevel": "SINGLE_PASS"}));
    rung["videoDescription"]["codecSettings"]["h264Settings"]["qvbrSettings"] =
        json!({"maxAverageBitrate": 500_000});
    let error = planned(&job(vec![rung]), &source(video(1280, 720)), false).unwrap_err();
    assert!(error.to_string().contains("qvbrSettings/maxAverageBitrate"), "{error}");
}

#[test]
fn rungs_with_similar_frames_share_first_passes() {
    let level = |mode: &str, level: &str, gop: u32| {
        json!({"rateControlMode": mode, "bitrate": 900_000, "qualityTuningLevel": level,
            "gopSize": gop, "gopSizeUnits": "FRAMES"})
    };
    let outputs = vec![
        output("_a", 1920, 1080, level("VBR", "MULTI_PASS_HQ", 50)),
        output("_b", 1280, 720, level("VBR", "SINGLE_PASS_HQ", 50)),
        output("_c", 640, 360, level("CBR", "MULTI_PASS_HQ", 30)),
        output("_d", 480, 270, level("QVBR", "MULTI_PASS_HQ", 50)),
        output("_e", 320, 180, level("VBR", "SINGLE_PASS", 50)),
    ];
    let (sizes, found) = passes(outputs);
    let sample = Pass::Sample(Sampling { metric: QualityMetric::Ssim, every: 25, taken: 6 });
    assert_eq!(
        sizes,
        [
            (Size::new(960, 540), Pass::First),
            (Size::new(640, 360), Pass::First),
            (Size::new(480, 268), sample)
        ]
    );
    assert_eq!(found, [Pass::Second(0), Pass::Second(0), Pass::Second(1), Pass::Levelled(2), Pass::Only]);
    let quality = |speed| passes(vec![output("", 640, 360, level("QVBR", speed, 50))]);
    assert_eq!(quality("SINGLE_PASS_HQ"), (vec![(Size::new(640, 360), sample)], vec![Pass::Levelled(0)]));
    assert_eq!(quality("SINGLE_PASS"), (vec![], vec![Pass::Only]));
    let mut limited = level("QVBR", "SINGLE_PASS_HQ", 50);
    limited["qvbrSettings"] = json!({"maxAverageBitrate": 500_000});
    assert_eq!(passes(vec![output("", 640, 360, limited)]).1, [Pass::Second(0)]);
}

#[test]
fn first_passes_do_not_depend_on_rates() {
    let first_pass = |bit_rate_bps: u64| {
        let own = json!({"rateControlMode": "VBR", "bitrate": bit_rate_bps, "maxBitrate": bit_rate_bps});
        let plan = planned(&job(vec![output("", 640, 360, own)]), &source(video(640, 360)), false).unwrap();
        plan.task(&TaskId::analysis(None)).unwrap().spec_hash()
    };
    assert_eq!(first_pass(400_000), first_pass(800_000));
}

#[test]
fn manifests_with_equal_names_are_refused() {
    let group = |kind: &str, member: &str, container: &str, destination: &str, modifier: &str| {
        let mut one = output(modifier, 640, 360, json!({}));
        one.as_object_mut().unwrap().remove("audioDescriptions");
        one["containerSettings"] = json!({"container": container});
        json!({"outputs": [one], "outputGroupSettings": {"type": kind, member:
            {"destination": destination, "segmentLength": 4, "minSegmentLength": 0, "fragmentLength": 2}}})
    };
    let hls = group("HLS_GROUP_SETTINGS", "hlsGroupSettings", "M3U8", "s3://out/film", "_a");
    let cmaf = |destination: &str| {
        let mut made = group("CMAF_GROUP_SETTINGS", "cmafGroupSettings", "CMFC", destination, "_b");
        made["outputGroupSettings"]["cmafGroupSettings"].as_object_mut().unwrap().remove("minSegmentLength");
        made
    };
    let planned_with = |groups: Vec<Value>| {
        let mut settings = job(Vec::new());
        settings["outputGroups"] = json!(groups);
        planned(&settings, &source(video(1280, 720)), false)
    };
    let told = planned_with(vec![hls.clone(), cmaf("s3://out/film")]).unwrap_err().to_string();
    assert!(
        told.starts_with("/outputGroups/1/") && told.contains("`s3://out/film.m3u8` would be written twice"),
        "{told}"
    );
    assert!(planned_with(vec![hls, cmaf("s3://out/other")]).is_ok());
}

/// An HLS job with a picture and an audio group `a`; `sets` are the picture's audio groups.
fn hls_with_group(sets: Value) -> Value {
    let hls = |name: &str, more: Value| {
        let mut output = json!({"nameModifier": name, "containerSettings": {"container": "M3U8"}});
        output.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        output
    };
    let made = output("_v", 640, 360, json!({}));
    let picture = hls(
        "_v",
        json!({"videoDescription": made["videoDescription"], "outputSettings": {"hlsSettings": sets}}),
    );
    let speech = hls(
        "_a",
        json!({"audioDescriptions": made["audioDescriptions"],
            "outputSettings": {"hlsSettings": {"audioGroupId": "a"}}}),
    );
    let mut settings = job(vec![picture, speech]);
    settings["outputGroups"][0]["outputGroupSettings"] = json!({"type": "HLS_GROUP_SETTINGS",
        "hlsGroupSettings": {"destination": "s3://out/x/", "segmentLength": 4, "minSegmentLength": 0}});
    settings
}

#[test]
fn no_audio_group_is_out_of_reach() {
    let info = source(video(1280, 720));
    let plan = planned(&hls_with_group(json!({})), &info, false).unwrap();
    let manifests = plan.tasks.iter().find_map(|task| match &task.kind {
        TaskKind::GroupManifests(manifests) => Some(manifests),
        _ => None,
    });
    assert_eq!(
        manifests.unwrap().streams[0].role,
        StreamRole::Variant { audio_groups: vec!["a".to_owned()] },
        "video without audio groups goes with all"
    );
    let told = planned(&hls_with_group(json!({"audioRenditionSets": "b"})), &info, false).unwrap_err();
    assert_eq!(
        told.to_string(),
        "/outputGroups/0/outputs/1/outputSettings/hlsSettings/audioGroupId: no output with video names the audio group \
         `a` in its audioRenditionSets"
    );
}

#[test]
fn images_of_an_input_follow_its_picture_and_clock() {
    let mut settings = job(vec![
        output("_wide", 640, 360, json!({})),
        output("_high", 640, 640, json!({})),
        output("_fill", 360, 360, json!({})),
    ]);
    settings["outputGroups"][0]["outputs"][2]["videoDescription"]["scalingBehavior"] = json!("FILL");
    let image = json!({"imageInserterInput": "s3://b/a.png", "imageX": 100, "imageY": 50, "layer": 1, "opacity": 80,
        "width": 64, "startTime": "00:00:03:00", "duration": 9000, "fadeOut": 500});
    let plain = settings["inputs"][0].clone();
    let mut marked = plain.clone();
    marked["timecodeSource"] = json!("ZEROBASED");
    marked["inputClippings"] = json!([{"startTimecode": "00:00:02:00"}]);
    marked["imageInserter"] = json!({"insertableImages": [image]});
    settings["inputs"] = json!([plain, marked]);
    let settings: JobSettings = serde_json::from_value(settings).unwrap();
    let info = source(video(1280, 720));
    let plan = planned_both(&settings, &[info.clone(), info]);
    assert_eq!(plan.images, ["s3://b/a.png"]);
    let images: Vec<_> = plan
        .tasks
        .iter()
        .filter_map(|task| match &task.kind {
            TaskKind::EncodeVideo(video) => Some(video.clone()),
            _ => None,
        })
        .flat_map(|video| video.renditions().map(|(_, one)| one.clone()).collect::<Vec<_>>())
        .map(|rendition| match &rendition.overlays[..] {
            [crate::Overlay::Image(image)] => (rendition.frame.to_string(), image.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |size: &str| images.iter().find(|(frame, _)| frame == size).unwrap().1.clone();
    // The first input lasts 10 s; the second begins at its third second, so the image is there from 11 s to the end.
    let wide = of("640x360");
    assert_eq!((wide.x, wide.y, wide.width, wide.opacity_percent), (50, 25, Some(32), 80));
    assert_eq!((wide.start.millis(), wide.duration.unwrap().millis()), (11_000, 7000));
    assert_eq!(wide.fade_out, ExactTime::ZERO, "the clip ends before the image fades");
    assert_eq!(wide.scale, Some((Rational::new(1, 2), Rational::new(1, 2))));
    // Bars above and below move it down; cropped sides move it to the left, beyond the frame.
    assert_eq!((of("640x640").x, of("640x640").y), (50, 165));
    assert_eq!((of("360x360").x, of("360x360").y), (-90, 25));
}
