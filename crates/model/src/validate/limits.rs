//! How much a request may hold. AWS documents the number of inputs and the rules for tags and user metadata; the other
//! limits are abanico's own, far above what jobs need, so that no request takes much time or memory.

use serde_json::{Map, Value};

use super::is_set;
use crate::problem::{Problem, step};

/// Largest number of values in a request: objects, arrays and everything in them.
pub const MOST_VALUES: usize = 100_000;
/// Largest size of a job's settings in bytes of JSON, also after presets and templates are merged in.
pub const MOST_SETTINGS_BYTES: usize = 5 * 1024 * 1024;
/// Most problems that are reported at once.
pub(super) const MOST_PROBLEMS: usize = 100;
/// Inputs of a job (AWS, "Setting up an assembly workflow job").
const MOST_INPUTS: usize = 150;
/// Outputs of a job, in all output groups.
const MOST_OUTPUTS: usize = 200;
/// Items of a list, and entries of a map, for which AWS's model has no limit.
const MOST_ITEMS: usize = 1000;
/// Characters of a text for which AWS's model has no limit.
const MOST_CHARACTERS: usize = 8192;
/// Characters of a document inside a request.
const MOST_DOCUMENT_CHARACTERS: usize = 1024 * 1024;
/// Characters of a name that a user chooses.
const MOST_NAME_CHARACTERS: usize = 256;
/// Tags of a resource, and characters of their keys and values (AWS, "Tagging AWS resources").
const MOST_TAGS: usize = 50;
const MOST_TAG_KEY_CHARACTERS: usize = 128;
const MOST_TAG_VALUE_CHARACTERS: usize = 256;
/// Entries of the user's metadata, and characters of their keys and values (AWS, "Using metadata tags with AWS Elemental
/// MediaConvert jobs"). AWS also names the letters that they may have; public projects put keys of S3 into them, which
/// may have any, so that is not checked.
pub const MOST_METADATA: usize = 10;
const MOST_METADATA_KEY_CHARACTERS: usize = 128;
const MOST_METADATA_VALUE_CHARACTERS: usize = 256;

/// Counts the values of a JSON text before it is parsed, because parsed values take far more memory than their text.
/// A text that is not JSON has some count, too.
#[must_use]
pub fn count_values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        if in_text {
            (in_text, is_escaped) = (is_escaped || *byte != b'"', !is_escaped && *byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b',' | b'[' | b'{' => count += 1,
            _ => {}
        }
    }
    count
}

/// Returns the problem of a request with too many values, if it has.
pub(super) fn too_many_values(value: &Value) -> Option<Problem> {
    let mut left = MOST_VALUES;
    (!fits(value, &mut left))
        .then(|| Problem::new("", format!("Should have at most {MOST_VALUES} values in all")))
}

fn fits(value: &Value, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|below| fits(below, left)),
        Value::Object(object) => object.values().all(|below| fits(below, left)),
        _ => true,
    }
}

/// Adds the problem of a list or map with too many entries. Returns whether it has few enough to look at them.
pub(super) fn check_count(count: usize, max: Option<i64>, at: &str, problems: &mut Vec<Problem>) -> bool {
    let is_inputs = at == "/settings/inputs" || at == "/inputs";
    let own = if is_inputs { MOST_INPUTS } else { MOST_ITEMS };
    if max.is_none() && count > own {
        problems.push(Problem::new(at, format!("Should have at most {own} items")));
    }
    max.is_some() || count <= own
}

/// Adds the problems of a map's keys. They are the user's names.
pub(super) fn check_keys(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) -> bool {
    let is_wrong = |key: &String| key.chars().count() > MOST_NAME_CHARACTERS || has_controls(key);
    if object.keys().any(is_wrong) {
        let what = format!(
            "Should have keys of at most {MOST_NAME_CHARACTERS} characters without control characters"
        );
        problems.push(Problem::new(at, what));
        return false;
    }
    true
}

/// Adds the problems of a text that AWS's model does not limit. Returns whether it is short enough to look at.
pub(super) fn check_text(text: &str, max: Option<i64>, at: &str, problems: &mut Vec<Problem>) -> bool {
    // XML documents of captions and signalling, and descriptions, may have several lines.
    let (is_document, is_description) = (at.ends_with("Xml"), at.ends_with("/description"));
    let most = if is_document { MOST_DOCUMENT_CHARACTERS } else { MOST_CHARACTERS };
    if max.is_none() && text.len() > most && text.chars().count() > most {
        problems.push(Problem::new(at, format!("Should have at most {most} characters")));
        return false;
    }
    // S3 allows any character in a key.
    let is_free = text.starts_with("s3://") || at.starts_with("/userMetadata/");
    let is_line = |letter: char| (is_document || is_description) && matches!(letter, '\n' | '\r' | '\t');
    if !is_free && text.chars().any(|letter| letter.is_control() && !is_line(letter)) {
        problems.push(Problem::new(at, "Should not have control characters"));
    }
    true
}

/// Adds the problems of one structure's members that count together or have rules of their own.
pub(super) fn check(shape: &str, object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    match shape {
        "JobSettings" | "JobTemplateSettings" => outputs(object, at, problems),
        "CreateJobRequest" => {
            name(object, "clientRequestToken", problems);
            tags(object, problems);
            metadata(object, problems);
        }
        "CreateQueueRequest"
        | "CreatePresetRequest"
        | "CreateJobTemplateRequest"
        | "UpdateQueueRequest"
        | "UpdatePresetRequest"
        | "UpdateJobTemplateRequest" => {
            name(object, "name", problems);
            name(object, "category", problems);
            tags(object, problems);
        }
        "TagResourceRequest" => tags(object, problems),
        _ => {}
    }
}

fn outputs(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let groups = object.get("outputGroups").and_then(Value::as_array).into_iter().flatten();
    let counts = groups.filter_map(|group| group.get("outputs")?.as_array().map(Vec::len));
    if counts.sum::<usize>() > MOST_OUTPUTS {
        let what = format!("Should have at most {MOST_OUTPUTS} outputs in all");
        problems.push(Problem::new(step(at, "outputGroups"), what));
    }
}

fn name(object: &Map<String, Value>, member: &str, problems: &mut Vec<Problem>) {
    let text = object.get(member).and_then(Value::as_str).unwrap_or_default();
    too_long(text, MOST_NAME_CHARACTERS, &step("", member), problems);
}

fn too_long(text: &str, most: usize, at: &str, problems: &mut Vec<Problem>) {
    if text.chars().count() > most {
        problems.push(Problem::new(at, format!("Should have at most {most} characters")));
    }
}

fn tags(object: &Map<String, Value>, problems: &mut Vec<Problem>) {
    let Some(Value::Object(tags)) = object.get("tags").filter(|_| is_set(object, "tags")) else { return };
    if tags.len() > MOST_TAGS {
        problems.push(Problem::new("/tags", format!("Should have at most {MOST_TAGS} items")));
        return;
    }
    for (key, value) in tags {
        let characters = key.chars().count();
        if characters == 0 || characters > MOST_TAG_KEY_CHARACTERS {
            let what = format!("Should have keys of 1 to {MOST_TAG_KEY_CHARACTERS} characters");
            problems.push(Problem::new("/tags", what));
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            problems.push(Problem::new("/tags", "Should not have keys that begin with aws:"));
        } else {
            let text = value.as_str().unwrap_or_default();
            too_long(text, MOST_TAG_VALUE_CHARACTERS, &step("/tags", key), problems);
        }
    }
}

fn metadata(object: &Map<String, Value>, problems: &mut Vec<Problem>) {
    let Some(Value::Object(metadata)) = object.get("userMetadata") else { return };
    if metadata.len() > MOST_METADATA {
        problems.push(Problem::new("/userMetadata", format!("Should have at most {MOST_METADATA} items")));
        return;
    }
    for (key, value) in metadata {
        if key.is_empty() || key.chars().count() > MOST_METADATA_KEY_CHARACTERS {
            let what = format!("Should have keys of 1 to {MOST_METADATA_KEY_CHARACTERS} characters");
            problems.push(Problem::new("/userMetadata", what));
        } else {
            let text = value.as_str().unwrap_or_default();
            too_long(text, MOST_METADATA_VALUE_CHARACTERS, &step("/userMetadata", key), problems);
        }
    }
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}
