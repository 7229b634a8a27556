//! The code that presets, job templates and queues share: limits resources, stores them and shows them. System
//! resources cannot be changed.

use abanico_engine::{Engine, ItemKind, Resource};
use abanico_model::arn::{Arn, ResourceKind, resource_name};
use serde_json::{Value, json};

use crate::api::error_table::{Error, ErrorKind};
use crate::api::job_view::seconds;

/// Most resources of one kind, and their size together in bytes. Both are abanico's own limits: AWS's quotas depend on
/// the account.
const MOST_RESOURCES: u64 = 1000;
const MOST_RESOURCE_BYTES: u64 = 8 * 1024 * 1024;

/// Checks that there is room for a body of a resource. `is_new` says whether it is a further one.
pub(super) async fn check_room(
    engine: &Engine,
    kind: ResourceKind,
    body: &Value,
    is_new: bool,
) -> Result<(), Error> {
    let stored = engine.stored_resources(kind).await?;
    let bytes = stored.bytes.saturating_add(body.to_string().len() as u64);
    if (is_new && stored.count >= MOST_RESOURCES) || bytes > MOST_RESOURCE_BYTES {
        let word = kind.segment();
        let what =
            format!("there is no room for more {word}: delete some, the limit is {MOST_RESOURCES} and 8 MiB");
        return Err(Error::new(ErrorKind::QuotaExceeded, what));
    }
    Ok(())
}

/// Returns the name in a body. Fails if it is empty or the name of a system resource.
pub(super) fn new_name(body: &Value, is_system: impl Fn(&str) -> bool) -> Result<String, Error> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Error::bad_request("/name: Should not be empty"));
    }
    if is_system(name) {
        let what = format!("`{name}` is reserved for the system; choose another name");
        return Err(Error::new(ErrorKind::Conflict, what));
    }
    Ok(name.to_owned())
}

/// Returns the user's resource with this name or ARN.
pub(super) async fn own(engine: &Engine, kind: ResourceKind, given: &str) -> Result<Resource, Error> {
    let name = resource_name(given, kind);
    engine.resource(kind, &name).await?.ok_or_else(|| not_found(kind, &name))
}

/// Makes the error for a missing resource, in MediaConvert's words.
pub(super) fn not_found(kind: ResourceKind, name: &str) -> Error {
    let (word, member) = match kind {
        ResourceKind::Preset => ("preset", "presetArn"),
        ResourceKind::JobTemplate => ("job template", "jobTemplateArn"),
        _ => ("queue", "queueArn"),
    };
    Error::not_found(format!("The specified {word} was not found: {member}={}", Arn::local(kind, name)))
}

/// Makes the error for changing or removing a system resource.
pub(super) fn refuse_system(kind: ResourceKind, name: &str) -> Error {
    let word = kind.segment().trim_end_matches('s');
    Error::new(
        ErrorKind::Forbidden,
        format!("the {word} `{name}` belongs to the system and cannot be changed"),
    )
}

/// Deletes one of the user's resources.
pub(super) async fn delete(engine: &Engine, kind: ResourceKind, given: &str) -> Result<(), Error> {
    let name = resource_name(given, kind);
    if !engine.delete_resource(kind, &name).await? {
        return Err(not_found(kind, &name));
    }
    // Forget its tags, so that a later resource with the same name starts without them.
    engine.remove_item(ItemKind::Tags, &Arn::local(kind, name.as_str()).to_string()).await?;
    Ok(())
}

/// Returns the body with a request's changes applied. The name never changes, and tags are left out.
pub(super) fn changed(body: &Value, change: &Value) -> Value {
    let mut body = body.clone();
    if let (Some(body), Some(change)) = (body.as_object_mut(), change.as_object()) {
        for (name, value) in change.iter().filter(|(name, _)| *name != "name" && *name != "tags") {
            body.insert(name.clone(), value.clone());
        }
    }
    body
}

/// Returns what the client sees of a user's resource: its body, ARN, type and times.
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
