//! Builds the CreateJob request for an input of the command line, from presets, a job file or the default ladder.

use std::path::Path;

use abanico_engine::Submission;
use abanico_engine::submission::from_request;
use abanico_model::keys;
use abanico_model::output_groups::GROUPS;
use anyhow::Context;
use serde_json::{Value, json};

use crate::arguments::JobChoice;
use crate::failure::{Hinted, WRONG_USAGE};

/// Placeholder role, for requests that need no AWS role.
const NO_ROLE: &str = "arn:aws:iam::000000000000:role/abanico";

/// Returns the checked submission for one input.
pub fn submission(choice: &JobChoice, input: &str, destination: &str) -> anyhow::Result<Submission> {
    let request = request(choice, input, destination)?;
    from_request(request).map_err(|refusal| {
        let hint = "each part between ` | ` names a setting of the job and what is wrong with it";
        Hinted::new(WRONG_USAGE, format!("the job is not valid: {refusal}"), hint).into()
    })
}

fn request(choice: &JobChoice, input: &str, destination: &str) -> anyhow::Result<Value> {
    if let Some(file) = &choice.job {
        return from_file(file, input, destination);
    }
    if choice.preset.is_empty() {
        return Ok(json!({"role": NO_ROLE, "jobTemplate": "ladder", "settings": {
            "inputs": [{"fileInput": input}],
            "outputGroups": [{"outputGroupSettings": {"fileGroupSettings": {"destination": destination}}}]}}));
    }
    let output =
        |preset: &String| json!({"preset": preset, "extension": "mp4", "nameModifier": modifier(preset)});
    let outputs: Vec<Value> = choice.preset.iter().map(output).collect();
    Ok(json!({"role": NO_ROLE, "settings": {
    "inputs": [{
        "fileInput": input,
        "audioSelectors": {"Audio Selector 1": {"defaultSelection": "DEFAULT"}},
        "videoSelector": {"rotate": "AUTO"},
    }],
    "outputGroups": [{
        "name": "File Group",
        "outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": destination}},
        "outputs": outputs,
    }]}}))
}

/// Returns the name modifier that distinguishes the outputs of several presets: the preset's name without `System-`.
fn modifier(preset: &str) -> String {
    let name = preset.rsplit('/').next().unwrap_or(preset);
    format!("_{}", name.trim_start_matches("System-"))
}

/// Reads a job file: a CreateJob request, a GetJob response or only settings. Replaces the first input and all
/// destinations.
fn from_file(file: &Path, input: &str, destination: &str) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the job file `{}`", file.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        let hint = "the file must contain a MediaConvert job as JSON, such as one exported from the console";
        Hinted::new(WRONG_USAGE, format!("`{}` is not JSON: {error}", file.display()), hint)
    })?;
    let value = value.get("Job").or(value.get("job")).cloned().unwrap_or(value);
    let has_settings = value.get("Settings").or(value.get("settings")).is_some();
    let request = if has_settings { value } else { json!({ "settings": value }) };
    let mut request = keys::to_wire(request, "CreateJobRequest");
    if let Some(object) = request.as_object_mut() {
        object.entry("role").or_insert_with(|| json!(NO_ROLE));
        // Drops members that come from a response or matter only to AWS.
        object.retain(|key, _| {
            ["role", "settings", "jobTemplate", "userMetadata", "priority"].contains(&key.as_str())
        });
    }
    replace_input(&mut request, input);
    let groups = request.pointer_mut("/settings/outputGroups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        for facts in GROUPS {
            let settings = group.pointer_mut(&format!("/outputGroupSettings/{}", facts.member));
            if let Some(settings) = settings.and_then(Value::as_object_mut) {
                settings.insert("destination".to_owned(), json!(destination));
            }
        }
    }
    Ok(request)
}

/// Sets the first input, whether or not the job already has one.
fn replace_input(request: &mut Value, input: &str) {
    let Some(settings) = request.get_mut("settings").and_then(Value::as_object_mut) else { return };
    let inputs = settings.entry("inputs").or_insert_with(|| json!([]));
    let Some(inputs) = inputs.as_array_mut() else { return };
    if inputs.is_empty() {
        inputs.push(json!({}));
    }
    if let Some(first) = inputs.first_mut().and_then(Value::as_object_mut) {
        first.insert("fileInput".to_owned(), json!(input));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Chunks;

    fn choice(preset: &[&str]) -> JobChoice {
        JobChoice {
            preset: preset.iter().map(|name| (*name).to_owned()).collect(),
            job: None,
            chunks: Chunks::Auto,
        }
    }

    #[test]
    fn each_preset_makes_an_output() {
        let names = [
            "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps",
            "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps",
        ];
        let submission = submission(&choice(&names), "s3://input/a.mp4", "s3://output/").unwrap();
        let outputs = submission.settings.pointer("/outputGroups/0/outputs").unwrap().as_array().unwrap();
        assert_eq!(outputs[1]["nameModifier"], "_Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps");
        assert_eq!(outputs[0]["videoDescription"]["width"], 1280);
    }

    #[test]
    fn job_files_have_several_forms() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.json");
        let settings = json!({"Inputs": [{"FileInput": "s3://theirs/x.mov"}], "OutputGroups": [{
            "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://theirs/"}},
            "Outputs": [{"Preset": "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps"}]}]});
        for form in [
            settings.clone(),
            json!({"Settings": settings}),
            json!({"Job": {"Id": "1", "Settings": settings}}),
        ] {
            std::fs::write(&file, form.to_string()).unwrap();
            let choice = JobChoice { preset: vec![], job: Some(file.clone()), chunks: Chunks::Auto };
            let submission = submission(&choice, "s3://input/a.mp4", "s3://output/").unwrap();
            assert_eq!(submission.settings.pointer("/inputs/0/fileInput").unwrap(), "s3://input/a.mp4");
            let destination = "/outputGroups/0/outputGroupSettings/fileGroupSettings/destination";
            assert_eq!(submission.settings.pointer(destination).unwrap(), "s3://output/");
        }
    }

    #[test]
    fn malformed_jobs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.json");
        for text in
            ["[]", "7", "null", "{\"settings\": 5}", "{\"settings\": {\"inputs\": 3}}", "{\"inputs\": [4]}"]
        {
            std::fs::write(&file, text).unwrap();
            let choice = JobChoice { preset: vec![], job: Some(file.clone()), chunks: Chunks::Auto };
            assert!(submission(&choice, "s3://input/a.mp4", "s3://output/").is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_preset_is_named() {
        let error = submission(&choice(&["System-Nothing"]), "s3://i/a.mp4", "s3://o/").unwrap_err();
        assert!(error.to_string().contains("System-Nothing"), "{error}");
    }
}
