//! CreatePreset, GetPreset, ListPresets, UpdatePreset and DeletePreset. Jobs can name the user's presets and the
//! system's; the system's presets cannot be changed.

use abanico_model::arn::{Arn, ResourceKind};
use abanico_model::presets::{Preset, list_system, system};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::family::Family;
use super::pages::{Item, ListParams};
use crate::api::error_table::Error;
use crate::edge::Edge;

const FAMILY: Family = Family {
    kind: ResourceKind::Preset,
    one: "preset",
    many: "presets",
    shapes: ("CreatePresetRequest", "UpdatePresetRequest"),
    system: |name| system(name).as_ref().map(system_view),
    systems,
};

pub(crate) async fn create(
    State(edge): State<Edge>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    FAMILY.create(&edge.engine, body).await
}

pub(crate) async fn get(State(edge): State<Edge>, Path(given): Path<String>) -> Result<Json<Value>, Error> {
    FAMILY.get(&edge.engine, &given).await
}

pub(crate) async fn list(
    State(edge): State<Edge>,
    Query(params): Query<ListParams>,
) -> Result<Json<Value>, Error> {
    FAMILY.list(&edge.engine, &params).await
}

pub(crate) async fn update(
    State(edge): State<Edge>,
    Path(given): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    FAMILY.update(&edge.engine, &given, body).await
}

pub(crate) async fn remove(
    State(edge): State<Edge>,
    Path(given): Path<String>,
) -> Result<(StatusCode, Json<Value>), Error> {
    FAMILY.remove(&edge.engine, &given).await
}

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
