//! Merges a job template's settings with a request's settings.
//!
//! The built-in templates are a job from `deploy/jobs/`, those in `data/templates.json`, and in
//! `data/system_templates.json` those of AWS whose settings are public. Presets are not resolved here;
//! `presets` does that after the merge.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::presets::merge;

/// The job of the AWS deployment, which is also the template `three-mp4`. They share one file so that they cannot diverge.
const THREE_MP4: &str = include_str!("../../../deploy/jobs/three-mp4.json");

static BUILT_IN: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let three_mp4: Job = serde_json::from_str(THREE_MP4).expect("the embedded job is valid JSON");
    let three_mp4 = Template {
        name: "three-mp4".to_owned(),
        category: None,
        description: None,
        user_metadata: three_mp4.user_metadata,
        settings: three_mp4.settings,
    };
    let read = |text: &str| -> Vec<Template> {
        serde_json::from_str(text).expect("the embedded templates are valid JSON")
    };
    let own = read(include_str!("../data/templates.json"));
    let of_aws = read(include_str!("../data/system_templates.json"));
    std::iter::once(three_mp4).chain(own).chain(of_aws).collect()
});

/// The parts of a CreateJob request that a template needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    #[serde(default)]
    user_metadata: BTreeMap<String, String>,
    settings: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    name: String,
    category: Option<String>,
    description: Option<String>,
    #[serde(default)]
    user_metadata: BTreeMap<String, String>,
    settings: Value,
}

fn built_in(name: &str) -> Option<&'static Template> {
    BUILT_IN.iter().find(|template| template.name == name)
}

/// Returns the `JobTemplateSettings` of the built-in template `name`, with wire names.
///
/// `three-mp4` makes three MP4s from system presets; `ladder` makes three that follow the source's aspect ratio and frame
/// rate.
#[must_use]
pub fn template(name: &str) -> Option<Value> {
    built_in(name).map(|template| template.settings.clone())
}

/// Returns the user metadata for jobs of the built-in template `name`; empty if there is no such template.
///
/// `ladder` marks its jobs with `abanico.ladder` = `follow-source`.
#[must_use]
pub fn template_metadata(name: &str) -> BTreeMap<String, String> {
    built_in(name).map(|template| template.user_metadata.clone()).unwrap_or_default()
}

/// Returns the category of a built-in template, if it has one.
#[must_use]
pub fn template_category(name: &str) -> Option<&'static str> {
    built_in(name)?.category.as_deref()
}

/// Returns the description of a built-in template, if it has one.
#[must_use]
pub fn template_description(name: &str) -> Option<&'static str> {
    built_in(name)?.description.as_deref()
}

/// Returns the names of the built-in templates.
#[must_use]
pub fn template_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|template| template.name.as_str()).collect()
}

/// Merges a request's settings into a template's settings.
///
/// Objects and maps merge by key; output groups, outputs and descriptions merge by position. Other lists and values replace
/// those of the template, and null keeps the template's value. The request decides the number of inputs; each is filled
/// in from the template's input at the same position, or from the template's last input.
#[must_use]
pub fn merge_template(template_settings: Value, request_settings: Value) -> Value {
    let mut base = template_settings;
    let wanted = request_settings.get("inputs").and_then(Value::as_array).map(Vec::len);
    let inputs = base.get_mut("inputs").and_then(Value::as_array_mut);
    if let (Some(wanted), Some(inputs)) = (wanted, inputs)
        && let Some(last) = inputs.last().cloned()
    {
        inputs.resize(wanted, last);
    }
    merge(base, request_settings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::presets::apply_presets;
    use crate::{coverage, validate};

    fn request() -> Value {
        json!({
            "inputs": [{"fileInput": "s3://in/clip.mp4"}],
            "outputGroups": [{"outputGroupSettings": {"fileGroupSettings": {"destination": "s3://out/clip/"}}}],
        })
    }

    #[test]
    fn both_templates_become_valid_jobs() {
        assert_eq!(template_names()[..2], ["three-mp4", "ladder"]);
        for name in ["three-mp4", "ladder"] {
            let merged = merge_template(template(name).unwrap(), request());
            let settings = apply_presets(&merged, &|_| None).unwrap();
            assert_eq!(validate::validate(&settings, "JobSettings"), Ok(()), "{name}");
            assert_eq!(coverage::problems(&settings), [], "{name}");
            let group = &settings["outputGroups"][0];
            assert_eq!(group["outputGroupSettings"]["fileGroupSettings"]["destination"], "s3://out/clip/");
            let outputs = group["outputs"].as_array().unwrap();
            let modifiers: Vec<_> =
                outputs.iter().map(|output| output["nameModifier"].as_str().unwrap()).collect();
            assert_eq!(modifiers, ["_1080p", "_720p", "_480p"]);
            assert_eq!(settings["inputs"][0]["fileInput"], "s3://in/clip.mp4");
            assert_eq!(settings["inputs"][0]["videoSelector"]["rotate"], "AUTO");
        }
        assert_eq!(template("other"), None);
    }

    #[test]
    fn templates_of_aws_are_valid_jobs_with_known_presets() {
        let names: Vec<_> = template_names().into_iter().filter(|name| name.starts_with("System-")).collect();
        assert_eq!(names.len(), 4);
        for name in names {
            let mut settings = template(name).unwrap();
            let group = &mut settings["outputGroups"][0]["outputGroupSettings"];
            let members = group.as_object_mut().unwrap();
            let own = members.values_mut().find(|value| value.is_object()).unwrap();
            own["destination"] = json!("s3://out/clip/");
            settings["inputs"] = request()["inputs"].clone();
            let settings = apply_presets(&settings, &|_| None).unwrap();
            assert_eq!(validate::validate(&settings, "JobSettings"), Ok(()), "{name}");
            let refused = coverage::problems(&settings);
            // Some outputs have audio in HE-AAC, for which there is no free encoder.
            let expected = match name {
                "System-Generic_Mp4_Hev1_Avc_Aac_Sdr_Qvbr" => 0,
                "System-Ott_Hls_Ts_Avc_Aac" => 7,
                _ => 2,
            };
            assert_eq!(refused.len(), expected, "{name}: {refused:?}");
            for one in &refused {
                assert!(one.pointer.ends_with("aacSettings/codecProfile"), "{one:?}");
                assert!(
                    one.message.ends_with("set LC, also beside a preset or job template that says otherwise")
                );
            }
            assert!(template_category(name).is_some() && template_description(name).is_some());
        }
    }

    #[test]
    fn templates_of_aws_are_usable_with_lc() {
        let lc = |preset: &str| {
            let is_audio = preset.contains("Aac_He") || preset.starts_with("System-Ott_Hls_Ts");
            let audio = json!([{"codecSettings": {"aacSettings": {"codecProfile": "LC"}}}]);
            if is_audio { json!({"audioDescriptions": audio}) } else { json!({}) }
        };
        for name in template_names().into_iter().filter(|name| name.starts_with("System-Ott")) {
            let template = template(name).unwrap();
            let outputs = template["outputGroups"][0]["outputs"].as_array().unwrap();
            let outputs: Vec<_> =
                outputs.iter().map(|output| lc(output["preset"].as_str().unwrap())).collect();
            let asked = json!({"inputs": request()["inputs"], "outputGroups": [{"outputs": outputs}]});
            let settings = apply_presets(&merge_template(template, asked), &|_| None).unwrap();
            assert_eq!(coverage::problems(&settings), [], "{name}");
        }
    }

    #[test]
    fn only_the_ladder_marks_its_jobs() {
        assert_eq!(template_metadata("ladder")["abanico.ladder"], "follow-source");
        assert!(template_metadata("three-mp4").is_empty());
    }

    #[test]
    fn selectors_merge_by_key_and_lists_are_replaced() {
        let mut asked = request();
        asked["inputs"][0]["audioSelectors"] =
            json!({"Audio Selector 1": {"tracks": [2, 3]}, "B": {"offset": 5}});
        let merged = merge_template(template("three-mp4").unwrap(), asked);
        assert_eq!(
            merged["inputs"][0]["audioSelectors"],
            json!({"Audio Selector 1": {"defaultSelection": "DEFAULT", "tracks": [2, 3]}, "B": {"offset": 5}})
        );
    }

    #[test]
    fn only_inputs_of_the_request_are_filled() {
        let mut asked = request();
        asked["inputs"] = json!([{"fileInput": "s3://a/1"}, {"fileInput": "s3://a/2"}]);
        let merged = merge_template(template("ladder").unwrap(), asked);
        let inputs = merged["inputs"].as_array().unwrap();
        assert_eq!(inputs.len(), 2);
        assert_eq!(inputs[1]["audioSelectors"]["Audio Selector 1"], json!({"defaultSelection": "DEFAULT"}));
    }
}
