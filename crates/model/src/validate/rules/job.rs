//! Rules that look at several structures of a job: its inputs and output groups, a group and its outputs.

use serde_json::{Map, Value};

use super::{DEPENDS, must_be};
use crate::generated::{ContainerType, OutputGroupType};
use crate::output_groups::GroupFacts;
use crate::problem::{Problem, step};
use crate::validate::is_set;

fn group_of(group_settings: &Value) -> Option<&'static GroupFacts> {
    GroupFacts::of_type(group_settings.get("type").and_then(Value::as_str)?)
}

/// Checks what a job needs and a job template does not.
pub(super) fn job(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    for member in ["inputs", "outputGroups"] {
        match object.get(member) {
            Some(Value::Array(items)) if items.is_empty() => {
                problems.push(Problem::new(step(at, member), "Should have at least 1 items"));
            }
            Some(value) if !value.is_null() => {}
            _ => problems.push(Problem::required(at, member)),
        }
    }
    let groups = object.get("outputGroups").and_then(Value::as_array);
    for (index, group) in groups.into_iter().flatten().enumerate() {
        let settings = group.get("outputGroupSettings");
        let named = settings.and_then(|settings| Some((settings, group_of(settings)?.member)));
        let Some((Value::Object(own), member)) =
            named.and_then(|(all, member)| Some((all.get(member)?, member)))
        else {
            continue;
        };
        if !is_set(own, "destination") {
            let at = step(&step(at, "outputGroups"), &index.to_string());
            problems.push(Problem::required(&step(&step(&at, "outputGroupSettings"), member), "destination"));
        }
    }
    let inputs = object.get("inputs").and_then(Value::as_array).map_or(0, Vec::len);
    let followed = object.get("followSource").and_then(Value::as_u64);
    if inputs > 0
        && followed.is_some_and(|number| usize::try_from(number).is_ok_and(|number| number > inputs))
    {
        let what = format!("Should be less than or equal to {inputs}");
        problems.push(Problem::new(step(at, "followSource"), what));
    }
}

/// Checks that the outputs have names, and only containers and settings of their group.
pub(super) fn output_group(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let Some(Value::Array(outputs)) = object.get("outputs") else { return };
    let outputs_at = step(at, "outputs");
    if outputs.is_empty() {
        problems.push(Problem::new(&outputs_at, "Should have at least 1 items"));
    }
    let group = object.get("outputGroupSettings").and_then(group_of);
    for (index, output) in outputs.iter().enumerate() {
        let Some(output) = output.as_object() else { continue };
        let output_at = step(&outputs_at, &index.to_string());
        if outputs.len() > 1 && !is_set(output, "nameModifier") {
            problems.push(Problem::required(&output_at, "nameModifier"));
        }
        if let Some(group) = group {
            check_container(output, group.containers, &output_at, problems);
            check_hls(output, &group.group_type, at, &output_at, problems);
        }
    }
}

fn check_container(
    output: &Map<String, Value>,
    containers: &[ContainerType],
    at: &str,
    problems: &mut Vec<Problem>,
) {
    let containers: Vec<&str> = containers.iter().map(ContainerType::text).collect();
    let chosen = output.get("containerSettings").and_then(|settings| settings.get("container")?.as_str());
    if chosen.is_some_and(|chosen| !containers.contains(&chosen)) {
        let at = step(&step(at, "containerSettings"), "container");
        problems.push(Problem::new(at, must_be(&containers)));
    }
}

fn check_hls(
    output: &Map<String, Value>,
    kind: &OutputGroupType,
    at: &str,
    output_at: &str,
    problems: &mut Vec<Problem>,
) {
    let settings = output.get("outputSettings").and_then(|settings| settings.get("hlsSettings")?.as_object());
    if *kind != OutputGroupType::HlsGroupSettings && settings.is_some_and(|settings| !settings.is_empty()) {
        problems.push(Problem::new(step(&step(output_at, "outputSettings"), "hlsSettings"), DEPENDS));
        let at = step(&step(at, "outputGroupSettings"), "type");
        problems.push(Problem::new(at, must_be(&[OutputGroupType::HlsGroupSettings.text()])));
    }
}

/// Checks that an output has a container, its own or a preset's.
pub(super) fn output(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    if !is_set(object, "containerSettings") && !is_set(object, "preset") {
        problems.push(Problem::required(at, "containerSettings"));
    }
}

/// Checks that groups of audio selectors name selectors of the same input, and that clippings have an end.
pub(super) fn input(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let empty = Map::new();
    let of = |member: &str| object.get(member).and_then(Value::as_object).unwrap_or(&empty);
    let selectors: Vec<&str> = of("audioSelectors").keys().map(String::as_str).collect();
    for (name, group) in of("audioSelectorGroups") {
        let names = group.get("audioSelectorNames").and_then(Value::as_array);
        let at = step(&step(&step(at, "audioSelectorGroups"), name), "audioSelectorNames");
        for (index, name) in names.into_iter().flatten().enumerate() {
            if name.as_str().is_some_and(|name| !selectors.contains(&name)) {
                problems.push(Problem::new(step(&at, &index.to_string()), must_be(&selectors)));
            }
        }
    }
    let clippings = object.get("inputClippings").and_then(Value::as_array);
    for (index, clipping) in clippings.into_iter().flatten().enumerate() {
        let Some(clipping) = clipping.as_object() else { continue };
        if !is_set(clipping, "startTimecode") && !is_set(clipping, "endTimecode") {
            let at = step(&step(at, "inputClippings"), &index.to_string());
            problems.push(Problem::required(&at, "startTimecode or endTimecode"));
        }
    }
}
