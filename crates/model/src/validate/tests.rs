//! Requests with faults are checked; every fault must be found, with its place and in the service's words.

use serde_json::json;

use super::*;
use crate::generated_tables::SHAPES;

fn texts(value: &Value, shape: &str) -> Vec<String> {
    problems(value, shape).iter().map(Problem::to_string).collect()
}

#[test]
fn are_all_problems_found_at_once() {
    let request = json!({"settings": {
    "inputs": [],
    "outputGroups": [{"outputs": [
        {"videoDescription": {"width": 31, "codecSettings": {"codec": "H_264", "h264Settings": {
            "bitrate": 10, "numberBFramesBetweenReferenceFrames": 8, "rateControlMode": "FAST"}}}}
    ]}]}});
    let mut found = texts(&request, "CreateJobRequest");
    found.iter_mut().for_each(|text| *text = text.replace("/settings/outputGroups/0", "G"));
    assert_eq!(
        found,
        [
            "/: role is a required property",
            "/settings/inputs: Should have at least 1 items",
            "G: outputGroupSettings is a required property",
            "G/outputs/0/videoDescription/width: Should be greater than or equal to 32",
            "G/outputs/0/videoDescription/codecSettings/h264Settings/bitrate: Should be greater than or equal to 1000",
            "G/outputs/0/videoDescription/codecSettings/h264Settings/numberBFramesBetweenReferenceFrames: Should be less than or equal to 7",
            "G/outputs/0/videoDescription/codecSettings/h264Settings/rateControlMode: Should be equal to one of the allowed values in [VBR, CBR, QVBR]",
        ]
    );
}

#[test]
fn are_wrong_types_named() {
    let request = json!({"role": 1, "settings": {"inputs": {}, "outputGroups": ["x"], "adAvailOffset": 1.5}});
    assert_eq!(
        texts(&request, "CreateJobRequest"),
        [
            "/role: Should be a string",
            "/settings/inputs: Should be an array",
            "/settings/outputGroups/0: Should be an object",
            "/settings/adAvailOffset: Should be an integer",
        ]
    );
}

#[test]
fn is_a_pattern_checked() {
    let group = |destination: &str| json!({"destination": destination});
    assert!(texts(&group("s3://b/k/"), "FileGroupSettings").is_empty());
    let found = texts(&group("/tmp/x"), "FileGroupSettings");
    assert!(found.len() == 1 && found[0].starts_with("/destination: Should match pattern"), "{found:?}");
}

#[test]
fn can_every_pattern_of_the_model_be_compiled() {
    for (name, shape) in SHAPES {
        if let Shape::Text { pattern: Some(pattern), .. } = shape {
            assert!(compile(pattern).is_some(), "{name}: {pattern}");
        }
    }
}
