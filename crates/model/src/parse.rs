//! Turns JSON with wire names into the generated types, and finds the members that AWS's model does not have.
//!
//! It does not check values; `validate` does.

use serde_json::Value;

use crate::generated::JobSettings;
use crate::problem::{Problems, step};
use crate::shape::Shape;
use crate::wire::Wire;

/// Reads a job's settings. Members that AWS's model does not have are left out.
///
/// # Errors
///
/// Returns one problem with the JSON pointer of the first value whose type is wrong.
pub fn job_settings(settings: Value) -> Result<JobSettings, Problems> {
    JobSettings::from_value(settings).map_err(|problem| Problems(vec![problem]))
}

/// Returns JSON pointers of the members that the shape `shape` of AWS's model, such as `JobSettings`, does not have, in
/// document order. What lies below such a member is not listed.
pub fn unknown_members(value: &Value, shape: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    collect_unknown(value, shape, "", &mut unknown);
    unknown
}

fn collect_unknown(value: &Value, name: &str, at: &str, unknown: &mut Vec<String>) {
    match (Shape::named(name), value) {
        (Some(Shape::Structure { members, .. }), Value::Object(object)) => {
            for (key, below) in object {
                match members.iter().find(|member| member.name == key) {
                    Some(member) => collect_unknown(below, member.shape, &step(at, key), unknown),
                    None => unknown.push(step(at, key)),
                }
            }
        }
        (Some(Shape::List { item, .. }), Value::Array(items)) => {
            for (index, below) in items.iter().enumerate() {
                collect_unknown(below, item, &step(at, &index.to_string()), unknown);
            }
        }
        (Some(Shape::Map { value: inner }), Value::Object(object)) => {
            for (key, below) in object {
                collect_unknown(below, inner, &step(at, key), unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_members_are_reported_and_left_out() {
        let settings = json!({
            "inputs": [{"fileInput": "s3://b/k.mp4", "odd": 1, "audioSelectors": {"any name": {"other": null}}}],
            "outputGroups": [{"outputs": [{"strange": {"x": 1}}]}],
        });
        let expected =
            ["/inputs/0/odd", "/inputs/0/audioSelectors/any name/other", "/outputGroups/0/outputs/0/strange"];
        assert_eq!(unknown_members(&settings, "JobSettings"), expected);
        let parsed = job_settings(settings).unwrap();
        assert_eq!(parsed.inputs.unwrap()[0].file_input.as_deref(), Some("s3://b/k.mp4"));
    }

    #[test]
    fn wrong_type_is_reported_by_pointer() {
        let settings = json!({"outputGroups": [{"outputs": [{"videoDescription": {"width": "wide"}}]}]});
        let problems = job_settings(settings).unwrap_err();
        assert_eq!(problems.0[0].pointer, "/outputGroups/0/outputs/0/videoDescription/width");
        assert!(problems.0[0].message.contains("wide"), "{problems}");
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let settings = json!({
            "inputs": [{"audioSelectors": {"Audio Selector 1": {"selectorType": "TRACK", "tracks": [1]}}}],
            "timecodeConfig": {"source": "ZEROBASED"},
        });
        assert_eq!(unknown_members(&settings, "JobSettings"), [""; 0]);
        assert_eq!(serde_json::to_value(job_settings(settings.clone()).unwrap()).unwrap(), settings);
    }
}
