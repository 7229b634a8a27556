//! Turns JSON with wire names into the generated types, and finds or removes the members that AWS's model does not have.
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

/// Most unknown members that are named.
const MOST_NAMED: usize = 20;
/// Most characters of a pointer to an unknown member.
const MOST_POINTER_CHARACTERS: usize = 200;

/// Members that AWS's model does not have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unknown {
    /// JSON pointers of the first ones, in document order; long ones are cut off.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Unknown {
    fn note(&mut self, at: &str, key: &str) {
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            self.first.push(step(at, key).chars().take(MOST_POINTER_CHARACTERS).collect());
        }
    }

    /// Returns one sentence for each member that is named, and one for the rest.
    pub fn messages(&self) -> Vec<String> {
        let named = self.first.iter().map(|at| format!("{at} is not a setting and was left out"));
        let more = self.count - self.first.len();
        let rest = (more > 0).then(|| format!("{more} more members are not settings and were left out"));
        named.chain(rest).collect()
    }
}

/// Removes the members that the shape `shape` of AWS's model, such as `JobSettings`, does not have, with everything
/// below them.
pub fn remove_unknown(value: &mut Value, shape: &str) -> Unknown {
    let mut unknown = Unknown::default();
    remove_below(value, shape, "", &mut unknown);
    unknown
}

fn remove_below(value: &mut Value, name: &str, at: &str, unknown: &mut Unknown) {
    match (Shape::named(name), value) {
        (Some(Shape::Structure { members, .. }), Value::Object(object)) => {
            object.retain(|key, below| {
                let member = members.iter().find(|member| member.name == key);
                match member {
                    Some(member) => remove_below(below, member.shape, &step(at, key), unknown),
                    None => unknown.note(at, key),
                }
                member.is_some()
            });
        }
        (Some(Shape::List { item, .. }), Value::Array(items)) => {
            for (index, below) in items.iter_mut().enumerate() {
                remove_below(below, item, &step(at, &index.to_string()), unknown);
            }
        }
        (Some(Shape::Map { value: inner }), Value::Object(object)) => {
            for (key, below) in object {
                remove_below(below, inner, &step(at, key), unknown);
            }
        }
        _ => {}
    }
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
    fn unknown_members_are_removed_and_a_few_of_them_named() {
        let mut settings =
            json!({"inputs": [{"fileInput": "s3://b/k.mp4", "audioSelectors": {"any name": {"other": 1}}}]});
        for number in 0..200_000 {
            settings[format!("odd{number}")] = json!(number);
        }
        settings["x".repeat(1000)] = json!({"inputs": []});
        let unknown = remove_unknown(&mut settings, "JobSettings");
        assert_eq!(
            settings,
            json!({"inputs": [{"fileInput": "s3://b/k.mp4", "audioSelectors": {"any name": {}}}]})
        );
        assert_eq!((unknown.count, unknown.first.len()), (200_002, 20));
        assert_eq!(unknown.first[..2], ["/inputs/0/audioSelectors/any name/other", "/odd0"]);
        let messages = unknown.messages();
        assert_eq!(messages.last().unwrap(), "199982 more members are not settings and were left out");
        let long = remove_unknown(&mut json!({"x".repeat(1000): 1}), "JobSettings");
        assert_eq!(long.first[0].len(), MOST_POINTER_CHARACTERS);
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
