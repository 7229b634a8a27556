//! The service's own rules, which AWS's model does not state. No rule looks outside its structure.

use serde_json::{Map, Value};

use super::is_set;
use crate::problem::{Problem, step};

/// Members that the service requires although its model calls them optional.
pub(super) const REQUIRED: &[(&str, &[&str])] = &[
    ("OutputGroup", &["outputs", "outputGroupSettings"]),
    ("OutputGroupSettings", &["type"]),
    ("FileGroupSettings", &["destination"]),
    ("Input", &["fileInput"]),
    ("VideoCodecSettings", &["codec"]),
    ("AudioCodecSettings", &["codec"]),
    ("AacSettings", &["codingMode", "sampleRate"]),
    ("HlsGroupSettings", &["segmentLength", "minSegmentLength"]),
    ("CmafGroupSettings", &["segmentLength", "fragmentLength"]),
    ("DashIsoGroupSettings", &["segmentLength", "fragmentLength"]),
    ("MsSmoothGroupSettings", &["fragmentLength"]),
    ("RemixSettings", &["channelMapping", "channelsIn", "channelsOut"]),
    ("StaticKeyProvider", &["url", "staticKeyValue"]),
    ("InsertableImage", &["imageX", "imageY", "imageInserterInput", "opacity", "layer"]),
    ("Rectangle", &["x", "y", "width", "height"]),
];

/// Adds the problems that the service's own rules find in `object`, which has the shape `shape` and is located at `at`.
pub(super) fn check(shape: &str, object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    if let Some((_, members)) = REQUIRED.iter().find(|(name, _)| *name == shape) {
        let missing = members.iter().filter(|member| !is_set(object, member));
        problems.extend(missing.map(|member| Problem::required(at, member)));
    }
    match shape {
        "JobSettings" => job(object, at, problems),
        "OutputGroup" => output_group(object, at, problems),
        "Output" => output(object, at, problems),
        "VideoDescription" => even_sizes(object, at, problems),
        "H264Settings" | "H265Settings" => rate_control(object, at, problems),
        _ => {}
    }
    if shape == "H264Settings" {
        baseline(object, at, problems);
    }
}

fn job(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    for member in ["inputs", "outputGroups"] {
        match object.get(member) {
            Some(Value::Array(items)) if items.is_empty() => {
                problems.push(Problem::new(step(at, member), "Should have at least 1 items"));
            }
            Some(value) if !value.is_null() => {}
            _ => problems.push(Problem::required(at, member)),
        }
    }
}

fn output_group(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let Some(Value::Array(outputs)) = object.get("outputs") else { return };
    let outputs_at = step(at, "outputs");
    if outputs.is_empty() {
        problems.push(Problem::new(&outputs_at, "Should have at least 1 items"));
    }
    if outputs.len() < 2 {
        return;
    }
    for (index, output) in outputs.iter().enumerate() {
        if output.as_object().is_some_and(|output| !is_set(output, "nameModifier")) {
            problems.push(Problem::required(&step(&outputs_at, &index.to_string()), "nameModifier"));
        }
    }
}

fn output(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    if !is_set(object, "containerSettings") && !is_set(object, "preset") {
        problems.push(Problem::required(at, "containerSettings"));
    }
}

fn even_sizes(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    for member in ["width", "height"] {
        if object.get(member).and_then(Value::as_i64).is_some_and(|size| size % 2 != 0) {
            problems.push(Problem::new(step(at, member), "Should be a multiple of 2"));
        }
    }
}

/// The service has no default bit rate: each rate control mode requires its own member.
fn rate_control(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let needed = match object.get("rateControlMode").and_then(Value::as_str) {
        Some("CBR" | "VBR") => "bitrate",
        Some("QVBR") => "maxBitrate",
        _ => return,
    };
    if !is_set(object, needed) {
        problems.push(Problem::required(at, needed));
    }
}

fn baseline(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let text = |member: &str| object.get(member).and_then(Value::as_str);
    if text("codecProfile") == Some("BASELINE") && text("entropyEncoding") != Some("CAVLC") {
        problems.push(Problem::new(step(at, "entropyEncoding"), "Must be CAVLC"));
    }
}
