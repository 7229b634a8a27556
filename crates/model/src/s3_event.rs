//! S3 event notifications: in the JSON of a notification, out its records with decoded keys, and back. Never decodes a
//! key twice: `raw_key` is what stands in the JSON, `S3Object::key` the key itself.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// What S3 leaves as it is in a key; a space becomes `+`.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');

/// What a notification's body may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum S3Notification {
    /// News of objects.
    Records(S3Event),
    /// What S3 sends when notifications are set up.
    Test(S3TestEvent),
}

/// News of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Event {
    /// One for each object; S3 sends one.
    #[serde(rename = "Records")]
    pub records: Vec<S3Record>,
}

/// The message of a set-up, whose `Event` is `s3:TestEvent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3TestEvent {
    /// `s3:TestEvent`.
    pub event: String,
    /// Bucket.
    pub bucket: String,
}

/// News of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Record {
    /// `2.1` or a later 2.x.
    pub event_version: String,
    /// `aws:s3`.
    pub event_source: String,
    /// Region.
    pub aws_region: String,
    /// RFC 3339, UTC, to the millisecond.
    pub event_time: String,
    /// Such as `ObjectCreated:Put`, without `s3:`.
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
    /// Name of the notification's configuration.
    pub configuration_id: String,
    /// The bucket.
    pub bucket: S3Bucket,
    /// The object.
    pub object: S3Object,
}

/// Bucket of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Bucket {
    /// Name.
    pub name: String,
    /// `arn:aws:s3:::<name>`.
    pub arn: String,
}

/// Object of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Object {
    /// The key as it stands in the JSON: percent-encoded UTF-8, `+` for a space.
    #[serde(rename = "key")]
    pub raw_key: String,
    /// Bytes; absent for removals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Entity tag without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    /// Only in buckets with versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Hexadecimal; grows with each change of one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
}

impl S3Object {
    /// The object's key, decoded; `None` when it is not UTF-8.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        decode_key(&self.raw_key)
    }
}

/// Decodes a key of a notification: `+` is a space, `%2B` a plus. `None` when the bytes are not UTF-8.
#[must_use]
pub fn decode_key(raw: &str) -> Option<String> {
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Encodes a key as S3 does in notifications.
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
    fn a_put_reads_and_its_key_is_decoded_once() {
        let S3Notification::Records(event) = serde_json::from_str(PUT).unwrap() else { panic!("no records") };
        let object = &event.records[0].s3.object;
        assert_eq!(object.key().as_deref(), Some("in/año 1+1 100%25.mp4"));
        assert_eq!(event.records[0].event_name, "ObjectCreated:Put");
        let written: S3Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        assert_eq!(written, event);
    }

    #[test]
    fn a_test_event_is_no_news_of_an_object() {
        let notification: S3Notification = serde_json::from_str(TEST).unwrap();
        assert!(matches!(&notification, S3Notification::Test(test) if test.event == "s3:TestEvent"));
        let again: Value = serde_json::to_value(&notification).unwrap();
        assert_eq!(again["Bucket"], "in");
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(encode_key("a b/c+d(é).mp4"), "a+b/c%2Bd%28%C3%A9%29.mp4");
        assert_eq!(decode_key("%FF"), None);
    }

    proptest! {
        #[test]
        fn every_key_survives(key in ".*") {
            prop_assert_eq!(decode_key(&encode_key(&key)), Some(key));
        }
    }
}
