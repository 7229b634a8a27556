//! Runs the conformance suite of all stores on the endpoint, without HTTP.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use abanico_s3::{LocalS3, Options, Trigger};
use abanico_store::{ErrorKind, ObjectAttributes, ObjectStore, ObjectUrl};

async fn open(folder: &std::path::Path) -> LocalS3 {
    let s3 = LocalS3::open(folder, Options::default()).unwrap();
    s3.ensure_bucket("bucket").await.unwrap();
    s3
}

#[tokio::test]
async fn endpoint_passes_the_conformance_suite() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = open(folder.path()).await;
    abanico_store::conformance::run(&s3, |name| ObjectUrl::s3("bucket", name)).await;
}

#[tokio::test]
async fn publishing_notifies_like_a_put() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = open(&folder.path().join("s3")).await;
    let trigger = Trigger {
        id: "t".to_owned(),
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        suffix: ".bin".to_owned(),
        function: "f".to_owned(),
        events: Vec::new(),
    };
    s3.set_triggers(vec![trigger]).await.unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, "hello").unwrap();
    let publish = |url: ObjectUrl| {
        let (s3, source) = (s3.clone(), source.clone());
        async move { s3.publish(&source, &url, &ObjectAttributes::default()).await }
    };
    let published = publish(ObjectUrl::s3("bucket", "a.bin")).await.unwrap();
    assert_eq!(published.e_tag.as_deref(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let due = s3.outbox().due(i64::MAX, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].event_name.as_str(), due[0].key.as_str()), ("ObjectCreated:Put", "a.bin"));
    let missing = publish(ObjectUrl::s3("nowhere", "a.bin")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let file = publish(ObjectUrl::File(source.clone())).await.unwrap_err();
    assert_eq!(file.kind(), ErrorKind::Unsupported);
}
