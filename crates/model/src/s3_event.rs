//! Parses and writes S3 event notifications.
//!
//! To avoid decoding a key twice, `raw_key` holds the encoded key from the JSON, and `S3Object::key` returns the
//! decoded key.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Characters that S3 percent-encodes in a key. A space is not among them because it becomes `+`.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');

/// The body of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum S3Notification {
    /// Events about objects.
    Records(S3Event),
    /// The message that S3 sends when notifications are set up.
    Test(S3TestEvent),
}

/// A notification about objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Event {
    /// One record per object; S3 sends one record per notification.
    #[serde(rename = "Records")]
    pub records: Vec<S3Record>,
}

/// The message that S3 sends when notifications are set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3TestEvent {
    /// Always `s3:TestEvent`.
    pub event: String,
    /// Name of the bucket.
    pub bucket: String,
}

/// An event about one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Record {
    /// `2.1` or a later 2.x.
    pub event_version: String,
    /// `aws:s3`.
    pub event_source: String,
    /// Region.
    pub aws_region: String,
    /// Time in UTC, to the millisecond, as RFC 3339.
    pub event_time: String,
    /// Name of the event without `s3:`, such as `ObjectCreated:Put`.
    pub event_name: String,
    /// Bucket and object.
    pub s3: S3Entity,
}

/// Bucket and object of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Entity {
    /// `1.0`.
    pub s3_schema_version: String,
    /// Id of the notification configuration.
    pub configuration_id: String,
    /// The bucket.
    pub bucket: S3Bucket,
    /// The object.
    pub object: S3Object,
}

/// Bucket of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Bucket {
    /// Name of the bucket.
    pub name: String,
    /// `arn:aws:s3:::<name>`.
    pub arn: String,
}

/// Object of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Object {
    /// The key as in the JSON: percent-encoded UTF-8, with `+` for a space.
    #[serde(rename = "key")]
    pub raw_key: String,
    /// Size in bytes; absent for removals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Entity tag without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    /// Version of the object; only in versioned buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Hexadecimal number that grows with each change of the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
}

impl S3Object {
    /// Returns the decoded key, or `None` if it is not UTF-8.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        decode_key(&self.raw_key)
    }
}

/// Decodes a key of a notification: `+` is a space, `%2B` a plus. Returns `None` if the bytes are not UTF-8.
#[must_use]
pub fn decode_key(raw: &str) -> Option<String> {
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Encodes a key the way S3 does in notifications.
#[must_use]
pub fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string().replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const PUT: &str = include_str!("../tests/fixtures/s3_object_created_put.json");
    const TEST: &str = include_str!("../tests/fixtures/s3_test_event.json");

    #[test]
    fn put_event_decodes_its_key_once() {
        let S3Notification::Records(event) = serde_json::from_str(PUT).unwrap() else { panic!("no records") };
        let object = &event.records[0].s3.object;
        assert_eq!(object.key().as_deref(), Some("in/año 1+1 100%25.mp4"));
        assert_eq!(event.records[0].event_name, "ObjectCreated:Put");
        let written: S3Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        assert_eq!(written, event);
    }

    #[test]
    fn test_event_has_no_records() {
        let notification: S3Notification = serde_json::from_str(TEST).unwrap();
        assert!(matches!(&notification, S3Notification::Test(test) if test.event == "s3:TestEvent"));
        let again: Value = serde_json::to_value(&notification).unwrap();
        assert_eq!(again["Bucket"], "in");
    }

    #[test]
    fn keys_are_encoded_like_s3() {
        assert_eq!(encode_key("a b/c+d(é).mp4"), "a+b/c%2Bd%28%C3%A9%29.mp4");
        assert_eq!(decode_key("%FF"), None);
    }

    proptest! {
        #[test]
        fn every_key_survives_a_round_trip(key in ".*") {
            prop_assert_eq!(decode_key(&encode_key(&key)), Some(key));
        }
    }
}
