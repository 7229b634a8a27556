//! Puts, gets and deletes the lifecycle of a bucket: converts between S3's configuration and the stored rules.
//!
//! It refuses what S3 refuses, and transitions.

use std::collections::HashSet;

use s3s::S3ErrorCode;
use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    Tag, Timestamp,
};
use time::OffsetDateTime;

use super::{DAY_MS, Expires, Filter, Lifecycle, Rule};
use crate::LocalS3;
use crate::blobs::unique_id;
use crate::error::{Error, Result};
use crate::objects::get::timestamp;
use crate::objects::tagging::malformed;

/// S3's limits.
const RULES_MAX: usize = 1_000;
const ID_MAX_BYTES: usize = 255;

fn invalid(message: impl Into<String>) -> Error {
    Error::refused(S3ErrorCode::InvalidArgument, message)
}

fn positive(days: i32, action: &str) -> Result<i32> {
    if days > 0 {
        return Ok(days);
    }
    Err(invalid(format!("'{action} action must be a positive integer")))
}

fn tag_of(tag: Tag) -> Result<(String, String)> {
    match (tag.key, tag.value) {
        (Some(key), Some(value)) if !key.is_empty() => Ok((key, value)),
        _ => Err(malformed()),
    }
}

fn filter_of(filter: LifecycleRuleFilter) -> Result<Filter> {
    let given = [
        filter.and.is_some(),
        filter.prefix.is_some(),
        filter.tag.is_some(),
        filter.object_size_greater_than.is_some(),
        filter.object_size_less_than.is_some(),
    ];
    if given.iter().filter(|is_given| **is_given).count() > 1 {
        return Err(malformed());
    }
    let Some(and) = filter.and else {
        return Ok(Filter {
            prefix: filter.prefix,
            tags: filter.tag.map(tag_of).transpose()?.into_iter().collect(),
            greater_than: filter.object_size_greater_than,
            less_than: filter.object_size_less_than,
            is_and: false,
        });
    };
    Ok(Filter {
        prefix: and.prefix,
        tags: and.tags.unwrap_or_default().into_iter().map(tag_of).collect::<Result<_>>()?,
        greater_than: and.object_size_greater_than,
        less_than: and.object_size_less_than,
        is_and: true,
    })
}

fn check_filter(filter: &Filter) -> Result<()> {
    if let (Some(least), Some(most)) = (filter.greater_than, filter.less_than)
        && least >= most
    {
        let message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.";
        return Err(Error::refused(S3ErrorCode::InvalidRequest, message));
    }
    let sizes = [filter.greater_than, filter.less_than];
    if sizes.into_iter().flatten().any(i64::is_negative) {
        return Err(invalid("the sizes of a filter must not be negative"));
    }
    let mut keys = HashSet::new();
    if !filter.tags.iter().all(|(key, _)| keys.insert(key)) {
        return Err(Error::refused(S3ErrorCode::InvalidRequest, "Duplicate Tag Keys are not allowed."));
    }
    Ok(())
}

fn midnight(date: &Timestamp) -> Result<i64> {
    let date = OffsetDateTime::from(date.clone());
    let ms = i64::try_from(date.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    if ms.rem_euclid(DAY_MS) == 0 { Ok(ms) } else { Err(invalid("'Date' must be at midnight GMT")) }
}

/// Returns when objects expire, and whether delete markers go.
fn expiration_of(expiration: Option<&LifecycleExpiration>) -> Result<(Option<Expires>, Option<bool>)> {
    let Some(given) = expiration else { return Ok((None, None)) };
    match (given.days, &given.date, given.expired_object_delete_marker) {
        (Some(days), None, None) => Ok((Some(Expires::Days(positive(days, "Days' for Expiration")?)), None)),
        (None, Some(date), None) => Ok((Some(Expires::At(midnight(date)?)), None)),
        (None, None, Some(markers)) => Ok((None, Some(markers))),
        _ => Err(malformed()),
    }
}

fn rule_of(rule: LifecycleRule) -> Result<Rule> {
    if rule.transitions.is_some_and(|all| !all.is_empty())
        || rule.noncurrent_version_transitions.is_some_and(|all| !all.is_empty())
    {
        let message = "Transitions are not implemented: there is one storage class";
        return Err(Error::refused(S3ErrorCode::NotImplemented, message));
    }
    let is_enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed()),
    };
    let has_old_prefix = rule.prefix.is_some();
    let filter = match (rule.filter, rule.prefix) {
        (Some(filter), None) => filter_of(filter)?,
        (None, Some(prefix)) => Filter { prefix: Some(prefix), ..Filter::default() },
        _ => return Err(malformed()),
    };
    check_filter(&filter)?;
    let (expires, removes_markers) = expiration_of(rule.expiration.as_ref())?;
    let old_versions = rule.noncurrent_version_expiration;
    let old_versions = old_versions.map(|old| (old.noncurrent_days, old.newer_noncurrent_versions));
    let abort = rule.abort_incomplete_multipart_upload.map(|abort| abort.days_after_initiation.unwrap_or(0));
    let abort_days = abort
        .map(|days| positive(days, "DaysAfterInitiation' for AbortIncompleteMultipartUpload"))
        .transpose()?;
    let is_about_objects =
        !filter.tags.is_empty() || filter.greater_than.is_some() || filter.less_than.is_some();
    if abort_days.is_some() && is_about_objects {
        let message = "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.";
        return Err(Error::refused(S3ErrorCode::InvalidRequest, message));
    }
    if expires.is_none() && removes_markers.is_none() && old_versions.is_none() && abort_days.is_none() {
        let message = "At least one action needs to be specified in a rule";
        return Err(Error::refused(S3ErrorCode::InvalidRequest, message));
    }
    let id = rule.id.filter(|id| !id.is_empty()).unwrap_or_else(unique_id);
    if id.len() > ID_MAX_BYTES {
        return Err(invalid("ID length should not exceed allowed limit of 255"));
    }
    Ok(Rule { id, is_enabled, has_old_prefix, filter, expires, removes_markers, old_versions, abort_days })
}

fn told_filter(filter: Filter) -> LifecycleRuleFilter {
    let mut tags: Vec<Tag> =
        filter.tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    if filter.is_and {
        let and = LifecycleRuleAndOperator {
            object_size_greater_than: filter.greater_than,
            object_size_less_than: filter.less_than,
            prefix: filter.prefix,
            tags: (!tags.is_empty()).then_some(tags),
        };
        return LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() };
    }
    LifecycleRuleFilter {
        and: None,
        object_size_greater_than: filter.greater_than,
        object_size_less_than: filter.less_than,
        prefix: filter.prefix,
        tag: tags.pop(),
    }
}

fn told(rule: Rule) -> LifecycleRule {
    let expiration = match (rule.expires, rule.removes_markers) {
        (None, None) => None,
        (expires, markers) => Some(LifecycleExpiration {
            date: expires.and_then(|it| if let Expires::At(ms) = it { Some(timestamp(ms)) } else { None }),
            days: expires.and_then(|it| if let Expires::Days(days) = it { Some(days) } else { None }),
            expired_object_delete_marker: markers,
        }),
    };
    let (filter, prefix) =
        if rule.has_old_prefix { (None, rule.filter.prefix) } else { (Some(told_filter(rule.filter)), None) };
    LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort_days
            .map(|days| AbortIncompleteMultipartUpload { days_after_initiation: Some(days) }),
        expiration,
        filter,
        id: Some(rule.id),
        noncurrent_version_expiration: rule.old_versions.map(|(days, newer)| NoncurrentVersionExpiration {
            newer_noncurrent_versions: newer,
            noncurrent_days: days,
        }),
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(if rule.is_enabled {
            ExpirationStatus::ENABLED
        } else {
            ExpirationStatus::DISABLED
        }),
        transitions: None,
    }
}

/// Makes the lifecycle that a configuration asks for.
pub(super) fn lifecycle_of(rules: Vec<LifecycleRule>) -> Result<Lifecycle> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(malformed());
    }
    let rules: Vec<Rule> = rules.into_iter().map(rule_of).collect::<Result<_>>()?;
    let mut ids = HashSet::new();
    if let Some(twice) = rules.iter().find(|rule| !ids.insert(rule.id.clone())) {
        let message = format!("Rule ID must be unique. Found same ID for more than one rule: {}", twice.id);
        return Err(invalid(message));
    }
    Ok(Lifecycle(rules))
}

impl LocalS3 {
    pub(crate) async fn get_lifecycle(
        &self,
        input: GetBucketLifecycleConfigurationInput,
    ) -> Result<GetBucketLifecycleConfigurationOutput> {
        let missing = || {
            let message = "The lifecycle configuration does not exist";
            Error::refused(S3ErrorCode::NoSuchLifecycleConfiguration, message)
        };
        let rules = self.settings(input.bucket).await?.lifecycle.ok_or_else(missing)?.0;
        Ok(GetBucketLifecycleConfigurationOutput {
            rules: Some(rules.into_iter().map(told).collect()),
            ..GetBucketLifecycleConfigurationOutput::default()
        })
    }

    pub(crate) async fn put_lifecycle(
        &self,
        input: PutBucketLifecycleConfigurationInput,
    ) -> Result<PutBucketLifecycleConfigurationOutput> {
        let lifecycle = lifecycle_of(input.lifecycle_configuration.ok_or_else(malformed)?.rules)?;
        self.set_lifecycle(input.bucket, Some(lifecycle)).await?;
        Ok(PutBucketLifecycleConfigurationOutput::default())
    }

    pub(crate) async fn delete_lifecycle(
        &self,
        input: DeleteBucketLifecycleInput,
    ) -> Result<DeleteBucketLifecycleOutput> {
        self.set_lifecycle(input.bucket, None).await?;
        Ok(DeleteBucketLifecycleOutput {})
    }

    async fn set_lifecycle(&self, bucket: String, lifecycle: Option<Lifecycle>) -> Result<()> {
        self.set(bucket, move |settings| {
            settings.lifecycle = lifecycle;
            Ok(())
        })
        .await
    }
}
