//! Tests of backups without a server: what is refused, and what is left as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use abanico_s3::{LocalS3, Options};
use abanico_store::{ObjectAttributes, ObjectStore as _, ObjectUrl};

use super::*;

/// A data folder with objects, and a place for a backup.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        let s3 = fixture.open();
        s3.ensure_bucket("media").await.unwrap();
        for (key, bytes) in [("a", "first"), ("b/c", "second")] {
            fixture.put(&s3, key, bytes).await;
        }
        std::fs::write(fixture.data().join("credentials.json"), "{}").unwrap();
        let unfinished = fixture.data().join("engine").join("work").join("job");
        std::fs::create_dir_all(&unfinished).unwrap();
        std::fs::write(unfinished.join("input-0"), "half").unwrap();
        fixture
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn open(&self) -> LocalS3 {
        LocalS3::open(&self.data().join("s3"), Options::default()).unwrap()
    }

    async fn put(&self, s3: &LocalS3, key: &str, bytes: &str) {
        let file = self.folder.path().join("file");
        std::fs::write(&file, bytes).unwrap();
        let url = ObjectUrl::s3("media", key);
        s3.publish(&file, &url, &ObjectAttributes::default()).await.unwrap();
        std::fs::remove_file(file).unwrap();
    }

    async fn bytes(&self, s3: &LocalS3, key: &str) -> Option<String> {
        let file = self.folder.path().join("fetched");
        s3.fetch(&ObjectUrl::s3("media", key), &file).await.ok()?;
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        Some(text)
    }

    fn back_up(&self) -> Result<Made> {
        back_up(&BackupOptions { data: self.data(), settings: None, to: self.backup() })
    }

    fn restore(&self, replace: bool) -> Result<Restored> {
        restore(&RestoreOptions { from: self.backup(), data: self.data(), replace })
    }
}

/// All files below a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(place) = folders.pop() {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn text(error: &BackupError) -> String {
    error.to_string()
}

#[tokio::test]
async fn backup_has_what_was_there_at_its_instant() {
    let fixture = Fixture::new().await;
    let s3 = fixture.open();
    let made = fixture.back_up().unwrap();
    assert_eq!(made.missing, [] as [PathBuf; 0]);
    fixture.put(&s3, "a", "changed").await;
    fixture.put(&s3, "later", "later").await;
    let url = ObjectUrl::s3("media", "b/c");
    s3.delete(&url).await.unwrap();
    assert!(
        matches!(fixture.restore(true), Err(BackupError::Database(_))),
        "a running server keeps its folder"
    );
    drop(s3);
    assert!(text(&fixture.restore(false).unwrap_err()).contains("--replace"));
    let restored = fixture.restore(true).unwrap();
    let moved = restored.moved_away.unwrap();
    assert!(moved.join("s3/index.db").exists());
    let s3 = fixture.open();
    for (key, bytes) in [("a", Some("first")), ("b/c", Some("second")), ("later", None)] {
        assert_eq!(fixture.bytes(&s3, key).await.as_deref(), bytes, "{key}");
    }
    assert!(fixture.data().join("credentials.json").exists() && !fixture.data().join("engine/work").exists());
    // The restored folder is a folder like any other.
    fixture.put(&s3, "new", "new").await;
    drop(s3);
    assert_eq!(fixture.bytes(&fixture.open(), "new").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn backup_that_is_not_whole_is_refused_and_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.back_up().unwrap();
    let names: Vec<PathBuf> = files(&fixture.backup()).into_keys().collect();
    assert_eq!(names.len(), 9, "index, credentials, mark, buckets, two blobs, two labels, list: {names:?}");
    for name in names {
        let path = fixture.backup().join(&name);
        let whole = std::fs::read(&path).unwrap();
        let rights = std::fs::metadata(&path).unwrap().permissions();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let faults: [Option<&[u8]>; 3] = [None, Some(&whole[..whole.len() / 2]), Some(&flipped)];
        for fault in faults {
            std::fs::remove_file(&path).unwrap();
            if let Some(bytes) = fault {
                std::fs::write(&path, bytes).unwrap();
            }
            let before = files(&fixture.data());
            let refused = fixture.restore(true).unwrap_err();
            assert!(matches!(refused, BackupError::Refused(_)), "{}: {refused}", name.display());
            assert_eq!(files(&fixture.data()), before, "{}", name.display());
            assert!(!path.exists() || std::fs::remove_file(&path).is_ok());
            std::fs::write(&path, &whole).unwrap();
            std::fs::set_permissions(&path, rights.clone()).unwrap();
        }
    }
    fixture.restore(true).unwrap();
}

#[tokio::test]
async fn folders_that_do_not_fit_are_refused() {
    let fixture = Fixture::new().await;
    let at = |data: &Path, to: &Path| {
        let options = BackupOptions { data: data.to_owned(), settings: None, to: to.to_owned() };
        text(&back_up(&options).unwrap_err())
    };
    let (data, elsewhere) = (fixture.data(), fixture.folder.path().join("elsewhere"));
    assert!(at(&elsewhere, &fixture.backup()).contains("not a data folder"));
    assert!(at(&data, &data.join("backup")).contains("inside the data folder"));
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("mine"), "mine").unwrap();
    assert!(at(&data, &elsewhere).contains("not empty"));
    let restored = restore(&RestoreOptions { from: elsewhere, data, replace: true });
    assert!(text(&restored.unwrap_err()).contains("not a complete backup"));
}

#[tokio::test]
async fn blob_that_was_missing_already_is_told() {
    let fixture = Fixture::new().await;
    let data = fixture.data();
    let blob = files(&data.join("s3/blobs")).into_iter().find(|(_, bytes)| bytes == b"first").unwrap().0;
    std::fs::remove_file(data.join("s3/blobs").join(&blob)).unwrap();
    let made = fixture.back_up().unwrap();
    assert_eq!(made.missing, [Path::new("data/s3/blobs").join(blob)]);
    assert_eq!(fixture.restore(true).unwrap().missing, made.missing);
    let s3 = fixture.open();
    assert_eq!(fixture.bytes(&s3, "b/c").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn copy_that_a_killed_restore_left_is_removed() {
    let place = Fixture::new().await;
    place.back_up().unwrap();
    let left = place.data().with_file_name("data.restoring-killed");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("half"), "half").unwrap();
    let kept = place.data().with_file_name("data.before-1");
    std::fs::create_dir(&kept).unwrap();
    place.restore(true).unwrap();
    assert!(!left.exists() && kept.exists());
    let parent = place.data().parent().unwrap().to_owned();
    let names =
        std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("restoring")).count(), 0);
}
