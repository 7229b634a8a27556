//! Decides who is notified of a new or removed object and queues S3's event for each of them in the outbox.
//!
//! This happens in the transaction that stores or removes the object. The outbox's readers deliver the events.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::blobs::unique_id;
use crate::buckets::bucket_rules::Rules;
use crate::error::Result;
use crate::events::receiver::Receiver;
use crate::index::record::{StoredObject, from_text};
use abanico_process::clock::wall_ms;

/// Characters that are percent-encoded in an event's key. A space becomes `+` instead.
const KEY_KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// A configured rule: events of matching objects in `bucket` go to `function`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trigger {
    /// Name of the rule; events carry it as `configurationId`.
    pub id: String,
    /// Bucket that the rule applies to; empty for all buckets.
    pub bucket: String,
    /// Prefix of matching keys; an empty one matches every key.
    pub prefix: String,
    /// Suffix of matching keys; an empty one matches every key.
    pub suffix: String,
    /// Function, or webhook (`webhook:` and its id), that receives the event.
    pub function: String,
    /// S3's names of the events, such as `s3:ObjectRemoved:*`; empty for all new objects.
    pub events: Vec<String>,
}

/// A notification rule that a client put on a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BucketRule {
    pub id: String,
    /// S3's event names, with or without `*` at the end.
    pub events: Vec<String>,
    pub prefix: String,
    pub suffix: String,
    /// As the client wrote it; empty for the event bus, which has none.
    pub arn: String,
    /// Name of the receiver in the outbox.
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

impl Created<'_> {
    fn happening(&self) -> Happening<'_> {
        Happening {
            bucket: self.bucket,
            key: self.key,
            facts: Some((self.size, self.etag)),
            sequencer: self.sequencer,
            event_name: self.event_name,
            time_ms: self.time_ms,
            region: self.region,
        }
    }
}

/// Why an object is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Removal {
    /// A client asked for it.
    Request,
    /// A rule of the bucket's lifecycle asks for it.
    Lifecycle,
}

impl Removal {
    /// Returns the name of the event.
    fn event_name(self) -> &'static str {
        match self {
            Self::Request => "ObjectRemoved:Delete",
            Self::Lifecycle => LIFECYCLE_EVENT,
        }
    }
}

const LIFECYCLE_EVENT: &str = "LifecycleExpiration:Delete";
const CREATED: &str = "s3:ObjectCreated:*";

/// What an event tells.
struct Happening<'a> {
    bucket: &'a str,
    key: &'a str,
    /// Size and ETag; `None` of an object that is gone.
    facts: Option<(u64, &'a str)>,
    sequencer: &'a str,
    event_name: &'a str,
    time_ms: i64,
    region: &'a str,
}

/// Returns the sequencer of a serial number: 18 upper-case hexadecimal digits.
pub(crate) fn sequencer(serial: i64) -> String {
    format!("{serial:018X}")
}

/// Returns the notification rules that a client put on `bucket`.
pub(crate) fn bucket_rules(connection: &Connection, bucket: &str) -> Result<Vec<BucketRule>> {
    let text = Rules::Notifications.of(connection, bucket)?.flatten();
    Ok(text.map_or(Ok(Vec::new()), |text| from_text(&text))?)
}

/// Returns the configured triggers of `bucket`.
pub(crate) fn triggers(connection: &Connection, bucket: &str) -> Result<Vec<Trigger>> {
    let sql = "SELECT id, bucket, prefix, suffix, function, events FROM triggers WHERE bucket IN (?1, '')
        ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let triggers = statement.query_map([bucket], |row| {
        let (id, bucket, prefix) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let events = row.get::<_, String>(5)?.split(',').map(str::to_owned).collect();
        Ok(Trigger { id, bucket, prefix, suffix: row.get(3)?, function: row.get(4)?, events })
    })?;
    Ok(triggers.collect::<rusqlite::Result<_>>()?)
}

/// Stores a configured trigger.
pub(crate) fn insert_trigger(transaction: &Transaction<'_>, rule: &Trigger) -> Result<()> {
    let sql =
        "INSERT INTO triggers (id, bucket, prefix, suffix, function, events) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let events = if rule.events.is_empty() { CREATED.to_owned() } else { rule.events.join(",") };
    let columns = (&rule.id, &rule.bucket, &rule.prefix, &rule.suffix, &rule.function, events);
    transaction.execute(sql, columns)?;
    Ok(())
}

/// Inserts one outbox row for each receiver that a matching rule names, unless it already had one for this sequencer.
/// Returns the number of rows inserted.
pub(crate) fn notify(transaction: &Transaction<'_>, created: &Created<'_>) -> Result<usize> {
    tell(transaction, &created.happening(), |_| true)
}

/// As [`notify`], for functions alone: they get older objects too. Others hear only of what happens from now on.
pub(crate) fn notify_functions(transaction: &Transaction<'_>, created: &Created<'_>) -> Result<usize> {
    tell(transaction, &created.happening(), |receiver| !receiver.is_away())
}

/// Inserts the outbox rows for the removal of the object `old`. Returns their number.
///
/// The sequencer is that of the object with one more digit, so that it comes after it and before every later object:
/// sequencers are compared as texts, the shorter one filled with zeros (AWS, "Event message structure").
pub(crate) fn notify_removal(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &str,
    old: &StoredObject,
    why: Removal,
    region: &str,
) -> Result<usize> {
    let happening = Happening {
        bucket,
        key,
        facts: None,
        sequencer: &format!("{}1", old.sequencer),
        event_name: why.event_name(),
        time_ms: wall_ms(),
        region,
    };
    tell(transaction, &happening, |_| true)
}

/// Inserts a row for each receiver that `may_hear` and that a rule names.
fn tell(
    transaction: &Transaction<'_>,
    happening: &Happening<'_>,
    may_hear: impl Fn(Receiver<'_>) -> bool,
) -> Result<usize> {
    let applies = |events: &[String], prefix: &str, suffix: &str, receiver: &str| {
        events.iter().any(|event| is_meant(event, happening.event_name))
            && fits(happening.key, prefix, suffix)
            && may_hear(Receiver::of(receiver))
    };
    let mut told = BTreeSet::new();
    let mut count = 0;
    let mut tell_one = |id: &str, receiver: &str| -> Result<()> {
        if told.insert(receiver.to_owned()) && is_news(transaction, happening, receiver)? {
            insert(transaction, happening, id, receiver)?;
            count += 1;
        }
        Ok(())
    };
    for rule in triggers(transaction, happening.bucket)? {
        if applies(&rule.events, &rule.prefix, &rule.suffix, &rule.function) {
            tell_one(&rule.id, &rule.function)?;
        }
    }
    // After the configured ones, which do not depend on whether these can be read.
    for rule in bucket_rules(transaction, happening.bucket)? {
        if applies(&rule.events, &rule.prefix, &rule.suffix, &rule.function) {
            tell_one(&rule.id, &rule.function)?;
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

/// Returns whether a receiver has not heard of this version of an object yet, and notes that it has now. A removal has
/// nothing to be noted with: it happens once.
fn is_news(transaction: &Transaction<'_>, happening: &Happening<'_>, receiver: &str) -> Result<bool> {
    if happening.facts.is_none() {
        return Ok(true);
    }
    let new = transaction
        .prepare_cached("INSERT OR IGNORE INTO notified (sequencer, function) VALUES (?1, ?2)")?
        .execute(params![happening.sequencer, receiver])?;
    Ok(new > 0)
}

const INSERT: &str = "INSERT INTO outbox
    (bucket, key, sequencer, event_name, event, function, configuration_id, next_attempt_ms, created_ms, away)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)";

fn insert(transaction: &Transaction<'_>, happening: &Happening<'_>, id: &str, receiver: &str) -> Result<()> {
    transaction.prepare_cached(INSERT)?.execute(params![
        happening.bucket,
        happening.key,
        happening.sequencer,
        happening.event_name,
        document(happening, id).to_string(),
        receiver,
        id,
        wall_ms(),
        Receiver::of(receiver).is_away(),
    ])?;
    Ok(())
}

/// Queues the event with which S3 tries a new queue or topic.
pub(crate) fn insert_test(transaction: &Transaction<'_>, bucket: &str, rule: &BucketRule) -> Result<()> {
    let event = json!({
        "Service": "Amazon S3",
        "Event": TEST_EVENT,
        "Time": iso_time(wall_ms()),
        "Bucket": bucket,
        "RequestId": unique_id()[..16].to_ascii_uppercase(),
        "HostId": unique_id(),
    });
    let columns =
        params![bucket, "", "", TEST_EVENT, event.to_string(), rule.function, rule.id, wall_ms(), true];
    transaction.prepare_cached(INSERT)?.execute(columns)?;
    Ok(())
}

const TEST_EVENT: &str = "s3:TestEvent";

/// Builds the event of a new object as S3 sends it.
pub(crate) fn event(created: &Created<'_>, configuration_id: &str) -> Value {
    document(&created.happening(), configuration_id)
}

/// Builds an event as S3 sends it.
fn document(happening: &Happening<'_>, configuration_id: &str) -> Value {
    let mut object = json!({
        "key": utf8_percent_encode(happening.key, KEY_KEPT).to_string().replace("%20", "+"),
    });
    if let Some((size, etag)) = happening.facts {
        object["size"] = size.into();
        object["eTag"] = etag.into();
    }
    object["sequencer"] = happening.sequencer.into();
    let (version, who, whence) = match happening.event_name {
        LIFECYCLE_EVENT => ("2.3", "s3.amazonaws.com", "s3.amazonaws.com"),
        _ => ("2.1", "abanico", "127.0.0.1"),
    };
    json!({"Records": [{
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": happening.region,
        "eventTime": iso_time(happening.time_ms),
        "eventName": happening.event_name,
        "userIdentity": {"principalId": who},
        "requestParameters": {"sourceIPAddress": whence},
        "responseElements": {
            "x-amz-request-id": unique_id()[..16].to_ascii_uppercase(),
            "x-amz-id-2": unique_id(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": happening.bucket,
                "ownerIdentity": {"principalId": "abanico"},
                "arn": format!("arn:aws:s3:::{}", happening.bucket),
            },
            "object": object,
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
