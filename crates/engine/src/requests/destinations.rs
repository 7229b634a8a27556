//! Checks where a job's outputs go, before anything is encoded: what a request says, and what its plan makes of that.
//!
//! Whether a place exists and can be written to is the store's to say.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use abanico_model::problem::Problem;
use abanico_plan::{
    CaptionDelivery, CaptionForm, Plan, SegmentFormat, SegmentNames, SegmentedOutput, TaskKind,
};
use abanico_store::{ErrorKind, ObjectStore, ObjectUrl};
use serde_json::Value;

use crate::failure::codes;
use crate::jobs::job_machine::Failure;

/// S3's limit on the length of a key.
const KEY_MAX_BYTES: usize = 1_024;
/// S3's limits on the length of a bucket's name.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// How long to wait for what a store says about the destinations of a request.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Lists the destinations of a job's settings that no output can be stored at.
pub(crate) fn problems(settings: &Value) -> Vec<Problem> {
    let wrong = |(pointer, text): (String, &str)| Some(Problem::new(pointer, check_text(text).err()?));
    texts(settings).into_iter().filter_map(wrong).collect()
}

/// Lists the destinations of a job's settings of which the store knows, without a long wait, that nothing can be stored
/// there: the bucket is missing, or access is denied. Asks once about each bucket.
pub(crate) async fn unusable(settings: &Value, store: &dyn ObjectStore) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (pointer, text) in texts(settings) {
        let Some(url) = below(text) else { continue };
        let bucket = bucket(&url);
        let why = match known.get(&bucket) {
            Some(why) => why.clone(),
            None => {
                let why = tokio::time::timeout(ANSWER_WAIT, refusal(store, &url)).await.unwrap_or(None);
                known.entry(bucket).or_insert(why).clone()
            }
        };
        problems.extend(why.map(|why| Problem::new(pointer, why)));
    }
    problems
}

async fn refusal(store: &dyn ObjectStore, url: &ObjectUrl) -> Option<String> {
    let error = store.check(url).await.err()?;
    // Whatever else is wrong may pass, and is looked at again before the encode.
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied)
        .then(|| format!("Should be a place where outputs can be stored: {error}"))
}

/// Returns the destinations of a job's settings with their pointers.
fn texts(settings: &Value) -> Vec<(String, &str)> {
    let groups = settings.get("outputGroups").and_then(Value::as_array);
    let mut texts = Vec::new();
    for (index, group) in groups.into_iter().flatten().enumerate() {
        let kinds = group.get("outputGroupSettings").and_then(Value::as_object);
        for (kind, settings) in kinds.into_iter().flatten() {
            if let Some(text) = settings.get("destination").and_then(Value::as_str) {
                texts.push((format!("/outputGroups/{index}/outputGroupSettings/{kind}/destination"), text));
            }
        }
    }
    texts
}

/// Tells of each canned ACL that would let others read the outputs: no output gets one. Those for the bucket's owner
/// change nothing, because the owner has full control already.
pub(crate) fn acl_notes(settings: &Value) -> Vec<String> {
    let groups = settings.get("outputGroups").and_then(Value::as_array);
    let mut notes = Vec::new();
    for (index, group) in groups.into_iter().flatten().enumerate() {
        let kinds = group.get("outputGroupSettings").and_then(Value::as_object);
        for (kind, settings) in kinds.into_iter().flatten() {
            let acl = settings.pointer("/destinationSettings/s3Settings/accessControl/cannedAcl");
            if let Some(acl @ ("PUBLIC_READ" | "AUTHENTICATED_READ")) = acl.and_then(Value::as_str) {
                notes.push(format!(
                    "/outputGroups/{index}/outputGroupSettings/{kind}/destinationSettings/s3Settings/accessControl/\
                     cannedAcl {acl} has no effect, because outputs get no ACL: open them with a bucket policy"
                ));
            }
        }
    }
    notes
}

/// Returns an object below a destination, in which variables are not expanded.
fn below(text: &str) -> Option<ObjectUrl> {
    let name = if text.ends_with('/') { "output" } else { "" };
    format!("{}{name}", text.replace("$$", "$")).parse().ok()
}

fn bucket(url: &ObjectUrl) -> String {
    match url {
        ObjectUrl::S3 { bucket, .. } => bucket.clone(),
        ObjectUrl::File(path) => path.display().to_string(),
    }
}

/// Checks a destination, in which variables are not expanded yet.
fn check_text(text: &str) -> Result<(), String> {
    let Some(place) = text.strip_prefix("s3://") else { return Ok(()) };
    let Some((bucket, key)) = place.split_once('/') else {
        return Err("Should name a place in the bucket, such as s3://bucket/folder/".to_owned());
    };
    check_bucket(bucket)?;
    // Variables are longer than their names, except the input's name. A doubled dollar sign stands for one.
    let least = key.replace("$fn$", "").replace("$$", "$").len();
    if least > KEY_MAX_BYTES {
        return Err(too_long());
    }
    check_key(key)
}

fn check_bucket(name: &str) -> Result<(), String> {
    let is_fine =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
    let ends_well = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let is_valid = BUCKET_BYTES.contains(&name.len())
        && name.chars().all(is_fine)
        && ends_well(name.chars().next())
        && ends_well(name.chars().last())
        && !name.contains("..");
    if is_valid {
        Ok(())
    } else {
        Err(format!("Should name a valid bucket: `{}` is none", name.escape_debug()))
    }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.chars().any(char::is_control) {
        return Err("Should have no control characters".to_owned());
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err("Should have no `.` and no `..` between slashes".to_owned());
    }
    Ok(())
}

fn too_long() -> String {
    format!("Should make keys of at most {KEY_MAX_BYTES} bytes")
}

/// Checks the URLs of all files that a plan makes: they are valid, no two are the same, and none is one of the files
/// that the job reads.
pub(crate) fn check_plan(plan: &Plan, inputs: &[String]) -> Result<(), Failure> {
    let captions = plan.caption_files.iter().map(|file| &file.url);
    let read: BTreeSet<&String> = inputs.iter().chain(captions).chain(&plan.images).collect();
    let mut known = HashSet::new();
    for url in plan.tasks.iter().flat_map(|task| made(&task.kind)) {
        let shown = url.escape_debug();
        if let Some(why) =
            url.split_once("://").and_then(|(_, place)| place.split_once('/')).and_then(|(_, key)| {
                if key.len() > KEY_MAX_BYTES { Some(too_long()) } else { check_key(key).err() }
            })
        {
            return Err(refused(&format!("`{shown}` is no valid destination of an output: {why}")));
        }
        if read.contains(&url) {
            let why = format!("an output would replace the input `{shown}`: choose another destination");
            return Err(refused(&why));
        }
        if let Some(url) = known.replace(url) {
            let shown = url.escape_debug();
            let why =
                format!("two files would be written to `{shown}`: give each output its own nameModifier");
            return Err(refused(&why));
        }
    }
    Ok(())
}

fn refused(why: &str) -> Failure {
    Failure::new(codes::SETTINGS, format!("/outputGroups: {why}"), false)
}

/// Returns one URL in each bucket that outputs go to.
pub(crate) fn places(plan: &Plan) -> Vec<ObjectUrl> {
    let mut known = BTreeSet::new();
    let urls = plan.outputs.iter().filter_map(|output| output.url.parse::<ObjectUrl>().ok());
    urls.filter(|url| known.insert(bucket(url))).collect()
}

/// Returns the URLs of the files that a task makes for the user.
fn made(task: &TaskKind) -> Vec<String> {
    match task {
        TaskKind::Package(made) => vec![made.url.clone()],
        // There may be millions, which differ only in their number: the last is the longest.
        TaskKind::CaptureFrames(capture) => BTreeSet::from([0, capture.captures.saturating_sub(1)])
            .into_iter()
            .map(|index| capture.url(index))
            .collect(),
        TaskKind::Segment(output) => segmented(output),
        TaskKind::GroupManifests(group) => {
            let hls = group.hls.iter().map(|(url, _)| url.clone());
            hls.chain(group.dash.iter().map(|(url, _)| url.clone())).collect()
        }
        TaskKind::MakeCaptions(captions) => match &captions.delivery {
            Some(CaptionDelivery::File { url, .. }) => vec![url.clone()],
            Some(CaptionDelivery::Stream { names, playlist, .. }) => {
                let count = match &captions.form {
                    CaptionForm::Segments { starts, .. } => starts.len(),
                    _ => 0,
                };
                let segments = (0..count).map(|index| names.url(&names.segment(index)));
                segments.chain(playlist.iter().map(|_| names.url(&names.playlist))).collect()
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn segmented(output: &SegmentedOutput) -> Vec<String> {
    let names: &SegmentNames = &output.names;
    let mut paths = Vec::new();
    if output.single_file {
        paths.push(names.single_file());
    } else {
        if matches!(output.format, SegmentFormat::Fragmented(_)) {
            paths.push(names.initialisation());
        }
        paths.extend((0..output.segmentation.count()).map(|index| names.segment(index)));
    }
    if output.playlist.is_some() {
        paths.push(names.playlist.clone());
        paths.extend(output.i_frames.then(|| names.i_frame_playlist()));
    }
    paths.iter().map(|path| names.url(path)).collect()
}

#[cfg(test)]
mod tests {
    use abanico_plan::{FileOutput, PackageTask, PlannedFacts, PlannedOutput, Task, TaskId};
    use serde_json::json;

    use super::*;

    #[test]
    fn bad_destinations_are_refused_with_their_pointer() {
        let long = format!("s3://out/{}/", "a".repeat(1_025));
        for (text, why) in [
            ("s3://out", "a place in the bucket"),
            ("s3:///a/", "a valid bucket"),
            ("s3://UPPER/a/", "a valid bucket"),
            ("s3://ab/a/", "a valid bucket"),
            ("s3://-out/a/", "a valid bucket"),
            ("s3://o..ut/a/", "a valid bucket"),
            ("s3://o ut/a/", "a valid bucket"),
            ("s3://out/../a/", "no `..`"),
            ("s3://out/a/./b", "no `..`"),
            ("s3://out/a/..", "no `..`"),
            ("s3://out/a\n/", "control characters"),
            (long.as_str(), "at most 1024 bytes"),
        ] {
            let group = json!({"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS",
                "hlsGroupSettings": {"destination": text}}});
            let problems = problems(&json!({"outputGroups": [{}, group]}));
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(
                problems[0].pointer,
                "/outputGroups/1/outputGroupSettings/hlsGroupSettings/destination"
            );
            assert!(problems[0].message.contains(why), "{text}: {}", problems[0].message);
        }
    }

    #[tokio::test]
    async fn store_is_asked_about_each_bucket() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "a file").unwrap();
        let bucket = std::sync::Arc::new(abanico_store::FolderBucket::new(folder.path()).unwrap());
        let store = abanico_store::Router::new().with_bucket("out", bucket);
        let group = |text: &str| json!({"outputGroupSettings": {"fileGroupSettings": {"destination": text}}});
        for (texts, pointers) in [
            (["s3://out/a/", "s3://out/b"], [].as_slice()),
            (["s3://out/file/", "s3://elsewhere/a/"], &[0]),
            (["s3://out/file/$$", "s3://out/b"], &[0, 1]),
        ] {
            let found = unusable(&json!({"outputGroups": texts.map(group)}), &store).await;
            let expected: Vec<String> = pointers
                .iter()
                .map(|index| {
                    format!("/outputGroups/{index}/outputGroupSettings/fileGroupSettings/destination")
                })
                .collect();
            let found: Vec<String> = found.into_iter().map(|problem| problem.pointer).collect();
            assert_eq!(found, expected, "{texts:?}");
        }
        assert_eq!(below("s3://out/$$d$$/"), Some(ObjectUrl::s3("out", "$d$/output")));
    }

    #[test]
    fn usual_destinations_are_taken() {
        let escaped = format!("s3://out/{}/", "$$".repeat(1_000));
        for text in
            ["s3://out/", "s3://out/a b/día 🏖.mp4/", "s3://my.out-1/$dt$/x", "s3://out/a//..b/", &escaped]
        {
            let group = json!({"outputGroupSettings": {"fileGroupSettings": {"destination": text}}});
            assert_eq!(problems(&json!({"outputGroups": [group]})), [], "{text}");
        }
        assert_eq!(problems(&json!({"outputGroups": 5})), []);
    }

    fn plan(urls: &[&str]) -> Plan {
        let file = |output: usize| {
            let file = json!({"output": output, "streams": {"video": null, "audio": []}, "container": "mp4",
                "texts": [], "fast_start": true});
            serde_json::from_value::<FileOutput>(file).unwrap()
        };
        let task = |(output, url): (usize, &&str)| {
            let (url, content_type) = ((*url).to_owned(), String::new());
            let kind = TaskKind::Package(PackageTask { file: file(output), url, content_type });
            Task::new(TaskId::package(u32::try_from(output).unwrap()), kind, [])
        };
        let output = |url: &&str| PlannedOutput {
            group: 0,
            output: 0,
            url: (*url).to_owned(),
            name_modifier: String::new(),
            content_type: String::new(),
            facts: PlannedFacts { video: None, audio: Vec::new(), fast_start: true },
        };
        Plan {
            version: 1,
            tasks: urls.iter().enumerate().map(task).collect(),
            outputs: urls.iter().map(output).collect(),
            groups: Vec::new(),
            caption_files: Vec::new(),
            images: vec!["s3://in/logo.png".to_owned()],
            is_cut: false,
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn plan_with_bad_urls_is_refused() {
        let inputs = ["s3://in/a.mp4".to_owned()];
        let long = format!("s3://out/{}", "ü".repeat(513));
        for (urls, why) in [
            (["s3://out/a", "s3://out/a"], "two files"),
            (["s3://out/a", "s3://in/a.mp4"], "replace the input"),
            (["s3://out/a", "s3://in/logo.png"], "replace the input"),
            (["s3://out/a", "s3://out/../b"], "no `..`"),
            (["s3://out/a", "s3://out/\u{7}"], "control characters"),
            (["s3://out/a", long.as_str()], "at most 1024 bytes"),
        ] {
            let failure = check_plan(&plan(&urls), &inputs).unwrap_err();
            assert!(failure.message.contains(why) && failure.code == 1040, "{urls:?}: {}", failure.message);
        }
        assert_eq!(check_plan(&plan(&["s3://out/a", "s3://out/b"]), &inputs), Ok(()));
        assert_eq!(places(&plan(&["s3://out/a", "s3://out/b", "s3://more/c"])).len(), 2);
    }
}
