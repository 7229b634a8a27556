//! From JSON to types: in a value in wire form, out the type and the pointers of members that the type does not have.
//! Never a lost problem: what does not parse is named with its place.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::Problem;

/// A value read into its type.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// JSON pointers of members that the type does not have; they were left out.
    pub unknown: Vec<String>,
}

/// Reads a value in wire form.
///
/// # Errors
/// The first place where the value does not fit the type; [`crate::validate::problems`] finds all of them.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<Parsed<T>, Problem> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(pointer(&path.to_string()));
    match T::deserialize(serde_ignored::Deserializer::new(deserializer, &mut note)) {
        Ok(value) => Ok(Parsed { value, unknown }),
        Err(error) => Err(Problem::new(pointer(&track.path().to_string()), error.to_string())),
    }
}

/// `a.b[0].c` or serde_ignored's `a.?.b.0.c` as a JSON pointer.
fn pointer(path: &str) -> String {
    let plain = path.replace('[', ".").replace(']', "");
    plain.split('.').filter(|part| !part.is_empty() && *part != "?").map(|part| format!("/{part}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generated::CreateJobRequest;

    #[test]
    fn are_unknown_members_named_and_left_out() {
        let value =
            json!({"role": "r", "colour": 1, "settings": {"inputs": [{"fileInput": "f", "shoeSize": 44}]}});
        let parsed = parse::<CreateJobRequest>(value).unwrap();
        assert_eq!(parsed.value.role.as_deref(), Some("r"));
        assert_eq!(parsed.unknown, ["/colour", "/settings/inputs/0/shoeSize"]);
    }

    #[test]
    fn is_the_place_of_a_wrong_type_named() {
        let error =
            parse::<CreateJobRequest>(json!({"settings": {"inputs": [{"fileInput": 7}]}})).unwrap_err();
        assert_eq!(error.pointer, "/settings/inputs/0/fileInput");
    }

    #[test]
    fn does_an_unknown_enum_text_survive() {
        let value =
            json!({"settings": {"outputGroups": [{"outputGroupSettings": {"type": "NEW_GROUP_SETTINGS"}}]}});
        let parsed = parse::<CreateJobRequest>(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(parsed.value).unwrap(), value);
    }
}
