//! Tests of notifications and the outbox: which functions are notified, how often, and what is remembered.

use super::*;
use crate::OutboxEntry;
use futures::FutureExt;
use s3s::dto::{
    Event, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput, LambdaFunctionConfiguration,
    NotificationConfiguration, NotificationConfigurationFilter, PutBucketNotificationConfigurationInput,
    QueueConfiguration, S3KeyFilter,
};

fn function(id: &str, event: &str, filters: &[(&'static str, &str)]) -> LambdaFunctionConfiguration {
    let filters = filters.iter().map(|(name, value)| FilterRule {
        name: Some(FilterRuleName::from_static(name)),
        value: Some((*value).to_owned()),
    });
    LambdaFunctionConfiguration {
        id: Some(id.to_owned()),
        events: vec![Event::from(event.to_owned())],
        filter: Some(NotificationConfigurationFilter {
            key: Some(S3KeyFilter { filter_rules: Some(filters.collect()) }),
        }),
        lambda_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:encode".to_owned(),
    }
}

fn of_functions(functions: Vec<LambdaFunctionConfiguration>) -> NotificationConfiguration {
    NotificationConfiguration {
        lambda_function_configurations: Some(functions),
        ..NotificationConfiguration::default()
    }
}

impl Fixture {
    async fn due(&self) -> Vec<OutboxEntry> {
        self.s3.outbox().due(i64::MAX, 1_000).await.unwrap()
    }

    async fn set_rules(&self, rules: NotificationConfiguration) -> Result<()> {
        let mut input = PutBucketNotificationConfigurationInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_notification_configuration(rules);
        self.s3.put_notifications(input.build().unwrap()).await.map(drop)
    }
}

#[tokio::test]
async fn event_matches_s3_word_for_word() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("films", "in/", ".mp4", "encode")]).await.unwrap();
    fixture.put("in/día 1+2.mp4", "body").await;
    let redacted = ["eventTime", "responseElements.x-amz-id-2", "responseElements.x-amz-request-id"];
    let mut event = fixture.due().await.remove(0).event;
    let lengths = redacted.map(|path| {
        let pointer = format!("/Records/0/{}", path.replace('.', "/"));
        event.pointer_mut(&pointer).unwrap().as_str().unwrap().len()
    });
    assert_eq!(lengths, [24, 32, 16]);
    let mut sorted = insta::Settings::clone_current();
    sorted.set_sort_maps(true);
    let _bound = sorted.bind_to_scope();
    insta::assert_json_snapshot!(event, {
        ".Records[].eventTime" => "[time]",
        ".Records[].responseElements[\"x-amz-id-2\"]" => "[id]",
        ".Records[].responseElements[\"x-amz-request-id\"]" => "[id]",
    }, @r#"
    {
      "Records": [
        {
          "awsRegion": "us-east-1",
          "eventName": "ObjectCreated:Put",
          "eventSource": "aws:s3",
          "eventTime": "[time]",
          "eventVersion": "2.1",
          "requestParameters": {
            "sourceIPAddress": "127.0.0.1"
          },
          "responseElements": {
            "x-amz-id-2": "[id]",
            "x-amz-request-id": "[id]"
          },
          "s3": {
            "bucket": {
              "arn": "arn:aws:s3:::media",
              "name": "media",
              "ownerIdentity": {
                "principalId": "abanico"
              }
            },
            "configurationId": "films",
            "object": {
              "eTag": "841a2d689ad86bd1611447453c22c6fc",
              "key": "in/d%C3%ADa+1%2B2.mp4",
              "sequencer": "000000000000000001",
              "size": 4
            },
            "s3SchemaVersion": "1.0"
          },
          "userIdentity": {
            "principalId": "abanico"
          }
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn function_is_notified_once_per_version() {
    let fixture = fixture().await;
    let triggers = [("one", "encode"), ("two", "encode"), ("three", "audit")]
        .map(|(id, function)| trigger(id, "", "", function));
    fixture.s3.set_triggers(triggers.to_vec()).await.unwrap();
    fixture.set_rules(of_functions(vec![function("four", "s3:ObjectCreated:*", &[])])).await.unwrap();
    fixture.put("k", "1").await;
    fixture.put("k", "2").await;
    let due = fixture.due().await;
    let told: Vec<_> = due.iter().map(|it| (it.function.as_str(), it.configuration_id.as_str())).collect();
    let once = [("encode", "one"), ("audit", "three")];
    assert_eq!(told, [once, once].concat());
    assert_eq!(due[0].sequencer, due[1].sequencer);
    assert!(due[1].sequencer < due[2].sequencer, "a new version is notified again");
}

#[tokio::test]
async fn failed_write_notifies_no_function() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    assert_eq!(code(fixture.put_claiming("k", "x-amz-checksum-crc32", "AAAAAA==").await), "BadDigest");
    let mut conditional = put_input("k", "x");
    conditional.if_match = Some("*".parse().unwrap());
    assert_eq!(code(fixture.s3.put(request(conditional)).await), "NoSuchKey");
    let id = fixture.begin("k").await;
    fixture.part("k", &id, 1, "body").await.unwrap();
    assert_eq!(code(fixture.complete("k", &id, vec![]).await), "MalformedXML");
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["k".to_owned()]).await.unwrap();
    assert_eq!(fixture.due().await, []);
}

#[tokio::test]
async fn reconcile_remembers_deliveries_across_a_restart() {
    let fixture = fixture().await;
    fixture.put("old", "1").await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.put("new", "2").await;
    fixture.put("gone", "3").await;
    let outbox = fixture.s3.outbox();
    for entry in fixture.due().await {
        outbox.delivered(entry.id).await.unwrap();
    }
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["gone".to_owned()]).await.unwrap();
    let Fixture { s3, folder } = fixture;
    drop((s3, outbox));
    let fixture = Fixture { s3: open(folder.path()), folder };
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 1);
    assert_eq!(fixture.due().await[0].key, "old");
    // Deleting or replacing an object also removes the record of its notifications.
    fixture.put("new", "4").await;
    let count = "SELECT COUNT(*) FROM notified";
    let read = fixture.s3.inner.index.read(|it| Ok(it.query_row(count, [], |row| row.get::<_, i64>(0))?));
    assert_eq!(read.await.unwrap(), 2);
}

#[tokio::test]
async fn reconcile_covers_more_than_one_batch() {
    let fixture = fixture().await;
    let write = fixture.s3.inner.index.write(|transaction| {
        for place in 0..1_201 {
            transaction
                .prepare_cached(
                    "INSERT INTO objects (bucket, key, size, etag, modified_ms, sequencer, event_name, record) VALUES ('media', ?1, 1, 'e', 0, ?1, 'ObjectCreated:Put', '{}')",
                )?
                .execute([format!("{place:018X}")])?;
        }
        Ok(())
    });
    write.await.unwrap();
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 1_201);
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 0);
}

#[tokio::test]
async fn entries_are_due_in_order_and_never_early() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    for key in ["a", "b", "c"] {
        fixture.put(key, "x").await;
    }
    let outbox = fixture.s3.outbox();
    let ids: Vec<i64> = fixture.due().await.iter().map(|entry| entry.id).collect();
    for (id, when_ms) in [(ids[0], 300), (ids[1], 100), (ids[2], 200)] {
        outbox.retry_at(id, when_ms, "busy").await.unwrap();
    }
    let at = |now_ms, limit| {
        let outbox = outbox.clone();
        async move { outbox.due(now_ms, limit).await.unwrap().iter().map(|it| it.id).collect::<Vec<_>>() }
    };
    assert_eq!(outbox.next_due_ms().await.unwrap(), Some(100));
    assert_eq!(at(99, 9).await, Vec::<i64>::new());
    assert_eq!(at(200, 9).await, [ids[1], ids[2]]);
    assert_eq!(at(300, 2).await, [ids[1], ids[2]]);
    outbox.dead_letter(ids[1], "broken").await.unwrap();
    assert_eq!(outbox.next_due_ms().await.unwrap(), Some(200), "a dead letter is never due");
    outbox.replay(ids[1]).await.unwrap();
    let replayed = fixture.due().await.into_iter().find(|entry| entry.id == ids[1]).unwrap();
    assert_eq!((replayed.attempts, replayed.last_error.as_deref()), (0, Some("broken")));
    assert!(replayed.next_attempt_ms > 300 && outbox.dead_letters().await.unwrap().is_empty());
}

#[tokio::test]
async fn change_wakes_a_later_waiter() {
    let fixture = fixture().await;
    let outbox = fixture.s3.outbox();
    let is_woken = || outbox.changed().now_or_never().is_some();
    fixture.put("k", "1").await;
    assert!(!is_woken(), "no rule, no entry");
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.put("k", "2").await;
    assert!(is_woken());
    assert!(!is_woken());
    outbox.replay(fixture.due().await[0].id).await.unwrap();
    assert!(is_woken());
    fixture.s3.set_triggers(vec![trigger("all", "", "", "audit")]).await.unwrap();
    outbox.reconcile().await.unwrap();
    assert!(is_woken());
}

#[tokio::test]
async fn bucket_rules_round_trip_and_can_be_removed() {
    let fixture = fixture().await;
    let filters = [(FilterRuleName::PREFIX, "in/"), (FilterRuleName::SUFFIX, ".mp4")];
    let rules = vec![function("films", "s3:ObjectCreated:Put", &filters)];
    fixture.set_rules(of_functions(rules.clone())).await.unwrap();
    let stored = || async {
        let input =
            GetBucketNotificationConfigurationInput { bucket: BUCKET.to_owned(), ..Default::default() };
        fixture.s3.get_notifications(input).await.unwrap().lambda_function_configurations
    };
    assert!(stored().await == Some(rules));
    fixture.put("in/a.mp4", "1").await;
    fixture.put("in/a.mov", "1").await;
    fixture.put("a.mp4", "1").await;
    fixture.s3.copy(copy_input("a.mp4", "in/copied.mp4")).await.unwrap();
    let keys: Vec<_> = fixture.due().await.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["in/a.mp4"]);
    fixture.set_rules(NotificationConfiguration::default()).await.unwrap();
    assert!(stored().await.is_none());
    fixture.put("in/a.mp4", "2").await;
    assert_eq!(fixture.due().await.len(), 1);
}

#[tokio::test]
async fn wrong_rules_are_refused_and_old_ones_kept() {
    let fixture = fixture().await;
    let good = || function("good", "s3:ObjectCreated:*", &[]);
    fixture.set_rules(of_functions(vec![good()])).await.unwrap();
    let mut unknown = good();
    unknown.lambda_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:none".to_owned();
    let twice = [(FilterRuleName::PREFIX, "a"), (FilterRuleName::PREFIX, "b")];
    let wrong = [
        of_functions(vec![good(), unknown]),
        of_functions(vec![function("x", "ObjectCreated:Put", &[])]),
        of_functions(vec![function("x", "s3:ObjectCreated:*", &twice)]),
        of_functions(vec![function("x", "s3:ObjectCreated:*", &[("infix", "a")])]),
        NotificationConfiguration {
            queue_configurations: Some(vec![QueueConfiguration::default()]),
            ..NotificationConfiguration::default()
        },
    ];
    for (place, rules) in wrong.into_iter().enumerate() {
        assert_eq!(code(fixture.set_rules(rules).await), "InvalidArgument", "rules {place}");
    }
    fixture.put("k", "1").await;
    assert_eq!(fixture.due().await[0].configuration_id, "good");
}

impl Fixture {
    /// Changes the index behind the endpoint's back.
    fn sql(&self, sql: &str) {
        let index = rusqlite::Connection::open(self.folder.path().join("index.db")).unwrap();
        assert!(index.execute(sql, []).unwrap() > 0, "{sql} changes nothing");
    }
}

#[tokio::test]
async fn unreadable_event_is_made_again_or_put_aside() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    for key in ["a.mp4", "b.mp4", "c.mp4"] {
        fixture.put(key, "body").await;
    }
    let before = fixture.due().await;
    fixture.sql("UPDATE outbox SET event = substr(event, 1, 40) WHERE key = 'a.mp4'");
    fixture.sql("UPDATE outbox SET event = X'00ff' WHERE key = 'b.mp4'");
    // Its object was replaced without a word, so that its event cannot be made again.
    fixture.sql("UPDATE objects SET sequencer = 'other' WHERE key = 'b.mp4'");
    let keys =
        |entries: Vec<OutboxEntry>| -> Vec<String> { entries.into_iter().map(|one| one.key).collect() };
    assert_eq!(keys(fixture.due().await), ["c.mp4"]);
    assert!(fixture.s3.outbox().changed().now_or_never().is_some(), "the mended entry is told");
    let mended = fixture.due().await;
    let event = |entries: &[OutboxEntry]| {
        entries.iter().find(|one| one.key == "a.mp4").unwrap().event["Records"][0]["s3"].clone()
    };
    assert_eq!(event(&mended), event(&before));
    assert_eq!(keys(mended), ["a.mp4", "c.mp4"]);
    let aside = fixture.s3.outbox().put_aside().await.unwrap();
    assert!(aside.len() == 1 && !aside[0].1.is_empty(), "{aside:?}");
    assert_eq!(fixture.s3.outbox().dead_letters().await.unwrap(), []);
    let mend = format!("UPDATE outbox SET event = '{{\"Records\": []}}' WHERE id = {}", aside[0].0);
    fixture.sql(&mend);
    fixture.s3.outbox().replay(aside[0].0).await.unwrap();
    assert_eq!(fixture.due().await.len(), 3);
    assert_eq!(fixture.s3.outbox().put_aside().await.unwrap(), []);
}

#[tokio::test]
async fn entry_with_an_unreadable_column_is_put_aside_once() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.put("a.mp4", "body").await;
    fixture.sql("UPDATE outbox SET attempts = 'many'");
    assert_eq!(fixture.due().await, []);
    assert_eq!(fixture.s3.outbox().put_aside().await.unwrap().len(), 1);
    assert_eq!(fixture.due().await, []);
}

#[tokio::test]
async fn unreadable_rules_of_one_bucket_stop_no_start() {
    let fixture = fixture().await;
    fixture.put("a.mp4", "body").await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.sql("UPDATE buckets SET notifications = '{'");
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 0);
    assert_eq!(fixture.due().await.len(), 1, "the configured trigger does not depend on them");
}

#[tokio::test]
async fn delivery_put_off_by_a_wrong_clock_is_due() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.put("a.mp4", "body").await;
    let outbox = fixture.s3.outbox();
    let id = fixture.due().await[0].id;
    let due = async |now_ms: i64| outbox.due(now_ms, 9).await.unwrap().len();
    outbox.retry_at(id, 100_000_000 + 8_000, "no").await.unwrap();
    assert_eq!((due(100_000_000).await, due(100_008_000).await), (0, 1));
    // The clock is set back by a day.
    assert_eq!(due(100_000_000 - 86_400_000).await, 1);
}
