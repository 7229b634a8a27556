//! Kills a server in the middle of uploads: every acknowledged object must be whole afterwards, and none half-written.
//!
//! The server is the example `serve`. Killing it simulates a crash of the process.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload, RetryConfig};

const SIZE: usize = 300_000;

fn example() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    deps.parent().unwrap().parent().unwrap().join("examples/serve")
}

fn start(folder: &Path) -> (Child, String) {
    let mut child = Command::new(example())
        .arg(folder)
        .env("AWS_ACCESS_KEY_ID", "access")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    (child, url.trim().to_owned())
}

fn client(endpoint: &str) -> AmazonS3 {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    abanico_store::tls::use_ring();
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_bucket_name("crash")
        .with_access_key_id("access")
        .with_secret_access_key("secret")
        .with_retry(retry)
        .build()
        .unwrap()
}

fn body(index: usize) -> Vec<u8> {
    (0..SIZE).map(|place| ((place * 7 + index) % 251) as u8).collect()
}

/// Uploads one object after the other until the server is gone. Returns those that were acknowledged.
async fn upload(client: AmazonS3, worker: usize, sent: tokio::sync::mpsc::Sender<()>) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for turn in 0.. {
        let index = worker * 100_000 + turn;
        let put = client.put(&Key::from(format!("k{index}")), PutPayload::from(body(index))).await;
        if put.is_err() {
            break;
        }
        acknowledged.push(index);
        let _ = sent.send(()).await;
    }
    acknowledged
}

#[tokio::test]
async fn acknowledged_objects_are_whole_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    {
        let s3 = abanico_s3::LocalS3::open(folder.path(), abanico_s3::Options::default()).unwrap();
        s3.ensure_bucket("crash").await.unwrap();
    }
    for round in 0..3 {
        let (mut child, url) = start(folder.path());
        let (sent, mut received) = tokio::sync::mpsc::channel(1);
        let workers: Vec<_> = (0..4)
            .map(|worker| tokio::spawn(upload(client(&url), round * 10 + worker, sent.clone())))
            .collect();
        drop(sent);
        let mut count = 0;
        while received.recv().await.is_some() {
            count += 1;
            if count == 12 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let mut acknowledged = Vec::new();
        for worker in workers {
            acknowledged.extend(worker.await.unwrap());
        }
        assert!(acknowledged.len() >= 12);

        let (mut child, url) = start(folder.path());
        let again = client(&url);
        let listed: Vec<_> =
            futures::TryStreamExt::try_collect::<Vec<_>>(object_store::ObjectStore::list(&again, None))
                .await
                .unwrap();
        for index in acknowledged {
            let found = again.get(&Key::from(format!("k{index}"))).await.unwrap().bytes().await.unwrap();
            assert!(found == body(index), "k{index} differs from what was acknowledged");
        }
        for object in &listed {
            assert_eq!(object.size, SIZE as u64, "{} is half-written", object.location);
            let index = object.location.as_ref()[1..].parse().unwrap();
            let found = again.get(&object.location).await.unwrap().bytes().await.unwrap();
            assert!(found == body(index), "{} is half-written", object.location);
        }
        assert_eq!(names(folder.path(), false), listed.len(), "files that no object uses");
        assert_eq!(names(folder.path(), true), listed.len(), "each object has one label");
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
        child.kill().unwrap();
        child.wait().unwrap();
        if round == 2 {
            let mut listed: Vec<_> = listed.into_iter().map(|object| object.location).collect();
            listed.sort();
            assert_eq!(rebuilt(folder.path()).await, listed, "labels alone tell the same");
        }
    }
}

/// Counts the labels or the blobs in a folder.
fn names(folder: &Path, labels: bool) -> usize {
    let shards = std::fs::read_dir(folder.join("blobs")).unwrap().map(|shard| shard.unwrap().path());
    let files = shards.filter(|shard| shard.is_dir()).flat_map(|shard| std::fs::read_dir(shard).unwrap());
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains('.') == labels).count()
}

/// Removes the index, rebuilds it and returns the keys that a server then lists, in order.
async fn rebuilt(folder: &Path) -> Vec<Key> {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    abanico_s3::fsck(folder, abanico_s3::FsckOptions { repair: true, verify: true }).unwrap();
    let (mut child, url) = start(folder);
    let listed = object_store::ObjectStore::list(&client(&url), None);
    let listed = futures::TryStreamExt::try_collect::<Vec<_>>(listed).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut keys: Vec<_> = listed.into_iter().map(|object| object.location).collect();
    keys.sort();
    keys
}
