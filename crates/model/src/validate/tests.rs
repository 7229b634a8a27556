//! Tests of `validate`: each test changes a valid job and checks the problems that are reported.

use serde_json::{Value, json};

use super::*;

fn job() -> Value {
    json!({
        "role": "arn:aws:iam::000000000000:role/r",
        "settings": {
            "inputs": [{"fileInput": "s3://in/a b.mp4"}],
            "outputGroups": [{
                "outputGroupSettings": {
                    "type": "FILE_GROUP_SETTINGS",
                    "fileGroupSettings": {"destination": "s3://out/a/"},
                },
                "outputs": [{
                    "containerSettings": {"container": "MP4"},
                    "videoDescription": {
                        "width": 1280,
                        "height": 720,
                        "codecSettings": {
                            "codec": "H_264",
                            "h264Settings": {"rateControlMode": "CBR", "bitrate": 4_500_000},
                        },
                    },
                }],
            }],
        },
    })
}

/// Sets the value at each pointer, whose parent must exist, and returns the problems.
fn problems_with(changes: &[(&str, Value)]) -> Vec<String> {
    let mut job = job();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match job.pointer_mut(parent).unwrap() {
            Value::Object(object) => drop(object.insert(key.to_owned(), value.clone())),
            other => panic!("{other} has no keys"),
        }
    }
    let outcome = validate(&job, "CreateJobRequest");
    outcome.err().map_or_else(Vec::new, |found| found.0.iter().map(ToString::to_string).collect())
}

const OUTPUT: &str = "/settings/outputGroups/0/outputs/0";

#[test]
fn valid_job_has_no_problems() {
    assert_eq!(problems_with(&[]), Vec::<String>::new());
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems_with(&[
        ("/role", Value::Null),
        ("/settings/inputs", json!([])),
        ("/settings/outputGroups/0/outputs/0/containerSettings", Value::Null),
        ("/settings/outputGroups/0/outputs/0/videoDescription/width", json!(1281)),
    ]);
    assert_eq!(
        found,
        [
            "/: role is a required property".to_owned(),
            "/settings/inputs: Should have at least 1 items".to_owned(),
            format!("{OUTPUT}: containerSettings is a required property"),
            format!("{OUTPUT}/videoDescription/width: Should be a multiple of 2"),
        ]
    );
}

#[test]
fn empty_outputs_are_reported_like_the_service() {
    let found = problems_with(&[("/settings/outputGroups/0/outputs", json!([]))]);
    assert_eq!(found, ["/settings/outputGroups/0/outputs: Should have at least 1 items"]);
}

#[test]
fn several_outputs_need_a_name_modifier_each() {
    let outputs = json!([{"preset": "a"}, {"preset": "b", "nameModifier": "_b"}]);
    let found = problems_with(&[("/settings/outputGroups/0/outputs", outputs)]);
    assert_eq!(found, [format!("{OUTPUT}: nameModifier is a required property")]);
}

#[test]
fn each_rate_control_mode_requires_its_rate() {
    let at = format!("{OUTPUT}/videoDescription/codecSettings/h264Settings");
    for (mode, member) in [("CBR", "bitrate"), ("VBR", "bitrate"), ("QVBR", "maxBitrate")] {
        let found = problems_with(&[(&at, json!({"rateControlMode": mode}))]);
        assert_eq!(found, [format!("{at}: {member} is a required property")]);
    }
}

#[test]
fn ranges_enums_and_types_come_from_the_model() {
    let at = format!("{OUTPUT}/videoDescription");
    let found = problems_with(&[
        (&format!("{at}/sharpness"), json!(101)),
        (&format!("{at}/antiAlias"), json!("SOMETIMES")),
        (&format!("{at}/height"), json!("tall")),
    ]);
    assert_eq!(
        found,
        [
            format!("{at}/height: Should be an integer"),
            format!("{at}/sharpness: Should be less than or equal to 100"),
            format!("{at}/antiAlias: Should be equal to one of the allowed values in [DISABLED, ENABLED]"),
        ]
    );
}

#[test]
fn baseline_needs_cavlc() {
    let at = format!("{OUTPUT}/videoDescription/codecSettings/h264Settings");
    let settings = json!({"rateControlMode": "CBR", "bitrate": 1_000_000, "codecProfile": "BASELINE"});
    assert_eq!(problems_with(&[(&at, settings)]), [format!("{at}/entropyEncoding: Must be CAVLC")]);
}

#[test]
fn destination_must_be_an_s3_url() {
    let at = "/settings/outputGroups/0/outputGroupSettings/fileGroupSettings/destination";
    let found = problems_with(&[(at, json!("ftp://x"))]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(&format!("{at}: Should match pattern ")), "{found:?}");
}

#[test]
fn rules_name_only_existing_shapes_and_members() {
    for (shape, members) in rules::REQUIRED {
        let Some(Shape::Structure { members: known, .. }) = Shape::named(shape) else { panic!("{shape}") };
        for member in *members {
            assert!(known.iter().any(|candidate| candidate.name == *member), "{shape}.{member}");
        }
    }
}

#[test]
fn every_pattern_of_the_model_compiles() {
    for (name, shape) in crate::generated_tables::SHAPES {
        if let Shape::Text { pattern: Some(pattern), .. } = shape {
            // A word class outside of brackets could not be widened to other languages' letters.
            let widened = pattern.replace(r"\w", r"\w\x{80}-\x{10FFFF}");
            assert!(Regex::new(&widened).is_ok(), "{name}: {pattern} would let every text pass");
            let bare = pattern
                .match_indices(r"\w")
                .any(|(at, _)| pattern[..at].matches('[').count() <= pattern[..at].matches(']').count());
            assert!(!bare, "{name}: {pattern}");
        }
    }
}

#[test]
fn word_characters_are_those_of_every_language() {
    for text in ["Español", "日本語 2", "track_2", ""] {
        assert!(matches(r"^[\w\s]*$", text), "{text}");
    }
    for text in ["a–b", "a-b", "\u{1f600}"] {
        assert!(!matches(r"^[\w\s]*$", text), "{text}");
    }
    assert!(matches("^[a-z]*$", "abc") && !matches("^[a-z]*$", "é"));
}
