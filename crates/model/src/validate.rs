//! Validates a request with wire names and reports all problems at once in MediaConvert's wording.
//!
//! It does not complete or change the request, and it does not check whether a setting is supported; `coverage` does.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::generated::JobSettings;
use crate::problem::{Problem, Problems, step};
use crate::shape::Shape;
use crate::wire::Wire;

pub mod limits;
mod rules;

/// Compiled patterns of AWS's model. Compiling one takes far longer than matching it, and a job has thousands of texts.
static PATTERNS: RwLock<BTreeMap<&'static str, Option<Regex>>> = RwLock::new(BTreeMap::new());

/// Checks `value` against the shape `shape` of AWS's model, such as `CreateJobRequest`, and against the service's own
/// rules. Members that are null count as absent. Unknown members pass; `parse` reports them.
///
/// # Errors
///
/// Returns the first 100 problems in document order. In each structure, missing members come first, then the service's
/// own rules, then the values. A request with more than [`limits::MOST_VALUES`] values has only that problem.
pub fn validate(value: &Value, shape: &str) -> Result<(), Problems> {
    let mut problems = Vec::from_iter(limits::too_many_values(value));
    if problems.is_empty() {
        check(value, shape, "", &mut problems);
    }
    problems.truncate(limits::MOST_PROBLEMS);
    Problems(problems).into_result()
}

/// Returns the first value of an enum that AWS's model does not list. [`validate`] reports it too, in AWS's words; this
/// is for code that reads settings without that check.
#[must_use]
pub fn unknown_value(settings: &JobSettings) -> Option<Problem> {
    unknown_below(&settings.to_value(), "JobSettings", "")
}

fn unknown_below(value: &Value, name: &str, at: &str) -> Option<Problem> {
    match (Shape::named(name)?, value) {
        (Shape::Structure { members, .. }, Value::Object(object)) => members
            .iter()
            .find_map(|member| unknown_below(object.get(member.name)?, member.shape, &step(at, member.name))),
        (Shape::List { item, .. }, Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(index, below)| unknown_below(below, item, &step(at, &index.to_string()))),
        (Shape::Map { value: inner }, Value::Object(object)) => {
            object.iter().find_map(|(key, below)| unknown_below(below, inner, &step(at, key)))
        }
        (Shape::Text { values, .. }, Value::String(text)) => {
            let is_unknown = !values.is_empty() && !values.contains(&text.as_str());
            let member = at.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap_or_default();
            let list = values.join(", ");
            is_unknown.then(|| Problem::new(at, format!("{member} {text} does not exist, only [{list}]")))
        }
        _ => None,
    }
}

fn check(value: &Value, name: &str, at: &str, problems: &mut Vec<Problem>) {
    let Some(shape) = Shape::named(name).filter(|_| problems.len() < limits::MOST_PROBLEMS) else { return };
    match (shape, value) {
        (Shape::Structure { members, required }, Value::Object(object)) => {
            required.iter().filter(|member| !is_set(object, member)).for_each(|member| {
                problems.push(Problem::required(at, member));
            });
            rules::check(name, object, at, problems);
            limits::check(name, object, at, problems);
            for (key, below) in object.iter().filter(|(_, below)| !below.is_null()) {
                if let Some(member) = members.iter().find(|member| member.name == key) {
                    check(below, member.shape, &step(at, key), problems);
                }
            }
        }
        (Shape::List { item, min, max }, Value::Array(items)) => {
            check_bounds(items.len(), *min, *max, "items", at, problems);
            if !limits::check_count(items.len(), *max, at, problems) {
                return;
            }
            for (index, below) in items.iter().enumerate() {
                check(below, item, &step(at, &index.to_string()), problems);
            }
        }
        (Shape::Map { value: inner }, Value::Object(object)) => {
            let is_fit = limits::check_count(object.len(), None, at, problems);
            if !is_fit || !limits::check_keys(object, at, problems) {
                return;
            }
            for (key, below) in object {
                check(below, inner, &step(at, key), problems);
            }
        }
        (Shape::Text { min, max, pattern, values }, Value::String(text)) => {
            check_bounds(text.chars().count(), *min, *max, "characters", at, problems);
            if !limits::check_text(text, *max, at, problems) {
                return;
            }
            check_text(text, *pattern, values, at, problems);
        }
        (Shape::Integer { min, max }, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let (min, max) = (min.map(|bound| bound as f64), max.map(|bound| bound as f64));
            check_number(number.as_f64(), min, max, at, problems);
        }
        (Shape::Number { min, max }, Value::Number(number)) => {
            check_number(number.as_f64(), *min, *max, at, problems);
        }
        (Shape::Boolean, Value::Bool(_)) | (Shape::Timestamp, Value::Number(_) | Value::String(_)) => {}
        (expected, _) => problems.push(Problem::new(at, format!("Should be {}", type_words(expected)))),
    }
}

fn is_set(object: &Map<String, Value>, member: &str) -> bool {
    object.get(member).is_some_and(|value| !value.is_null())
}

fn type_words(shape: &Shape) -> &'static str {
    match shape {
        Shape::Structure { .. } | Shape::Map { .. } => "an object",
        Shape::List { .. } => "an array",
        Shape::Text { .. } => "a string",
        Shape::Integer { .. } => "an integer",
        Shape::Number { .. } | Shape::Timestamp => "a number",
        Shape::Boolean => "a boolean",
    }
}

fn check_bounds(
    count: usize,
    min: Option<i64>,
    max: Option<i64>,
    unit: &str,
    at: &str,
    problems: &mut Vec<Problem>,
) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(min) = min.filter(|min| count < *min) {
        problems.push(Problem::new(at, format!("Should have at least {min} {unit}")));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        problems.push(Problem::new(at, format!("Should have at most {max} {unit}")));
    }
}

fn check_number(
    number: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    at: &str,
    problems: &mut Vec<Problem>,
) {
    let Some(number) = number else { return };
    if let Some(min) = min.filter(|min| number < *min) {
        problems.push(Problem::new(at, format!("Should be greater than or equal to {min}")));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        problems.push(Problem::new(at, format!("Should be less than or equal to {max}")));
    }
}

fn check_text(
    text: &str,
    pattern: Option<&'static str>,
    values: &[&str],
    at: &str,
    problems: &mut Vec<Problem>,
) {
    if !values.is_empty() && !values.contains(&text) {
        let list = values.join(", ");
        problems.push(Problem::new(at, format!("Should be equal to one of the allowed values in [{list}]")));
    }
    if let Some(pattern) = pattern.filter(|pattern| !matches(pattern, text)) {
        problems.push(Problem::new(at, format!("Should match pattern {pattern}")));
    }
}

/// Returns whether `text` matches. Patterns that this regex engine cannot compile (look-around) match every text.
///
/// In AWS's patterns, `\w` matches the letters and digits of every language. In this engine it matches only ASCII.
fn matches(pattern: &'static str, text: &str) -> bool {
    let takes_letters = pattern.contains(r"\w");
    if takes_letters && !text.chars().all(|letter| letter.is_ascii() || letter.is_alphanumeric()) {
        return false;
    }
    let is_match = |regex: &Option<Regex>| regex.as_ref().is_none_or(|regex| regex.is_match(text));
    if let Some(known) = PATTERNS.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return is_match(known);
    }
    let compiled = Regex::new(&pattern.replace(r"\w", r"\w\x{80}-\x{10FFFF}")).ok();
    let answer = is_match(&compiled);
    PATTERNS.write().unwrap_or_else(PoisonError::into_inner).insert(pattern, compiled);
    answer
}

#[cfg(test)]
mod tests;
