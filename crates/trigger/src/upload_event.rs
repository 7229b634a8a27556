//! Parses S3 notifications into uploads with decoded keys. Never decodes a key twice or guesses a missing bucket or
//! key.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// An object that a bucket announced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Upload {
    /// Name of the event, such as `ObjectCreated:Put`.
    pub event_name: String,
    /// The bucket's name.
    pub bucket: String,
    /// The key as the user wrote it: decoded, with real spaces.
    pub key: String,
    /// Size of the object in bytes; `None` if the event does not say.
    pub size_bytes: Option<u64>,
    /// Entity tag; only useful for comparison.
    pub e_tag: Option<String>,
    /// Version of the object; `None` in a bucket without versioning.
    pub version_id: Option<String>,
    /// Orders the events of one key; hexadecimal.
    pub sequencer: Option<String>,
}

impl Upload {
    /// Returns the object's `s3://` URL with the decoded key, the form in which a job names its input.
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Returns whether the event announces a new object (not a removal, a restore or a tag).
    pub fn is_created(&self) -> bool {
        self.event_name.trim_start_matches("s3:").starts_with("ObjectCreated:")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord {
    event_name: String,
    s3: WireS3,
}

#[derive(Deserialize)]
struct WireS3 {
    bucket: WireBucket,
    object: WireObject,
}

#[derive(Deserialize)]
struct WireBucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireObject {
    key: String,
    size: Option<u64>,
    e_tag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// An object in an EventBridge event, whose keys are not encoded.
#[derive(Deserialize)]
struct BridgeDetail {
    bucket: WireBucket,
    object: BridgeObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BridgeObject {
    key: String,
    size: Option<u64>,
    etag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// Parses record number `index` (from 0) of an event, in S3's own form or in EventBridge's.
pub(crate) fn read_record(index: usize, record: &Value) -> Result<Upload, Error> {
    match record.get("detail-type").and_then(Value::as_str) {
        Some(kind) => read_bridge_event(index, kind, record.get("detail").unwrap_or(&Value::Null)),
        None => read_s3_record(index, record),
    }
}

fn read_bridge_event(index: usize, kind: &str, detail: &Value) -> Result<Upload, Error> {
    let detail =
        BridgeDetail::deserialize(detail).map_err(|source| Error::malformed_record(index, source))?;
    let object = detail.object;
    // EventBridge has one detail type for events that S3 distinguishes by how the object was stored.
    let event_name = if kind == "Object Created" { "ObjectCreated:*".to_owned() } else { kind.to_owned() };
    Ok(Upload {
        event_name,
        bucket: detail.bucket.name,
        key: object.key,
        size_bytes: object.size,
        e_tag: object.etag,
        version_id: object.version_id,
        sequencer: object.sequencer,
    })
}

fn read_s3_record(index: usize, record: &Value) -> Result<Upload, Error> {
    let wire = WireRecord::deserialize(record).map_err(|source| Error::malformed_record(index, source))?;
    let object = wire.s3.object;
    Ok(Upload {
        event_name: wire.event_name,
        bucket: wire.s3.bucket.name,
        key: decode_key(&object.key)?,
        size_bytes: object.size,
        e_tag: object.e_tag,
        version_id: object.version_id,
        sequencer: object.sequencer,
    })
}

/// Decodes an object key from an S3 event: `+` is a space and `%XX` a byte of UTF-8. Decode each key only once: a
/// second pass would turn a real `+` (sent as `%2B`) into a space. Keeps a `%` that is not followed by two digits.
///
/// # Errors
/// Returns [`MalformedKey`](crate::ErrorKind::MalformedKey) if the bytes are not UTF-8.
pub fn decode_key(raw_key: &str) -> Result<String, Error> {
    // Replaces `+` before decoding, because a decoded `%2B` would look the same.
    let spaced = raw_key.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|source| Error::key_not_utf8(raw_key, source))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    /// Encodes as S3 does: keeps unreserved characters and `/`, turns a space into `+` and every other byte into
    /// `%XX`.
    fn encode_key(key: &str) -> String {
        key.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'/' => {
                    char::from(byte).to_string()
                }
                b' ' => "+".to_owned(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_key_survives_encoding_and_decoding(key in "\\PC{0,60}|[ +%/.a-f0-9]{0,30}|(?s).{0,30}") {
            prop_assert_eq!(decode_key(&encode_key(&key)).unwrap(), key);
        }
    }

    #[test]
    fn key_is_decoded_exactly_once() {
        for (raw, key) in [
            ("my+holiday.mp4", "my holiday.mp4"),
            ("my%20holiday.mp4", "my holiday.mp4"),
            ("a%2Bb.mp4", "a+b.mp4"),
            ("a%252Bb.mp4", "a%2Bb.mp4"),
            ("caf%C3%A9/%E6%98%A0%E7%94%BB.mov", "café/映画.mov"),
            ("%F0%9F%8E%AC.mp4", "🎬.mp4"),
            ("100%.mp4", "100%.mp4"),
            ("plain/é.mp4", "plain/é.mp4"),
        ] {
            assert_eq!(decode_key(raw).unwrap(), key, "{raw}");
        }
    }

    #[test]
    fn key_that_is_not_utf8_is_refused() {
        let error = decode_key("bad%FFname.mp4").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedKey);
        assert!(!error.is_retryable());
        assert_eq!(error.to_string(), "object key `bad%FFname.mp4` is not UTF-8 after decoding");
    }

    #[test]
    fn all_members_of_a_record_are_parsed() {
        let record = json!({
            "eventVersion": "2.1", "awsRegion": "eu-west-1", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
                   "object": {"key": "a+b.mp4", "size": 7, "eTag": "e", "versionId": "v", "sequencer": "0A"}}
        });
        let upload = read_record(0, &record).unwrap();
        assert_eq!(upload.url(), "s3://uploads/a b.mp4");
        assert_eq!(upload.size_bytes, Some(7));
        assert_eq!(upload.e_tag.as_deref(), Some("e"));
        assert_eq!(upload.version_id.as_deref(), Some("v"));
        assert_eq!(upload.sequencer.as_deref(), Some("0A"));
        assert!(upload.is_created());
    }

    #[test]
    fn record_without_object_is_malformed() {
        let error = read_record(3, &json!({"eventName": "ObjectCreated:Put"})).unwrap_err();
        assert_eq!(error.to_string(), "malformed S3 event: record `3` cannot be read");
    }
}
