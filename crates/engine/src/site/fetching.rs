//! Fetches the files that jobs read from buckets and the web. Refuses places that the operator's policy or
//! configuration forbids.

use std::path::Path;

use abanico_model::problem::Problem;
use abanico_model::s3_event::decode_key;
use abanico_store::{FetchedFile, ObjectStore, ObjectUrl, WebInputs, is_web_url, without_secrets};
use serde_json::Value;

use crate::failure::{self, codes};
use crate::jobs::job_machine::Failure;
use crate::site::context::Workshop;

impl Workshop {
    /// Makes the file at `url` available as `destination`, which must not exist; its folder must. If this fails or
    /// the future is dropped, a partial file may remain.
    pub(crate) async fn fetch(&self, url: &str, destination: &Path) -> Result<FetchedFile, Failure> {
        let from_store = |error| failure::from_store(&error);
        if is_web_url(url) {
            return self.web.fetch(url, destination).await.map_err(from_store);
        }
        let object: ObjectUrl =
            url.parse().map_err(|error| failure::from_url(codes::NOT_READABLE, &error))?;
        match self.store.fetch(&object, destination).await {
            Ok(found) => Ok(FetchedFile { size_bytes: found.size_bytes, e_tag: found.e_tag }),
            Err(error) => {
                let mut failure = from_store(error);
                if failure.code == codes::NOT_FOUND
                    && let Some(decoded) = decoded(self.store.as_ref(), &object).await
                {
                    failure.message.push_str(&format!(
                        ": `{decoded}` is there; S3 events carry URL-encoded keys, which must be decoded for a job"
                    ));
                }
                Err(failure)
            }
        }
    }
}

/// Returns the object whose key is that of `object`, decoded as S3 events encode keys, if it exists.
async fn decoded(store: &dyn ObjectStore, object: &ObjectUrl) -> Option<ObjectUrl> {
    let ObjectUrl::S3 { bucket, key } = object else { return None };
    let plain = decode_key(key).filter(|plain| plain != key)?;
    let other = ObjectUrl::s3(bucket.clone(), plain);
    store.stat(&other).await.is_ok().then_some(other)
}

/// Refuses a URL if the policy, in PutPolicy's form, disallows inputs of its kind; null allows all.
pub(crate) fn check_policy(policy: &Value, url: &str) -> Result<(), Failure> {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let member = match scheme.as_str() {
        "http" => "httpInputs",
        "https" => "httpsInputs",
        _ => "s3Inputs",
    };
    if policy.get(member).and_then(Value::as_str) != Some("DISALLOWED") {
        return Ok(());
    }
    let message = format!(
        "the policy's {member} is DISALLOWED, so `{}` is not read: change the policy or the input",
        without_secrets(url)
    );
    Err(Failure::new(codes::DISALLOWED, message, false))
}

/// Lists every web URL in a job's settings that may not be read, with its pointer, so that it can be reported before
/// the job begins.
pub(crate) fn forbidden_urls(settings: &Value, web: &WebInputs) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut look = |pointer: String, url: Option<&Value>| {
        let Some(url) = url.and_then(Value::as_str).filter(|url| is_web_url(url)) else { return };
        if let Err(error) = web.check(url) {
            problems.push(Problem::new(pointer, error.to_string()));
        }
    };
    for (index, input) in items(settings.get("inputs")) {
        let at = format!("/inputs/{index}");
        look(format!("{at}/fileInput"), input.get("fileInput"));
        let selectors = input.get("captionSelectors").and_then(Value::as_object);
        for (name, selector) in selectors.into_iter().flatten() {
            let member = "sourceSettings/fileSourceSettings/sourceFile";
            look(format!("{at}/captionSelectors/{name}/{member}"), selector.pointer(&format!("/{member}")));
        }
        look_at_images(&format!("{at}/imageInserter"), input.get("imageInserter"), &mut look);
    }
    for (group, outputs) in items(settings.get("outputGroups")) {
        for (index, output) in items(outputs.get("outputs")) {
            let member = "videoDescription/videoPreprocessors/imageInserter";
            let at = format!("/outputGroups/{group}/outputs/{index}/{member}");
            look_at_images(&at, output.pointer(&format!("/{member}")), &mut look);
        }
    }
    problems
}

fn look_at_images(at: &str, inserter: Option<&Value>, look: &mut impl FnMut(String, Option<&Value>)) {
    for (index, image) in items(inserter.and_then(|inserter| inserter.get("insertableImages"))) {
        look(format!("{at}/insertableImages/{index}/imageInserterInput"), image.get("imageInserterInput"));
    }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    list.and_then(Value::as_array).into_iter().flatten().enumerate()
}

#[cfg(test)]
mod tests {
    use abanico_store::WebOptions;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_forbidden_url_has_its_pointer() {
        let options = WebOptions { hosts: vec!["good.example".parse().unwrap()], ..WebOptions::default() };
        let web = WebInputs::new(options).unwrap();
        let images =
            |urls: [&str; 2]| json!({"insertableImages": urls.map(|url| json!({"imageInserterInput": url}))});
        let preprocessors = |images: Value| json!({"videoPreprocessors": {"imageInserter": images}});
        let settings = json!({
            "inputs": [
                {"fileInput": "https://good.example/a.mp4", "imageInserter": images(["s3://b/x.png", "http://bad.example/x.png"])},
                {"fileInput": "https://ann:pa55@bad.example/a.mp4", "captionSelectors": {
                    "One": {"sourceSettings": {"fileSourceSettings": {"sourceFile": "http://good.example:81/a.srt"}}},
                    "Two": {"sourceSettings": {"fileSourceSettings": {"sourceFile": "s3://b/a.srt"}}},
                }},
                {"fileInput": "s3://b/a.mp4"},
            ],
            "outputGroups": [{"outputs": [{}, {"videoDescription":
                preprocessors(images(["https://10.0.0.1/x.png", "https://good.example/x.png"]))}]}],
        });
        let problems = forbidden_urls(&settings, &web);
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/inputs/0/imageInserter/insertableImages/1/imageInserterInput",
                "/inputs/1/fileInput",
                "/inputs/1/captionSelectors/One/sourceSettings/fileSourceSettings/sourceFile",
                "/outputGroups/0/outputs/1/videoDescription/videoPreprocessors/imageInserter/insertableImages/0/\
                 imageInserterInput",
            ]
        );
        let text = &problems[1].message;
        assert!(text.contains("`bad.example`") && text.contains("`[web_inputs]`"), "{text}");
        assert!(!text.contains("pa55"), "{text}");
        assert_eq!(forbidden_urls(&settings, &WebInputs::default()).len(), 6);
    }

    #[test]
    fn policy_distinguishes_http_https_and_s3() {
        let policy = json!({"httpInputs": "DISALLOWED", "httpsInputs": "ALLOWED"});
        let refused = check_policy(&policy, "http://ann:pa55@h/x").unwrap_err();
        assert_eq!((refused.code, refused.is_retryable), (3457, false));
        assert!(
            refused.message.contains("httpInputs") && !refused.message.contains("pa55"),
            "{}",
            refused.message
        );
        check_policy(&policy, "HTTP://h/x").unwrap_err();
        for url in ["https://h/x", "s3://b/k"] {
            check_policy(&policy, url).unwrap();
        }
        check_policy(&Value::Null, "http://h/x").unwrap();
    }
}
