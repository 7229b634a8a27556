//! Gets and puts the notification rules of buckets: converts between S3's configuration and the stored rules.
//!
//! It refuses a rule for a function that the endpoint does not know.

use rusqlite::params;
use s3s::S3ErrorCode;
use s3s::dto::{
    Event, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, LambdaFunctionConfiguration, NotificationConfigurationFilter,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, S3KeyFilter,
};

use crate::LocalS3;
use crate::blobs::unique_id;
use crate::error::{Error, Result};
use crate::notifications::{BucketRule, bucket_rules};
use crate::record::{require_bucket, to_text};

fn wrong(message: impl Into<String>) -> Error {
    Error::refused(S3ErrorCode::InvalidArgument, message)
}

/// Returns the known function that an ARN or a bare name refers to.
fn function_of(arn: &str, known: &[String]) -> Result<String> {
    let name = arn.split_once(":function:").map_or(arn, |(_, name)| name);
    let name = name.split(':').next().unwrap_or(name);
    let is_meant = |known: &&String| {
        known.as_str() == arn || known.rsplit(":function:").next().is_some_and(|known| known == name)
    };
    let found = known.iter().find(is_meant).cloned();
    found.ok_or_else(|| wrong(format!("function `{arn}` is unknown to this endpoint")))
}

fn rule(configuration: LambdaFunctionConfiguration, known: &[String]) -> Result<BucketRule> {
    let function = function_of(&configuration.lambda_function_arn, known)?;
    let events: Vec<String> = configuration.events.iter().map(|event| String::from(event.clone())).collect();
    if let Some(event) = events.iter().find(|event| !event.starts_with("s3:")) {
        return Err(wrong(format!("`{event}` is not an S3 event")));
    }
    let (mut prefix, mut suffix) = (None, None);
    let filter = configuration.filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules);
    for filter in filter.unwrap_or_default() {
        let name = filter.name.map(|name| name.as_str().to_ascii_lowercase()).unwrap_or_default();
        let place = match name.as_str() {
            "prefix" => &mut prefix,
            "suffix" => &mut suffix,
            _ => return Err(wrong("a filter must be a `prefix` or a `suffix`")),
        };
        if place.replace(filter.value.unwrap_or_default()).is_some() {
            return Err(wrong(format!("the filter has more than one {name}")));
        }
    }
    Ok(BucketRule {
        id: configuration.id.unwrap_or_else(unique_id),
        events,
        prefix: prefix.unwrap_or_default(),
        suffix: suffix.unwrap_or_default(),
        arn: configuration.lambda_function_arn,
        function,
    })
}

fn configuration(rule: BucketRule) -> LambdaFunctionConfiguration {
    let filters = [(FilterRuleName::PREFIX, rule.prefix), (FilterRuleName::SUFFIX, rule.suffix)];
    let filters = filters.into_iter().filter(|(_, value)| !value.is_empty());
    let filters: Vec<_> = filters
        .map(|(name, value)| FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some(value) })
        .collect();
    LambdaFunctionConfiguration {
        id: Some(rule.id),
        events: rule.events.into_iter().map(Event::from).collect(),
        filter: (!filters.is_empty()).then_some(NotificationConfigurationFilter {
            key: Some(S3KeyFilter { filter_rules: Some(filters) }),
        }),
        lambda_function_arn: rule.arn,
    }
}

impl LocalS3 {
    pub(crate) async fn put_notifications(
        &self,
        input: PutBucketNotificationConfigurationInput,
    ) -> Result<PutBucketNotificationConfigurationOutput> {
        let given = input.notification_configuration;
        let is_empty = |count: Option<usize>| count.unwrap_or(0) == 0;
        let others =
            [given.queue_configurations.map(|it| it.len()), given.topic_configurations.map(|it| it.len())];
        if !others.into_iter().all(is_empty) || given.event_bridge_configuration.is_some() {
            return Err(wrong("this endpoint can notify functions only, not queues, topics or EventBridge"));
        }
        let known = &self.inner.options.functions;
        let rules = given.lambda_function_configurations.unwrap_or_default();
        let rules: Vec<BucketRule> = rules.into_iter().map(|it| rule(it, known)).collect::<Result<_>>()?;
        let write = self.change_buckets(move |transaction| {
            require_bucket(transaction, &input.bucket)?;
            let text = (!rules.is_empty()).then(|| to_text(&rules));
            let sql = "UPDATE buckets SET notifications = ?2 WHERE name = ?1";
            transaction.execute(sql, params![input.bucket, text])?;
            Ok(())
        });
        write.await?;
        Ok(PutBucketNotificationConfigurationOutput::default())
    }

    pub(crate) async fn get_notifications(
        &self,
        input: GetBucketNotificationConfigurationInput,
    ) -> Result<GetBucketNotificationConfigurationOutput> {
        let read = self.inner.index.read(move |reader| {
            require_bucket(reader, &input.bucket)?;
            bucket_rules(reader, &input.bucket)
        });
        let rules: Vec<_> = read.await?.into_iter().map(configuration).collect();
        Ok(GetBucketNotificationConfigurationOutput {
            lambda_function_configurations: (!rules.is_empty()).then_some(rules),
            ..GetBucketNotificationConfigurationOutput::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_found_by_name_or_arn() {
        let known = ["encode".to_owned(), "arn:aws:lambda:eu-west-1:1:function:other".to_owned()];
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:encode";
        assert_eq!(function_of(arn, &known).unwrap(), "encode");
        assert_eq!(function_of(&format!("{arn}:live"), &known).unwrap(), "encode");
        assert_eq!(function_of("other", &known).unwrap(), known[1]);
        assert_eq!(
            function_of("arn:aws:lambda:x:1:function:none", &known).unwrap_err().s3_code(),
            "InvalidArgument"
        );
    }
}
