//! Tests of notifications to queues, topics, the event bus and webhooks, and of what waits for them.

use super::*;
use crate::events::receiver::{EVENT_BUS, Receiver};
use crate::{Backlog, OutboxEntry};
use s3s::dto::{
    Delete, DeleteObjectsInput, Event, EventBridgeConfiguration, FilterRule, FilterRuleName,
    GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput,
    NotificationConfiguration, NotificationConfigurationFilter, ObjectIdentifier,
    PutBucketNotificationConfigurationInput, QueueConfiguration, S3KeyFilter, TopicConfiguration,
};

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:films";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:removals";

fn queue(arn: &str, event: &str) -> QueueConfiguration {
    let prefix = FilterRule {
        name: Some(FilterRuleName::from_static(FilterRuleName::PREFIX)),
        value: Some("in/".to_owned()),
    };
    QueueConfiguration {
        id: Some("q".to_owned()),
        events: vec![Event::from(event.to_owned())],
        filter: Some(NotificationConfigurationFilter {
            key: Some(S3KeyFilter { filter_rules: Some(vec![prefix]) }),
        }),
        queue_arn: arn.to_owned(),
    }
}

fn topic(event: &str) -> TopicConfiguration {
    let events = vec![Event::from(event.to_owned())];
    TopicConfiguration { id: Some("t".to_owned()), events, filter: None, topic_arn: TOPIC.to_owned() }
}

fn all() -> NotificationConfiguration {
    NotificationConfiguration {
        queue_configurations: Some(vec![queue(QUEUE, "s3:ObjectCreated:*")]),
        topic_configurations: Some(vec![topic("s3:ObjectRemoved:*")]),
        event_bridge_configuration: Some(EventBridgeConfiguration {}),
        lambda_function_configurations: None,
    }
}

fn of_queue(one: QueueConfiguration) -> NotificationConfiguration {
    NotificationConfiguration { queue_configurations: Some(vec![one]), ..Default::default() }
}

impl Fixture {
    async fn notify(&self, rules: NotificationConfiguration, skips_test: bool) -> Result<()> {
        let mut input = PutBucketNotificationConfigurationInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_notification_configuration(rules);
        input.set_skip_destination_validation(Some(skips_test));
        self.s3.put_notifications(input.build().unwrap()).await.map(drop)
    }

    async fn rules(&self) -> GetBucketNotificationConfigurationOutput {
        let input =
            GetBucketNotificationConfigurationInput { bucket: BUCKET.to_owned(), ..Default::default() };
        self.s3.get_notifications(input).await.unwrap()
    }

    async fn waiting(&self, receiver: &str) -> Vec<OutboxEntry> {
        self.s3.outbox().waiting_for(receiver, 1_000).await.unwrap()
    }

    async fn told(&self, receiver: &str) -> Vec<(String, String)> {
        self.waiting(receiver).await.into_iter().map(|entry| (entry.event_name, entry.key)).collect()
    }

    async fn backlog(&self, receiver: &str) -> Backlog {
        let all = self.s3.outbox().backlogs().await.unwrap();
        all.into_iter().find(|backlog| backlog.receiver == receiver).unwrap()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(event, key)| ((*event).to_owned(), (*key).to_owned())).collect()
}

#[tokio::test]
async fn each_receiver_hears_what_it_asked_for() {
    let fixture = fixture().await;
    fixture.notify(all(), true).await.unwrap();
    fixture.put("in/a", "1").await;
    fixture.put("b", "1").await;
    fixture.s3.copy(copy_input("b", "in/c")).await.unwrap();
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["in/a".to_owned(), "never".to_owned()]).await.unwrap();
    let object = |key: &str| ObjectIdentifier { key: key.to_owned(), ..Default::default() };
    let delete = Delete { objects: vec![object("b"), object("in/c"), object("none")], quiet: None };
    let mut many = DeleteObjectsInput::builder();
    many.set_bucket(BUCKET.to_owned());
    many.set_delete(delete);
    fixture.s3.delete_many(many.build().unwrap()).await.unwrap();
    let made = pairs(&[("ObjectCreated:Put", "in/a"), ("ObjectCreated:Copy", "in/c")]);
    assert_eq!(fixture.told(QUEUE).await, made);
    let gone = ["in/a", "b", "in/c"].map(|key| ("ObjectRemoved:Delete", key));
    assert_eq!(fixture.told(TOPIC).await, pairs(&gone));
    assert_eq!(fixture.told(EVENT_BUS).await.len(), 6);
    assert_eq!(
        fixture.s3.outbox().due(i64::MAX, 9).await.unwrap(),
        [],
        "functions have readers of their own"
    );
}

#[tokio::test]
async fn removal_comes_between_the_versions() {
    let fixture = fixture().await;
    fixture.notify(all(), true).await.unwrap();
    fixture.put("k 1", "body").await;
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["k 1".to_owned()]).await.unwrap();
    fixture.put("k 1", "again").await;
    let entries = fixture.waiting(EVENT_BUS).await;
    let sequencers: Vec<_> = entries.iter().map(|entry| format!("{:0<24}", entry.sequencer)).collect();
    assert!(sequencers.is_sorted_by(|one, other| one < other), "{sequencers:?}");
    let record = &fixture.waiting(TOPIC).await[0].event["Records"][0];
    let object = serde_json::json!({"key": "k+1", "sequencer": entries[1].sequencer});
    assert_eq!(record["s3"]["object"], object);
    assert_eq!(
        (&record["eventName"], &record["eventVersion"]),
        (&"ObjectRemoved:Delete".into(), &"2.1".into())
    );
}

#[tokio::test]
async fn expiration_is_an_event_of_its_own() {
    let fixture = fixture().await;
    let rules = NotificationConfiguration {
        topic_configurations: Some(vec![topic("s3:LifecycleExpiration:*")]),
        ..Default::default()
    };
    fixture.notify(rules, true).await.unwrap();
    fixture.put("k", "1").await;
    let write = fixture.s3.inner.index.write(|transaction| {
        let why = crate::events::notifications::Removal::Lifecycle;
        crate::index::commit::remove(transaction, BUCKET, "k", why, "us-east-1")
    });
    assert!(write.await.unwrap().is_notified);
    let record = fixture.waiting(TOPIC).await.remove(0).event["Records"][0].clone();
    assert_eq!(record["eventName"], "LifecycleExpiration:Delete");
    assert_eq!(record["userIdentity"]["principalId"], "s3.amazonaws.com");
}

#[tokio::test]
async fn rules_of_all_kinds_round_trip_and_new_ones_are_tried() {
    let fixture = fixture().await;
    fixture.notify(all(), false).await.unwrap();
    let stored = fixture.rules().await;
    assert!(stored.queue_configurations == all().queue_configurations);
    assert!(stored.topic_configurations == all().topic_configurations);
    assert!(stored.event_bridge_configuration.is_some() && stored.lambda_function_configurations.is_none());
    let tried = fixture.waiting(QUEUE).await;
    assert_eq!(tried[0].event["Event"], "s3:TestEvent");
    assert_eq!((&tried[0].event["Bucket"], tried.len()), (&BUCKET.into(), 1));
    fixture.notify(all(), false).await.unwrap();
    assert_eq!(fixture.waiting(QUEUE).await.len(), 1, "a known queue is not tried again");
    assert_eq!(fixture.told(EVENT_BUS).await, [], "the bus is not tried");
    fixture.notify(NotificationConfiguration::default(), false).await.unwrap();
    assert!(fixture.rules().await.queue_configurations.is_none());
}

#[tokio::test]
async fn what_the_operator_did_not_configure_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = LocalS3::open(folder.path(), Options::default()).unwrap();
    s3.ensure_bucket(BUCKET).await.unwrap();
    let bare = Fixture { s3, folder };
    let topics = NotificationConfiguration {
        topic_configurations: Some(vec![topic("s3:ObjectCreated:*")]),
        ..Default::default()
    };
    let bus = NotificationConfiguration {
        event_bridge_configuration: Some(EventBridgeConfiguration {}),
        ..Default::default()
    };
    for (rules, key) in [
        (of_queue(queue(QUEUE, "s3:ObjectCreated:*")), "sqs_endpoint"),
        (topics, "sns_endpoint"),
        (bus, "events_endpoint"),
    ] {
        let error = bare.notify(rules, false).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.s3_code(), "InvalidArgument");
        assert!(text.starts_with("Unable to validate the following destination configurations"), "{text}");
        assert!(text.contains(key), "{text}");
    }
    let fixture = fixture().await;
    for arn in [
        "arn:aws:sqs:eu-west-1:000000000000:films",
        "arn:aws:sqs:us-east-1:000000000000:films.fifo",
        "arn:aws:sqs:us-east-1:000000000000:../films",
        "https://169.254.169.254/latest/meta-data",
        TOPIC,
    ] {
        let refused = fixture.notify(of_queue(queue(arn, "s3:ObjectCreated:*")), true).await;
        assert_eq!(code(refused), "InvalidArgument", "{arn}");
    }
    for (event, expected) in [
        ("s3:ObjectTagging:*", "NotImplemented"),
        ("s3:ObjectCreated:Never", "InvalidArgument"),
        ("ObjectCreated:*", "InvalidArgument"),
    ] {
        assert_eq!(code(fixture.notify(of_queue(queue(QUEUE, event)), true).await), expected, "{event}");
    }
}

#[tokio::test]
async fn configured_webhook_hears_of_all_buckets_from_now_on() {
    let fixture = fixture().await;
    fixture.put("before", "1").await;
    let hook = Trigger {
        bucket: String::new(),
        events: vec!["s3:ObjectCreated:*".to_owned(), "s3:ObjectRemoved:*".to_owned()],
        ..trigger("webhook", "", "", "webhook:ab12")
    };
    fixture.s3.set_triggers(vec![hook, trigger("all", "", "", "encode")]).await.unwrap();
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 1, "only the function gets older objects");
    fixture.put("after", "1").await;
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["after".to_owned()]).await.unwrap();
    let told = pairs(&[("ObjectCreated:Put", "after"), ("ObjectRemoved:Delete", "after")]);
    assert_eq!(fixture.told("webhook:ab12").await, told);
    let due = fixture.s3.outbox().due(i64::MAX, 9).await.unwrap();
    assert!(due.iter().all(|entry| !Receiver::of(&entry.function).is_away() && entry.key != "gone"));
    assert_eq!(due.len(), 2, "a trigger hears of no removal");
}

#[tokio::test]
async fn backlog_is_told_bounded_and_sent_again() {
    let fixture = fixture().await;
    fixture.notify(of_queue(queue(QUEUE, "s3:ObjectCreated:*")), true).await.unwrap();
    for number in 0..5 {
        fixture.put(&format!("in/{number}"), "x").await;
    }
    let outbox = fixture.s3.outbox();
    let first = fixture.waiting(QUEUE).await.remove(0);
    outbox.retry_at(first.id, 77, "no answer").await.unwrap();
    let backlog = fixture.backlog(QUEUE).await;
    assert_eq!((backlog.waiting, backlog.dead_letters, backlog.attempts), (5, 0, 1));
    assert_eq!((backlog.due_ms, backlog.oldest_ms), (Some(77), Some(first.created_ms)));
    assert_eq!(backlog.last_error.as_deref(), Some("no answer"));
    assert_eq!(outbox.bound(QUEUE, 3, "too many").await.unwrap(), (2, 0));
    assert_eq!(outbox.bound(QUEUE, 1, "too many").await.unwrap(), (2, 3), "the newest stay");
    let left = fixture.waiting(QUEUE).await;
    assert_eq!((left.len(), left[0].key.as_str()), (1, "in/4"));
    let letters = outbox.dead_letters().await.unwrap();
    assert_eq!((letters.len(), letters[0].last_error.as_deref()), (1, Some("too many")));
    assert_eq!(outbox.redeliver(QUEUE).await.unwrap(), 2);
    assert_eq!(fixture.told(QUEUE).await.len(), 2);
    assert_eq!(fixture.backlog(QUEUE).await.dead_letters, 0);
    assert_eq!(outbox.redeliver("arn:aws:sqs:us-east-1:000000000000:other").await.unwrap(), 0);
}
