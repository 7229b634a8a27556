//! Builds the CreateJob request for an upload, as wire JSON (camelCase). Changes only role, queue, token, first
//! input, destinations and user metadata; everything else stays as in the template.

use abanico_model::output_groups::{GROUPS, GroupFacts};
use serde_json::{Map, Value, json};

use crate::{Error, TriggerConfig, Upload, client_request_token};

/// Largest number of entries in a job's user metadata: one less than MediaConvert takes, because a server that forwards
/// its jobs adds one.
const MAX_METADATA_ENTRIES: usize = 9;
/// Longest value in a job's user metadata, in bytes.
const MAX_METADATA_BYTES: usize = 255;

/// Builds the request. Omits abanico's own metadata entries where they do not fit in addition to the
/// template's.
pub(crate) fn job_request(upload: &Upload, config: &TriggerConfig) -> Result<Value, Error> {
    let mut request = object(&config.template, "template")?.clone();
    let settings = request.get("settings").unwrap_or(&Value::Null);
    let settings = job_settings(settings, upload, &config.destination.expand(upload))?;
    let metadata = user_metadata(request.get("userMetadata"), upload)?;
    request.insert("settings".to_owned(), settings);
    request.insert("userMetadata".to_owned(), metadata);
    request.insert("role".to_owned(), json!(config.role_arn));
    request.insert("clientRequestToken".to_owned(), json!(client_request_token(upload)));
    if let Some(queue) = &config.queue {
        request.insert("queue".to_owned(), json!(queue));
    }
    Ok(Value::Object(request))
}

fn job_settings(template: &Value, upload: &Upload, destination: &str) -> Result<Value, Error> {
    let mut settings = object(template, "template.settings")?.clone();
    let inputs = settings.entry("inputs").or_insert_with(|| json!([]));
    let inputs = list_mut(inputs, "template.settings.inputs")?;
    if inputs.is_empty() {
        inputs.push(json!({}));
    }
    object_mut(&mut inputs[0], "template.settings.inputs[0]")?
        .insert("fileInput".to_owned(), json!(upload.url()));
    if let Some(groups) = settings.get_mut("outputGroups") {
        for (index, group) in list_mut(groups, "template.settings.outputGroups")?.iter_mut().enumerate() {
            set_destination(index, group, destination)?;
        }
    }
    Ok(Value::Object(settings))
}

/// Sets the destination of one output group of any type: two uploads must never share one.
fn set_destination(index: usize, group: &mut Value, destination: &str) -> Result<(), Error> {
    let place = format!("template.settings.outputGroups[{index}].outputGroupSettings");
    let mut missing = Value::Null;
    let settings = group.get_mut("outputGroupSettings").unwrap_or(&mut missing);
    let settings = object_mut(settings, &place)?;
    let named = settings.get("type").and_then(Value::as_str);
    let facts = named.and_then(GroupFacts::of_type).ok_or_else(|| {
        let known: Vec<&str> = GROUPS.iter().map(|facts| facts.group_type.text()).collect();
        let found = named.map_or_else(|| "is missing".to_owned(), |named| format!("is `{named}`"));
        let why =
            format!("`{place}.type` {found}, not an output group type: use one of {}", known.join(", "));
        Error::invalid_config(why)
    })?;
    let member = facts.member;
    let group_settings = settings.entry(member).or_insert_with(|| json!({}));
    object_mut(group_settings, &format!("{place}.{member}"))?
        .insert("destination".to_owned(), json!(destination));
    Ok(())
}

fn user_metadata(template: Option<&Value>, upload: &Upload) -> Result<Value, Error> {
    let mut metadata = match template {
        Some(value) => object(value, "template.userMetadata")?.clone(),
        None => Map::new(),
    };
    let ours = [
        ("abanico.trigger", "transcode-video"),
        ("abanico.bucket", upload.bucket.as_str()),
        ("abanico.key", upload.key.as_str()),
    ];
    for (name, value) in ours {
        let has_room = metadata.contains_key(name) || metadata.len() < MAX_METADATA_ENTRIES;
        if has_room && value.len() <= MAX_METADATA_BYTES {
            metadata.insert(name.to_owned(), json!(value));
        }
    }
    Ok(Value::Object(metadata))
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, Error> {
    value.as_object().ok_or_else(|| Error::invalid_config(format!("`{place}` is not a JSON object")))
}

fn object_mut<'a>(value: &'a mut Value, place: &str) -> Result<&'a mut Map<String, Value>, Error> {
    value.as_object_mut().ok_or_else(|| Error::invalid_config(format!("`{place}` is not a JSON object")))
}

fn list_mut<'a>(value: &'a mut Value, place: &str) -> Result<&'a mut Vec<Value>, Error> {
    value.as_array_mut().ok_or_else(|| Error::invalid_config(format!("`{place}` is not a JSON list")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn upload(key: &str) -> Upload {
        Upload {
            bucket: "uploads".to_owned(),
            key: key.to_owned(),
            sequencer: Some("01".to_owned()),
            ..Upload::default()
        }
    }

    fn template() -> Value {
        json!({
            "settings": {
                "timecodeConfig": {"source": "ZEROBASED"},
                "inputs": [{"audioSelectors": {"Audio Selector 1": {"tracks": [1]}}}],
                "outputGroups": [
                    {"name": "files", "outputs": [{"nameModifier": "-1080p"}],
                     "outputGroupSettings": {"type": "FILE_GROUP_SETTINGS"}},
                    {"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS",
                     "hlsGroupSettings": {"segmentLength": 6, "destination": "s3://fixed/"}}}
                ]
            },
            "userMetadata": {"team": "news"},
            "priority": 3
        })
    }

    #[test]
    fn template_is_filled_in_and_otherwise_kept() {
        let mut config = TriggerConfig::new("arn:aws:iam::1:role/r", template());
        config.queue = Some("fast".to_owned());
        let upload = upload("my holiday+1.mp4");
        let mut expected = template();
        expected["settings"]["inputs"][0]["fileInput"] = json!("s3://uploads/my holiday+1.mp4");
        let groups = &mut expected["settings"]["outputGroups"];
        groups[0]["outputGroupSettings"]["fileGroupSettings"] =
            json!({"destination": "s3://renditions/my holiday+1.mp4/"});
        groups[1]["outputGroupSettings"]["hlsGroupSettings"]["destination"] =
            json!("s3://renditions/my holiday+1.mp4/");
        expected["userMetadata"] = json!({
            "team": "news", "abanico.trigger": "transcode-video",
            "abanico.bucket": "uploads", "abanico.key": "my holiday+1.mp4"
        });
        expected["role"] = json!("arn:aws:iam::1:role/r");
        expected["queue"] = json!("fast");
        expected["clientRequestToken"] = json!(client_request_token(&upload));
        assert_eq!(job_request(&upload, &config).unwrap(), expected);
    }

    #[test]
    fn template_without_inputs_gets_one() {
        let config = TriggerConfig::new("r", json!({"settings": {}}));
        let request = job_request(&upload("a.mp4"), &config).unwrap();
        assert_eq!(request["settings"], json!({"inputs": [{"fileInput": "s3://uploads/a.mp4"}]}));
        assert!(request.get("queue").is_none());
    }

    #[test]
    fn too_long_key_is_left_out_of_metadata() {
        let config = TriggerConfig::new("r", json!({"settings": {}}));
        let fits = job_request(&upload(&"é".repeat(127)), &config).unwrap();
        assert_eq!(fits["userMetadata"]["abanico.key"], json!("é".repeat(127)));
        let long = job_request(&upload(&"é".repeat(128)), &config).unwrap();
        assert!(long["userMetadata"].get("abanico.key").is_none());
        assert_eq!(long["userMetadata"]["abanico.bucket"], json!("uploads"));
    }

    #[test]
    fn metadata_leaves_room_for_one_entry() {
        let full: Map<_, _> = (0..8).map(|index| (format!("k{index}"), json!("v"))).collect();
        let config = TriggerConfig::new("r", json!({"settings": {}, "userMetadata": full}));
        let request = job_request(&upload("a.mp4"), &config).unwrap();
        let metadata = request["userMetadata"].as_object().unwrap();
        assert_eq!(metadata.len(), 9);
        assert_eq!(metadata["abanico.trigger"], json!("transcode-video"));
    }

    #[test]
    fn wrong_template_shape_is_reported_with_path() {
        let group = "template.settings.outputGroups[0].outputGroupSettings";
        for (template, message) in [
            (json!(1), "`template` is not a JSON object".to_owned()),
            (json!({}), "`template.settings` is not a JSON object".to_owned()),
            (json!({"settings": {"inputs": {}}}), "`template.settings.inputs` is not a JSON list".to_owned()),
            (
                json!({"settings": {"inputs": [1]}}),
                "`template.settings.inputs[0]` is not a JSON object".to_owned(),
            ),
            (json!({"settings": {"outputGroups": [{}]}}), format!("`{group}` is not a JSON object")),
            (
                json!({"settings": {"outputGroups": [{"outputGroupSettings": {"type": "X"}}]}}),
                format!(
                    "`{group}.type` is `X`, not an output group type: use one of CMAF_GROUP_SETTINGS, \
                     DASH_ISO_GROUP_SETTINGS, FILE_GROUP_SETTINGS, HLS_GROUP_SETTINGS, MS_SMOOTH_GROUP_SETTINGS"
                ),
            ),
            (
                json!({"settings": {}, "userMetadata": []}),
                "`template.userMetadata` is not a JSON object".to_owned(),
            ),
        ] {
            let error = job_request(&upload("a.mp4"), &TriggerConfig::new("r", template)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert_eq!(error.to_string(), message);
        }
    }
}
