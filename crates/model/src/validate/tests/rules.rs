//! Tests of the service's rules, in its words: each row breaks one rule of a valid job.

use serde_json::{Value, json};

use super::{OUTPUT, job, problems_with};
use crate::shape::Shape;
use crate::validate::rules::table::{RULES, Rule};

const DEPENDS: &str = "Should match all dependencies: See other errors for more details";
const RATES: &str = "Your job contains values for the following settings that are incompatible: Rate control mode, \
                     Bitrate, and Max bitrate.";

/// Changes the output's codec settings, and returns the problems with their pointers cut off up to these settings.
fn codec_problems(settings: Value) -> Vec<String> {
    let at = format!("{OUTPUT}/videoDescription/codecSettings");
    let found = problems_with(&[(&at, settings)]);
    found.iter().map(|problem| problem.strip_prefix(&at).unwrap_or(problem).to_owned()).collect()
}

fn h264(settings: Value) -> Vec<String> {
    codec_problems(json!({"codec": "H_264", "h264Settings": settings}))
}

fn audio_problems(codec: &str, member: &str, settings: Value) -> Vec<String> {
    let at = format!("{OUTPUT}/audioDescriptions");
    let found = problems_with(&[(&at, json!([{"codecSettings": {"codec": codec, member: settings}}]))]);
    let start = format!("{at}/0/codecSettings");
    found.iter().map(|problem| problem.strip_prefix(&start).unwrap_or(problem).to_owned()).collect()
}

#[test]
fn every_rule_names_existing_shapes_and_members() {
    for (shapes, rules) in RULES {
        for shape in *shapes {
            let Some(Shape::Structure { members: known, .. }) = Shape::named(shape) else {
                panic!("{shape}")
            };
            let mut named: Vec<&str> = Vec::new();
            for rule in *rules {
                match *rule {
                    Rule::Needs(members) | Rule::Multiple(members, _) => named.extend(members),
                    Rule::NeedsWith(by, _, members) => {
                        named.push(by);
                        named.extend(members);
                    }
                    Rule::Choice { by, settings, .. } => {
                        named.push(by);
                        named.extend(settings.iter().map(|(member, _)| *member));
                    }
                    Rule::OnlyWith(member, by, _) => named.extend([member, by]),
                    Rule::Unfit { by, member, .. } | Rule::MustBe { by, member, .. } => {
                        named.extend([by, member]);
                    }
                    Rule::NotBelow(by, _, member, other) => named.extend([by, member, other]),
                    Rule::OneOf(member, _) => named.push(member),
                    Rule::Within(by, _, member, _) => named.extend([by, member]),
                }
            }
            for member in named {
                assert!(known.iter().any(|candidate| candidate.name == member), "{shape}.{member}");
            }
        }
    }
}

#[test]
fn every_choice_has_values_of_the_model() {
    for (shapes, rules) in RULES {
        for rule in *rules {
            let Rule::Choice { by, settings, .. } = rule else { continue };
            let Some(Shape::Structure { members, .. }) = Shape::named(shapes[0]) else {
                panic!("{shapes:?}")
            };
            let member = members.iter().find(|member| member.name == *by).unwrap();
            let Some(Shape::Text { values: known, .. }) = Shape::named(member.shape) else { panic!("{by}") };
            for value in settings.iter().flat_map(|(_, values)| *values) {
                assert!(known.contains(value), "{}.{by}: {value}", shapes[0]);
            }
        }
    }
}

#[test]
fn rate_control_takes_its_own_rates_only() {
    assert_eq!(
        h264(json!({"rateControlMode": "CBR", "bitrate": 2000, "maxBitrate": 3000})),
        [
            format!("/h264Settings: {RATES}"),
            "/h264Settings/maxBitrate: Should not be set when rateControlMode is CBR".to_owned()
        ]
    );
    assert_eq!(
        h264(json!({"rateControlMode": "QVBR", "bitrate": 2000, "maxBitrate": 3000})),
        [
            format!("/h264Settings: {RATES}"),
            "/h264Settings/bitrate: Should not be set when rateControlMode is QVBR".to_owned()
        ]
    );
    assert_eq!(
        h264(json!({"rateControlMode": "VBR", "bitrate": 3000, "maxBitrate": 2000})),
        ["/h264Settings/maxBitrate: Should be greater than or equal to 3000"]
    );
    assert_eq!(h264(json!({"rateControlMode": "VBR", "bitrate": 3000, "maxBitrate": 3000})), [""; 0]);
    assert_eq!(
        h264(json!({"rateControlMode": "CBR", "bitrate": 3000, "qvbrSettings": {"qvbrQualityLevel": 7}})),
        [
            format!("/h264Settings/qvbrSettings: {DEPENDS}"),
            "/h264Settings/rateControlMode: Must be QVBR".to_owned()
        ]
    );
    let hevc = codec_problems(json!({"codec": "H_265",
        "h265Settings": {"rateControlMode": "CBR", "bitrate": 2000, "maxBitrate": 3000}}));
    assert_eq!(hevc[0], format!("/h265Settings: {RATES}"));
    let av1 = codec_problems(json!({"codec": "AV1", "av1Settings": {"rateControlMode": "QVBR"}}));
    assert_eq!(av1, ["/av1Settings: maxBitrate is a required property"]);
    let vp9 = codec_problems(json!({"codec": "VP9", "vp9Settings":
        {"rateControlMode": "VBR", "bitrate": 3000, "maxBitrate": 2000}}));
    assert_eq!(vp9, ["/vp9Settings/maxBitrate: Should be greater than or equal to 3000"]);
}

#[test]
fn rectangles_have_even_sides() {
    let odd = json!({"x": 1, "y": 0, "width": 101, "height": 100});
    for at in [format!("{OUTPUT}/videoDescription/crop"), "/settings/inputs/0/position".to_owned()] {
        let expected = ["x", "width"].map(|side| format!("{at}/{side}: Should be a multiple of 2"));
        assert_eq!(problems_with(&[(&at, odd.clone())]), expected);
    }
}

#[test]
fn codec_has_its_own_settings_only() {
    let cbr = json!({"rateControlMode": "CBR", "bitrate": 3000});
    assert_eq!(codec_problems(json!({"codec": "H_264"})), [": Should have at least 2 properties"]);
    assert_eq!(codec_problems(json!({"h264Settings": cbr})), [": codec is a required property"]);
    assert_eq!(
        codec_problems(json!({"codec": "H_265", "h264Settings": cbr})),
        [format!("/h264Settings: {DEPENDS}"), "/codec: Must be H_264".to_owned()]
    );
    assert_eq!(
        codec_problems(json!({"codec": "H_264", "h264Settings": cbr, "h265Settings": cbr})),
        [
            ": Should have at most 2 properties".to_owned(),
            format!("/h265Settings: {DEPENDS}"),
            "/codec: Must be H_265".to_owned()
        ]
    );
    let aac = json!({"codingMode": "CODING_MODE_2_0", "sampleRate": 48_000});
    assert_eq!(
        audio_problems("AC3", "aacSettings", aac),
        [format!("/aacSettings: {DEPENDS}"), "/codec: Must be AAC".to_owned()]
    );
    let at = format!("{OUTPUT}/audioDescriptions");
    let passed = json!([{"codecSettings": {"codec": "PASSTHROUGH"}}]);
    assert_eq!(problems_with(&[(&at, passed)]), [""; 0], "there are no settings for it");
}

#[test]
fn group_has_its_own_settings_and_containers_only() {
    let group = "/settings/outputGroups/0/outputGroupSettings";
    let hls = json!({"destination": "s3://out/a/", "segmentLength": 6, "minSegmentLength": 0});
    assert_eq!(
        problems_with(&[(group, json!({"type": "FILE_GROUP_SETTINGS"}))]),
        [format!("{group}: Should have at least 2 properties")]
    );
    assert_eq!(
        problems_with(&[(group, json!({"type": "FILE_GROUP_SETTINGS", "hlsGroupSettings": hls}))]),
        [format!("{group}/hlsGroupSettings: {DEPENDS}"), format!("{group}/type: Must be HLS_GROUP_SETTINGS")]
    );
    let container = format!("{OUTPUT}/containerSettings");
    assert_eq!(
        problems_with(&[(&container, json!({"container": "M3U8"}))]),
        [format!(
            "{container}/container: Should be equal to one of the allowed values in [F4V, GIF, M2TS, MOV, MP4, MXF, \
             OGG, RAW, WEBM, Y4M]"
        )]
    );
    assert_eq!(
        problems_with(&[(group, json!({"type": "HLS_GROUP_SETTINGS", "hlsGroupSettings": hls}))]),
        [format!("{container}/container: Must be M3U8")]
    );
    assert_eq!(
        problems_with(&[(&container, json!({"container": "MP4", "m3u8Settings": {"videoPid": 481}}))]),
        [format!("{container}/m3u8Settings: {DEPENDS}"), format!("{container}/container: Must be M3U8")]
    );
    let settings = format!("{OUTPUT}/outputSettings");
    assert_eq!(
        problems_with(&[(&settings, json!({"hlsSettings": {"segmentModifier": "_s"}}))]),
        [format!("{settings}/hlsSettings: {DEPENDS}"), format!("{group}/type: Must be HLS_GROUP_SETTINGS")]
    );
    assert_eq!(problems_with(&[(&settings, json!({"hlsSettings": {}}))]), [""; 0], "the console writes it");
}

#[test]
fn captions_have_their_own_settings_only() {
    let at = format!("{OUTPUT}/captionDescriptions");
    let burn_in = json!([{"destinationSettings": {"destinationType": "SRT",
        "burninDestinationSettings": {"alignment": "LEFT"}}}]);
    let below = format!("{at}/0/destinationSettings");
    assert_eq!(
        problems_with(&[(&at, burn_in)]),
        [
            format!("{below}/burninDestinationSettings: {DEPENDS}"),
            format!("{below}/destinationType: Must be BURN_IN")
        ]
    );
    let at = "/settings/inputs/0/captionSelectors";
    assert_eq!(
        problems_with(&[(at, json!({"c": {"sourceSettings": {"sourceType": "SRT"}}}))]),
        [format!("{at}/c/sourceSettings: fileSourceSettings is a required property")]
    );
    assert_eq!(
        problems_with(&[(
            at,
            json!({"c": {"sourceSettings": {"sourceType": "SRT", "fileSourceSettings": {}}}})
        )]),
        [format!("{at}/c/sourceSettings/fileSourceSettings: sourceFile is a required property")]
    );
}

#[test]
fn specified_rates_and_aspects_need_both_numbers() {
    let with = |more: Value| {
        let mut settings = json!({"rateControlMode": "CBR", "bitrate": 3000});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        h264(settings)
    };
    assert_eq!(
        with(json!({"framerateControl": "SPECIFIED", "framerateNumerator": 25})),
        ["/h264Settings: framerateDenominator is a required property"]
    );
    assert_eq!(
        with(json!({"parControl": "SPECIFIED"})),
        [
            "/h264Settings: parNumerator is a required property",
            "/h264Settings: parDenominator is a required property"
        ]
    );
    assert_eq!(with(json!({"framerateControl": "INITIALIZE_FROM_SOURCE"})), [""; 0]);
}

#[test]
fn aac_takes_the_documented_rates() {
    let aac = |bit_rate: i64, sample_rate: i64, mode: &str| {
        audio_problems(
            "AAC",
            "aacSettings",
            json!({"bitrate": bit_rate, "sampleRate": sample_rate, "codingMode": mode}),
        )
    };
    assert_eq!(aac(96_000, 48_000, "CODING_MODE_2_0"), [""; 0]);
    let told = aac(100_000, 48_000, "CODING_MODE_2_0");
    assert!(
        told.len() == 1
            && told[0].starts_with(
                "/aacSettings/bitrate: Should be equal to one of the allowed values in [6000, 8000,"
            ),
        "{told:?}"
    );
    let told = aac(96_000, 47_000, "CODING_MODE_2_0");
    assert!(
        told.len() == 1
            && told[0].starts_with(
                "/aacSettings/sampleRate: Should be equal to one of the allowed values in [8000,"
            ),
        "{told:?}"
    );
    assert_eq!(
        aac(48_000, 48_000, "CODING_MODE_2_0"),
        [
            "/aacSettings/bitrate: You specified a value for Bitrate that is not valid with the combination of Profile LC, \
          Coding mode CODING_MODE_2_0, and Sample rate 48000 you selected. Specify a bitrate in the range of \
          64000-576000"
        ]
    );
    assert!(aac(576_000, 44_100, "CODING_MODE_2_0")[0].ends_with("in the range of 64000-512000"));
    assert!(aac(320_000, 48_000, "CODING_MODE_1_0")[0].ends_with("in the range of 56000-288000"));
    assert_eq!(aac(64_000, 48_000, "CODING_MODE_1_0"), [""; 0]);
}

#[test]
fn other_audio_codecs_take_the_documented_rates() {
    for (codec, member, settings, told) in [
        (
            "MP2",
            "mp2Settings",
            json!({"sampleRate": 40_000}),
            "/mp2Settings/sampleRate: Should be equal to one of the allowed values in [32000, 44100, 48000]",
        ),
        (
            "MP3",
            "mp3Settings",
            json!({"rateControlMode": "VBR"}),
            "/mp3Settings: vbrQuality is a required property",
        ),
        (
            "OPUS",
            "opusSettings",
            json!({"sampleRate": 44_100}),
            "/opusSettings/sampleRate: Should be equal to one of the allowed values in [16000, 24000, 48000]",
        ),
        (
            "OPUS",
            "opusSettings",
            json!({"bitrate": 100_000}),
            "/opusSettings/bitrate: Should be a multiple of 8000",
        ),
        (
            "AC3",
            "ac3Settings",
            json!({"codingMode": "CODING_MODE_2_0", "bitrate": 96_000}),
            "/ac3Settings/bitrate: Should be greater than or equal to 128000",
        ),
        (
            "AC3",
            "ac3Settings",
            json!({"codingMode": "CODING_MODE_1_0", "bitrate": 192_000}),
            "/ac3Settings/bitrate: Should be less than or equal to 128000",
        ),
        (
            "FLAC",
            "flacSettings",
            json!({"channels": 3}),
            "/flacSettings/channels: Should be equal to one of the allowed values in [0, 1, 2, 4, 6, 8]",
        ),
    ] {
        assert_eq!(audio_problems(codec, member, settings), [told]);
    }
}

#[test]
fn inputs_are_complete_in_themselves() {
    let at = "/settings/inputs/0";
    assert_eq!(
        problems_with(&[(&format!("{at}/timecodeSource"), json!("SPECIFIEDSTART"))]),
        [format!("{at}: timecodeStart is a required property")]
    );
    assert_eq!(
        problems_with(&[(&format!("{at}/inputClippings"), json!([{}]))]),
        [format!("{at}/inputClippings/0: startTimecode or endTimecode is a required property")]
    );
    assert_eq!(
        problems_with(&[
            (&format!("{at}/audioSelectors"), json!({"a": {}, "b": {}})),
            (&format!("{at}/audioSelectorGroups"), json!({"g": {"audioSelectorNames": ["a", "x"]}})),
        ]),
        [format!(
            "{at}/audioSelectorGroups/g/audioSelectorNames/1: Should be equal to one of the allowed values in [a, b]"
        )]
    );
    assert_eq!(
        problems_with(&[("/settings/followSource", json!(2))]),
        ["/settings/followSource: Should be less than or equal to 1"]
    );
    assert_eq!(
        problems_with(&[("/settings/timecodeConfig", json!({"source": "SPECIFIEDSTART"}))]),
        ["/settings/timecodeConfig: start is a required property"]
    );
}

#[test]
fn destination_may_be_missing_in_templates_only() {
    let at = "/settings/outputGroups/0/outputGroupSettings/fileGroupSettings";
    assert_eq!(problems_with(&[(at, json!({}))]), [format!("{at}: destination is a required property")]);
    let mut settings = job()["settings"].clone();
    settings["inputs"] = json!([{}]);
    settings["outputGroups"][0]["outputGroupSettings"]["fileGroupSettings"] = json!({});
    let template = json!({"name": "t", "settings": settings});
    assert_eq!(crate::validate::validate(&template, "CreateJobTemplateRequest"), Ok(()));
}
