//! Converts the key names that SDK users write (`OutputGroups`) to the wire's names (`outputGroups`).
//!
//! It leaves the keys of maps alone, because they are the user's own text, such as `Audio Selector 1` or the tag `Team`.

use serde_json::{Map, Value};

use crate::shape::{Member, Shape};

/// Lowercases the first letter of every structure key in `value`.
///
/// `shape` names the shape of `value` in AWS's model, such as `CreateJobRequest` or `JobSettings`. Unknown keys are
/// lowercased too, but the values below them stay unchanged. If a key occurs in both spellings, the wire's spelling wins.
/// Returns `value` unchanged if the shape is unknown.
#[must_use]
pub fn to_wire(value: Value, shape: &str) -> Value {
    match (Shape::named(shape), value) {
        (Some(Shape::Structure { members, .. }), Value::Object(object)) => {
            Value::Object(structure_to_wire(object, members))
        }
        (Some(Shape::Map { value: inner }), Value::Object(object)) => {
            Value::Object(object.into_iter().map(|(key, below)| (key, to_wire(below, inner))).collect())
        }
        (Some(Shape::List { item, .. }), Value::Array(items)) => {
            Value::Array(items.into_iter().map(|below| to_wire(below, item)).collect())
        }
        (_, value) => value,
    }
}

fn structure_to_wire(object: Map<String, Value>, members: &[Member]) -> Map<String, Value> {
    let mut wire = Map::with_capacity(object.len());
    for (key, below) in object {
        let name = lower_first(&key);
        let below = match members.iter().find(|member| member.name == name) {
            Some(member) => to_wire(below, member.shape),
            None => below,
        };
        if name == key || !wire.contains_key(&name) {
            wire.insert(name, below);
        }
    }
    wire
}

fn lower_first(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sdk_spelling_becomes_wire_spelling() {
        let sdk = json!({"Role": "r", "Settings": {"OutputGroups": [{"Outputs": [{"NameModifier": "_a"}]}]}});
        let wire =
            json!({"role": "r", "settings": {"outputGroups": [{"outputs": [{"nameModifier": "_a"}]}]}});
        assert_eq!(to_wire(sdk, "CreateJobRequest"), wire);
    }

    #[test]
    fn map_keys_stay_unchanged() {
        let sdk = json!({
            "Tags": {"Team": "Blue"},
            "UserMetadata": {"Guid": "G"},
            "Settings": {"Inputs": [{
                "AudioSelectors": {"Audio Selector 1": {"Tracks": [1]}},
                "AudioSelectorGroups": {"Group": {"AudioSelectorNames": ["Audio Selector 1"]}},
                "CaptionSelectors": {"Captions": {"SourceSettings": {"SourceType": "SRT"}}},
                "DynamicAudioSelectors": {"Dynamic": {"Offset": 1}},
            }]},
        });
        let wire = json!({
            "tags": {"Team": "Blue"},
            "userMetadata": {"Guid": "G"},
            "settings": {"inputs": [{
                "audioSelectors": {"Audio Selector 1": {"tracks": [1]}},
                "audioSelectorGroups": {"Group": {"audioSelectorNames": ["Audio Selector 1"]}},
                "captionSelectors": {"Captions": {"sourceSettings": {"sourceType": "SRT"}}},
                "dynamicAudioSelectors": {"Dynamic": {"offset": 1}},
            }]},
        });
        assert_eq!(to_wire(sdk, "CreateJobRequest"), wire);
    }

    #[test]
    fn wire_spelling_wins_and_unknown_keys_are_lowercased() {
        assert_eq!(to_wire(json!({"role": "w", "Role": "s"}), "CreateJobRequest"), json!({"role": "w"}));
        assert_eq!(to_wire(json!({"Role": "s", "role": "w"}), "CreateJobRequest"), json!({"role": "w"}));
        assert_eq!(to_wire(json!({"Odd": {"Key": 1}}), "CreateJobRequest"), json!({"odd": {"Key": 1}}));
    }

    #[test]
    fn a_second_pass_changes_nothing() {
        let once =
            to_wire(json!({"Settings": {"Inputs": [{"FileInput": "s3://B/K.mp4"}]}}), "CreateJobRequest");
        assert_eq!(to_wire(once.clone(), "CreateJobRequest"), once);
    }
}
