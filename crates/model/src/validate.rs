//! A value against its shape: in JSON in wire form, out every problem at once, in MediaConvert's wording.
//!
//! Never: the first problem only; a rule about two members together (those are in `job_rules`).
//! The wording follows messages that users of the service have published (JSON pointer, then JSON-schema words).

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use regex::Regex;
use serde_json::Value;

use crate::problem::{Problem, below};
use crate::shape::{Member, Shape};

/// Members that the service requires although its model does not say so (model of 2018 and messages of users).
const REQUIRED_BY_SERVICE: [(&str, &[&str]); 8] = [
    ("OutputGroup", &["outputs", "outputGroupSettings"]),
    ("OutputGroupSettings", &["type"]),
    ("VideoCodecSettings", &["codec"]),
    ("AudioCodecSettings", &["codec"]),
    ("AacSettings", &["codingMode", "sampleRate"]),
    ("RemixSettings", &["channelMapping", "channelsIn", "channelsOut"]),
    ("StaticKeyProvider", &["url", "staticKeyValue"]),
    ("Rectangle", &["height", "width", "x", "y"]),
];

/// Lists that must have an item where they are given; the model says nothing, the service does.
const NOT_EMPTY: [&str; 3] = ["inputs", "outputGroups", "outputs"];

/// Finds everything that keeps `value` from being a value of `shape`, in the order of the value.
pub fn problems(value: &Value, shape: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    check(value, shape, "", &mut found);
    found
}

fn check(value: &Value, name: &str, pointer: &str, found: &mut Vec<Problem>) {
    let Some(shape) = Shape::named(name) else { return };
    if value.is_null() {
        return;
    }
    match shape {
        Shape::Structure { members, required } => structure(value, name, members, required, pointer, found),
        Shape::List { item, min, max } => list(value, item, (*min, *max), pointer, found),
        Shape::Map { value: inner } => match value.as_object() {
            Some(object) => {
                object.iter().for_each(|(key, value)| check(value, inner, &below(pointer, key), found))
            }
            None => found.push(Problem::new(pointer, "Should be an object")),
        },
        Shape::Text { min, max, pattern, values } => match value.as_str() {
            Some(text) => check_text(text, (*min, *max), *pattern, values, pointer, found),
            None => found.push(Problem::new(pointer, "Should be a string")),
        },
        Shape::Integer { min, max } => match value.as_i64() {
            Some(number) => bounds(number, *min, *max, pointer, found),
            None => found.push(Problem::new(pointer, "Should be an integer")),
        },
        Shape::Number { min, max } => match value.as_f64() {
            Some(number) => bounds(number, *min, *max, pointer, found),
            None => found.push(Problem::new(pointer, "Should be a number")),
        },
        Shape::Boolean if !value.is_boolean() => found.push(Problem::new(pointer, "Should be a boolean")),
        Shape::Timestamp if !value.is_number() => {
            found.push(Problem::new(pointer, "Should be a number of seconds"))
        }
        Shape::Boolean | Shape::Timestamp => {}
    }
}

fn structure(
    value: &Value,
    name: &str,
    members: &[Member],
    required: &[&str],
    pointer: &str,
    found: &mut Vec<Problem>,
) {
    let Some(object) = value.as_object() else {
        found.push(Problem::new(pointer, "Should be an object"));
        return;
    };
    let by_service = REQUIRED_BY_SERVICE
        .iter()
        .filter(|(known, _)| *known == name)
        .flat_map(|(_, members)| members.iter());
    for member in required.iter().chain(by_service) {
        if object.get(*member).is_none_or(Value::is_null) {
            found.push(Problem::missing(pointer, member));
        }
    }
    for (key, inner) in object {
        if let Some(member) = members.iter().find(|member| member.name == key) {
            check(inner, member.shape, &below(pointer, key), found);
        }
    }
}

fn list(
    value: &Value,
    item: &str,
    (min, max): (Option<i64>, Option<i64>),
    pointer: &str,
    found: &mut Vec<Problem>,
) {
    let Some(items) = value.as_array() else {
        found.push(Problem::new(pointer, "Should be an array"));
        return;
    };
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let named = pointer.rsplit('/').next().unwrap_or_default();
    let min = min.unwrap_or(0).max(i64::from(NOT_EMPTY.contains(&named)));
    if count < min {
        found.push(Problem::new(pointer, format!("Should have at least {min} items")));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        found.push(Problem::new(pointer, format!("Should have at most {max} items")));
    }
    for (index, inner) in items.iter().enumerate() {
        check(inner, item, &below(pointer, index), found);
    }
}

fn check_text(
    text: &str,
    (min, max): (Option<i64>, Option<i64>),
    pattern: Option<&'static str>,
    values: &[&str],
    pointer: &str,
    found: &mut Vec<Problem>,
) {
    if !values.is_empty() && !values.contains(&text) {
        let allowed = values.join(", ");
        found.push(Problem::new(
            pointer,
            format!("Should be equal to one of the allowed values in [{allowed}]"),
        ));
        return;
    }
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(min) = min.filter(|min| length < *min) {
        found.push(Problem::new(pointer, format!("Should be at least {min} characters long")));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        found.push(Problem::new(pointer, format!("Should be at most {max} characters long")));
    }
    if let Some(pattern) = pattern.filter(|pattern| !matches(pattern, text)) {
        found.push(Problem::new(pointer, format!("Should match pattern \"{pattern}\"")));
    }
}

fn bounds<T: PartialOrd + std::fmt::Display>(
    number: T,
    min: Option<T>,
    max: Option<T>,
    pointer: &str,
    found: &mut Vec<Problem>,
) {
    if let Some(min) = min.filter(|min| number < *min) {
        found.push(Problem::new(pointer, format!("Should be greater than or equal to {min}")));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        found.push(Problem::new(pointer, format!("Should be less than or equal to {max}")));
    }
}

/// Whether a text matches; compiled patterns are kept, there are some forty of them.
fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<&'static str, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The model writes `\/` for `/`, which is no escape here. A pattern that cannot be compiled forbids nothing; the
    // tests say that there is none.
    let regex = compiled.entry(pattern).or_insert_with(|| compile(pattern));
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(&pattern.replace(r"\/", "/")).ok()
}

#[cfg(test)]
mod tests;
