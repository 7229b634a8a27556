//! Checks presets and job templates when they are stored, as a job that uses them would be checked. What they leave to
//! the job, such as inputs and destinations, is imagined.

use std::collections::{BTreeMap, BTreeSet};

use abanico_model::arn::ResourceKind;
use abanico_model::output_groups::{GROUPS, GroupFacts};
use abanico_model::presets::apply_presets;
use abanico_model::problem::Problem;
use abanico_model::validate;
use serde_json::{Map, Value, json};

use crate::requests::submission::{Catalogue, Refusal, add, own_preset, supported};

/// Pointer to the settings in a body.
const SETTINGS: &str = "/settings";
/// Pointer to the output that a preset is tried in.
const TRIED_OUTPUT: &str = "/outputGroups/0/outputs/0";

/// Returns what a job that uses this preset or job template would be refused for. `body` is the request that creates
/// it, in wire form.
///
/// # Errors
/// Fails if a template names a preset that does not exist.
pub(crate) fn problems(
    kind: ResourceKind,
    body: &Value,
    catalogue: &Catalogue,
) -> Result<Vec<Problem>, Refusal> {
    let Some(settings) = body.get("settings").filter(|settings| settings.is_object()) else {
        return Ok(Vec::new());
    };
    match kind {
        ResourceKind::Preset => Ok(of_preset(settings)),
        ResourceKind::JobTemplate => of_template(settings, catalogue),
        _ => Ok(Vec::new()),
    }
}

fn of_preset(settings: &Value) -> Vec<Problem> {
    let container = settings.pointer("/containerSettings/container").and_then(Value::as_str);
    let facts = GroupFacts::of_container(container.unwrap_or_default());
    let mut output = settings.clone();
    output["nameModifier"] = json!("_a");
    // Presets cannot name a caption selector; their jobs do.
    let captions = output.get_mut("captionDescriptions").and_then(Value::as_array_mut);
    for description in captions.into_iter().flatten().filter_map(Value::as_object_mut) {
        description.entry("captionSelectorName").or_insert_with(|| json!("Captions Selector 1"));
    }
    let mut group = Map::from_iter([("type".to_owned(), json!(facts.group_type))]);
    group.insert(facts.member.to_owned(), json!({}));
    let job = json!({"outputGroups": [{"outputGroupSettings": group, "outputs": [output]}]});
    let below = |problem: Problem| {
        let pointer = format!("{SETTINGS}{}", problem.pointer.strip_prefix(TRIED_OUTPUT)?);
        Some(Problem { pointer, ..problem })
    };
    supported(&completed(job), &BTreeMap::new()).into_iter().filter_map(below).collect()
}

fn of_template(settings: &Value, catalogue: &Catalogue) -> Result<Vec<Problem>, Refusal> {
    let merged = apply_presets(settings, &|name| own_preset(catalogue, name))
        .map_err(|unknown| Refusal::NotFound(unknown.to_string()))?;
    let below = |problem: Problem| Problem { pointer: format!("{SETTINGS}{}", problem.pointer), ..problem };
    let mut problems: Vec<Problem> = match validate::validate(&merged, "JobTemplateSettings") {
        Ok(()) => Vec::new(),
        Err(found) => found.0,
    };
    let has_groups =
        merged.get("outputGroups").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
    let whole = if has_groups { completed(merged) } else { merged };
    add(&mut problems, supported(&whole, &BTreeMap::new()));
    Ok(problems.into_iter().map(below).collect())
}

/// Completes settings by what the job must give: an input with the caption selectors that outputs name, and
/// destinations.
fn completed(mut settings: Value) -> Value {
    let mut names = BTreeSet::new();
    let groups = settings.get_mut("outputGroups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        for member in GROUPS.map(|facts| facts.member) {
            let own =
                group.get_mut("outputGroupSettings").and_then(|all| all.get_mut(member)?.as_object_mut());
            if let Some(own) = own {
                own.entry("destination").or_insert_with(|| json!("s3://bucket/"));
            }
        }
        let outputs = group.get("outputs").and_then(Value::as_array);
        let descriptions = outputs
            .into_iter()
            .flatten()
            .filter_map(|output| output.get("captionDescriptions")?.as_array())
            .flatten();
        names.extend(
            descriptions.filter_map(|one| one.get("captionSelectorName")?.as_str().map(str::to_owned)),
        );
    }
    let has_inputs =
        settings.get("inputs").and_then(Value::as_array).is_some_and(|inputs| !inputs.is_empty());
    if !has_inputs {
        let source = json!({"sourceSettings": {"sourceType": "NULL_SOURCE"}});
        let selectors: Map<String, Value> = names.into_iter().map(|name| (name, source.clone())).collect();
        settings["inputs"] = json!([{"fileInput": "s3://bucket/input.mp4", "captionSelectors": selectors}]);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: ResourceKind, settings: Value) -> Vec<String> {
        let found = problems(kind, &json!({"settings": settings}), &Catalogue::default()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn video(h264: Value) -> Value {
        json!({"codecSettings": {"codec": "H_264", "h264Settings": h264}})
    }

    #[test]
    fn system_presets_pass_their_own_check() {
        let mut refused = Vec::new();
        for preset in abanico_model::presets::list_system() {
            refused.extend(told(ResourceKind::Preset, preset.settings.clone()));
        }
        // The presets with codecs that abanico lacks are listed all the same.
        assert!(refused.iter().all(|one| one.contains("not supported")), "{refused:#?}");
    }

    #[test]
    fn preset_is_refused_for_what_its_jobs_would_be() {
        let settings = json!({
            "containerSettings": {"container": "MP4"},
            "videoDescription": video(json!({"rateControlMode": "QVBR", "maxBitrate": 1_000_000, "telecine": "SOFT"})),
            "audioDescriptions": [{"codecSettings": {"codec": "OPUS", "opusSettings": {}}},
                {"codecSettings": {"codec": "WAV", "wavSettings": {}}}],
        });
        let told = told(ResourceKind::Preset, settings);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0]
                .starts_with("/settings/videoDescription/codecSettings/h264Settings/telecine: telecine SOFT")
        );
        assert!(
            told[1].starts_with(
                "/settings/audioDescriptions/1/codecSettings/codec: WAV is not supported in MP4"
            )
        );
    }

    #[test]
    fn caption_selectors_and_inputs_are_left_to_the_job() {
        let captions = json!([{"captionSelectorName": "Captions Selector 1", "destinationSettings": {
            "destinationType": "BURN_IN"}}]);
        let settings = json!({"containerSettings": {"container": "M3U8"}, "captionDescriptions": captions,
            "videoDescription": video(json!({"rateControlMode": "CBR", "bitrate": 1_000_000}))});
        let mut preset = settings.clone();
        preset["captionDescriptions"][0].as_object_mut().unwrap().remove("captionSelectorName");
        assert_eq!(told(ResourceKind::Preset, preset), [""; 0]);
        let template = json!({"outputGroups": [{"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS",
            "hlsGroupSettings": {"segmentLength": 6, "minSegmentLength": 0}}, "outputs": [settings]}]});
        let found = told(ResourceKind::JobTemplate, template.clone());
        let unnamed = "/settings/outputGroups/0/outputs/0: nameModifier is a required property";
        assert_eq!(found, [unnamed]);
        let mut template = template;
        template["outputGroups"][0]["outputs"][0]["nameModifier"] = json!("_a");
        assert_eq!(told(ResourceKind::JobTemplate, template), [""; 0]);
        assert_eq!(told(ResourceKind::JobTemplate, json!({})), [""; 0]);
    }

    #[test]
    fn template_with_a_missing_preset_is_not_found() {
        let body = json!({"settings": {"outputGroups": [{"outputs": [{"preset": "mine"}]}]}});
        let found = problems(ResourceKind::JobTemplate, &body, &Catalogue::default());
        assert!(matches!(found, Err(Refusal::NotFound(text)) if text.contains("mine")));
    }
}
