//! Tests of the folder: reference counts, blobs that readers hold, and what a crash or a failing disk leaves behind.

use super::*;
use abanico_store::{ErrorKind as StoreErrorKind, ObjectAttributes, ObjectStore, ObjectUrl};

impl Fixture {
    /// Returns the reference counts of all blobs, in ascending order.
    async fn counts(&self) -> Vec<i64> {
        let read = self.s3.inner.index.read(|reader| {
            let mut statement = reader.prepare("SELECT refs FROM blobs ORDER BY refs")?;
            let counts = statement.query_map([], |row| row.get(0))?;
            Ok(counts.collect::<rusqlite::Result<Vec<i64>>>()?)
        });
        read.await.unwrap()
    }

    async fn remove(&self, key: &str) {
        self.s3.delete_keys(BUCKET.to_owned(), vec![key.to_owned()]).await.unwrap();
    }
}

#[tokio::test]
async fn each_name_of_a_blob_counts_once() {
    let fixture = fixture().await;
    fixture.put("a", "body").await;
    fixture.s3.copy(copy_input("a", "b")).await.unwrap();
    fixture.s3.copy(copy_input("b", "c")).await.unwrap();
    assert_eq!(fixture.counts().await, [3]);
    // Replacing an object by one with the same blob changes nothing.
    fixture.s3.copy(copy_input("a", "b")).await.unwrap();
    assert_eq!(fixture.counts().await, [3]);
    fixture.put("c", "other").await;
    assert_eq!(fixture.counts().await, [1, 2]);
    for key in ["a", "a", "b"] {
        fixture.remove(key).await;
    }
    assert_eq!((fixture.counts().await, fixture.files()), (vec![1], (1, 0)));
}

#[tokio::test]
async fn reader_keeps_its_blob_from_the_sweep() {
    let fixture = fixture().await;
    fixture.put("k", "body").await;
    let mut reader = fixture.s3.get(Fixture::get_input("k")).await.unwrap().body.unwrap();
    let second = fixture.s3.get(Fixture::get_input("k")).await.unwrap();
    fixture.remove("k").await;
    assert_eq!((fixture.s3.sweep().await.unwrap(), fixture.files()), (0, (1, 0)));
    assert_eq!(reader.next().await.unwrap().unwrap(), "body");
    drop(reader);
    assert_eq!(fixture.s3.sweep().await.unwrap(), 0, "the other reader still holds it");
    drop(second);
    assert_eq!((fixture.s3.sweep().await.unwrap(), fixture.files()), (1, (0, 0)));
}

#[tokio::test]
async fn opening_removes_unused_files_only() {
    let fixture = fixture().await;
    fixture.put("k", "body").await;
    let id = fixture.begin("big").await;
    fixture.part("big", &id, 1, "part").await.unwrap();
    let Fixture { s3, folder } = fixture;
    drop(s3);
    std::fs::write(folder.path().join("blobs/00/00stray"), "stray").unwrap();
    std::fs::write(folder.path().join("incoming/half"), "half").unwrap();
    let fixture = Fixture { s3: open(folder.path()), folder };
    assert_eq!((fixture.files(), fixture.counts().await), ((2, 0), vec![1, 1]));
    assert_eq!(fixture.bytes("k").await.unwrap(), b"body");
}

#[tokio::test]
async fn failing_disk_keeps_the_old_object() {
    let fixture = fixture().await;
    fixture.put("k", "old").await;
    let incoming = fixture.folder.path().join("incoming");
    std::fs::remove_dir(&incoming).unwrap();
    std::fs::write(&incoming, "no folder").unwrap();
    let failed = fixture.s3.put(request(put_input("k", "new"))).await.err().unwrap();
    assert_eq!((failed.kind(), failed.is_retryable()), (crate::ErrorKind::Unavailable, true));
    assert_eq!(fixture.bytes("k").await.unwrap(), b"old");
    std::fs::remove_file(&incoming).unwrap();
    std::fs::create_dir(&incoming).unwrap();
    fixture.put("k", "new").await;
    assert_eq!((fixture.bytes("k").await.unwrap(), fixture.files()), (b"new".to_vec(), (1, 0)));
}

#[tokio::test]
async fn failed_transaction_leaves_no_file() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    let wreck = "CREATE TRIGGER wreck BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'x'); END";
    fixture.s3.inner.index.write(move |it| Ok(it.execute_batch(wreck)?)).await.unwrap();
    assert!(fixture.s3.put(request(put_input("k", "body"))).await.is_err());
    assert_eq!((fixture.files(), fixture.counts().await), ((0, 0), vec![]));
    assert_eq!(code(fixture.bytes("k").await), "NoSuchKey", "no object without its event");
}

#[tokio::test]
async fn publish_notifies_and_fetch_never_overwrites() {
    let fixture = fixture().await;
    let place = tempfile::tempdir().unwrap();
    let (source, target) = (place.path().join("source"), place.path().join("target"));
    std::fs::write(&source, "body").unwrap();
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    let url = ObjectUrl::s3(BUCKET, "k");
    let attributes = ObjectAttributes::default();
    fixture.s3.publish(&source, &url, &attributes).await.unwrap();
    assert_eq!(fixture.s3.outbox().due(i64::MAX, 9).await.unwrap().len(), 1);
    std::fs::write(&target, "taken").unwrap();
    assert!(fixture.s3.fetch(&url, &target).await.is_err());
    assert_eq!(std::fs::read(&target).unwrap(), b"taken");
    std::fs::remove_file(&target).unwrap();
    assert_eq!(fixture.s3.fetch(&url, &target).await.unwrap().size_bytes, 4);
    assert_eq!(std::fs::read(&target).unwrap(), b"body");
    let other = ObjectUrl::s3("other", "k");
    let refused = fixture.s3.publish(&source, &other, &attributes).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound);
    assert!(fixture.s3.publish(&place.path().join("none"), &url, &attributes).await.is_err());
    assert_eq!(fixture.files(), (1, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unreadable_source_leaves_no_file() {
    let fixture = fixture().await;
    // This file can be opened and is on another file system, but its first byte cannot be read.
    let unreadable = Path::new("/proc/self/mem");
    let url = ObjectUrl::s3(BUCKET, "k");
    assert!(fixture.s3.publish(unreadable, &url, &ObjectAttributes::default()).await.is_err());
    assert_eq!((code(fixture.bytes("k").await), fixture.files()), ("NoSuchKey".to_owned(), (0, 0)));
}
