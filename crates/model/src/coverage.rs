//! Defines what abanico does with each member of `JobSettings`, and finds the members of a job that it refuses.
//!
//! Members that AWS's model does not have are reported by `parse`, and values out of bounds by `validate`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::problem::{Problem, step};
use crate::shape::{Member, Shape};

pub mod page;
mod table;

/// What abanico does with a settings member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The member takes effect.
    Honoured,
    /// The member is accepted but has no effect that a viewer could notice, for this reason.
    Harmless(&'static str),
    /// These values are honoured; all others are refused.
    Only(&'static [&'static str]),
    /// These values are honoured; all others are refused, for this reason.
    OnlyBecause(&'static [&'static str], &'static str),
    /// This number changes nothing, for this reason; all others are refused.
    OnlyNumber(i64, &'static str),
    /// A job that sets the member is refused. The remark gives the reason or says what to use instead.
    Advised(&'static str),
    /// A job that sets the member is refused.
    Refused,
}

static TABLE: LazyLock<BTreeMap<String, State>> = LazyLock::new(|| {
    let rows = table::SECTIONS.iter().flat_map(|(above, members)| {
        let start = if above.is_empty() { String::new() } else { format!("{above}/") };
        members.iter().map(move |(member, state)| (format!("{start}{member}"), *state))
    });
    rows.collect()
});

/// Returns the state of a leaf of `JobSettings`. Its path has no list indices and `*` for map keys, such as
/// `inputs/audioSelectors/*/tracks`.
#[must_use]
pub fn state(path: &str) -> State {
    TABLE.get(path).copied().unwrap_or(State::Refused)
}

/// Returns a problem for each member of `settings` that abanico refuses, in document order.
///
/// A structure that is refused as a whole is reported once, without its members. Null members, empty lists and empty
/// objects count as absent.
#[must_use]
pub fn problems(settings: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(settings, "JobSettings", "", "", &mut found);
    found
}

fn walk(value: &Value, shape: &str, path: &str, at: &str, found: &mut Vec<Problem>) {
    match (Shape::named(shape), value) {
        (Some(Shape::Structure { members, .. }), Value::Object(object)) => {
            for (key, below) in object.iter().filter(|(_, below)| is_set(below)) {
                if let Some(member) = members.iter().find(|member| member.name == key) {
                    check_member(member, below, &join(path, key), step(at, key), found);
                }
            }
        }
        (Some(Shape::Map { value: inner }), Value::Object(object)) => {
            for (key, below) in object {
                walk(below, inner, &join(path, "*"), &step(at, key), found);
            }
        }
        (Some(Shape::List { item, .. }), Value::Array(items)) => {
            for (index, below) in items.iter().enumerate() {
                walk(below, item, path, &step(at, &index.to_string()), found);
            }
        }
        _ => {}
    }
}

/// Checks one member. `path` is its path in the table, `at` the pointer to its place in the job.
fn check_member(member: &Member, value: &Value, path: &str, at: String, found: &mut Vec<Problem>) {
    let key = member.name;
    let state = state(path);
    match state {
        State::Honoured | State::Harmless(_) => {}
        State::Only(allowed) | State::OnlyBecause(allowed, _) => {
            if let Some(text) = value.as_str().filter(|text| !allowed.contains(text)) {
                let list = allowed.join(", ");
                let why = match state {
                    State::OnlyBecause(_, why) => format!(": {why}"),
                    _ => String::new(),
                };
                found.push(Problem::new(at, format!("{key} {text} is not supported, only [{list}]{why}")));
            }
        }
        State::OnlyNumber(allowed, _) => {
            if let Some(number) = value.as_i64().filter(|number| *number != allowed) {
                found.push(Problem::new(at, format!("{key} {number} is not supported, only {allowed}")));
            }
        }
        State::Advised(why) => found.push(Problem::new(at, format!("{key} is not supported: {why}"))),
        State::Refused if leads_somewhere(path) => walk(value, member.shape, path, &at, found),
        State::Refused => found.push(Problem::new(at, format!("{key} is not supported"))),
    }
}

/// Returns whether any member below `path` is accepted.
fn leads_somewhere(path: &str) -> bool {
    let start = format!("{path}/");
    TABLE.range(start.clone()..).next().is_some_and(|(next, _)| next.starts_with(&start))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(object) => object.values().any(is_set),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::presets::list_system;

    fn told(settings: &Value) -> Vec<String> {
        problems(settings).iter().map(ToString::to_string).collect()
    }

    /// Returns whether a path of the table leads to an existing member.
    fn exists(path: &str) -> bool {
        let mut shape = "JobSettings";
        for name in path.split('/') {
            while let Some(Shape::List { item, .. }) = Shape::named(shape) {
                shape = item;
            }
            match Shape::named(shape) {
                Some(Shape::Map { value }) if name == "*" => shape = value,
                Some(Shape::Structure { members, .. }) => match members.iter().find(|one| one.name == name) {
                    Some(member) => shape = member.shape,
                    None => return false,
                },
                _ => return false,
            }
        }
        true
    }

    #[test]
    fn table_has_only_paths_of_the_model() {
        for path in TABLE.keys() {
            assert!(exists(path), "{path}");
        }
    }

    /// Returns the values that AWS's model lists for the member at a path of the table.
    fn values_of(path: &str) -> &'static [&'static str] {
        let mut shape = "JobSettings";
        for name in path.split('/') {
            shape = match Shape::named(shape) {
                Some(Shape::Structure { members, .. }) => {
                    members.iter().find(|one| one.name == name).map_or("", |member| member.shape)
                }
                Some(Shape::Map { value }) => value,
                _ => "",
            };
            while let Some(Shape::List { item, .. }) = Shape::named(shape) {
                shape = item;
            }
        }
        match Shape::named(shape) {
            Some(Shape::Text { values, .. }) => values,
            _ => &[],
        }
    }

    #[test]
    fn table_has_only_values_of_the_model() {
        for (path, state) in TABLE.iter() {
            if let State::Only(allowed) | State::OnlyBecause(allowed, _) = state {
                let known = values_of(path);
                assert!(
                    allowed.iter().all(|value| known.contains(value)),
                    "{path}: {allowed:?} of {known:?}"
                );
            }
        }
    }

    #[test]
    fn remarks_explain_harmless_and_refused_members() {
        for (path, state) in TABLE.iter() {
            if let State::Harmless(why)
            | State::Advised(why)
            | State::OnlyNumber(_, why)
            | State::OnlyBecause(_, why) = state
            {
                assert!(why.len() > 10 && !why.ends_with('.'), "{path}: {why}");
            }
        }
    }

    #[test]
    fn every_avc_mp4_system_preset_is_supported() {
        let mut seen = 0;
        for preset in list_system() {
            if !preset.name.contains("Mp4_Avc_Aac") {
                continue;
            }
            seen += 1;
            let settings = json!({"outputGroups": [{"outputs": [preset.settings]}]});
            assert_eq!(told(&settings), Vec::<String>::new(), "{}", preset.name);
        }
        assert!(seen >= 3);
    }

    #[test]
    fn refusals_name_structures_once_and_list_allowed_values() {
        let settings = json!({
            "kantarWatermark": {"channelName": "x", "logDestination": "s3://b/l"},
            "nielsenConfiguration": null,
            "followSource": 2,
            "inputs": [{"fileInput": "s3://b/k", "imageInserter": {"insertableImages": []}}],
            "outputGroups": [{"outputs": [{
                "containerSettings": {"container": "MXF"},
                "captionDescriptions": [{"destinationSettings": {"destinationType": "TELETEXT"}}],
            }]}],
        });
        assert_eq!(
            told(&settings),
            [
                "/kantarWatermark: kantarWatermark is not supported",
                "/followSource: followSource 2 is not supported, only 1",
                "/outputGroups/0/outputs/0/containerSettings/container: container MXF is not supported, only [MP4, MOV, M2TS, WEBM, OGG, M3U8, CMFC, MPD, RAW]",
                "/outputGroups/0/outputs/0/captionDescriptions/0/destinationSettings/destinationType: destinationType TELETEXT is not supported, only [BURN_IN, SRT, WEBVTT]",
            ]
        );
    }

    #[test]
    fn refused_type_of_group_comes_with_what_to_use_instead() {
        let group =
            json!({"type": "MS_SMOOTH_GROUP_SETTINGS", "msSmoothGroupSettings": {"fragmentLength": 2}});
        let settings = json!({"outputGroups": [{"outputGroupSettings": group}]});
        let (pointer, only) = (
            "/outputGroups/0/outputGroupSettings",
            "only [FILE_GROUP_SETTINGS, HLS_GROUP_SETTINGS, CMAF_GROUP_SETTINGS, DASH_ISO_GROUP_SETTINGS]: \
             for Microsoft Smooth Streaming use CMAF_GROUP_SETTINGS, which today's players take",
        );
        let told = told(&settings);
        assert!(
            told.contains(&format!("{pointer}/type: type MS_SMOOTH_GROUP_SETTINGS is not supported, {only}")),
            "{told:?}"
        );
    }

    #[test]
    fn map_keys_match_any_text() {
        assert_eq!(state("inputs/audioSelectors/*/tracks"), State::Honoured);
        let settings = json!({"inputs": [{"audioSelectors": {"A/B": {"tracks": [1], "hlsRenditionGroupSettings": {"renditionName": "x"}}}}]});
        assert_eq!(
            told(&settings),
            [
                "/inputs/0/audioSelectors/A~1B/hlsRenditionGroupSettings: hlsRenditionGroupSettings is not supported"
            ]
        );
    }
}
