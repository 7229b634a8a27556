//! The service's own rules, which AWS's model does not state: what goes together, and what does not.
//!
//! The rules are data (`rules/table.rs`); this file applies them and writes MediaConvert's words. Rules that look at
//! several structures are in `rules/job.rs`. Problems with what abanico does not support are not rules; `coverage` has
//! them.

use serde_json::{Map, Value};

use super::is_set;
use crate::problem::{Problem, step};

mod aac;
mod job;
pub(super) mod table;

use table::Rule;

/// The service's words for a member that needs another one with a certain value. The other problem names that value.
const DEPENDS: &str = "Should match all dependencies: See other errors for more details";

/// Adds the problems that the service's own rules find in `object`, which has the shape `shape` and is located at `at`.
pub(super) fn check(shape: &str, object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    for (_, rules) in table::RULES.iter().filter(|(shapes, _)| shapes.contains(&shape)) {
        rules.iter().for_each(|rule| apply(rule, object, at, problems));
    }
    match shape {
        "JobSettings" => job::job(object, at, problems),
        "OutputGroup" => job::output_group(object, at, problems),
        "Output" => job::output(object, at, problems),
        "Input" | "InputTemplate" => job::input(object, at, problems),
        "AacSettings" => aac::bit_rate(object, at, problems),
        _ => {}
    }
}

fn apply(rule: &Rule, object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let number = |member: &str| object.get(member).and_then(Value::as_i64);
    let mut tell = |member: &str, what: String| problems.push(Problem::new(step(at, member), what));
    match *rule {
        Rule::Needs(members) => require(members, object, at, problems),
        Rule::NeedsWith(by, value, members) => {
            if text(object, by) == Some(value) {
                require(members, object, at, problems);
            }
        }
        Rule::Choice { by, settings, is_needed } => {
            if is_needed {
                check_pair(by, settings, object, at, problems);
            }
            for (member, values) in settings.iter().filter(|(member, _)| is_set(object, member)) {
                depends(member, by, values, object, at, problems);
            }
        }
        Rule::OnlyWith(member, by, values) => {
            if is_set(object, member) {
                depends(member, by, values, object, at, problems);
            }
        }
        Rule::Unfit { by, value, member, told } => {
            if text(object, by) == Some(value) && is_set(object, member) {
                problems.push(Problem::new(at, told));
                let what = format!("Should not be set when {by} is {value}");
                problems.push(Problem::new(step(at, member), what));
            }
        }
        Rule::NotBelow(by, value, member, other) => {
            if let (true, Some(number), Some(least)) =
                (text(object, by) == Some(value), number(member), number(other))
                && number < least
            {
                tell(member, format!("Should be greater than or equal to {least}"));
            }
        }
        Rule::Multiple(members, of) => {
            for member in members.iter().filter(|member| number(member).is_some_and(|size| size % of != 0)) {
                tell(member, format!("Should be a multiple of {of}"));
            }
        }
        Rule::OneOf(member, allowed) => {
            if number(member).is_some_and(|number| !allowed.contains(&number)) {
                let list: Vec<String> = allowed.iter().map(i64::to_string).collect();
                tell(member, allowed_values(&list.join(", ")));
            }
        }
        Rule::Within(by, value, member, (least, most)) => match number(member) {
            Some(number) if text(object, by) == Some(value) && number < least => {
                tell(member, format!("Should be greater than or equal to {least}"));
            }
            Some(number) if text(object, by) == Some(value) && number > most => {
                tell(member, format!("Should be less than or equal to {most}"));
            }
            _ => {}
        },
        Rule::MustBe { by, value, member, wanted } => {
            if text(object, by) == Some(value) && text(object, member) != Some(wanted) {
                tell(member, format!("Must be {wanted}"));
            }
        }
    }
}

/// Adds the problem of a structure whose choice lacks its settings, or that has those of several choices.
fn check_pair(
    by: &str,
    settings: &[(&str, &[&str])],
    object: &Map<String, Value>,
    at: &str,
    problems: &mut Vec<Problem>,
) {
    let needs_settings =
        text(object, by).is_some_and(|chosen| settings.iter().any(|(_, values)| values.contains(&chosen)));
    match settings.iter().filter(|(member, _)| is_set(object, member)).count() {
        0 if needs_settings => problems.push(Problem::new(at, "Should have at least 2 properties")),
        0 | 1 => {}
        _ => problems.push(Problem::new(at, "Should have at most 2 properties")),
    }
}

fn require(members: &[&str], object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let missing = members.iter().filter(|member| !is_set(object, member));
    problems.extend(missing.map(|member| Problem::required(at, member)));
}

/// Adds the problems of a member that goes with other values of `by` only. A missing `by` is another rule's problem.
fn depends(
    member: &str,
    by: &str,
    values: &[&str],
    object: &Map<String, Value>,
    at: &str,
    problems: &mut Vec<Problem>,
) {
    if text(object, by).is_some_and(|chosen| !values.contains(&chosen)) {
        problems.push(Problem::new(step(at, member), DEPENDS));
        problems.push(Problem::new(step(at, by), must_be(values)));
    }
}

/// Says which value, or one of which values, a member must have.
fn must_be(values: &[&str]) -> String {
    match values {
        [one] => format!("Must be {one}"),
        _ => allowed_values(&values.join(", ")),
    }
}

fn allowed_values(list: &str) -> String {
    format!("Should be equal to one of the allowed values in [{list}]")
}

fn text<'a>(object: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    object.get(member).and_then(Value::as_str)
}
