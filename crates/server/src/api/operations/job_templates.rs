//! CreateJobTemplate, GetJobTemplate, ListJobTemplates, UpdateJobTemplate and DeleteJobTemplate. Jobs can name the
//! user's templates and abanico's own. Only the user's can be changed.

use abanico_model::arn::{Arn, ResourceKind};
use abanico_model::templates::{template, template_category, template_description, template_names};
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
    kind: ResourceKind::JobTemplate,
    one: "jobTemplate",
    many: "jobTemplates",
    shapes: ("CreateJobTemplateRequest", "UpdateJobTemplateRequest"),
    system: system_view,
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
    let item = |name: &str| {
        let view = system_view(name)?;
        let category = template_category(name).map(str::to_owned);
        Some(Item { name: name.to_owned(), created_ms: 0, is_system: true, category, view })
    };
    template_names().into_iter().filter_map(item).collect()
}

fn system_view(name: &str) -> Option<Value> {
    let mut view = json!({
        "name": name,
        "arn": Arn::local(ResourceKind::JobTemplate, name).to_string(),
        "type": "SYSTEM",
        "settings": template(name)?,
    });
    let told = [("category", template_category(name)), ("description", template_description(name))];
    for (member, text) in told {
        if let Some(text) = text {
            view[member] = json!(text);
        }
    }
    Some(view)
}
