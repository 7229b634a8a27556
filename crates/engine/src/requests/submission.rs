//! Turns a CreateJob request into a checked submission. Takes JSON with AWS's names in either spelling, and returns
//! complete settings or every reason to refuse them.
//!
//! Pure; the engine creates the job.

use std::collections::{BTreeMap, BTreeSet};

use abanico_model::arn::{Arn, ResourceKind, resource_name};
use abanico_model::presets::apply_presets;
use abanico_model::problem::{Problem, Problems};
use abanico_model::templates::{merge_template, template, template_metadata};
use abanico_model::validate::limits::{MOST_METADATA, MOST_SETTINGS_BYTES};
use abanico_model::{coverage, keys, parse, validate};
use abanico_plan::settings_errors;
use abanico_store::WebInputs;
use serde_json::Value;

use crate::jobs::job::{Submission, Token};
use crate::requests::destinations;
use crate::site::fetching::forbidden_urls;

/// How long a client's token is remembered; AWS documents one minute.
const CLIENT_TOKEN_MS: i64 = 60_000;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is invalid; all its problems are listed.
    #[error("{0}")]
    Invalid(Problems),
    /// A template, preset or queue that the request names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The user's own presets, templates or queues could not be read.
    #[error("{0}")]
    Broken(String),
}

/// Those of the user's own presets and job templates that a request names: the request bodies that created them, in
/// wire form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Catalogue {
    /// CreatePreset requests.
    pub presets: BTreeMap<String, Value>,
    /// CreateJobTemplate requests.
    pub templates: BTreeMap<String, Value>,
}

/// Most problems that are reported at once.
const MOST_PROBLEMS: usize = 100;
/// Most notes about a request.
const MOST_NOTES: usize = 20;

/// Members that a job takes from its template if its own request lacks them.
const OF_THE_TEMPLATE: [&str; 5] =
    ["accelerationSettings", "hopDestinations", "priority", "queue", "statusUpdateInterval"];

/// Checks and completes a request.
///
/// # Errors
/// Returns every problem at once, or the name that does not exist.
pub fn from_request(request: Value) -> Result<Submission, Refusal> {
    from_request_with(request, &Catalogue::default())
}

/// Like [`from_request`], with the user's own presets and templates.
///
/// # Errors
/// As for [`from_request`].
pub fn from_request_with(request: Value, catalogue: &Catalogue) -> Result<Submission, Refusal> {
    checked(request, catalogue, supported).map(with_notes)
}

/// Like [`from_request_with`]; web URLs that `web` may not read are problems, too.
pub(crate) fn from_request_to_read(
    request: Value,
    catalogue: &Catalogue,
    web: &WebInputs,
) -> Result<Submission, Refusal> {
    checked(request, catalogue, |settings, labels| {
        let mut problems = supported(settings, labels);
        add(&mut problems, forbidden_urls(settings, web));
        problems
    })
    .map(with_notes)
}

/// Adds what a user should know of a job that is done here.
fn with_notes(mut submission: Submission) -> Submission {
    let notes = destinations::acl_notes(&submission.settings).into_iter();
    submission.messages.extend(notes.chain(source_notes(&submission.settings)).take(MOST_NOTES));
    submission
}

/// Tells of each audio source that no input has: another selector takes its place. Inputs without any selector have one
/// audio track to choose from, so a name says nothing there.
fn source_notes(settings: &Value) -> Vec<String> {
    let list = |value: &Value, member: &str| {
        value.get(member).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let inputs = list(settings, "inputs");
    let entries = |member: &str| {
        let maps = inputs.iter().filter_map(|input| input.get(member)?.as_object()).collect::<Vec<_>>();
        maps.into_iter().flatten()
    };
    let mut known: BTreeSet<&str> = entries("audioSelectors").map(|(name, _)| name.as_str()).collect();
    if known.is_empty() {
        return Vec::new();
    }
    known.extend(entries("audioSelectorGroups").map(|(name, _)| name.as_str()));
    let is_default = |selector: &Value| selector.get("defaultSelection") == Some(&Value::from("DEFAULT"));
    let instead = if entries("audioSelectors").any(|(_, selector)| is_default(selector)) {
        "the input's default selector"
    } else {
        "the input's first selector"
    };
    let mut notes = BTreeSet::new();
    for group in list(settings, "outputGroups") {
        for description in list(&group, "outputs").iter().flat_map(|one| list(one, "audioDescriptions")) {
            let name = description.get("audioSourceName").and_then(Value::as_str);
            if let Some(name) = name.filter(|name| !known.contains(name)) {
                notes.insert(format!("no input has the audio source `{name}`, so {instead} is used"));
            }
        }
    }
    notes.into_iter().collect()
}

/// Like [`from_request_with`], for a job that another service does: settings that abanico's own encoders do not
/// support are no problem, and the user metadata must leave room for the label of forwarded jobs.
///
/// # Errors
/// As for [`from_request`].
pub fn from_request_for_others(request: Value, catalogue: &Catalogue) -> Result<Submission, Refusal> {
    checked(request, catalogue, |_, labels| {
        let most = MOST_METADATA - 1;
        let what = format!("Should have at most {most} items, because forwarded jobs get one more");
        let is_full = labels.len() > most;
        is_full.then(|| Problem::new("/userMetadata", what)).into_iter().collect()
    })
}

/// Returns what abanico's own encoders do not support, and what cannot be planned whatever the inputs are. `labels`
/// are the job's user metadata.
pub(crate) fn supported(settings: &Value, labels: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = coverage::problems(settings);
    add(&mut problems, destinations::problems(settings));
    if let Ok(settings) = parse::job_settings(settings.clone()) {
        let errors = settings_errors(&settings, labels);
        let problem = |error: &abanico_plan::Error| {
            let (pointer, why) = error.place();
            Problem::new(pointer, why)
        };
        add(&mut problems, errors.iter().map(problem).collect());
    }
    problems
}

/// Adds problems of a later check. What an earlier check says about the same place is enough.
pub(crate) fn add(problems: &mut Vec<Problem>, more: Vec<Problem>) {
    let known: BTreeSet<String> = problems.iter().map(|problem| problem.pointer.clone()).collect();
    problems.extend(more.into_iter().filter(|problem| !known.contains(&problem.pointer)));
}

fn checked(
    request: Value,
    catalogue: &Catalogue,
    support: impl Fn(&Value, &BTreeMap<String, String>) -> Vec<Problem>,
) -> Result<Submission, Refusal> {
    let mut request = keys::to_wire(request, "CreateJobRequest");
    let mut unknown = parse::remove_unknown(&mut request, "CreateJobRequest");
    let mut settings = completed_settings(&request, catalogue, support)?;
    let of_template = parse::remove_unknown(&mut settings, "JobSettings");
    unknown.count += of_template.count;
    unknown.first.extend(of_template.first);
    take_from_template(&mut request, catalogue);
    parse::job_settings(settings.clone()).map_err(Refusal::Invalid)?;
    let text = |member: &str| request.get(member).and_then(Value::as_str).map(str::to_owned);
    let queue = text("queue").unwrap_or_else(|| "Default".to_owned());
    let queue = Arn::local(ResourceKind::Queue, resource_name(&queue, ResourceKind::Queue)).to_string();
    Ok(Submission {
        settings,
        user_metadata: user_metadata(&request),
        role: text("role").unwrap_or_default(),
        queue,
        priority: request
            .get("priority")
            .and_then(Value::as_i64)
            .and_then(|number| i32::try_from(number).ok())
            .unwrap_or(0),
        token: text("clientRequestToken").map(|text| Token { text, remembered_ms: Some(CLIENT_TOKEN_MS) }),
        messages: unknown.messages(),
        request,
    })
}

impl Submission {
    /// Makes the token last forever. Needed for requests that follow from an upload, because its event is delivered
    /// at least once, possibly much later.
    #[must_use]
    pub fn with_lasting_token(mut self) -> Self {
        self.token = self.token.map(|token| Token { remembered_ms: None, ..token });
        self
    }
}

/// Returns the checked settings, with template and presets merged in. Merging keeps the order of groups and outputs, so
/// pointers match the client's request.
fn completed_settings(
    request: &Value,
    catalogue: &Catalogue,
    support: impl Fn(&Value, &BTreeMap<String, String>) -> Vec<Problem>,
) -> Result<Value, Refusal> {
    let own = request.get("settings").cloned().unwrap_or(Value::Null);
    let named = request.get("jobTemplate").and_then(Value::as_str);
    let merged = match named {
        None => own,
        Some(given) => merge_template(named_template(given, catalogue)?, own),
    };
    let complete = match apply_presets(&merged, &|name| own_preset(catalogue, name)) {
        Ok(complete) => complete,
        Err(unknown) => {
            let problems = rule_problems(request, merged);
            let not_found = Refusal::NotFound(unknown.to_string());
            return Err(if problems.is_empty() { not_found } else { Refusal::Invalid(Problems(problems)) });
        }
    };
    let mut problems = rule_problems(request, complete.clone());
    // Presets may be far larger than the request that names them.
    if complete.to_string().len() > MOST_SETTINGS_BYTES {
        let what =
            format!("Should have at most {MOST_SETTINGS_BYTES} bytes with templates and presets merged in");
        problems.push(Problem::new("", what));
        return Err(Refusal::Invalid(Problems(problems)));
    }
    add(&mut problems, support(&complete, &user_metadata(request)));
    problems.truncate(MOST_PROBLEMS);
    Problems(problems).into_result().map_err(Refusal::Invalid)?;
    Ok(complete)
}

/// Returns what the model and the service's rules find in a request with these settings.
fn rule_problems(request: &Value, settings: Value) -> Vec<Problem> {
    let mut whole = request.clone();
    if let Some(object) = whole.as_object_mut() {
        object.insert("settings".to_owned(), settings);
    }
    let found = validate::validate(&whole, "CreateJobRequest").err();
    let are_settings = whole.get("settings").is_some_and(Value::is_object);
    found.map(|found| if are_settings { shortened(found).0 } else { found.0 }).unwrap_or_default()
}

/// Returns the settings of one of the user's own presets.
pub(crate) fn own_preset(catalogue: &Catalogue, name: &str) -> Option<Value> {
    catalogue.presets.get(name)?.get("settings").cloned()
}

/// Takes members other than the settings from the user's own template where the request lacks them.
fn take_from_template(request: &mut Value, catalogue: &Catalogue) {
    let named = request.get("jobTemplate").and_then(Value::as_str);
    let template = named
        .and_then(|given| catalogue.templates.get(&resource_name(given, ResourceKind::JobTemplate)))
        .and_then(Value::as_object);
    let (Some(template), Some(request)) = (template, request.as_object_mut()) else { return };
    for name in OF_THE_TEMPLATE {
        if let Some(value) = template.get(name).filter(|_| !request.contains_key(name)) {
            request.insert(name.to_owned(), value.clone());
        }
    }
}

fn named_template(given: &str, catalogue: &Catalogue) -> Result<Value, Refusal> {
    let name = resource_name(given, ResourceKind::JobTemplate);
    let arn = Arn::local(ResourceKind::JobTemplate, name.clone());
    let own = catalogue.templates.get(&name).and_then(|template| template.get("settings")).cloned();
    own.or_else(|| template(&name)).ok_or_else(|| {
        Refusal::NotFound(format!("The specified job template was not found: jobTemplateArn={arn}"))
    })
}

/// Returns the names of presets and job templates that a request in either spelling, or a template, may mean.
pub(crate) fn named(value: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut found = (BTreeSet::new(), BTreeSet::new());
    collect_named(value, &mut found);
    found
}

fn collect_named(value: &Value, found: &mut (BTreeSet<String>, BTreeSet<String>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|below| collect_named(below, found)),
        Value::Object(object) => {
            for (key, below) in object {
                match (key.as_str(), below) {
                    ("preset" | "Preset", Value::String(given)) => {
                        found.0.insert(resource_name(given, ResourceKind::Preset));
                    }
                    ("jobTemplate" | "JobTemplate", Value::String(given)) => {
                        found.1.insert(resource_name(given, ResourceKind::JobTemplate));
                    }
                    (_, below) => collect_named(below, found),
                }
            }
        }
        _ => {}
    }
}

/// Shortens pointers to start below `settings`, as MediaConvert's do. Settings that are not an object have nothing below
/// them: their pointers stay.
fn shortened(problems: Problems) -> Problems {
    let short = |problem: Problem| {
        let pointer = problem.pointer.strip_prefix("/settings").unwrap_or(&problem.pointer).to_owned();
        Problem { pointer, ..problem }
    };
    Problems(problems.0.into_iter().map(short).collect())
}

/// Returns the template's labels, overridden by the client's.
fn user_metadata(request: &Value) -> BTreeMap<String, String> {
    let named = request.get("jobTemplate").and_then(Value::as_str);
    let mut labels = named
        .map(|given| template_metadata(&resource_name(given, ResourceKind::JobTemplate)))
        .unwrap_or_default();
    let own = request.get("userMetadata").and_then(Value::as_object);
    for (key, value) in own.into_iter().flatten() {
        labels.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn by_template(name: &str) -> Value {
        json!({"Role": "arn:aws:iam::000000000000:role/r", "JobTemplate": name, "Settings": {
            "Inputs": [{"FileInput": "s3://uploads/a b.mp4"}],
            "OutputGroups": [{"OutputGroupSettings": {"FileGroupSettings": {"Destination": "s3://renditions/a/"}}}]}})
    }

    #[test]
    fn template_gives_all_but_input_and_destination() {
        let submission = from_request(by_template("ladder")).unwrap();
        let outputs = submission.settings.pointer("/outputGroups/0/outputs").unwrap().as_array().unwrap();
        assert_eq!(outputs.len(), 3);
        assert_eq!(submission.user_metadata["abanico.ladder"], "follow-source");
        assert_eq!(submission.settings.pointer("/inputs/0/fileInput").unwrap(), "s3://uploads/a b.mp4");
        assert!(submission.queue.ends_with("queues/Default"));
    }

    #[test]
    fn presets_are_resolved() {
        let submission = from_request(by_template("three-mp4")).unwrap();
        let bitrate = "/outputGroups/0/outputs/2/videoDescription/codecSettings/h264Settings/bitrate";
        assert_eq!(submission.settings.pointer(bitrate).unwrap(), 1_500_000);
    }

    #[test]
    fn unknown_template_is_not_found() {
        assert!(
            matches!(from_request(by_template("nothing")), Err(Refusal::NotFound(text)) if text.contains("nothing"))
        );
    }

    #[test]
    fn problems_are_listed_with_pointers_below_settings() {
        let refusal = from_request(json!({"settings": {"inputs": [], "outputGroups": [{}]}})).unwrap_err();
        let Refusal::Invalid(Problems(problems)) = refusal else { panic!("{refusal}") };
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert!(
            pointers.contains(&"") && pointers.contains(&"/outputGroups/0") && pointers.contains(&"/inputs"),
            "{problems:?}"
        );
    }

    #[test]
    fn forbidden_host_is_listed_with_other_problems() {
        let mut request = by_template("ladder");
        request["Settings"]["Inputs"][0]["FileInput"] = json!("https://h.example/a.mp4");
        request["Settings"]["Inputs"][0]["ProgramNumber"] = json!(1);
        let refused = from_request_to_read(request.clone(), &Catalogue::default(), &WebInputs::default());
        let Err(Refusal::Invalid(Problems(problems))) = refused else { panic!("{refused:?}") };
        let told = |pointer: &str| problems.iter().any(|problem| problem.pointer == pointer);
        assert!(told("/inputs/0/fileInput") && problems.len() > 1, "{problems:?}");
        request["Settings"]["Inputs"][0]["FileInput"] = json!("s3://b/a.mp4");
        let refused = from_request_to_read(request, &Catalogue::default(), &WebInputs::default());
        let Err(Refusal::Invalid(Problems(problems))) = refused else { panic!("{refused:?}") };
        assert!(problems.iter().all(|problem| problem.pointer != "/inputs/0/fileInput"), "{problems:?}");
    }

    #[test]
    fn bad_destination_is_listed_with_other_problems() {
        let mut request = by_template("ladder");
        let group = &mut request["Settings"]["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"];
        group["Destination"] = json!("s3://renditions/../a/");
        for refused in [
            from_request(request.clone()),
            from_request_to_read(request.clone(), &Catalogue::default(), &WebInputs::default()),
        ] {
            let Err(Refusal::Invalid(Problems(problems))) = refused else { panic!("{refused:?}") };
            let at = "/outputGroups/0/outputGroupSettings/fileGroupSettings/destination";
            assert!(problems.iter().any(|problem| problem.pointer == at), "{problems:?}");
        }
        assert!(from_request_for_others(request, &Catalogue::default()).is_ok(), "the other service judges");
    }

    #[test]
    fn public_acl_without_effect_is_told() {
        let mut request = by_template("three-mp4");
        let with_acl = |request: &mut Value, acl: &str| {
            let group =
                &mut request["Settings"]["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"];
            group["DestinationSettings"] = json!({"S3Settings": {"AccessControl": {"CannedAcl": acl}}});
        };
        for (acl, notes) in [("PUBLIC_READ", 1), ("AUTHENTICATED_READ", 1), ("BUCKET_OWNER_FULL_CONTROL", 0)]
        {
            with_acl(&mut request, acl);
            let told = from_request(request.clone()).unwrap().messages;
            assert_eq!(told.len(), notes, "{told:?}");
            let is_told = |note: &String| note.contains(acl) && note.ends_with("with a bucket policy");
            assert!(told.iter().all(is_told), "{told:?}");
            let forwarded = from_request_for_others(request.clone(), &Catalogue::default()).unwrap();
            assert_eq!(forwarded.messages, Vec::<String>::new(), "the other service sets it");
        }
    }

    #[test]
    fn missing_audio_source_is_told() {
        let mut request = by_template("three-mp4");
        let told = |request: &Value| from_request(request.clone()).unwrap().messages;
        let name_source = |request: &mut Value, name: &str| {
            let audio = json!([{"AudioSourceName": name}]);
            request["Settings"]["OutputGroups"][0]["Outputs"] = json!([{"AudioDescriptions": audio}]);
        };
        name_source(&mut request, "comentary");
        let default = "no input has the audio source `comentary`, so the input's default selector is used";
        assert_eq!(told(&request), [default], "the template's selector is the default");
        request["Settings"]["Inputs"][0]["AudioSelectors"] = json!({
            "Audio Selector 1": {"DefaultSelection": "NOT_DEFAULT"}, "comments": {"Tracks": [2]}});
        request["Settings"]["Inputs"][0]["AudioSelectorGroups"] =
            json!({"both": {"AudioSelectorNames": ["Audio Selector 1", "comments"]}});
        assert_eq!(told(&request), [default.replace("default", "first")]);
        for name in ["comments", "both"] {
            name_source(&mut request, name);
            assert_eq!(told(&request), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn templates_of_aws_can_be_used_with_lc() {
        let name = "System-Ott_Cmaf_Cmfc_Avc_Aac_Sdr_Cbr";
        let mut request = by_template(name);
        let lc = json!({"AudioDescriptions": [{"CodecSettings": {"AacSettings": {"CodecProfile": "LC"}}}]});
        let outputs: Vec<Value> =
            (0..12).map(|index| if index < 10 { json!({}) } else { lc.clone() }).collect();
        request["Settings"]["OutputGroups"] = json!([{
            "OutputGroupSettings": {"CmafGroupSettings": {"Destination": "s3://renditions/a/"}}}]);
        let Err(Refusal::Invalid(problems)) = from_request(request.clone()) else { panic!("accepted") };
        assert!(problems.to_string().contains("ffmpeg's encoder makes no HE-AAC; set LC"), "{problems}");
        request["Settings"]["OutputGroups"][0]["Outputs"] = json!(outputs);
        let submission = from_request(request).unwrap();
        let rate = "/outputGroups/0/outputs/11/audioDescriptions/0/codecSettings/aacSettings/bitrate";
        assert_eq!(submission.settings.pointer(rate), Some(&json!(64_000)), "the rest is the preset's");
    }

    #[test]
    fn forwarded_jobs_leave_room_for_a_label() {
        let mut request = by_template("three-mp4");
        let labels =
            |count: usize| Value::Object((0..count).map(|n| (format!("k{n}"), json!("v"))).collect());
        request["UserMetadata"] = labels(9);
        assert!(from_request_for_others(request.clone(), &Catalogue::default()).is_ok());
        request["UserMetadata"] = labels(10);
        let refused = from_request_for_others(request.clone(), &Catalogue::default()).unwrap_err();
        let what = "/userMetadata: Should have at most 9 items, because forwarded jobs get one more";
        assert_eq!(refused.to_string(), what);
        assert!(from_request(request).is_ok(), "jobs that are done here get none");
    }

    #[test]
    fn unknown_members_are_reported_and_left_out() {
        let mut request = by_template("ladder");
        request["Settings"]["ShoeSize"] = json!(44);
        let submission = from_request(request).unwrap();
        assert_eq!(submission.messages, ["/settings/shoeSize is not a setting and was left out"]);
        for stored in [&submission.settings, &submission.request] {
            assert!(!stored.to_string().contains("shoeSize"), "{stored}");
        }
    }

    #[test]
    fn settings_with_presets_merged_in_are_limited() {
        let mut request = by_template("ladder");
        let preset = json!({"settings": {"containerSettings": {"container": "MP4"}, "captionDescriptions":
            vec![json!({"languageDescription": "x".repeat(8000)}); 100]}});
        let output = json!({"preset": "large", "nameModifier": "_a"});
        request["Settings"]["OutputGroups"][0]["Outputs"] = Value::Array(vec![output; 8]);
        let presets = BTreeMap::from([("large".to_owned(), preset)]);
        let catalogue = Catalogue { presets, ..Catalogue::default() };
        let Err(Refusal::Invalid(Problems(problems))) = from_request_for_others(request, &catalogue) else {
            panic!("accepted")
        };
        let found =
            problems.iter().any(|problem| problem.message.starts_with("Should have at most 5242880 bytes"));
        assert!(found, "{problems:?}");
    }

    #[test]
    fn names_are_found_in_either_spelling() {
        let (presets, templates) =
            named(&json!({"JobTemplate": "t", "settings": {"outputGroups": [{"Outputs": [
            {"Preset": "a"}, {"preset": "arn:aws:mediaconvert:us-east-1:000000000000:presets/b"}]}]}}));
        assert_eq!(Vec::from_iter(presets), ["a", "b"]);
        assert_eq!(Vec::from_iter(templates), ["t"]);
    }

    #[test]
    fn lasting_token_is_never_forgotten() {
        let mut request = by_template("ladder");
        request["ClientRequestToken"] = json!("t");
        let submission = from_request(request).unwrap();
        assert_eq!(submission.token.as_ref().unwrap().remembered_ms, Some(60_000));
        assert_eq!(submission.with_lasting_token().token.unwrap().remembered_ms, None);
    }
}
