//! Lifecycles of buckets: which objects expire and which uploads are given up, and when.
//!
//! It decides; `sweep` removes. Transitions to other storage classes are refused, because there are none.

mod configuration;
mod sweep;

use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::utf8_percent_encode;
use s3s::dto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::edge::answers::IN_PATH;
use crate::error::Result;
use crate::index::record::{StoredObject, find_object};
use crate::objects::get::timestamp;
use crate::objects::put::expires_text;
use abanico_process::clock::wall_ms;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// The rules of a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lifecycle(Vec<Rule>);

/// A rule as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rule {
    id: String,
    is_enabled: bool,
    /// Whether the rule has its prefix beside its filter, as old clients write it.
    has_old_prefix: bool,
    filter: Filter,
    expires: Option<Expires>,
    /// Whether delete markers without versions go; there are none.
    removes_markers: Option<bool>,
    /// Days and number of versions after which older versions go; there are none.
    old_versions: Option<(Option<i32>, Option<i32>)>,
    /// Days after which an upload is given up.
    abort_days: Option<i32>,
}

/// When objects expire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expires {
    /// So many days after they were stored.
    Days(i32),
    /// At this time, in milliseconds since 1970.
    At(i64),
}

/// Which objects a rule is for: those that fit all of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    prefix: Option<String>,
    tags: Vec<(String, String)>,
    greater_than: Option<i64>,
    less_than: Option<i64>,
    /// Whether the client wrote it with `And`.
    is_and: bool,
}

/// What a lifecycle looks at in an object.
struct Facts<'a> {
    key: &'a str,
    size: u64,
    tags: &'a [(String, String)],
    modified_ms: i64,
}

impl<'a> Facts<'a> {
    fn of(key: &'a str, object: &'a StoredObject) -> Self {
        let tags = &object.record.attributes.tags;
        Self { key, size: object.size, tags, modified_ms: object.modified_ms }
    }
}

impl Filter {
    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        let size = i64::try_from(facts.size).unwrap_or(i64::MAX);
        facts.key.starts_with(self.prefix())
            && self.greater_than.is_none_or(|least| size > least)
            && self.less_than.is_none_or(|most| size < most)
            && self.tags.iter().all(|tag| facts.tags.contains(tag))
    }
}

impl Expires {
    fn due_ms(self, modified_ms: i64) -> i64 {
        match self {
            Self::Days(days) => midnight_after(modified_ms, days),
            Self::At(ms) => ms,
        }
    }
}

/// Returns the first midnight in UTC that is `days` days or more after a time.
fn midnight_after(ms: i64, days: i32) -> i64 {
    let later = ms.saturating_add(i64::from(days).saturating_mul(DAY_MS));
    let into_day = later.rem_euclid(DAY_MS);
    if into_day == 0 { later } else { later.saturating_add(DAY_MS - into_day) }
}

impl Lifecycle {
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(|rule| rule.is_enabled)
    }

    /// Returns when an object expires, in milliseconds since 1970, and by which rule: the one that comes first.
    fn expiration(&self, facts: &Facts<'_>) -> Option<(i64, &str)> {
        let fitting = self.enabled().filter(|rule| rule.filter.fits(facts));
        let due =
            fitting.filter_map(|rule| Some((rule.expires?.due_ms(facts.modified_ms), rule.id.as_str())));
        due.min_by_key(|(ms, _)| *ms)
    }

    /// Returns when an upload is given up, in milliseconds since 1970, and by which rule.
    fn abortion(&self, key: &str, created_ms: i64) -> Option<(i64, &str)> {
        let fitting = self.enabled().filter(|rule| key.starts_with(rule.filter.prefix()));
        let due =
            fitting.filter_map(|rule| Some((midnight_after(created_ms, rule.abort_days?), rule.id.as_str())));
        due.min_by_key(|(ms, _)| *ms)
    }

    /// Returns the prefixes of the keys that may expire, none of which begins with another.
    fn expiring_prefixes(&self) -> Vec<&str> {
        let mut prefixes: Vec<&str> =
            self.enabled().filter(|rule| rule.expires.is_some()).map(|rule| rule.filter.prefix()).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, earlier| later.starts_with(&**earlier));
        prefixes
    }

    /// Whether any upload may be given up.
    fn aborts(&self) -> bool {
        self.enabled().any(|rule| rule.abort_days.is_some())
    }
}

/// How much lifecycles have removed since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    expired: AtomicU64,
    aborted: AtomicU64,
}

/// How much lifecycles have removed since the start, as [`LocalS3::lifecycle_counts`] returns it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LifecycleCounts {
    /// Objects that have expired.
    pub expired_objects: u64,
    /// Multipart uploads that were given up.
    pub aborted_uploads: u64,
}

impl LocalS3 {
    /// Returns how much lifecycles have removed since the start.
    pub fn lifecycle_counts(&self) -> LifecycleCounts {
        let Counts { expired, aborted } = &self.inner.counts;
        LifecycleCounts {
            expired_objects: expired.load(Ordering::Relaxed),
            aborted_uploads: aborted.load(Ordering::Relaxed),
        }
    }

    /// Returns when an upload that begins now is given up, and by which rule, if it is.
    pub(crate) fn abortion(&self, bucket: &str, key: &str) -> Option<(Timestamp, String)> {
        let settings = self.inner.settings.of(bucket)?;
        let (due_ms, rule) = settings.lifecycle.as_ref()?.abortion(key, wall_ms())?;
        Some((timestamp(due_ms), rule.to_owned()))
    }

    /// Returns the header that tells when the object that stands at a key expires, if it is the one with this ETag.
    pub(crate) async fn expiration_of(&self, bucket: &str, key: &str, etag: &str) -> Result<Option<String>> {
        if self.inner.settings.of(bucket).is_none_or(|settings| settings.lifecycle.is_none()) {
            return Ok(None);
        }
        let place = (bucket.to_owned(), key.to_owned());
        let found = self.inner.index.read(move |reader| find_object(reader, &place.0, &place.1)).await?;
        Ok(found.filter(|it| it.etag == etag).and_then(|it| self.expiration(bucket, key, &it)))
    }

    /// Returns the header that tells when an object expires, if it does.
    pub(crate) fn expiration(&self, bucket: &str, key: &str, object: &StoredObject) -> Option<String> {
        let settings = self.inner.settings.of(bucket)?;
        let (due_ms, rule) = settings.lifecycle.as_ref()?.expiration(&Facts::of(key, object))?;
        let date = expires_text(Some(&timestamp(due_ms)))?;
        let rule = utf8_percent_encode(rule, IN_PATH);
        Some(format!("expiry-date=\"{date}\", rule-id=\"{rule}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, prefix: &str, expires: Option<Expires>) -> Rule {
        let filter = Filter { prefix: Some(prefix.to_owned()), ..Filter::default() };
        Rule { id: id.to_owned(), is_enabled: true, filter, expires, ..Rule::default() }
    }

    fn facts(key: &str, modified_ms: i64) -> Facts<'_> {
        Facts { key, size: 10, tags: &[], modified_ms }
    }

    #[test]
    fn days_end_at_the_midnight_after_them() {
        assert_eq!(midnight_after(0, 1), DAY_MS);
        assert_eq!(midnight_after(1, 1), 2 * DAY_MS);
        assert_eq!(midnight_after(DAY_MS - 1, 1), 2 * DAY_MS);
        assert_eq!(midnight_after(-1, 1), DAY_MS);
        assert!(midnight_after(i64::MAX - 5, i32::MAX) > i64::MAX - DAY_MS);
    }

    #[test]
    fn first_fitting_rule_in_time_counts() {
        let mut off = rule("off", "", Some(Expires::Days(1)));
        off.is_enabled = false;
        let rules = vec![
            rule("late", "", Some(Expires::Days(30))),
            rule("soon", "tmp/", Some(Expires::Days(2))),
            rule("none", "", None),
            off,
        ];
        let lifecycle = Lifecycle(rules);
        assert_eq!(lifecycle.expiration(&facts("tmp/a", 0)), Some((2 * DAY_MS, "soon")));
        assert_eq!(lifecycle.expiration(&facts("a", 0)), Some((30 * DAY_MS, "late")));
        assert_eq!(lifecycle.expiring_prefixes(), [""]);
        assert!(!lifecycle.aborts() && lifecycle.abortion("a", 0).is_none());
    }

    #[test]
    fn prefixes_within_others_are_looked_at_once() {
        let days = Some(Expires::Days(1));
        let lifecycle = Lifecycle(vec![
            rule("1", "b/c", days),
            rule("2", "a", days),
            rule("3", "b", days),
            rule("4", "a", days),
        ]);
        assert_eq!(lifecycle.expiring_prefixes(), ["a", "b"]);
    }

    #[test]
    fn filter_needs_prefix_tags_and_size() {
        let filter = Filter {
            prefix: Some("p/".to_owned()),
            tags: vec![("a".to_owned(), "1".to_owned())],
            greater_than: Some(9),
            less_than: Some(11),
            is_and: true,
        };
        let tags = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
        let fits =
            |key, size, tags: &[(String, String)]| filter.fits(&Facts { key, size, tags, modified_ms: 0 });
        assert!(fits("p/x", 10, &tags));
        assert!(!fits("x", 10, &tags) && !fits("p/x", 9, &tags) && !fits("p/x", 11, &tags));
        assert!(!fits("p/x", 10, &tags[1..]) && !fits("p/x", 10, &[("a".to_owned(), "2".to_owned())]));
    }
}
