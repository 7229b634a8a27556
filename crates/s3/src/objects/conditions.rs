//! Checks the conditions of a request, such as `If-Match`, against the stored object.
//!
//! It does not read the index: callers look the object up inside the transaction that acts on it.

use http::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use s3s::S3ErrorCode;
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::index::record::StoredObject;
use crate::objects::get::timestamp;

/// Conditions of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// Refuses the write if the conditions do not hold. `etag` is the stored object's ETag without quotes; `None` if
    /// there is no object.
    pub(crate) fn check(&self, key: &str, etag: Option<&str>) -> Result<()> {
        if let Some(condition) = &self.if_match {
            let Some(etag) = etag else { return Err(Error::no_such_key(key)) };
            if !matches(condition, etag) {
                return Err(failed("If-Match"));
            }
        }
        match (&self.if_none_match, etag) {
            (Some(condition), Some(etag)) if matches(condition, etag) => Err(failed("If-None-Match")),
            _ => Ok(()),
        }
    }
}

/// Conditions of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteConditions {
    /// Without quotes; `*` for any.
    pub etag: Option<String>,
    pub size: Option<i64>,
    pub modified: Option<Timestamp>,
}

impl DeleteConditions {
    /// Refuses the deletion if the conditions do not hold. `object` is `None` if there is no object.
    pub(crate) fn check(&self, key: &str, object: Option<&StoredObject>) -> Result<()> {
        let Self { etag, size, modified } = self;
        if etag.is_none() && size.is_none() && modified.is_none() {
            return Ok(());
        }
        let Some(object) = object else { return Err(Error::no_such_key(key)) };
        if etag.as_ref().is_some_and(|etag| etag != "*" && *etag != object.etag) {
            return Err(failed("If-Match"));
        }
        if size.is_some_and(|size| u64::try_from(size) != Ok(object.size)) {
            return Err(failed("x-amz-if-match-size"));
        }
        let seconds = |date: &Timestamp| OffsetDateTime::from(date.clone()).unix_timestamp();
        if modified.as_ref().is_some_and(|date| seconds(date) != object.modified_ms.div_euclid(1_000)) {
            return Err(failed("x-amz-if-match-last-modified-time"));
        }
        Ok(())
    }
}

/// Conditions of a read, or of a copy's source.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Refuses with 412 or 304 if the conditions do not hold. ETags outrank dates, as in RFC 9110.
    pub(crate) fn check(&self, etag: &str, modified_ms: i64) -> Result<()> {
        let modified = modified_ms.div_euclid(1_000);
        let later_than = |date: &Timestamp| modified > OffsetDateTime::from(date.clone()).unix_timestamp();
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, etag) => return Err(failed("If-Match")),
            (None, Some(date)) if later_than(date) => return Err(failed("If-Unmodified-Since")),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches(condition, etag) => Err(unchanged(etag, modified_ms)),
            (None, Some(date)) if !later_than(date) => Err(unchanged(etag, modified_ms)),
            _ => Ok(()),
        }
    }

    /// Like [`Self::check`], but for the source of a copy, where every refusal is a 412.
    pub(crate) fn check_source(&self, etag: &str, modified_ms: i64) -> Result<()> {
        self.check(etag, modified_ms).map_err(|_| failed("x-amz-copy-source-if"))
    }
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

fn failed(condition: &str) -> Error {
    Error::refused(S3ErrorCode::PreconditionFailed, format!("the condition `{condition}` does not hold"))
}

/// The answer that an object is unchanged, with what tells the client which object that is.
fn unchanged(etag: &str, modified_ms: i64) -> Error {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        headers.insert(ETAG, value);
    }
    let mut date = Vec::new();
    let is_date = timestamp(modified_ms).format(TimestampFormat::HttpDate, &mut date).is_ok();
    if let (true, Ok(value)) = (is_date, HeaderValue::from_bytes(&date)) {
        headers.insert(LAST_MODIFIED, value);
    }
    Error::not_modified(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<ETagCondition> {
        Some(text.parse().unwrap())
    }

    fn date(unix: i64) -> Option<Timestamp> {
        Some(OffsetDateTime::from_unix_timestamp(unix).unwrap().into())
    }

    #[test]
    fn write_passes_only_if_its_conditions_hold() {
        let code = |if_match, if_none_match, etag| {
            let checked = WriteConditions { if_match, if_none_match }.check("k", etag);
            checked.err().map(|error| error.s3_code().to_owned())
        };
        assert_eq!(code(None, tag("*"), None), None);
        assert_eq!(code(None, tag("*"), Some("a")).as_deref(), Some("PreconditionFailed"));
        assert_eq!(code(None, tag("\"b\""), Some("a")), None);
        assert_eq!(code(tag("\"a\""), None, Some("a")), None);
        assert_eq!(code(tag("\"b\""), None, Some("a")).as_deref(), Some("PreconditionFailed"));
        assert_eq!(code(tag("\"a\""), None, None).as_deref(), Some("NoSuchKey"));
    }

    #[test]
    fn deletion_passes_only_if_its_conditions_hold() {
        let object = StoredObject {
            size: 3,
            etag: "a".to_owned(),
            modified_ms: 10_500,
            sequencer: String::new(),
            event_name: String::new(),
            record: crate::index::record::ObjectRecord::default(),
            label: None,
        };
        let code = |etag: Option<&str>, size, modified, object| {
            let conditions = DeleteConditions { etag: etag.map(str::to_owned), size, modified };
            conditions.check("k", object).err().map(|error| error.s3_code().to_owned())
        };
        assert_eq!(code(None, None, None, None), None);
        assert_eq!(code(Some("a"), Some(3), date(10), Some(&object)), None);
        assert_eq!(code(Some("*"), None, None, Some(&object)), None);
        for failed in [
            code(Some("b"), None, None, Some(&object)),
            code(None, Some(4), None, Some(&object)),
            code(None, Some(-1), None, Some(&object)),
            code(None, None, date(11), Some(&object)),
        ] {
            assert_eq!(failed.as_deref(), Some("PreconditionFailed"));
        }
        assert_eq!(code(Some("*"), None, None, None).as_deref(), Some("NoSuchKey"));
    }

    #[test]
    fn read_fails_as_unchanged_or_precondition_failed() {
        let code = |conditions: ReadConditions| {
            conditions.check("a", 10_500).err().map(|error| error.s3_code().to_owned())
        };
        let none = ReadConditions::default;
        assert_eq!(code(none()), None);
        let unchanged = ReadConditions { if_none_match: tag("\"a\""), ..none() };
        assert_eq!(code(unchanged).as_deref(), Some("NotModified"));
        let failed = ReadConditions { if_match: tag("\"b\""), ..none() };
        assert_eq!(code(failed.clone()).as_deref(), Some("PreconditionFailed"));
        assert!(failed.check_source("a", 0).is_err());
        assert_eq!(
            code(ReadConditions { if_modified_since: date(10), ..none() }).as_deref(),
            Some("NotModified")
        );
        assert_eq!(code(ReadConditions { if_modified_since: date(9), ..none() }), None);
        let before = ReadConditions { if_unmodified_since: date(9), ..none() };
        assert_eq!(code(before).as_deref(), Some("PreconditionFailed"));
        let outranked = ReadConditions { if_match: tag("\"a\""), if_unmodified_since: date(9), ..none() };
        assert_eq!(code(outranked), None);
    }
}
