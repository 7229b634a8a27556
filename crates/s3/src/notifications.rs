//! Decides which functions are notified of a new object and queues S3's event for each of them in the outbox.
//!
//! This happens in the transaction that stores the object. The outbox's reader delivers the events.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::blobs::unique_id;
use crate::error::Result;
use crate::index::now_ms;
use crate::record::from_text;

/// Characters that are percent-encoded in an event's key. A space becomes `+` instead.
const KEY_KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// A configured rule: matching objects in `bucket` start `function`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trigger {
    /// Name of the rule; events carry it as `configurationId`.
    pub id: String,
    /// Bucket that the rule applies to.
    pub bucket: String,
    /// Prefix of matching keys; an empty one matches every key.
    pub prefix: String,
    /// Suffix of matching keys; an empty one matches every key.
    pub suffix: String,
    /// Function that receives the event.
    pub function: String,
}

/// A notification rule that a client put on a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BucketRule {
    pub id: String,
    /// S3's event names, with or without `*` at the end.
    pub events: Vec<String>,
    pub prefix: String,
    pub suffix: String,
    /// As the client wrote it.
    pub arn: String,
    pub function: String,
}

/// The new object that an event describes.
pub(crate) struct Created<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub size: u64,
    pub etag: &'a str,
    pub sequencer: &'a str,
    /// Without `s3:`, such as `ObjectCreated:Put`.
    pub event_name: &'a str,
    pub time_ms: i64,
    pub region: &'a str,
}

/// Returns the sequencer of a serial number: 18 upper-case hexadecimal digits.
pub(crate) fn sequencer(serial: i64) -> String {
    format!("{serial:018X}")
}

/// Returns the notification rules that a client put on `bucket`.
pub(crate) fn bucket_rules(connection: &Connection, bucket: &str) -> Result<Vec<BucketRule>> {
    let mut statement = connection.prepare_cached("SELECT notifications FROM buckets WHERE name = ?1")?;
    let text: Option<String> = statement.query_row([bucket], |row| row.get(0)).optional()?.flatten();
    Ok(text.map_or(Ok(Vec::new()), |text| from_text(&text))?)
}

/// Returns the configured triggers of `bucket`.
pub(crate) fn triggers(connection: &Connection, bucket: &str) -> Result<Vec<Trigger>> {
    let sql = "SELECT id, bucket, prefix, suffix, function FROM triggers WHERE bucket = ?1 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let triggers = statement.query_map([bucket], |row| {
        let (id, bucket, prefix) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Trigger { id, bucket, prefix, suffix: row.get(3)?, function: row.get(4)? })
    })?;
    Ok(triggers.collect::<rusqlite::Result<_>>()?)
}

/// Inserts one outbox row for each function that a matching rule names, unless the function already had one for this
/// sequencer. Returns the number of rows inserted.
pub(crate) fn notify(transaction: &Transaction<'_>, created: &Created<'_>) -> Result<usize> {
    let configured = triggers(transaction, created.bucket)?;
    let mut count = 0;
    for rule in configured.iter().filter(|rule| fits(created.key, &rule.prefix, &rule.suffix)) {
        count += usize::from(insert(transaction, created, &rule.id, &rule.function)?);
    }
    // After the configured ones, which do not depend on whether these can be read.
    for rule in bucket_rules(transaction, created.bucket)? {
        let is_meant = rule.events.iter().any(|event| is_meant(event, created.event_name));
        if is_meant && fits(created.key, &rule.prefix, &rule.suffix) {
            count += usize::from(insert(transaction, created, &rule.id, &rule.function)?);
        }
    }
    Ok(count)
}

fn fits(key: &str, prefix: &str, suffix: &str) -> bool {
    key.starts_with(prefix) && key.ends_with(suffix)
}

/// Whether the rule's event, such as `s3:ObjectCreated:*`, covers `event_name`.
fn is_meant(event: &str, event_name: &str) -> bool {
    let event = event.strip_prefix("s3:").unwrap_or(event);
    event == event_name || event.strip_suffix('*').is_some_and(|family| event_name.starts_with(family))
}

fn insert(transaction: &Transaction<'_>, created: &Created<'_>, id: &str, function: &str) -> Result<bool> {
    let new = transaction
        .prepare_cached("INSERT OR IGNORE INTO notified (sequencer, function) VALUES (?1, ?2)")?
        .execute(params![created.sequencer, function])?;
    if new == 0 {
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "INSERT INTO outbox (bucket, key, sequencer, event_name, event, function, configuration_id, next_attempt_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            created.bucket,
            created.key,
            created.sequencer,
            created.event_name,
            event(created, id).to_string(),
            function,
            id,
            now_ms(),
        ])?;
    Ok(true)
}

/// Builds the event as S3 sends it to a function.
pub(crate) fn event(created: &Created<'_>, configuration_id: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": created.region,
        "eventTime": iso_time(created.time_ms),
        "eventName": created.event_name,
        "userIdentity": {"principalId": "abanico"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {
            "x-amz-request-id": unique_id()[..16].to_ascii_uppercase(),
            "x-amz-id-2": unique_id(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": created.bucket,
                "ownerIdentity": {"principalId": "abanico"},
                "arn": format!("arn:aws:s3:::{}", created.bucket),
            },
            "object": {
                "key": utf8_percent_encode(created.key, KEY_KEPT).to_string().replace("%20", "+"),
                "size": created.size,
                "eTag": created.etag,
                "sequencer": created.sequencer,
            },
        },
    }]})
}

/// Formats a time as `2026-01-31T12:00:00.000Z`.
fn iso_time(time_ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(&form).expect("a UTC time has every component of the format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_what_s3_sends() {
        let created = Created {
            bucket: "media",
            key: "in/día de+playa.mp4",
            size: 5,
            etag: "abc-2",
            sequencer: "00000000000000000A",
            event_name: "ObjectCreated:CompleteMultipartUpload",
            time_ms: 1_700_000_000_007,
            region: "eu-central-1",
        };
        let event = event(&created, "films");
        let record = &event["Records"][0];
        assert_eq!(record["eventTime"], "2023-11-14T22:13:20.007Z");
        assert_eq!(record["awsRegion"], "eu-central-1");
        assert_eq!(record["eventName"], "ObjectCreated:CompleteMultipartUpload");
        assert_eq!(record["s3"]["configurationId"], "films");
        assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::media");
        let object = json!({"key": "in/d%C3%ADa+de%2Bplaya.mp4", "size": 5, "eTag": "abc-2",
            "sequencer": "00000000000000000A"});
        assert_eq!(record["s3"]["object"], object);
    }

    #[test]
    fn rule_covers_an_event_or_its_family() {
        assert!(is_meant("s3:ObjectCreated:*", "ObjectCreated:Copy"));
        assert!(is_meant("s3:ObjectCreated:Put", "ObjectCreated:Put"));
        assert!(!is_meant("s3:ObjectCreated:Put", "ObjectCreated:Copy"));
        assert!(!is_meant("s3:ObjectRemoved:*", "ObjectCreated:Copy"));
        assert!(fits("in/a.mp4", "in/", ".mp4") && !fits("in/a.mov", "in/", ".mp4"));
    }
}
