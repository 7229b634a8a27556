//! Tests of the endpoint and its outbox, with `object_store` as the client on a loopback port.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;
use std::time::Duration;

use abanico_s3::{ErrorKind, LocalS3, Options, Trigger};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

struct Served {
    s3: LocalS3,
    client: AmazonS3,
    _task: tokio::task::JoinHandle<()>,
}

async fn serve(folder: &Path) -> Served {
    let options = Options { functions: vec!["encode".to_owned()], ..Options::default() };
    let s3 = LocalS3::open(folder, options).unwrap();
    s3.ensure_bucket("media").await.unwrap();
    let app =
        axum::Router::new().fallback_service(s3.service(vec![("access".to_owned(), "secret".to_owned())]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    abanico_store::tls::use_ring();
    let client = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_bucket_name("media")
        .with_access_key_id("access")
        .with_secret_access_key("secret")
        .build()
        .unwrap();
    Served { s3, client, _task: task }
}

fn trigger(suffix: &str, function: &str) -> Trigger {
    Trigger {
        events: Vec::new(),
        id: format!("rule-{function}"),
        bucket: "media".to_owned(),
        prefix: "in/".to_owned(),
        suffix: suffix.to_owned(),
        function: function.to_owned(),
    }
}

async fn put(served: &Served, key: &str, body: &'static [u8]) {
    served.client.put(&Key::from(key), PutPayload::from_static(body)).await.unwrap();
}

#[tokio::test]
async fn object_comes_back_and_one_creation_wins() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path()).await;
    put(&served, "a/b", b"body").await;
    let found = served.client.get(&Key::from("a/b")).await.unwrap();
    assert_eq!(found.bytes().await.unwrap(), &b"body"[..]);
    let create = |body: &'static [u8]| {
        let client = served.client.clone();
        async move {
            client.put_opts(&Key::from("new"), PutPayload::from_static(body), PutMode::Create.into()).await
        }
    };
    let won = futures::future::join_all([create(b"1"), create(b"2"), create(b"3"), create(b"4")]).await;
    assert_eq!(won.iter().filter(|put| put.is_ok()).count(), 1);
    assert!(served.s3.has_bucket("media").await.unwrap() && !served.s3.has_bucket("other").await.unwrap());
}

#[tokio::test]
async fn matching_object_is_queued_once_until_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path()).await;
    let outbox = served.s3.outbox();
    served.s3.set_triggers(vec![trigger(".mp4", "encode")]).await.unwrap();
    put(&served, "in/x.mp4", b"1").await;
    put(&served, "in/x.mov", b"2").await;
    put(&served, "out/x.mp4", b"3").await;
    tokio::time::timeout(Duration::from_secs(10), outbox.changed()).await.unwrap();
    let due = outbox.due(i64::MAX, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    let entry = &due[0];
    assert_eq!((entry.key.as_str(), entry.function.as_str(), entry.attempts), ("in/x.mp4", "encode", 0));
    assert_eq!(entry.event["Records"][0]["s3"]["object"]["sequencer"], entry.sequencer.as_str());
    assert_eq!(outbox.next_due_ms().await.unwrap(), Some(entry.next_attempt_ms));
    assert!(outbox.due(entry.next_attempt_ms - 1, 10).await.unwrap().is_empty());

    outbox.retry_at(entry.id, entry.next_attempt_ms + 1, "busy").await.unwrap();
    assert!(outbox.due(entry.next_attempt_ms, 10).await.unwrap().is_empty());
    outbox.dead_letter(entry.id, "broken").await.unwrap();
    let dead = outbox.dead_letters().await.unwrap();
    assert_eq!((dead.len(), dead[0].attempts, dead[0].last_error.as_deref()), (1, 2, Some("broken")));
    assert!(outbox.due(i64::MAX, 10).await.unwrap().is_empty());
    outbox.replay(entry.id).await.unwrap();
    assert_eq!(outbox.due(i64::MAX, 10).await.unwrap().len(), 1);
    outbox.delivered(entry.id).await.unwrap();
    outbox.delivered(entry.id).await.unwrap();
    assert_eq!(outbox.next_due_ms().await.unwrap(), None);
    assert_eq!(outbox.replay(entry.id).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn reconcile_queues_only_unnotified_objects() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path()).await;
    let outbox = served.s3.outbox();
    put(&served, "in/old.mp4", b"1").await;
    served.s3.set_triggers(vec![trigger(".mp4", "encode")]).await.unwrap();
    put(&served, "in/new.mp4", b"2").await;
    let told = outbox.due(i64::MAX, 10).await.unwrap();
    outbox.delivered(told[0].id).await.unwrap();
    assert_eq!(outbox.reconcile().await.unwrap(), 1);
    assert_eq!(outbox.reconcile().await.unwrap(), 0);
    let due = outbox.due(i64::MAX, 10).await.unwrap();
    assert_eq!((due.len(), due[0].key.as_str()), (1, "in/old.mp4"));
    // A new version is notified again, and reconcile adds nothing to it.
    put(&served, "in/old.mp4", b"3").await;
    let due = outbox.due(i64::MAX, 10).await.unwrap();
    assert_eq!(due.len(), 2);
    assert!(due[0].sequencer < due[1].sequencer && due[1].sequencer.len() == 18);
    assert_eq!(outbox.reconcile().await.unwrap(), 0);
    served.s3.set_triggers(vec![trigger(".mp4", "other")]).await.unwrap();
    assert_eq!(outbox.reconcile().await.unwrap(), 2);
}

#[tokio::test]
async fn replaced_blobs_go_and_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path()).await;
    for body in [&b"1"[..], b"22", b"333"] {
        put(&served, "k", body).await;
    }
    assert_eq!(blobs_and_labels(folder.path()), (1, 1));
    served.client.delete(&Key::from("k")).await.unwrap();
    assert_eq!(blobs_and_labels(folder.path()), (0, 0));
    let second = LocalS3::open(folder.path(), Options::default()).err().unwrap();
    assert_eq!(second.kind(), ErrorKind::InUse);
}

#[tokio::test]
async fn multipart_object_is_notified_once_and_fetched_whole() {
    use abanico_store::{ObjectStore as _, ObjectUrl};
    use object_store::MultipartUpload as _;

    let folder = tempfile::tempdir().unwrap();
    let served = serve(&folder.path().join("s3")).await;
    served.s3.set_triggers(vec![trigger("", "encode")]).await.unwrap();
    let parts = [vec![1_u8; 5 << 20], vec![2_u8; 5 << 20], vec![3_u8; 10]];
    let mut upload = served.client.put_multipart(&Key::from("in/k")).await.unwrap();
    for part in &parts {
        upload.put_part(part.clone().into()).await.unwrap();
    }
    assert!(served.s3.outbox().due(i64::MAX, 10).await.unwrap().is_empty(), "parts are not objects");
    upload.complete().await.unwrap();
    served.client.copy(&Key::from("in/k"), &Key::from("in/copy")).await.unwrap();
    let due = served.s3.outbox().due(i64::MAX, 10).await.unwrap();
    let names: Vec<_> = due.iter().map(|entry| entry.event_name.as_str()).collect();
    assert_eq!(names, ["ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy"]);
    // The copy keeps the blobs when the original is deleted.
    served.client.delete(&Key::from("in/k")).await.unwrap();
    let url = ObjectUrl::s3("media", "in/copy");
    let file = folder.path().join("fetched");
    let meta = served.s3.fetch(&url, &file).await.unwrap();
    assert!(meta.e_tag.unwrap().ends_with("-3\""));
    assert!(std::fs::read(&file).unwrap() == parts.concat());
    served.client.delete(&Key::from("in/copy")).await.unwrap();
    assert_eq!(blobs_and_labels(&folder.path().join("s3")), (0, 0));
}

#[tokio::test]
async fn reader_keeps_the_bytes_it_began_with() {
    use futures::StreamExt;

    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path()).await;
    let body: Vec<u8> = (0..8_000_000_u32).map(|place| (place % 251) as u8).collect();
    served.client.put(&Key::from("k"), body.clone().into()).await.unwrap();
    let mut stream = served.client.get(&Key::from("k")).await.unwrap().into_stream();
    let mut found = stream.next().await.unwrap().unwrap().to_vec();
    put(&served, "k", b"new").await;
    served.client.delete(&Key::from("k")).await.unwrap();
    while let Some(chunk) = stream.next().await {
        found.extend_from_slice(&chunk.unwrap());
    }
    assert!(found == body);
}

/// Counts the blobs and their labels, whose names have a dot.
fn blobs_and_labels(folder: &Path) -> (usize, usize) {
    let shards = std::fs::read_dir(folder.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    let files = shards.filter(|path| path.is_dir()).flat_map(|shard| std::fs::read_dir(shard).unwrap());
    let names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let labels = names.iter().filter(|name| name.contains('.')).count();
    (names.len() - labels, labels)
}
