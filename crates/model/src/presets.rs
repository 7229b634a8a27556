//! Applies presets: fills in an output with the settings of the preset that it names.
//!
//! System presets are in `data/system_presets.json`; the user's own presets come from a lookup function. Presets are not
//! stored here.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arn;

static SYSTEM: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/system_presets.json"))
        .expect("the embedded presets are valid JSON")
});

/// Source of a system preset's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Read from a copy of the preset.
    Dump,
    /// Read from AWS's documentation.
    Docs,
    /// Derived from the preset's name and from presets of the same family.
    Derived,
}

/// A system preset.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Preset {
    /// Name, such as `System-Generic_Hd_Mp4_Avc_Aac_16x9_1920x1080p_24Hz_6Mbps`.
    pub name: String,
    /// Category, such as `Generic-HD`.
    pub category: String,
    /// Source of the settings.
    pub evidence: Evidence,
    /// `PresetSettings` with wire names.
    pub settings: Value,
}

/// The error for a preset that is neither a system preset nor found by the lookup, worded as MediaConvert words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The specified preset was not found: presetArn={0}")]
pub struct UnknownPreset(
    /// The name or ARN, as in the job.
    pub String,
);

/// Returns the system preset with the given name.
#[must_use]
pub fn system(name: &str) -> Option<Preset> {
    SYSTEM.iter().find(|preset| preset.name == name).cloned()
}

/// Returns all system presets, sorted by name.
#[must_use]
pub fn list_system() -> &'static [Preset] {
    &SYSTEM
}

/// Replaces the `preset` of each output in `settings`, a `JobSettings`, with the settings of that preset.
///
/// The output's own settings win. A preset is given by name or ARN. System presets take precedence; for any other name
/// `lookup` returns the `PresetSettings`. Lists in the output replace those of the preset, but `audioDescriptions` and
/// `captionDescriptions` merge item by item. The order of groups and outputs does not change.
///
/// # Errors
///
/// Returns the first unknown preset.
pub fn apply_presets(
    settings: &Value,
    lookup: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value, UnknownPreset> {
    let mut settings = settings.clone();
    let groups = settings.get_mut("outputGroups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        let outputs = group.get_mut("outputs").and_then(Value::as_array_mut);
        for output in outputs.into_iter().flatten() {
            apply_to_output(output, lookup)?;
        }
    }
    Ok(settings)
}

fn apply_to_output(output: &mut Value, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<(), UnknownPreset> {
    let Some(own) = output.as_object_mut() else { return Ok(()) };
    let Some(Value::String(given)) = own.get("preset") else { return Ok(()) };
    let name = arn::preset_name(given);
    let found = system(name).map(|preset| preset.settings).or_else(|| lookup(name));
    let base = found.ok_or_else(|| UnknownPreset(given.clone()))?;
    own.remove("preset");
    let own = Value::Object(std::mem::take(own));
    *output = merge(base, own);
    Ok(())
}

/// Members that choose which other members of their structure apply.
const CHOICES: [&str; 5] = ["codec", "container", "destinationType", "sourceType", "type"];

/// Merges `over` into `base`: objects by key, lists of objects by position. Null keeps `base`; any other value replaces it.
/// A structure that chooses another codec, container or type replaces the base's, whose settings do not apply to it.
pub(crate) fn merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (base, Value::Null) => base,
        (Value::Object(base), Value::Object(over)) if chooses_otherwise(&base, &over) => Value::Object(over),
        (Value::Object(base), Value::Object(over)) => Value::Object(merge_objects(base, over)),
        (Value::Array(base), Value::Array(over)) if over.iter().all(Value::is_object) => {
            merge_lists(base, over)
        }
        (_, over) => over,
    }
}

fn chooses_otherwise(base: &Map<String, Value>, over: &Map<String, Value>) -> bool {
    CHOICES.iter().any(|member| match (base.get(*member), over.get(*member)) {
        (Some(Value::String(base)), Some(Value::String(over))) => base != over,
        _ => false,
    })
}

fn merge_objects(mut base: Map<String, Value>, over: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in over {
        let below = base.get_mut(&key).map_or(Value::Null, Value::take);
        base.insert(key, merge(below, value));
    }
    base
}

fn merge_lists(base: Vec<Value>, over: Vec<Value>) -> Value {
    let mut base = base.into_iter();
    let mut merged: Vec<Value> =
        over.into_iter().map(|item| merge(base.next().unwrap_or(Value::Null), item)).collect();
    merged.extend(base);
    Value::Array(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generated::PresetSettings;
    use crate::parse::unknown_members;
    use crate::validate::validate;

    const HD: &str = "System-Generic_Hd_Mp4_Avc_Aac_16x9_1920x1080p_24Hz_6Mbps";

    fn with_output(output: Value) -> Value {
        json!({"outputGroups": [{"outputs": [output]}]})
    }

    fn applied(output: Value) -> Value {
        apply_presets(&with_output(output), &|_| None).unwrap()["outputGroups"][0]["outputs"][0].clone()
    }

    #[test]
    fn every_system_preset_is_valid() {
        assert_eq!(list_system().len(), 85);
        for preset in list_system() {
            assert_eq!(validate(&preset.settings, "PresetSettings"), Ok(()), "{}", preset.name);
            assert_eq!(unknown_members(&preset.settings, "PresetSettings"), [""; 0], "{}", preset.name);
            let parsed: Result<PresetSettings, _> = serde_json::from_value(preset.settings.clone());
            assert!(parsed.is_ok(), "{}: {parsed:?}", preset.name);
        }
    }

    #[test]
    fn reference_preset_has_known_settings() {
        let h264 = &system(HD).unwrap().settings["videoDescription"]["codecSettings"]["h264Settings"];
        assert_eq!(h264["bitrate"], 6_000_000);
        assert_eq!(h264["hrdBufferSize"], 12_000_000);
        assert_eq!(
            (&h264["framerateNumerator"], &h264["framerateDenominator"]),
            (&json!(24000), &json!(1001))
        );
        assert_eq!(system("System-None"), None);
    }

    #[test]
    fn output_settings_override_the_preset() {
        let output = applied(json!({
            "preset": HD, "nameModifier": "_a", "extension": "m4v",
            "videoDescription": {"width": 1280, "height": 720},
            "audioDescriptions": [{"audioSourceName": "Other"}],
        }));
        assert_eq!(output["nameModifier"], "_a");
        assert_eq!(output["extension"], "m4v");
        assert_eq!(output["videoDescription"]["width"], 1280);
        assert_eq!(output["videoDescription"]["codecSettings"]["codec"], "H_264");
        assert_eq!(output["audioDescriptions"][0]["audioSourceName"], "Other");
        assert_eq!(output["audioDescriptions"][0]["codecSettings"]["aacSettings"]["bitrate"], 160_000);
        assert_eq!(output.get("preset"), None);
    }

    #[test]
    fn arns_and_user_presets_are_accepted() {
        let by_arn = format!("arn:aws:mediaconvert:us-east-1:000000000000:presets/{HD}");
        assert_eq!(applied(json!({"preset": by_arn})), applied(json!({"preset": HD})));
        let own = json!({"containerSettings": {"container": "MOV"}});
        let lookup = |name: &str| (name == "Mine").then(|| own.clone());
        let done = apply_presets(&with_output(json!({"preset": "Mine"})), &lookup).unwrap();
        assert_eq!(done, with_output(own.clone()));
    }

    #[test]
    fn unknown_preset_is_named() {
        let error = apply_presets(&with_output(json!({"preset": "Nope"})), &|_| None).unwrap_err();
        assert_eq!(error.to_string(), "The specified preset was not found: presetArn=Nope");
    }
}
