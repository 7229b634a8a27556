//! Plans jobs for sources of many kinds and checks the plans against MediaConvert's rules and ours.

use abanico_media::{AudioTrack, Colour, FieldOrder, FrameRate, Rational};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    CodecSettings, ErrorKind, H264Profile, RateControl, ScaleSource, SpeedPreset, TaskKind, ToneMap,
    VideoEncode,
};

pub(crate) fn capabilities() -> Capabilities {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Capabilities {
        version: "5.1.9".into(),
        encoders: names(&["libx264", "libx265", "aac", "libmp3lame"]),
        filters: names(&["zscale", "tonemap"]),
    }
}

pub(crate) fn video(width: u32, height: u32) -> VideoTrack {
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        profile: None,
        pixel_format: "yuv420p".into(),
        bit_depth: 8,
        size: Size::new(width, height),
        sample_aspect: Rational::ONE,
        orientation: Orientation::UPRIGHT,
        frame_rate: FrameRate::new(25, 1).unwrap(),
        variable_frame_rate: false,
        frames: 250,
        start: ExactTime::from_millis(1480),
        end: ExactTime::from_millis(11_480),
        field_order: FieldOrder::Progressive,
        colour: Colour::default(),
        window: None,
        shapes: Vec::new(),
        bit_rate_bps: 1,
        timecode: None,
        entry_points: abanico_media::EntryPoints::default(),
    }
}

fn audio(stream_index: u32, is_default: bool) -> AudioTrack {
    AudioTrack {
        stream_index,
        codec: "aac".into(),
        channels: 2,
        channel_layout: None,
        sample_rate_hz: 44_100,
        start: ExactTime::from_millis(1400),
        end: ExactTime::from_millis(11_500),
        packet: ExactTime::ZERO,
        is_jittery: false,
        language: None,
        is_default,
        is_aside: false,
        is_undecodable: false,
        forms: Vec::new(),
        id: None,
    }
}

pub(crate) fn source(video: VideoTrack) -> MediaInfo {
    let audio = vec![audio(1, false), audio(2, true)];
    MediaInfo {
        container: "mpegts".into(),
        size_bytes: 1,
        clock_start: ExactTime::from_millis(1400),
        video: Some(video),
        audio,
        jumps: abanico_media::ClockJumps::default(),
    }
}

pub(crate) fn output(modifier: &str, width: u32, height: u32, extra: Value) -> Value {
    let mut h264 = json!({"rateControlMode": "QVBR", "maxBitrate": 4_000_000});
    h264.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({
        "nameModifier": modifier,
        "extension": "mp4",
        "containerSettings": {"container": "MP4"},
        "videoDescription": {"width": width, "height": height, "codecSettings": {"codec": "H_264", "h264Settings": h264}},
        "audioDescriptions": [{"codecSettings": {"codec": "AAC", "aacSettings": {
            "bitrate": 128_000, "sampleRate": 48_000, "codingMode": "CODING_MODE_2_0"}}}],
    })
}

pub(crate) fn job(outputs: Vec<Value>) -> Value {
    json!({
        "inputs": [{"fileInput": "s3://in/dir/a.b.mp4", "videoSelector": {"rotate": "AUTO"},
            "audioSelectors": {"Audio Selector 1": {"defaultSelection": "DEFAULT"}}}],
        "outputGroups": [{
            "outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://out/x/"}},
            "outputs": outputs,
        }],
    })
}

pub(crate) fn planned(settings: &Value, info: &MediaInfo, follow: bool) -> Result<Plan, Error> {
    planned_with(settings, info, follow, Chunking::Off)
}

pub(crate) fn planned_in_chunks(
    settings: &Value,
    info: &MediaInfo,
    chunking: Chunking,
) -> Result<Plan, Error> {
    planned_with(settings, info, false, chunking)
}

fn planned_with(settings: &Value, info: &MediaInfo, follow: bool, chunking: Chunking) -> Result<Plan, Error> {
    let settings: JobSettings = serde_json::from_value(settings.clone()).unwrap();
    let marker = (LADDER_KEY.to_owned(), FOLLOW_SOURCE.to_owned());
    let user_metadata: BTreeMap<_, _> = follow.then_some(marker).into_iter().collect();
    plan(PlanRequest {
        settings: &settings,
        user_metadata: &user_metadata,
        inputs: std::slice::from_ref(info),
        started_epoch_ms: 0,
        chunking,
        capabilities: &capabilities(),
    })
}

fn ladder() -> Vec<Value> {
    let sizes = [("_1080p", 1920, 1080), ("_720p", 1280, 720), ("_480p", 854, 480)];
    sizes.map(|(name, width, height)| output(name, width, height, json!({}))).to_vec()
}

/// Returns the task with this name.
fn task<'a>(plan: &'a Plan, name: &str) -> &'a TaskKind {
    &plan.tasks.iter().find(|task| task.id.as_str() == name).expect("the plan has the task").kind
}

fn encode(plan: &Plan) -> &VideoEncode {
    let mut encodes = plan.tasks.iter().filter_map(|task| match &task.kind {
        TaskKind::EncodeVideo(encode) => Some(encode),
        _ => None,
    });
    encodes.next().expect("the plan encodes video")
}

#[test]
fn ladder_decodes_once_and_packages_each_output() {
    let plan = planned(&job(ladder()), &source(video(1920, 1080)), false).unwrap();
    let ids: Vec<_> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "analysis",
            "video",
            "audio-0",
            "package-0",
            "verify-0",
            "package-1",
            "verify-1",
            "package-2",
            "verify-2"
        ]
    );
    let urls: Vec<_> = plan.outputs.iter().map(|output| output.url.as_str()).collect();
    assert_eq!(urls, ["s3://out/x/a.b_1080p.mp4", "s3://out/x/a.b_720p.mp4", "s3://out/x/a.b_480p.mp4"]);
    let sources: Vec<_> = encode(&plan).renditions().map(|(_, rendition)| rendition.scale_from).collect();
    assert_eq!(sources, [ScaleSource::Source, ScaleSource::Rendition(0), ScaleSource::Rendition(1)]);
    assert_eq!(encode(&plan).clips[0].start.millis(), 1480, "times are on the file's own clock");
}

#[test]
fn audio_is_timed_on_the_video_clock() {
    let plan = planned(&job(ladder()), &source(video(1920, 1080)), false).unwrap();
    let TaskKind::EncodeAudio(audio) = task(&plan, "audio-0") else { panic!("audio-0 encodes no audio") };
    assert_eq!(
        (audio.parts[0].streams.clone(), audio.parts[0].start.millis(), audio.end.millis()),
        (vec![2], 1480, 10_020)
    );
    assert_eq!(plan.outputs[0].facts.audio[0].end.millis(), 10_020);
}

#[test]
fn named_tracks_are_used_and_missing_ones_reported() {
    let mut settings = job(ladder());
    settings["inputs"][0]["audioSelectors"]["Audio Selector 1"] =
        json!({"selectorType": "TRACK", "tracks": [1]});
    let first = planned(&settings, &source(video(1920, 1080)), false).unwrap();
    assert!(matches!(task(&first, "audio-0"), TaskKind::EncodeAudio(audio) if audio.parts[0].streams == [1]));
    settings["inputs"][0]["audioSelectors"]["Audio Selector 1"]["tracks"] = json!([7]);
    let none = planned(&settings, &source(video(1920, 1080)), false).unwrap();
    assert_eq!(none.outputs[0].facts.audio, []);
    assert!(none.notes.len() == 1 && none.notes[0].contains("none with number 7"), "{:?}", none.notes);
}

#[test]
fn job_language_overrides_source_language() {
    let mut info = source(video(1920, 1080));
    info.audio[1].language = Some("fra".into());
    let language = |settings: &Value| match task(&planned(settings, &info, false).unwrap(), "package-0") {
        TaskKind::Package(packaged) => packaged.file.streams.audio[0].language.clone(),
        other => panic!("package-0 is {other:?}"),
    };
    let mut settings = job(ladder());
    assert_eq!(language(&settings).as_deref(), Some("fra"));
    settings["outputGroups"][0]["outputs"][0]["audioDescriptions"][0]["languageCode"] = json!("SPA");
    assert_eq!(language(&settings).as_deref(), Some("spa"));
}

#[test]
fn enlarged_pictures_are_no_scaling_source() {
    let plan = planned(&job(ladder()), &source(video(640, 360)), false).unwrap();
    assert!(encode(&plan).renditions().all(|(_, rendition)| rendition.scale_from == ScaleSource::Source));
    assert_eq!(
        plan.outputs[0].facts.video.as_ref().unwrap().size,
        Size::new(1920, 1080),
        "MediaConvert enlarges on request"
    );
}

#[test]
fn following_ladder_drops_enlarging_rungs_with_a_note() {
    let plan = planned(&job(ladder()), &source(video(640, 360)), true).unwrap();
    assert_eq!((plan.outputs.len(), plan.outputs[0].name_modifier.as_str()), (1, "_480p"));
    assert_eq!(plan.outputs[0].facts.video.as_ref().unwrap().size, Size::new(640, 360));
    assert_eq!(plan.notes.len(), 2);
    assert!(plan.notes[0].contains("_1080p") && plan.notes[0].contains("640x360"), "{:?}", plan.notes);
}

#[test]
fn frame_counts_are_exact_at_each_rate() {
    let film =
        json!({"framerateControl": "SPECIFIED", "framerateNumerator": 24000, "framerateDenominator": 1001});
    let outputs = vec![output("_a", 1280, 720, film), output("_b", 640, 360, json!({}))];
    let plan = planned(&job(outputs), &source(video(1920, 1080)), false).unwrap();
    let frames: Vec<_> =
        plan.outputs.iter().map(|output| output.facts.video.as_ref().unwrap().frames).collect();
    assert_eq!(frames, [240, 250], "10 s at 23.976 and at 25");
    assert_eq!(encode(&plan).branches.len(), 2);
}

#[test]
fn equal_renditions_are_made_once() {
    let outputs = vec![output("_a", 1280, 720, json!({})), output("_b", 1280, 720, json!({}))];
    let plan = planned(&job(outputs), &source(video(1920, 1080)), false).unwrap();
    assert_eq!((encode(&plan).renditions().count(), plan.outputs.len()), (1, 2));
}

#[test]
fn video_is_rotated_only_on_request() {
    let turned = VideoTrack { orientation: Orientation::turned(1), ..video(1280, 720) };
    let size_when = |rotate: Value| {
        let mut settings = job(vec![output("", 720, 720, json!({}))]);
        settings["outputGroups"][0]["outputs"][0]["videoDescription"]["scalingBehavior"] = json!("FIT");
        settings["inputs"][0]["videoSelector"]["rotate"] = rotate;
        planned(&settings, &source(turned.clone()), false).unwrap().outputs[0]
            .facts
            .video
            .as_ref()
            .unwrap()
            .size
            .to_string()
    };
    assert_eq!(size_when(json!("AUTO")), "406x720");
    assert_eq!(size_when(Value::Null), "720x406");
    assert_eq!(size_when(json!("DEGREES_180")), "720x406");
    assert_eq!(size_when(json!("DEGREES_270")), "406x720");
}

#[test]
fn encoder_settings_are_translated() {
    let settings = json!({"rateControlMode": "CBR", "bitrate": 6_000_000, "qualityTuningLevel": "MULTI_PASS_HQ",
        "gopSize": 2.0, "gopSizeUnits": "SECONDS", "codecProfile": "HIGH", "codecLevel": "LEVEL_4_1",
        "numberBFramesBetweenReferenceFrames": 1, "gopBReference": "DISABLED", "numberReferenceFrames": 3});
    let plan =
        planned(&job(vec![output("", 1920, 1080, settings)]), &source(video(1920, 1080)), false).unwrap();
    let (_, rendition) = encode(&plan).renditions().next().unwrap();
    let encode = &rendition.coding;
    let CodecSettings::H264(own) = &encode.codec else { panic!("{:?}", encode.codec) };
    assert_eq!(encode.rate_control, RateControl::Constant { bit_rate_bps: 6_000_000 });
    assert_eq!((encode.gop.frames, encode.speed, own.profile), (50, SpeedPreset::Medium, H264Profile::High));
    assert_eq!((own.level.map(|level| level.0), encode.b_frames, own.b_references), (Some(41), 1, false));
    assert_eq!((encode.buffer_bits, encode.references), (12_000_000, Some(3)));
}

#[test]
fn default_quality_level_follows_frame_size() {
    let factor = |width: u32, height: u32, level: Value| {
        let settings = json!({"qvbrSettings": level});
        let plan =
            planned(&job(vec![output("", width, height, settings)]), &source(video(1920, 1080)), false)
                .unwrap();
        match encode(&plan).renditions().next().unwrap().1.coding.rate_control {
            RateControl::Quality { rate_factor_tenths, .. } => rate_factor_tenths,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((factor(1280, 720, Value::Null), factor(640, 360, Value::Null)), (208, 232));
    assert_eq!(factor(640, 360, json!({"qvbrQualityLevel": 9, "qvbrQualityLevelFineTune": 0.33})), 176);
}

#[test]
fn impossible_settings_are_refused_with_their_pointer() {
    let kind = |settings: &Value, info: &MediaInfo| {
        planned(settings, info, false).map(drop).map_err(|error| (error.kind(), error.to_string()))
    };
    let info = source(video(1920, 1080));
    let no_video = MediaInfo { video: None, ..info.clone() };
    assert_eq!(kind(&job(ladder()), &no_video).unwrap_err().0, ErrorKind::NoVideo);
    let twice = job(vec![output("_a", 1280, 720, json!({})), output("_a", 640, 360, json!({}))]);
    let (same_name, message) = kind(&twice, &info).unwrap_err();
    assert!(same_name == ErrorKind::Settings && message.contains("/outputGroups/0/outputs/1"), "{message}");
    let no_rate = job(vec![output("", 640, 360, json!({"rateControlMode": "CBR"}))]);
    assert!(kind(&no_rate, &info).unwrap_err().1.contains("bitrate is required"));
    let oblong = json!({"parControl": "SPECIFIED", "parNumerator": 40, "parDenominator": 3});
    assert!(kind(&job(vec![output("", 640, 360, oblong)]), &info).unwrap_err().1.contains("four times"));
    let poor = Capabilities { encoders: [].into(), ..capabilities() };
    let settings: JobSettings = serde_json::from_value(job(ladder())).unwrap();
    let request = PlanRequest {
        settings: &settings,
        user_metadata: &BTreeMap::new(),
        inputs: std::slice::from_ref(&info),
        started_epoch_ms: 0,
        chunking: Chunking::Off,
        capabilities: &poor,
    };
    assert_eq!(plan(request).unwrap_err().kind(), ErrorKind::MissingCapability);
}

#[test]
fn types_of_groups_that_are_not_made_are_refused() {
    let info = source(video(1920, 1080));
    let told = |kind: Value| {
        let mut settings = job(ladder());
        settings["outputGroups"][0]["outputGroupSettings"]["type"] = kind;
        planned(&settings, &info, false).unwrap_err().to_string()
    };
    let at = "/outputGroups/0/outputGroupSettings";
    let unknown = told(json!("FILE_GROUP"));
    assert!(unknown.starts_with(&format!("{at}/type: type FILE_GROUP does not exist, only [")), "{unknown}");
    let smooth = told(json!("MS_SMOOTH_GROUP_SETTINGS"));
    let only = "type MS_SMOOTH_GROUP_SETTINGS is not supported, only [FILE_GROUP_SETTINGS, HLS_GROUP_SETTINGS, \
                CMAF_GROUP_SETTINGS, DASH_ISO_GROUP_SETTINGS]: ";
    assert!(
        smooth.starts_with(&format!("{at}/type: {only}")) && smooth.contains("use CMAF_GROUP"),
        "{smooth}"
    );
    assert_eq!(told(Value::Null), format!("{at}: type is a required property"));
}

#[test]
fn unknown_values_are_refused_and_never_taken_for_defaults() {
    let info = source(video(1920, 1080));
    let codec = "/outputGroups/0/outputs/0/videoDescription/codecSettings";
    for (pointer, member, known) in [
        ("/inputs/0/videoSelector/rotate", "rotate", "DEGREES_90"),
        ("/inputs/0/timecodeSource", "timecodeSource", "ZEROBASED"),
        ("/inputs/0/audioSelectors/Audio Selector 1/defaultSelection", "defaultSelection", "NOT_DEFAULT"),
        ("/timecodeConfig/source", "source", "SPECIFIEDSTART"),
        ("/outputGroups/0/outputs/0/containerSettings/container", "container", "M2TS"),
        ("/outputGroups/0/outputs/0/videoDescription/scalingBehavior", "scalingBehavior", "FIT_NO_UPSCALE"),
        (&format!("{codec}/codec"), "codec", "H_265"),
        (&format!("{codec}/h264Settings/rateControlMode"), "rateControlMode", "QVBR"),
        (&format!("{codec}/h264Settings/qualityTuningLevel"), "qualityTuningLevel", "SINGLE_PASS_HQ"),
        (&format!("{codec}/h264Settings/interlaceMode"), "interlaceMode", "FOLLOW_TOP_FIELD"),
    ] {
        let mut settings = job(ladder());
        settings["timecodeConfig"] = json!({});
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        settings.pointer_mut(parent).unwrap()[key] = json!("MISTYPED");
        let told = planned(&settings, &info, false).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{pointer}: {member} MISTYPED does not exist, only [")), "{told}");
        assert!(told.contains(known), "{told}");
    }
}

#[test]
fn high_dynamic_range_is_mapped_with_a_note() {
    let mut hdr = video(1920, 1080);
    hdr.colour.transfer = Some("smpte2084".into());
    let plan = planned(&job(ladder()), &source(hdr), false).unwrap();
    assert_eq!(encode(&plan).clips[0].tone_map, ToneMap::Hable);
    assert!(plan.notes[0].contains("dynamic range"), "{:?}", plan.notes);
}

#[test]
fn equal_requests_give_equal_plans_and_hashes() {
    let first = planned(&job(ladder()), &source(video(1920, 1080)), false).unwrap();
    let second = planned(&job(ladder()), &source(video(1920, 1080)), false).unwrap();
    assert_eq!(first, second);
    assert_eq!(first.tasks[0].spec_hash(), second.tasks[0].spec_hash());
    assert_ne!(first.tasks[0].spec_hash(), first.tasks[1].spec_hash());
}

proptest! {
    /// For every size and rotation of the source: sides are even, nothing is enlarged, every rendition comes
    /// after the one that it is scaled from, and every branch has the exact number of frames.
    #[test]
    fn following_ladder_holds_its_promises(width in 16_u32..5000, height in 16_u32..5000, turns in 0_u8..4, millis in 1_i64..100_000) {
        let track = VideoTrack { orientation: Orientation::turned(turns), end: ExactTime::from_millis(1480 + millis), ..video(width, height) };
        let shown = track.display_size();
        let plan = planned(&job(ladder()), &source(track), true).unwrap();
        prop_assert!((1..=3).contains(&plan.outputs.len()));
        for output in &plan.outputs {
            let size = output.facts.video.as_ref().unwrap().size;
            prop_assert!(size.width % 2 == 0 && size.height % 2 == 0 && size.fits(shown), "{} of {}", size, shown);
            prop_assert!(output.facts.video.as_ref().unwrap().frames == (millis as u64 * 25 + 500) / 1000 || output.facts.video.as_ref().unwrap().frames == 1);
        }
        let mut seen = Vec::new();
        for (_, rendition) in encode(&plan).renditions() {
            if let ScaleSource::Rendition(parent) = rendition.scale_from {
                prop_assert!(seen.contains(&parent));
            }
            seen.push(rendition.index);
        }
    }
}
