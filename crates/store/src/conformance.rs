//! The conformance suite: checks what every back end must do. Only for tests.

use std::path::{Path, PathBuf};

use crate::{ErrorKind, ObjectAttributes, ObjectStore, ObjectUrl};

/// Runs the whole suite. `url` makes a URL in the store from a relative name; each name is used once.
///
/// # Panics
/// Panics at the first thing that the store does wrong.
pub async fn run(store: &dyn ObjectStore, url: impl Fn(&str) -> ObjectUrl) {
    let scratch = tempfile::tempdir().expect("tests have a temporary folder");
    published_is_fetched_back(store, url("plain.bin"), scratch.path()).await;
    published_is_fetched_back(store, url("folder/with space + ünï.bin"), scratch.path()).await;
    replaced_as_a_whole(store, url("replaced.bin"), scratch.path()).await;
    missing_is_not_found(store, url("missing.bin"), scratch.path()).await;
    deleted_is_gone(store, url("deleted.bin"), scratch.path()).await;
}

/// Creates a new file each time, because a store may have linked an earlier one and made it read-only.
fn file(folder: &Path, bytes: &[u8]) -> PathBuf {
    let made = tempfile::NamedTempFile::new_in(folder).and_then(|file| Ok(file.keep()?.1));
    let path = made.expect("the temporary folder is writable");
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    path
}

async fn content(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) -> Vec<u8> {
    let path = folder.join("fetched");
    store.fetch(url, &path).await.unwrap_or_else(|error| panic!("fetch of {url} failed: {error}"));
    let bytes = std::fs::read(&path).expect("a fetched file can be read");
    std::fs::remove_file(&path).expect("a fetched file can be removed");
    bytes
}

async fn publish(store: &dyn ObjectStore, source: &Path, url: &ObjectUrl) {
    let published = store.publish(source, url, &ObjectAttributes::default()).await;
    published.unwrap_or_else(|error| panic!("publish of {url} failed: {error}"));
}

async fn published_is_fetched_back(store: &dyn ObjectStore, url: ObjectUrl, folder: &Path) {
    let bytes: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    let source = file(folder, &bytes);
    publish(store, &source, &url).await;
    publish(store, &source, &url).await;
    assert_eq!(store.stat(&url).await.map(|meta| meta.size_bytes).ok(), Some(300_000), "size of {url}");
    assert!(content(store, &url, folder).await == bytes, "{url} comes back changed");
    assert!(source.exists(), "the source of {url} stays");
}

async fn replaced_as_a_whole(store: &dyn ObjectStore, url: ObjectUrl, folder: &Path) {
    publish(store, &file(folder, b"first and longer"), &url).await;
    let kept = folder.join("kept");
    store.fetch(&url, &kept).await.unwrap_or_else(|error| panic!("fetch of {url} failed: {error}"));
    publish(store, &file(folder, b"second"), &url).await;
    assert_eq!(content(store, &url, folder).await, b"second");
    assert_eq!(
        std::fs::read(&kept).ok().as_deref(),
        Some(&b"first and longer"[..]),
        "a fetched file never changes"
    );
}

async fn missing_is_not_found(store: &dyn ObjectStore, url: ObjectUrl, folder: &Path) {
    assert_eq!(store.stat(&url).await.map_err(|error| error.kind()).err(), Some(ErrorKind::NotFound));
    let fetched = store.fetch(&url, &folder.join("nothing")).await;
    assert_eq!(fetched.map_err(|error| error.kind()).err(), Some(ErrorKind::NotFound));
}

async fn deleted_is_gone(store: &dyn ObjectStore, url: ObjectUrl, folder: &Path) {
    publish(store, &file(folder, b"short-lived"), &url).await;
    for attempt in 1..=2 {
        assert!(store.delete(&url).await.is_ok(), "deletion {attempt} of {url}");
    }
    assert_eq!(store.stat(&url).await.map_err(|error| error.kind()).err(), Some(ErrorKind::NotFound));
}
