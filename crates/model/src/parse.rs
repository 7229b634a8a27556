//! Parses JSON with wire names into the generated types and collects the members that they do not know.
//!
//! It does not check values; `validate` does.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Problem, Problems, step};

/// A typed value and the members that its type does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The typed value.
    pub value: T,
    /// JSON pointers of the members that AWS's model does not have, in document order.
    pub unknown: Vec<String>,
}

/// Parses `value` as `T`. Unknown members are collected, not rejected.
///
/// # Errors
///
/// Returns one problem with the JSON pointer of the first value whose type is wrong.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<Parsed<T>, Problems> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let outcome = serde_ignored::deserialize(tracked, |path| unknown.push(ignored_pointer(&path)));
    match outcome {
        Ok(value) => Ok(Parsed { value, unknown }),
        Err(error) => Err(Problems(vec![Problem::new(pointer(&track.path()), error.to_string())])),
    }
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |above, segment| match segment {
        Segment::Seq { index } => step(&above, &index.to_string()),
        Segment::Map { key } => step(&above, key),
        Segment::Enum { variant } => step(&above, variant),
        Segment::Unknown => above,
    })
}

fn ignored_pointer(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => step(&ignored_pointer(parent), &index.to_string()),
        Path::Map { parent, key } => step(&ignored_pointer(parent), key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_pointer(parent)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generated::JobSettings;

    #[test]
    fn unknown_members_are_reported_and_left_out() {
        let parsed = parse::<JobSettings>(json!({
            "inputs": [{"fileInput": "s3://b/k.mp4", "odd": 1}],
            "outputGroups": [{"outputs": [{"strange": {"x": 1}}]}],
        }))
        .unwrap();
        assert_eq!(parsed.unknown, ["/inputs/0/odd", "/outputGroups/0/outputs/0/strange"]);
        assert_eq!(parsed.value.inputs.unwrap()[0].file_input.as_deref(), Some("s3://b/k.mp4"));
    }

    #[test]
    fn wrong_type_is_reported_by_pointer() {
        let settings = json!({"outputGroups": [{"outputs": [{"videoDescription": {"width": "wide"}}]}]});
        let problems = parse::<JobSettings>(settings).unwrap_err();
        assert_eq!(problems.0[0].pointer, "/outputGroups/0/outputs/0/videoDescription/width");
        assert!(problems.0[0].message.contains("wide"), "{problems}");
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let settings = json!({
            "inputs": [{"audioSelectors": {"Audio Selector 1": {"selectorType": "TRACK", "tracks": [1]}}}],
            "timecodeConfig": {"source": "ZEROBASED"},
        });
        let parsed = parse::<JobSettings>(settings.clone()).unwrap();
        assert_eq!(serde_json::to_value(parsed.value).unwrap(), settings);
    }
}
