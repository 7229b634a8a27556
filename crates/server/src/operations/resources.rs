//! What presets, job templates and queues have in common: in a request about one, out its body checked against AWS's
//! model, stored, and its view. Never the system's own changed.

use abanico_engine::{Engine, Kept, Resource};
use abanico_model::arn::{Arn, ResourceKind, resource_name};
use abanico_model::{keys, validate};
use serde_json::{Value, json};

use crate::error_table::Error;
use crate::job_view::seconds;

/// Reads a body as the shape `shape` of AWS's model, in wire form.
pub(super) fn checked(body: &[u8], shape: &str) -> Result<Value, Error> {
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    if !request.is_object() {
        return Err(Error::bad_request("the body is not a JSON object"));
    }
    let request = keys::to_wire(request, shape);
    validate::validate(&request, shape).map_err(|problems| Error::bad_request(problems.to_string()))?;
    Ok(request)
}

/// The name in a body; it may not be one of the system's.
pub(super) fn new_name(body: &Value, is_system: impl Fn(&str) -> bool) -> Result<String, Error> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Error::bad_request("/name: Should not be empty"));
    }
    if is_system(name) {
        let what = format!("`{name}` is the name of one of the system's own: take another");
        return Err(Error::new(crate::error_table::ErrorKind::Conflict, what));
    }
    Ok(name.to_owned())
}

/// The user's own of this name or ARN.
pub(super) async fn own(engine: &Engine, kind: ResourceKind, given: &str) -> Result<Resource, Error> {
    let name = resource_name(given, kind);
    engine.resource(kind, &name).await?.ok_or_else(|| not_found(kind, &name))
}

/// MediaConvert's words for one that does not exist.
pub(super) fn not_found(kind: ResourceKind, name: &str) -> Error {
    let (word, member) = match kind {
        ResourceKind::Preset => ("preset", "presetArn"),
        ResourceKind::JobTemplate => ("job template", "jobTemplateArn"),
        _ => ("queue", "queueArn"),
    };
    Error::not_found(format!("The specified {word} was not found: {member}={}", Arn::local(kind, name)))
}

/// Refuses to change or remove one of the system's.
pub(super) fn refuse_system(kind: ResourceKind, name: &str) -> Error {
    let word = kind.segment().trim_end_matches('s');
    Error::new(
        crate::error_table::ErrorKind::Forbidden,
        format!("the {word} `{name}` is the system's own and stays as it is"),
    )
}

/// Removes one of the user's own.
pub(super) async fn delete(engine: &Engine, kind: ResourceKind, given: &str) -> Result<(), Error> {
    let name = resource_name(given, kind);
    if !engine.delete_resource(kind, &name).await? {
        return Err(not_found(kind, &name));
    }
    // One made later under the same name starts without its tags.
    engine.forget(Kept::Tags, &Arn::local(kind, name.as_str()).to_string()).await?;
    Ok(())
}

/// The body with what a request changes laid over it; the name stays.
pub(super) fn changed(body: &Value, change: &Value) -> Value {
    let mut body = body.clone();
    if let (Some(body), Some(change)) = (body.as_object_mut(), change.as_object()) {
        for (name, value) in change.iter().filter(|(name, _)| *name != "name" && *name != "tags") {
            body.insert(name.clone(), value.clone());
        }
    }
    body
}

/// What the client sees of one of the user's own: its body, ARN, kind and times.
pub(super) fn view(resource: &Resource) -> Value {
    let mut view = resource.body.clone();
    if let Some(view) = view.as_object_mut() {
        view.remove("tags");
        view.insert("name".to_owned(), json!(resource.name));
        view.insert("arn".to_owned(), json!(resource.arn()));
        view.insert("type".to_owned(), json!("CUSTOM"));
        view.insert("createdAt".to_owned(), seconds(resource.created_ms));
        view.insert("lastUpdated".to_owned(), seconds(resource.updated_ms));
    }
    view
}
