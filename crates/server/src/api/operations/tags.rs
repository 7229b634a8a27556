//! TagResource, UntagResource and ListTagsForResource: change and list the tags of a queue, preset, job template or
//! job. Fails if the resource does not exist.

use abanico_engine::{Engine, ItemKind, JobId};
use abanico_model::arn::{Arn, ResourceKind};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::request_body::checked;
use super::resources::not_found;
use crate::api::error_table::Error;
use crate::edge::Edge;

/// Largest number of tags per resource (AWS, "Tagging AWS resources").
const MOST_TAGS: usize = 50;

pub(crate) async fn tag(State(edge): State<Edge>, body: Bytes) -> Result<Json<Value>, Error> {
    let request = checked(body, "TagResourceRequest", None).await?;
    let arn = request.get("arn").and_then(Value::as_str).unwrap_or_default();
    let mut tags = tags_of(&edge.engine, arn).await?;
    tags.extend(request.get("tags").and_then(Value::as_object).cloned().unwrap_or_default());
    if tags.len() > MOST_TAGS {
        let what = format!("/tags: a resource can have at most {MOST_TAGS} tags, not {}", tags.len());
        return Err(Error::bad_request(what));
    }
    edge.engine.put_item(ItemKind::Tags, arn, Value::Object(tags)).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn untag(
    State(edge): State<Edge>,
    Path(arn): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    let request = checked(body, "UntagResourceRequest", Some(("arn", arn.clone()))).await?;
    let mut tags = tags_of(&edge.engine, &arn).await?;
    let keys = request.get("tagKeys").and_then(Value::as_array).into_iter().flatten();
    for key in keys.filter_map(Value::as_str) {
        tags.remove(key);
    }
    edge.engine.put_item(ItemKind::Tags, &arn, Value::Object(tags)).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn list(State(edge): State<Edge>, Path(arn): Path<String>) -> Result<Json<Value>, Error> {
    let tags = tags_of(&edge.engine, &arn).await?;
    Ok(Json(json!({"resourceTags": {"arn": arn, "tags": tags}})))
}

/// Returns the tags of a resource: those set later, or else those that it was created with.
async fn tags_of(engine: &Engine, text: &str) -> Result<Map<String, Value>, Error> {
    let arn = Arn::parse(text).ok_or_else(|| {
        Error::bad_request(format!("`{text}` is not the ARN of a queue, preset, job template or job"))
    })?;
    let made_with = match arn.kind {
        ResourceKind::Job => engine.get(&JobId::new(arn.name.as_str())).await?.submission.request,
        kind => match engine.resource(kind, &arn.name).await? {
            Some(resource) => resource.body,
            None if kind == ResourceKind::Queue && arn.name == "Default" => json!({}),
            None => return Err(not_found(kind, &arn.name)),
        },
    };
    let kept = engine.item(ItemKind::Tags, text).await?;
    let tags = kept.as_ref().or_else(|| made_with.get("tags")).and_then(Value::as_object);
    Ok(tags.cloned().unwrap_or_default())
}
