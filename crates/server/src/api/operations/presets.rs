//! CreatePreset, GetPreset, ListPresets, UpdatePreset and DeletePreset. Jobs can name the user's presets and the
//! system's; the system's presets cannot be changed.

use abanico_model::arn::{Arn, ResourceKind};
use abanico_model::presets::{Preset, list_system, system};
use serde_json::{Value, json};

use super::family::Family;
use super::pages::Item;

pub(crate) static FAMILY: Family = Family {
    kind: ResourceKind::Preset,
    one: "preset",
    many: "presets",
    shapes: ("CreatePresetRequest", "UpdatePresetRequest"),
    system: |name| system(name).as_ref().map(system_view),
    systems,
};

fn systems() -> Vec<Item> {
    let item = |preset: &Preset| Item {
        name: preset.name.clone(),
        created_ms: 0,
        is_system: true,
        category: Some(preset.category.clone()),
        view: system_view(preset),
    };
    list_system().iter().map(item).collect()
}

fn system_view(preset: &Preset) -> Value {
    json!({
        "name": preset.name,
        "arn": Arn::local(ResourceKind::Preset, preset.name.as_str()).to_string(),
        "type": "SYSTEM",
        "category": preset.category,
        "settings": preset.settings,
    })
}
