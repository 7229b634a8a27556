//! Gets and puts the notification rules of buckets: converts between S3's configuration and the stored rules.
//!
//! It refuses a rule for a function that the endpoint does not know, and for a service that the operator did not
//! configure. It sends nothing.

use s3s::S3ErrorCode;
use s3s::dto::{
    Event, EventBridgeConfiguration, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, PutBucketNotificationConfigurationInput,
    PutBucketNotificationConfigurationOutput, QueueConfiguration, S3KeyFilter, TopicConfiguration,
};

use crate::blobs::unique_id;
use crate::buckets::bucket_rules::Rules;
use crate::error::{Error, Result};
use crate::events::notifications::{BucketRule, bucket_rules, insert_test};
use crate::events::receiver::{EVENT_BUS, Receiver, is_only_aws, is_sent};
use crate::index::record::{require_bucket, to_text};
use crate::{LocalS3, Options};

/// S3's limit on the rules of one bucket.
const RULES_MAX: usize = 100;
/// What the event bus gets: all that happens, as EventBridge filters by itself.
const BUS_EVENTS: [&str; 3] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"];

fn wrong(message: impl Into<String>) -> Error {
    Error::refused(S3ErrorCode::InvalidArgument, message)
}

/// Refuses a destination as AWS does, and says why.
fn unusable(arn: &str, why: &str) -> Error {
    wrong(format!("Unable to validate the following destination configurations: {arn}: {why}"))
}

/// Returns the known function that an ARN or a bare name refers to.
fn function_of(arn: &str, known: &[String]) -> Result<String> {
    let name = arn.split_once(":function:").map_or(arn, |(_, name)| name);
    let name = name.split(':').next().unwrap_or(name);
    let is_meant = |known: &&String| {
        known.as_str() == arn || known.rsplit(":function:").next().is_some_and(|known| known == name)
    };
    let found = known.iter().find(is_meant).cloned();
    found.ok_or_else(|| {
        unusable(arn, "the function is unknown to this server: configure a trigger with this id")
    })
}

/// Returns the receiver that an ARN of a queue or topic names.
fn resource_of(arn: &str, kind: Kind, options: &Options) -> Result<String> {
    let configured = options.destinations;
    let (parts, is_configured, key) = match (kind, Receiver::of(arn)) {
        (Kind::Queue, Receiver::Queue(parts)) => (parts, configured.queues, "sqs_endpoint"),
        (Kind::Topic, Receiver::Topic(parts)) => (parts, configured.topics, "sns_endpoint"),
        (Kind::Queue, _) => return Err(unusable(arn, "it is not the ARN of a standard queue")),
        (Kind::Topic, _) => return Err(unusable(arn, "it is not the ARN of a standard topic")),
    };
    if !is_configured {
        return Err(unusable(arn, &format!("the operator has not set `{key}` under [notifications]")));
    }
    if parts.region != options.region {
        return Err(unusable(arn, &format!("it must be in the bucket's region `{}`", options.region)));
    }
    Ok(arn.to_owned())
}

#[derive(Clone, Copy)]
enum Kind {
    Queue,
    Topic,
}

/// What all kinds of configurations have.
struct Configuration {
    id: Option<String>,
    events: Vec<Event>,
    filter: Option<NotificationConfigurationFilter>,
    arn: String,
}

fn rule(configuration: Configuration, function: String) -> Result<BucketRule> {
    let events: Vec<String> = configuration.events.into_iter().map(String::from).collect();
    if events.is_empty() {
        return Err(Error::refused(S3ErrorCode::MalformedXML, "a configuration names no event"));
    }
    if let Some(event) = events.iter().find(|event| !is_sent(event)) {
        return Err(match is_only_aws(event) {
            true => {
                Error::refused(S3ErrorCode::NotImplemented, format!("this server does not send `{event}`"))
            }
            false => wrong(format!("The event `{event}` is not supported for notifications")),
        });
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
        arn: configuration.arn,
        function,
    })
}

/// Whether an event may be of both kinds, such as `s3:ObjectCreated:*` and `s3:ObjectCreated:Put`.
fn share_events(one: &str, other: &str) -> bool {
    let covers = |wide: &str, narrow: &str| {
        wide == narrow || wide.strip_suffix('*').is_some_and(|family| narrow.starts_with(family))
    };
    covers(one, other) || covers(other, one)
}

/// Refuses two rules that a key and an event may both fit, as AWS does. The event bus gets everything and counts as none.
fn check_overlaps(rules: &[BucketRule]) -> Result<()> {
    let is_filtered = |rule: &BucketRule| !rule.prefix.is_empty() || !rule.suffix.is_empty();
    let rules: Vec<&BucketRule> = rules.iter().filter(|rule| rule.function != EVENT_BUS).collect();
    for (number, one) in rules.iter().enumerate() {
        for other in &rules[number + 1..] {
            let has_common_event = one.events.iter().any(|a| other.events.iter().any(|b| share_events(a, b)));
            let may_begin_alike =
                one.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&one.prefix);
            let may_end_alike = one.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&one.suffix);
            if !has_common_event || !may_begin_alike || !may_end_alike {
                continue;
            }
            return Err(wrong(if is_filtered(one) || is_filtered(other) {
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes \
                 are overlapping for the same event type."
            } else {
                "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            }));
        }
    }
    Ok(())
}

/// Returns the rules of a configuration.
fn rules(given: NotificationConfiguration, options: &Options) -> Result<Vec<BucketRule>> {
    let mut rules = Vec::new();
    for one in given.lambda_function_configurations.unwrap_or_default() {
        let function = function_of(&one.lambda_function_arn, &options.functions)?;
        let LambdaFunctionConfiguration { id, events, filter, lambda_function_arn: arn } = one;
        rules.push(rule(Configuration { id, events, filter, arn }, function)?);
    }
    for one in given.queue_configurations.unwrap_or_default() {
        let receiver = resource_of(&one.queue_arn, Kind::Queue, options)?;
        let QueueConfiguration { id, events, filter, queue_arn: arn } = one;
        rules.push(rule(Configuration { id, events, filter, arn }, receiver)?);
    }
    for one in given.topic_configurations.unwrap_or_default() {
        let receiver = resource_of(&one.topic_arn, Kind::Topic, options)?;
        let TopicConfiguration { id, events, filter, topic_arn: arn } = one;
        rules.push(rule(Configuration { id, events, filter, arn }, receiver)?);
    }
    if given.event_bridge_configuration.is_some() {
        if !options.destinations.event_bus {
            let why = "the operator has not set `events_endpoint` under [notifications]";
            return Err(unusable("EventBridgeConfiguration", why));
        }
        let events = BUS_EVENTS.map(|event| Event::from(event.to_owned())).to_vec();
        let all = Configuration { id: None, events, filter: None, arn: String::new() };
        rules.push(rule(all, EVENT_BUS.to_owned())?);
    }
    check_overlaps(&rules)?;
    if rules.len() > RULES_MAX {
        return Err(wrong(format!("a bucket has {RULES_MAX} notification configurations at most")));
    }
    Ok(rules)
}

fn filter(prefix: String, suffix: String) -> Option<NotificationConfigurationFilter> {
    let filters = [(FilterRuleName::PREFIX, prefix), (FilterRuleName::SUFFIX, suffix)];
    let filters = filters.into_iter().filter(|(_, value)| !value.is_empty());
    let filters: Vec<_> = filters
        .map(|(name, value)| FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some(value) })
        .collect();
    let key = Some(S3KeyFilter { filter_rules: Some(filters.clone()) });
    (!filters.is_empty()).then_some(NotificationConfigurationFilter { key })
}

/// Adds a rule to the configuration that a client gets.
fn add(output: &mut GetBucketNotificationConfigurationOutput, rule: BucketRule) {
    let BucketRule { id, events, prefix, suffix, arn, function } = rule;
    let (id, filter) = (Some(id), filter(prefix, suffix));
    let events: Vec<Event> = events.into_iter().map(Event::from).collect();
    match Receiver::of(&function) {
        Receiver::Queue(_) => {
            let one = QueueConfiguration { id, events, filter, queue_arn: arn };
            output.queue_configurations.get_or_insert_default().push(one);
        }
        Receiver::Topic(_) => {
            let one = TopicConfiguration { id, events, filter, topic_arn: arn };
            output.topic_configurations.get_or_insert_default().push(one);
        }
        Receiver::EventBus => output.event_bridge_configuration = Some(EventBridgeConfiguration {}),
        Receiver::Function(_) | Receiver::Webhook(_) => {
            let one = LambdaFunctionConfiguration { id, events, filter, lambda_function_arn: arn };
            output.lambda_function_configurations.get_or_insert_default().push(one);
        }
    }
}

impl LocalS3 {
    /// Replaces the rules of a bucket. New queues and topics get S3's test event, unless the client skips it.
    pub(crate) async fn put_notifications(
        &self,
        input: PutBucketNotificationConfigurationInput,
    ) -> Result<PutBucketNotificationConfigurationOutput> {
        let rules = rules(input.notification_configuration, &self.inner.options)?;
        let tests = !input.skip_destination_validation.unwrap_or(false);
        let write = self.change_buckets(move |transaction| {
            require_bucket(transaction, &input.bucket)?;
            // Rules that cannot be read are replaced all the same.
            let known = bucket_rules(transaction, &input.bucket).unwrap_or_default();
            let text = (!rules.is_empty()).then(|| to_text(&rules));
            Rules::Notifications.write(transaction, &input.bucket, text.as_deref())?;
            let is_new = |rule: &&BucketRule| known.iter().all(|known| known.function != rule.function);
            for rule in rules.iter().filter(is_new).filter(|_| tests) {
                if matches!(Receiver::of(&rule.function), Receiver::Queue(_) | Receiver::Topic(_)) {
                    insert_test(transaction, &input.bucket, rule)?;
                }
            }
            Ok(())
        });
        write.await?;
        self.wake_outbox();
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
        let mut output = GetBucketNotificationConfigurationOutput::default();
        read.await?.into_iter().for_each(|rule| add(&mut output, rule));
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(event: &str, prefix: &str, suffix: &str, function: &str) -> BucketRule {
        let [id, prefix, suffix, arn, function] = ["x", prefix, suffix, "", function].map(str::to_owned);
        BucketRule { id, events: vec![event.to_owned()], prefix, suffix, arn, function }
    }

    #[test]
    fn two_rules_that_one_event_fits_are_refused() {
        let (all, put, gone) = ("s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*");
        let first = stored(all, "in/", ".mp4", "a");
        for (other, overlaps) in [
            (stored(all, "in/", ".mp4", "b"), true),
            (stored(put, "in/", ".mp4", "a"), true),
            (stored(put, "", "", "b"), true),
            (stored(all, "in/films/", "4", "b"), true),
            (stored(gone, "in/", ".mp4", "b"), false),
            (stored(all, "out/", ".mp4", "b"), false),
            (stored(all, "in/", ".mov", "b"), false),
            (stored(all, "in", "", EVENT_BUS), false),
        ] {
            for pair in [[first.clone(), other.clone()], [other.clone(), first.clone()]] {
                let found = check_overlaps(&pair).err();
                assert_eq!(found.is_some(), overlaps, "{other:?}");
                assert!(
                    found.is_none_or(|error| error.to_string().starts_with("Configuration is ambiguously"))
                );
            }
        }
        let unfiltered = check_overlaps(&[stored(all, "", "", "a"), stored(put, "", "", "b")]).unwrap_err();
        assert_eq!(unfiltered.s3_code(), "InvalidArgument");
        assert!(unfiltered.to_string().starts_with("Configurations overlap."));
    }

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
