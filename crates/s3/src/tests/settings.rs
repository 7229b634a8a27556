//! Tests of what is set about buckets: lifecycles remove what is due and nothing else, and settings outlive the index.

use s3s::dto::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, DeletePublicAccessBlockInput,
    ExpirationStatus, GetBucketPolicyInput, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    PutBucketLifecycleConfigurationInput, PutBucketPolicyInput, Tag,
};

use std::time::Duration;

use super::*;
use crate::LifecycleCounts;
use abanico_process::clock::wall_ms;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*",
    "Action": "s3:GetObject", "Resource": "arn:aws:s3:::media/open/*"}}"#;

fn rule(filter: LifecycleRuleFilter, days: i32) -> LifecycleRule {
    LifecycleRule {
        abort_incomplete_multipart_upload: None,
        expiration: Some(LifecycleExpiration { days: Some(days), ..Default::default() }),
        filter: Some(filter),
        id: None,
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
        transitions: None,
    }
}

fn under(prefix: &str) -> LifecycleRuleFilter {
    LifecycleRuleFilter { prefix: Some(prefix.to_owned()), ..Default::default() }
}

impl Fixture {
    async fn set_lifecycle(&self, rules: Vec<LifecycleRule>) {
        let input = PutBucketLifecycleConfigurationInput {
            bucket: BUCKET.to_owned(),
            lifecycle_configuration: Some(BucketLifecycleConfiguration { rules }),
            ..Default::default()
        };
        self.s3.put_lifecycle(input).await.unwrap();
    }

    /// Removes the public-access block that every new bucket has.
    async fn unblock(&self) {
        let input = DeletePublicAccessBlockInput { bucket: BUCKET.to_owned(), ..Default::default() };
        self.s3.delete_access_block(input).await.unwrap();
    }

    async fn set_policy(&self) {
        self.unblock().await;
        let mut input = PutBucketPolicyInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_policy(POLICY.to_owned());
        self.s3.put_policy(input.build().unwrap()).await.unwrap();
    }

    async fn is_there(&self, key: &str) -> bool {
        self.bytes(key).await.is_ok()
    }
}

#[tokio::test]
async fn due_objects_go_and_their_bytes_with_them() {
    let fixture = fixture().await;
    for key in ["tmp/a", "tmp/b", "kept"] {
        fixture.put(key, key.as_bytes().to_vec()).await;
    }
    fixture.set_lifecycle(vec![rule(under("tmp/"), 2)]).await;
    let now = wall_ms();
    assert_eq!(fixture.s3.apply_lifecycles_at(now + DAY_MS).await.unwrap(), (0, 0));
    assert_eq!(fixture.s3.apply_lifecycles_at(now + 3 * DAY_MS).await.unwrap(), (2, 0));
    assert!(fixture.is_there("kept").await && !fixture.is_there("tmp/a").await);
    assert_eq!(fixture.files(), (1, 0));
    assert_eq!(fixture.s3.lifecycle_counts(), LifecycleCounts { expired_objects: 2, aborted_uploads: 0 });
    assert_eq!(fixture.s3.apply_lifecycles_at(now + 9 * DAY_MS).await.unwrap(), (0, 0));
}

#[tokio::test]
async fn clock_that_is_set_back_removes_nothing() {
    let fixture = fixture().await;
    fixture.put("a", "x").await;
    fixture.begin("b").await;
    let abort = AbortIncompleteMultipartUpload { days_after_initiation: Some(1) };
    let mut both = rule(under(""), 1);
    both.abort_incomplete_multipart_upload = Some(abort);
    fixture.set_lifecycle(vec![both]).await;
    for now in [0, -1, i64::MIN, wall_ms() - 400 * DAY_MS, wall_ms()] {
        assert_eq!(fixture.s3.apply_lifecycles_at(now).await.unwrap(), (0, 0), "{now}");
    }
    assert_eq!(fixture.s3.apply_lifecycles_at(wall_ms() + 2 * DAY_MS).await.unwrap(), (1, 1));
}

#[tokio::test]
async fn more_keys_than_one_step_takes_all_go() {
    let fixture = fixture().await;
    for number in 0..600 {
        fixture.put(&format!("tmp/{number:03}"), "x").await;
    }
    fixture.set_lifecycle(vec![rule(under("tmp/"), 1), rule(under("tmp/0"), 1)]).await;
    assert_eq!(fixture.s3.apply_lifecycles_at(wall_ms() + 2 * DAY_MS).await.unwrap(), (600, 0));
}

#[tokio::test]
async fn tags_and_sizes_choose_objects() {
    let fixture = fixture().await;
    let mut tagged = put_input("tagged", "x");
    tagged.tagging = Some("temporary=yes".to_owned());
    fixture.s3.put(request(tagged)).await.unwrap();
    fixture.put("large", vec![0; 1_000]).await;
    fixture.put("small", "x").await;
    let tag = Tag { key: Some("temporary".to_owned()), value: Some("yes".to_owned()) };
    let by_tag = LifecycleRuleFilter { tag: Some(tag), ..Default::default() };
    let by_size = LifecycleRuleFilter { object_size_greater_than: Some(999), ..Default::default() };
    fixture.set_lifecycle(vec![rule(by_tag, 1), rule(by_size, 1)]).await;
    assert_eq!(fixture.s3.apply_lifecycles_at(wall_ms() + 2 * DAY_MS).await.unwrap(), (2, 0));
    assert!(fixture.is_there("small").await);
}

#[tokio::test]
async fn stale_uploads_go_with_their_parts() {
    let fixture = fixture().await;
    let (stale, kept) = (fixture.begin("tmp/a").await, fixture.begin("kept").await);
    fixture.part("tmp/a", &stale, 1, "part").await.unwrap();
    let etag = fixture.part("kept", &kept, 1, "part").await.unwrap();
    let abort = AbortIncompleteMultipartUpload { days_after_initiation: Some(1) };
    let mut only_abort = rule(under("tmp/"), 1);
    only_abort.expiration = None;
    only_abort.abort_incomplete_multipart_upload = Some(abort);
    fixture.set_lifecycle(vec![only_abort]).await;
    fixture.put("tmp/object", "x").await;
    assert_eq!(fixture.s3.apply_lifecycles_at(wall_ms() + 2 * DAY_MS).await.unwrap(), (0, 1));
    assert_eq!(code(fixture.part("tmp/a", &stale, 2, "part").await), "NoSuchUpload");
    fixture.complete("kept", &kept, vec![listed(1, &etag)]).await.unwrap();
    assert!(fixture.is_there("tmp/object").await, "the rule is about uploads alone");
    assert_eq!(fixture.files(), (2, 0));
}

#[tokio::test]
async fn settings_outlive_the_index() {
    let fixture = fixture().await;
    fixture.put("open/a", "x").await;
    fixture.set_policy().await;
    fixture.set_lifecycle(vec![rule(under("tmp/"), 1)]).await;
    let Fixture { s3, folder } = fixture;
    let before = s3.settings(BUCKET.to_owned()).await.unwrap();
    drop(s3);
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    for name in ["index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    crate::fsck(folder.path(), crate::FsckOptions { repair: true, verify: false }).unwrap();
    let s3 = open(folder.path());
    assert_eq!(s3.settings(BUCKET.to_owned()).await.unwrap(), before);
    let input = GetBucketPolicyInput { bucket: BUCKET.to_owned(), ..Default::default() };
    assert_eq!(s3.policy(input).await.unwrap().policy.as_deref(), Some(POLICY));
    assert!(s3.is_open(BUCKET));
}

#[tokio::test]
async fn unreadable_settings_open_and_remove_nothing() {
    let fixture = fixture().await;
    fixture.put("open/a", "x").await;
    fixture.set_policy().await;
    fixture.set_lifecycle(vec![rule(under(""), 1)]).await;
    assert!(fixture.s3.is_open(BUCKET));
    let Fixture { s3, folder } = fixture;
    let write = s3.inner.index.write(|transaction| {
        transaction.execute("UPDATE buckets SET settings = '{\"unheard\": 1}'", [])?;
        Ok(())
    });
    write.await.unwrap();
    drop(s3);
    let s3 = open(folder.path());
    assert!(!s3.is_open(BUCKET));
    assert_eq!(s3.apply_lifecycles_at(wall_ms() + 9 * DAY_MS).await.unwrap(), (0, 0));
}

#[tokio::test]
async fn removed_bucket_takes_its_settings_along() {
    let fixture = fixture().await;
    fixture.set_policy().await;
    fixture
        .s3
        .remove_bucket(s3s::dto::DeleteBucketInput { bucket: BUCKET.to_owned(), ..Default::default() })
        .await
        .unwrap();
    fixture.s3.ensure_bucket(BUCKET).await.unwrap();
    assert!(!fixture.s3.is_open(BUCKET));
}

#[tokio::test]
async fn new_bucket_is_blocked_until_its_owner_says_otherwise() {
    let fixture = fixture().await;
    let put = async || {
        let mut input = PutBucketPolicyInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_policy(POLICY.to_owned());
        code(fixture.s3.put_policy(input.build().unwrap()).await)
    };
    assert_eq!(put().await, "AccessDenied");
    fixture.s3.ensure_bucket(BUCKET).await.unwrap();
    fixture.unblock().await;
    assert_eq!(put().await, "success");
    fixture.s3.ensure_bucket(BUCKET).await.unwrap();
    assert_eq!(put().await, "success", "a bucket that exists stays as it is");
}

/// One flipped bit in a text of the index.
fn flip(folder: &Path, column: &str, from: &str, to: &str) {
    let index = rusqlite::Connection::open(folder.join("index.db")).unwrap();
    let sql = format!("UPDATE buckets SET {column} = REPLACE({column}, ?1, ?2)");
    assert_eq!(index.execute(&sql, [from, to]).unwrap(), 1);
    let text: String =
        index.query_row(&format!("SELECT {column} FROM buckets"), [], |row| row.get(0)).unwrap();
    assert!(text.contains(to), "{text}");
}

#[tokio::test]
async fn changed_rules_have_no_effect_until_they_are_repaired() {
    let fixture = fixture().await;
    fixture.put("shut/a", "x").await;
    fixture.set_policy().await;
    fixture.set_lifecycle(vec![rule(under("tmp/"), 9)]).await;
    let Fixture { s3, folder } = fixture;
    let before = s3.settings(BUCKET.to_owned()).await.unwrap();
    s3.close().await.unwrap();
    drop(s3);
    // Readable rules all the same, which would open other keys.
    flip(folder.path(), "settings", "\"prefix\":\"open/\"", "\"prefix\":\"shut/\"");
    let s3 = open(folder.path());
    assert!(!s3.is_open(BUCKET));
    assert!(s3.settings(BUCKET.to_owned()).await.is_err());
    assert_eq!(s3.apply_lifecycles_at(wall_ms() + 99 * DAY_MS).await.unwrap(), (0, 0));
    s3.close().await.unwrap();
    drop(s3);
    let options = crate::FsckOptions { repair: true, verify: false };
    let found = crate::fsck(folder.path(), options).unwrap();
    assert_eq!(found.count(crate::Problem::DamagedRow), 1, "{found:?}");
    let s3 = open(folder.path());
    assert_eq!(s3.settings(BUCKET.to_owned()).await.unwrap(), before);
    assert!(s3.is_open(BUCKET));
}

#[tokio::test]
async fn rules_of_an_older_version_get_checksums_at_the_start() {
    let fixture = fixture().await;
    fixture.set_lifecycle(vec![rule(under("tmp/"), 9)]).await;
    let Fixture { s3, folder } = fixture;
    s3.close().await.unwrap();
    drop(s3);
    let index = rusqlite::Connection::open(folder.path().join("index.db")).unwrap();
    index.execute("UPDATE buckets SET settings_sum = NULL", []).unwrap();
    drop(index);
    let s3 = open(folder.path());
    assert!(s3.settings(BUCKET.to_owned()).await.unwrap().lifecycle.is_some());
    s3.close().await.unwrap();
    drop(s3);
    flip(folder.path(), "settings", "tmp/", "tmq/");
    assert!(open(folder.path()).settings(BUCKET.to_owned()).await.is_err());
}

#[tokio::test]
async fn clock_far_ahead_counts_once_it_has_gone_evenly() {
    let fixture = fixture().await;
    let (zero, hour) = (Duration::ZERO, Duration::from_secs(3_600));
    let trusts = async |now, even| fixture.s3.trusts_clock_at(now, even).await.unwrap();
    let now = wall_ms();
    assert!(trusts(now, zero).await, "an empty folder has nothing to lose");
    fixture.put("a", "x").await;
    assert!(trusts(now + DAY_MS, zero).await, "a day is no leap");
    let far = now + 400 * DAY_MS;
    assert!(!trusts(far, zero).await && !trusts(far, hour / 2).await);
    assert!(!trusts(far, zero).await, "what is not believed is not noted");
    assert!(trusts(now + DAY_MS, zero).await, "the clock was set right");
    assert!(trusts(far, hour).await);
    assert!(trusts(far, zero).await);
    assert!(trusts(now, zero).await, "a clock that is set back deletes nothing too early");
}

#[tokio::test]
async fn folder_that_never_knew_the_time_waits() {
    let fixture = fixture().await;
    fixture.put("a", "x").await;
    assert!(!fixture.s3.trusts_clock(Duration::ZERO).await.unwrap());
    assert!(fixture.s3.trusts_clock(Duration::from_secs(3_600)).await.unwrap());
}
