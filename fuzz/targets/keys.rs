//! Takes texts as keys, templates and addresses, and checks that what a key says never becomes anything but a key.

#![no_main]

use abanico_trigger::{DestinationTemplate, SkipRules, Upload, client_request_token, decode_key};
use abanico_model::arn::{Arn, ResourceKind, is_job_id, resource_name};
use abanico_model::s3_event;
use abanico_store::ObjectUrl;
use libfuzzer_sys::fuzz_target;

const BUCKET: &str = "uploads";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (template, key) = text.split_once('\n').unwrap_or(("s3://renditions/{key}/", &text));
    decoded(key);
    addresses(key);
    let upload = Upload { bucket: BUCKET.to_owned(), key: key.to_owned(), ..Upload::default() };
    let token = client_request_token(&upload);
    assert!(!token.is_empty() && token.len() <= 64 && token.is_ascii(), "{token}");
    for template in [template, "s3://renditions/{key}/", "s3://{bucket}/{dir}/{stem}_{ext}"] {
        if let Ok(template) = DestinationTemplate::parse(template) {
            expanded(&template, &upload);
        }
    }
    let rules =
        SkipRules { only_suffixes: vec![".mp4".to_owned()], skip_prefixes: vec![template.to_owned()] };
    let _ = rules.rule_against(key);
});

/// A key that a notification encodes is decoded to the same key.
fn decoded(key: &str) {
    let _ = decode_key(key);
    let encoded = s3_event::encode_key(key);
    assert!(encoded.is_ascii());
    assert_eq!(s3_event::decode_key(&encoded).as_deref(), Some(key));
    assert_eq!(decode_key(&encoded).unwrap(), key);
}

fn addresses(text: &str) {
    if let Ok(url) = text.parse::<ObjectUrl>() {
        assert_eq!(url.to_string().parse::<ObjectUrl>().as_ref(), Ok(&url));
        let _ = url.file_name();
    }
    if let Some(arn) = Arn::parse(text) {
        assert_eq!(Arn::parse(&arn.to_string()), Some(arn));
    }
    let _ = resource_name(text, ResourceKind::Queue);
    let _ = is_job_id(text);
}

/// Outputs go to the bucket of the template, whatever the key says.
fn expanded(template: &DestinationTemplate, upload: &Upload) {
    let url = template.expand(upload);
    let place = url.strip_prefix("s3://").expect("a destination is in S3");
    let (bucket, _) = place.split_once('/').expect("a destination has a bucket");
    let other = Upload { key: "plain".to_owned(), ..upload.clone() };
    let (of_other, _) = template.expand(&other)["s3://".len()..]
        .split_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(bucket, of_other, "the key `{}` steers the bucket", upload.key);
    let _ = template.contains(upload);
}
