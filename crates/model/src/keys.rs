//! Member names in one spelling: in JSON with AWS's names in Pascal or camel case, out the wire's lower camel case.
//!
//! Never: a changed map key. Names of audio selectors, tags and user metadata are the user's.

use serde_json::{Map, Value};

use crate::shape::Shape;

/// Renames the members of a value of this shape, all the way down. A member that is there in both spellings keeps the
/// wire's; unknown members keep their names.
pub fn normalise(value: Value, shape: &str) -> Value {
    match (value, Shape::named(shape)) {
        (Value::Object(object), Some(Shape::Structure { members, .. })) => {
            let mut normal = Map::new();
            for (key, inner) in object {
                let wire = lower_first(&key);
                match members.iter().find(|member| member.name == wire) {
                    Some(member) if key == wire || !normal.contains_key(&wire) => {
                        normal.insert(wire, normalise(inner, member.shape));
                    }
                    Some(_) => {}
                    None => {
                        normal.insert(key, inner);
                    }
                }
            }
            Value::Object(normal)
        }
        (Value::Object(object), Some(Shape::Map { value })) => {
            Value::Object(object.into_iter().map(|(key, inner)| (key, normalise(inner, value))).collect())
        }
        (Value::Array(items), Some(Shape::List { item, .. })) => {
            Value::Array(items.into_iter().map(|inner| normalise(inner, item)).collect())
        }
        (value, _) => value,
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn are_members_renamed_and_map_keys_left_alone() {
        let pascal = json!({"Role": "r", "UserMetadata": {"Title": "T"}, "Settings": {"Inputs": [
            {"FileInput": "s3://b/k", "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}]}});
        let wire = json!({"role": "r", "userMetadata": {"Title": "T"}, "settings": {"inputs": [
            {"fileInput": "s3://b/k", "audioSelectors": {"Audio Selector 1": {"defaultSelection": "DEFAULT"}}}]}});
        assert_eq!(normalise(pascal, "CreateJobRequest"), wire);
        assert_eq!(normalise(wire.clone(), "CreateJobRequest"), wire);
    }

    #[test]
    fn do_unknown_members_and_wrong_types_stay_as_they_are() {
        let odd = json!({"Surprise": {"Inner": 1}, "settings": "text"});
        assert_eq!(normalise(odd.clone(), "CreateJobRequest"), odd);
    }
}
