//! Rewrites what goes to the other service and what comes from it: its buckets for ours, its role and queue, and our job's
//! id. It sends nothing.

use std::collections::BTreeMap;

use abanico_model::output_groups::{GroupFacts, GroupKind};
use serde_json::{Value, json};

use super::Forwarding;
use crate::jobs::job::JobRecord;

/// User metadata key by which a forwarded job is found again.
pub(super) const FORWARDED_LABEL: &str = "abanico-forwarded";

/// Builds the request to the other service: complete settings with its buckets, its role and queue, and our job's id.
pub(super) fn request(record: &JobRecord, forwarding: &Forwarding) -> Value {
    let submission = &record.submission;
    let mut settings = submission.settings.clone();
    for input in settings.get_mut("inputs").and_then(Value::as_array_mut).into_iter().flatten() {
        move_member(input, "fileInput", &forwarding.buckets);
    }
    for group in settings.get_mut("outputGroups").and_then(Value::as_array_mut).into_iter().flatten() {
        let kinds = group.get_mut("outputGroupSettings").and_then(Value::as_object_mut);
        for settings in kinds.into_iter().flat_map(|kinds| kinds.values_mut()) {
            move_member(settings, "destination", &forwarding.buckets);
        }
    }
    let mut metadata = submission.user_metadata.clone();
    metadata.insert(FORWARDED_LABEL.to_owned(), record.id.to_string());
    let mut request = json!({
        "settings": settings,
        "role": forwarding.role,
        "userMetadata": metadata,
        "priority": submission.priority,
        "clientRequestToken": record.id.as_str(),
    });
    for name in ["tags", "accelerationSettings", "statusUpdateInterval", "billingTagsSource"] {
        if let Some(value) = submission.request.get(name) {
            request[name] = value.clone();
        }
    }
    if let Some(queue) = &forwarding.queue {
        request["queue"] = json!(queue);
    }
    request
}

fn move_member(object: &mut Value, name: &str, buckets: &BTreeMap<String, String>) {
    let Some(url) = object.get(name).and_then(Value::as_str).map(str::to_owned) else { return };
    object[name] = json!(moved(&url, buckets));
}

/// Returns the URL with the other service's bucket.
pub(super) fn moved(url: &str, buckets: &BTreeMap<String, String>) -> String {
    let other = bucket_and_key(url).and_then(|(bucket, key)| Some((buckets.get(bucket)?, key)));
    other.map_or_else(|| url.to_owned(), |(bucket, key)| format!("s3://{bucket}/{key}"))
}

pub(super) fn bucket_and_key(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("s3://")?.split_once('/')
}

/// Returns the destinations of all output groups.
pub(super) fn destinations(settings: &Value) -> Vec<String> {
    let groups = settings.get("outputGroups").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |group: Value| {
        let kinds = group.get("outputGroupSettings").and_then(Value::as_object).cloned().unwrap_or_default();
        kinds.values().find_map(|one| one.get("destination")?.as_str().map(str::to_owned))
    };
    groups.into_iter().filter_map(of).collect()
}

/// Returns the details of a finished job in the form of the COMPLETE event, with our buckets.
pub(super) fn named_groups(details: &Value, settings: &Value, buckets: &BTreeMap<String, String>) -> Value {
    let back: BTreeMap<String, String> =
        buckets.iter().map(|(ours, theirs)| (theirs.clone(), ours.clone())).collect();
    let mut groups = details.as_array().cloned().unwrap_or_default();
    for (index, group) in groups.iter_mut().enumerate() {
        let kind = settings.pointer(&format!("/outputGroups/{index}/outputGroupSettings/type"));
        let facts = kind.and_then(Value::as_str).and_then(GroupFacts::of_type);
        group["type"] = json!(facts.unwrap_or(GroupKind::File.facts()).event_type);
        rename(group, &back);
    }
    Value::Array(groups)
}

/// Replaces the bucket in every URL below `value`.
fn rename(value: &mut Value, buckets: &BTreeMap<String, String>) {
    match value {
        Value::String(text) if text.starts_with("s3://") => *text = moved(text, buckets),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, buckets)),
        Value::Object(members) => members.values_mut().for_each(|member| rename(member, buckets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> BTreeMap<String, String> {
        [("uploads".to_owned(), "aws-uploads".to_owned()), ("renditions".to_owned(), "aws-out".to_owned())]
            .into()
    }

    #[test]
    fn only_named_buckets_are_replaced() {
        assert_eq!(moved("s3://uploads/a/b c.mp4", &buckets()), "s3://aws-uploads/a/b c.mp4");
        assert_eq!(moved("s3://other/a.mp4", &buckets()), "s3://other/a.mp4");
        assert_eq!(moved("https://h/uploads/a", &buckets()), "https://h/uploads/a");
    }

    #[test]
    fn finished_groups_get_type_and_our_buckets() {
        let details = json!([{"outputDetails": [{"outputFilePaths": ["s3://aws-out/a.m3u8"], "durationInMs": 5}],
            "playlistFilePaths": ["s3://aws-out/m.m3u8"]}]);
        let settings = json!({"outputGroups": [{"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS"}}]});
        let expected = json!([{"outputDetails": [{"outputFilePaths": ["s3://renditions/a.m3u8"], "durationInMs": 5}],
            "playlistFilePaths": ["s3://renditions/m.m3u8"], "type": "HLS_GROUP"}]);
        assert_eq!(named_groups(&details, &settings, &buckets()), expected);
    }

    #[test]
    fn destinations_of_every_group_are_found() {
        let settings = json!({"outputGroups": [
            {"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://a/"}}},
            {"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS", "hlsGroupSettings": {"destination": "s3://b/x"}}}]});
        assert_eq!(destinations(&settings), ["s3://a/", "s3://b/x"]);
    }
}
