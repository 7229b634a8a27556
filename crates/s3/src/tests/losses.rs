//! Tests of every kind of loss in the folder: nothing else is lost, and it is always told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::Connection;
use s3s::dto::{PutObjectTaggingInput, Tag, Tagging};

use super::*;
use crate::fsck;
use crate::index::record::StoredObject;
use crate::{ErrorKind, FsckOptions, FsckReport, Problem};

const PART_BYTES: usize = 5 << 20;

/// What a client can see of everything in the folder.
#[derive(PartialEq, Debug, Clone)]
struct Seen {
    /// Objects without the name of their label, with their bytes.
    objects: BTreeMap<String, (StoredObject, Vec<u8>)>,
    parts: Vec<(i32, String)>,
    buckets: Vec<String>,
}

/// A folder with objects of every kind, closed.
struct Stored {
    folder: tempfile::TempDir,
    upload: String,
    seen: Seen,
}

fn tags(key: &str, value: &str) -> PutObjectTaggingInput {
    let tag = Tag { key: Some("kind".to_owned()), value: Some(value.to_owned()) };
    let mut input = PutObjectTaggingInput::builder();
    input.set_bucket(BUCKET.to_owned());
    input.set_key(key.to_owned());
    input.set_tagging(Tagging { tag_set: vec![tag] });
    input.build().unwrap()
}

/// Stores objects by every request that makes or changes one.
async fn stored() -> Stored {
    let fixture = fixture().await;
    fixture.s3.ensure_bucket("empty").await.unwrap();
    let mut input = put_input("plain ü\n", "plain");
    input.content_type = Some("video/mp4".to_owned());
    input.metadata = Some([("who".to_owned(), "me".to_owned())].into());
    fixture.s3.put(request(input)).await.unwrap();
    fixture.put("replaced", "old").await;
    fixture.put("replaced", "new").await;
    fixture.put("nothing", "").await;
    fixture.put("removed", "removed").await;
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["removed".to_owned()]).await.unwrap();
    fixture.s3.copy(copy_input("plain ü\n", "copy")).await.unwrap();
    fixture.s3.put_tags(tags("copy", "first")).await.unwrap();
    fixture.s3.put_tags(tags("copy", "second")).await.unwrap();
    let id = fixture.begin("film").await;
    let mut listed_parts = Vec::new();
    for (number, bytes) in [(1, vec![1; PART_BYTES]), (2, vec![2; 10])] {
        listed_parts.push(listed(number, &fixture.part("film", &id, number, bytes).await.unwrap()));
    }
    fixture.complete("film", &id, listed_parts).await.unwrap();
    let upload = fixture.begin("open").await;
    fixture.part("open", &upload, 7, "first").await.unwrap();
    fixture.part("open", &upload, 7, "a part").await.unwrap();
    let seen = fixture.seen(&upload).await;
    assert_eq!(seen.objects.len(), 5);
    fixture.s3.close().await.unwrap();
    let Fixture { s3, folder } = fixture;
    drop(s3);
    Stored { folder, upload, seen }
}

impl Fixture {
    async fn seen(&self, upload: &str) -> Seen {
        let mut objects = BTreeMap::new();
        for key in ["plain ü\n", "replaced", "nothing", "removed", "copy", "film", "later", "open"] {
            let read = move |reader: &Connection| crate::index::record::find_object(reader, BUCKET, key);
            let Ok(Some(found)) = self.s3.inner.index.read(read).await else { continue };
            // An object whose bytes are gone is not seen.
            if let Ok(bytes) = self.try_bytes(key).await {
                objects.insert(key.to_owned(), (StoredObject { label: None, ..found }, bytes));
            }
        }
        let id = upload.to_owned();
        let parts = self.s3.inner.index.read(move |reader| crate::multipart::parts(reader, &id, 0, -1));
        let parts = parts.await.unwrap().into_iter().map(|part| (part.number, part.etag)).collect();
        let buckets = self.s3.all_buckets(Default::default()).await.unwrap().buckets.unwrap();
        let buckets = buckets.into_iter().filter_map(|bucket| bucket.name).collect();
        Seen { objects, parts, buckets }
    }

    async fn try_bytes(
        &self,
        key: &str,
    ) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let mut stream = self.s3.get(Self::get_input(key)).await?.body.ok_or("no body")?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes)
    }
}

impl Stored {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// All files below `blobs`, without the mark and the list of buckets.
    fn blobs(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let shards = std::fs::read_dir(self.path("blobs")).unwrap().map(|shard| shard.unwrap().path());
        let files = shards.filter(|shard| shard.is_dir()).flat_map(|shard| std::fs::read_dir(shard).unwrap());
        let paths = files.map(|file| file.unwrap().path());
        paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn blob_of(&self, bytes: &[u8]) -> PathBuf {
        self.blobs().into_iter().find(|(_, found)| found == bytes).unwrap().0
    }

    fn label_of(&self, text: &str) -> PathBuf {
        let is_it = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&format!("\"key\":\"{text}\""));
        let is_label = |path: &PathBuf| path.extension().is_some();
        self.blobs().into_iter().find(|(path, bytes)| is_label(path) && is_it(bytes)).unwrap().0
    }

    /// Opens the folder, which must be refused without any change. Returns the message.
    fn refused(&self) -> String {
        let before = self.blobs();
        let index = std::fs::read(self.path("index.db")).ok();
        let error = LocalS3::open(self.folder.path(), Options::default()).err().expect("it must be refused");
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert_eq!(self.blobs(), before, "nothing is removed");
        assert_eq!(std::fs::read(self.path("index.db")).ok(), index, "the index stays as it is");
        let text = error.to_string();
        assert!(
            text.contains("abanico s3 fsck") && text.contains("--repair") && text.contains("index.db"),
            "{text}"
        );
        text
    }

    fn fsck(&self, repair: bool, verify: bool) -> FsckReport {
        let blobs = self.blobs();
        let report = fsck(self.folder.path(), FsckOptions { repair, verify }).unwrap();
        if !repair {
            assert_eq!(self.blobs(), blobs, "a check changes nothing");
            assert!(report.repaired.is_none() && !self.path("fsck.tmp").exists());
        }
        report
    }

    /// Repairs, checks that a second check finds nothing, and opens the folder.
    async fn repaired(self) -> (Fixture, String, Seen) {
        assert!(!self.fsck(false, false).is_clean());
        let report = self.fsck(true, false);
        assert!(report.repaired.is_some(), "{report:?}");
        let Self { folder, upload, seen } = self;
        let fixture = Fixture { s3: open(folder.path()), folder };
        fixture.s3.write_missing_labels().await.unwrap();
        fixture.s3.close().await.unwrap();
        (fixture, upload, seen)
    }

    /// A refused folder is repaired, and everything is there again.
    async fn comes_back(self) {
        let (fixture, upload, seen) = self.repaired().await;
        assert_eq!(fixture.seen(&upload).await, seen);
        // The folder goes on: new objects, new labels, and the next start.
        fixture.put("later", "later").await;
        let id = upload.clone();
        let part = crate::multipart::parts;
        let etag = fixture.s3.inner.index.read(move |it| part(it, &id, 0, -1)).await.unwrap()[0].etag.clone();
        fixture.complete("open", &upload, vec![listed(7, &etag)]).await.unwrap();
        let Fixture { s3, folder } = fixture;
        drop(s3);
        let report = fsck(folder.path(), FsckOptions { repair: false, verify: true }).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let fixture = Fixture { s3: open(folder.path()), folder };
        assert_eq!(fixture.bytes("open").await.unwrap(), b"a part");
        assert_eq!(fixture.bytes("later").await.unwrap(), b"later");
    }

    fn flip(path: &Path, place: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[place] ^= 0x10;
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn clean_stop_leaves_all_in_one_file() {
    let stored = stored().await;
    assert_eq!(std::fs::metadata(stored.path("index.db-wal")).map_or(0, |file| file.len()), 0);
    let report = stored.fsck(false, true);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.objects, report.parts), (5, 1));
    for name in ["index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(stored.path(name));
    }
    let Stored { folder, upload, seen } = stored;
    let fixture = Fixture { s3: open(folder.path()), folder };
    assert_eq!(fixture.seen(&upload).await, seen);
}

#[tokio::test]
async fn missing_index_is_refused_and_rebuilt() {
    let stored = stored().await;
    std::fs::remove_file(stored.path("index.db")).unwrap();
    assert!(stored.refused().contains("missing"));
    stored.comes_back().await;
}

#[tokio::test]
async fn index_without_bytes_is_refused_and_rebuilt() {
    let stored = stored().await;
    std::fs::write(stored.path("index.db"), "").unwrap();
    assert!(stored.refused().contains("no bytes"));
    stored.comes_back().await;
}

#[tokio::test]
async fn index_cut_to_one_page_is_refused_and_rebuilt() {
    let stored = stored().await;
    let index = std::fs::OpenOptions::new().write(true).open(stored.path("index.db")).unwrap();
    index.set_len(4096).unwrap();
    stored.refused();
    stored.comes_back().await;
}

#[tokio::test]
async fn new_index_beside_old_blobs_is_refused_and_rebuilt() {
    for has_mark in [true, false] {
        let stored = stored().await;
        std::fs::remove_file(stored.path("index.db")).unwrap();
        Connection::open(stored.path("index.db"))
            .unwrap()
            .execute_batch("PRAGMA journal_mode = WAL")
            .unwrap();
        if !has_mark {
            std::fs::remove_file(stored.path("blobs/mark")).unwrap();
        }
        assert!(stored.refused().contains("empty"));
        stored.comes_back().await;
    }
}

/// The server is killed, and a copy without the log is what is left: objects since the last checkpoint are not in it.
#[tokio::test]
async fn index_without_its_log_is_refused_and_rebuilt() {
    let stored = stored().await;
    let Stored { folder, upload, .. } = stored;
    let fixture = Fixture { s3: open(folder.path()), folder };
    let copy = fixture.folder.path().join("copy");
    fixture.s3.close().await.unwrap();
    fixture.put("later", "later").await;
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["nothing".to_owned()]).await.unwrap();
    fixture.put("replaced", "newer").await;
    fixture.s3.put_tags(tags("film", "third")).await.unwrap();
    // Its bytes stay, because another object has them too.
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["copy".to_owned()]).await.unwrap();
    let seen = fixture.seen(&upload).await;
    std::fs::copy(fixture.folder.path().join("index.db"), &copy).unwrap();
    let Fixture { s3, folder } = fixture;
    drop(s3);
    let stored = Stored { folder, upload, seen };
    std::fs::rename(copy, stored.path("index.db")).unwrap();
    let _ = std::fs::remove_file(stored.path("index.db-wal"));
    assert!(stored.refused().contains("older than the blobs"));
    let (fixture, upload, seen) = stored.repaired().await;
    assert_eq!(fixture.seen(&upload).await, seen);
}

#[tokio::test]
async fn index_of_another_folder_is_refused_and_rebuilt() {
    let (stored, other) = (stored().await, stored().await);
    std::fs::copy(other.path("index.db"), stored.path("index.db")).unwrap();
    assert!(stored.refused().contains("another data folder"));
    stored.comes_back().await;
}

#[tokio::test]
async fn older_blobs_than_the_index_are_refused() {
    let stored = stored().await;
    let mark = std::fs::read(stored.path("blobs/mark")).unwrap();
    for _ in 0..2 {
        open(stored.folder.path());
    }
    std::fs::write(stored.path("blobs/mark"), mark).unwrap();
    assert!(stored.refused().contains("blobs are older"));
}

#[tokio::test]
async fn lost_mark_is_written_again_and_damage_moves_nothing() {
    let stored = stored().await;
    std::fs::remove_file(stored.path("blobs/mark")).unwrap();
    std::fs::write(stored.path("blobs/00/00stray"), "stray").unwrap();
    drop(open(stored.folder.path()));
    assert!(stored.path("blobs/mark").exists() && !stored.path("blobs/00/00stray").exists());
    std::fs::write(stored.path("blobs/mark"), "no mark").unwrap();
    std::fs::write(stored.path("blobs/00/00stray"), "stray").unwrap();
    drop(open(stored.folder.path()));
    assert!(stored.path("blobs/00/00stray").exists(), "a damaged mark could be of another folder");
    let Stored { folder, upload, seen } = stored;
    let fixture = Fixture { s3: open(folder.path()), folder };
    assert_eq!(fixture.seen(&upload).await, seen);
}

/// Flips bits all over the index. Whatever they hit, no object is lost: it is refused or told, and a repair brings all
/// back.
#[tokio::test]
async fn flipped_bit_anywhere_in_the_index_loses_no_object() {
    let whole = stored().await;
    let index = std::fs::read(whole.path("index.db")).unwrap();
    let (mut refused, mut told) = (0, 0);
    for number in 0..index.len() / 3_067 {
        let place = number * 3_067 + 100;
        let damaged_copy = || {
            let mut damaged = index.clone();
            damaged[place] ^= 1 << (number % 8);
            let folder = tempfile::tempdir().unwrap();
            copy_folder(whole.folder.path(), folder.path());
            std::fs::write(folder.path().join("index.db"), damaged).unwrap();
            folder
        };
        let name = format!("byte {place}");
        let folder = damaged_copy();
        let report = fsck(folder.path(), FsckOptions::default()).unwrap();
        told += usize::from(!report.is_clean());
        match LocalS3::open(folder.path(), Options::default()) {
            Ok(s3) => {
                let fixture = Fixture { s3, folder };
                let seen = fixture.seen(&whole.upload).await.objects;
                assert!(seen == whole.seen.objects || !report.is_clean(), "{name}: told: {report:?}");
                let blobs =
                    Stored { folder: fixture.folder, upload: String::new(), seen: whole.seen.clone() };
                let there = blobs.blobs().len() == whole.blobs().len();
                assert!(there || blobs.path("quarantine").exists(), "{name}: nothing is deleted");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Damaged, "{name}: {error}");
            }
        }
        let folder = damaged_copy();
        fsck(folder.path(), FsckOptions { repair: true, verify: false }).unwrap();
        let fixture = Fixture { s3: open(folder.path()), folder };
        assert_eq!(fixture.seen(&whole.upload).await.objects, whole.seen.objects, "{name}");
    }
    assert!(refused > 1 && told >= refused, "{refused} refused, {told} told");
}

/// Copies a folder. Blobs and labels never change, so links are enough.
fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else if from.parent().is_some_and(|folder| folder.ends_with("blobs")) {
            std::fs::hard_link(entry.path(), &target).unwrap();
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The count of a used blob is damaged so that a sweep would remove it.
#[tokio::test]
async fn used_blob_that_is_counted_as_unused_stays() {
    let stored = stored().await;
    let index = Connection::open(stored.path("index.db")).unwrap();
    index.execute("UPDATE blobs SET refs = 0", []).unwrap();
    drop(index);
    let Stored { folder, upload, seen } = stored;
    let fixture = Fixture { s3: open(folder.path()), folder };
    fixture.put("later", "1").await;
    fixture.put("later", "2").await;
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["later".to_owned()]).await.unwrap();
    assert_eq!(fixture.s3.sweep().await.unwrap(), 0);
    assert_eq!(fixture.seen(&upload).await, seen);
}

#[tokio::test]
async fn damaged_row_is_told_and_taken_from_its_label() {
    let stored = stored().await;
    let index = Connection::open(stored.path("index.db")).unwrap();
    index.execute("UPDATE objects SET size = size + 1, etag = 'x' WHERE key = 'replaced'", []).unwrap();
    drop(index);
    let fixture = Fixture { s3: open(stored.folder.path()), folder: tempfile::tempdir().unwrap() };
    let refused = fixture.try_bytes("replaced").await.unwrap_err().to_string();
    assert!(refused.contains("media/replaced"), "{refused}");
    drop(fixture);
    let report = stored.fsck(false, false);
    assert_eq!((report.count(Problem::DamagedRow), report.count(Problem::Index)), (1, 0), "{report:?}");
    stored.comes_back().await;
}

#[tokio::test]
async fn lost_blob_takes_only_its_own_objects() {
    for is_cut in [false, true] {
        let mut stored = stored().await;
        let blob = stored.blob_of(b"new");
        if is_cut {
            std::fs::remove_file(&blob).unwrap();
            std::fs::write(&blob, "n").unwrap();
        } else {
            std::fs::remove_file(&blob).unwrap();
        }
        // A server starts and serves all other objects.
        let fixture = Fixture { s3: open(stored.folder.path()), folder: tempfile::tempdir().unwrap() };
        stored.seen.objects.remove("replaced");
        assert_eq!(fixture.seen(&stored.upload).await, stored.seen);
        drop(fixture);
        let report = stored.fsck(false, false);
        let problem = if is_cut { Problem::WrongSize } else { Problem::MissingBlob };
        assert!(
            report.findings.iter().any(|it| it.problem == problem && it.name == "media/replaced"),
            "{report:?}"
        );
        let quarantine = stored.path("quarantine");
        let (fixture, upload, seen) = stored.repaired().await;
        assert_eq!(fixture.seen(&upload).await, seen);
        assert_eq!(code(fixture.bytes("replaced").await), "NoSuchKey");
        assert!(quarantine.exists(), "its label, and what is left of its bytes, are kept");
    }
}

#[tokio::test]
async fn changed_bytes_are_told_only_when_all_are_read() {
    for (bytes, name) in [(b"new".to_vec(), "media/replaced"), (vec![1; PART_BYTES], "media/film")] {
        let stored = stored().await;
        Stored::flip(&stored.blob_of(&bytes), bytes.len() / 2);
        assert!(stored.fsck(false, false).is_clean());
        let report = stored.fsck(true, true);
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert_eq!(
            (report.findings[0].problem, report.findings[0].name.as_str()),
            (Problem::WrongChecksum, name)
        );
        assert!(report.repaired.is_none(), "the bytes stay: they may be all that is left");
    }
}

#[tokio::test]
async fn lost_label_is_told_and_written_again() {
    for way in ["removed", "flipped", "cut"] {
        let stored = stored().await;
        let label = stored.label_of("replaced");
        match way {
            "removed" => std::fs::remove_file(&label).unwrap(),
            "flipped" => Stored::flip(&label, 40),
            _ => {
                std::fs::remove_file(&label).unwrap();
                std::fs::write(&label, "{").unwrap();
            }
        }
        let report = stored.fsck(false, false);
        let problem = if way == "removed" { Problem::MissingLabel } else { Problem::DamagedLabel };
        assert_eq!(report.count(problem), 1, "{way}: {report:?}");
        let (fixture, upload, seen) = stored.repaired().await;
        assert_eq!(fixture.seen(&upload).await, seen, "{way}");
        let Fixture { s3, folder } = fixture;
        drop(s3);
        // The new label is as good as the old one.
        std::fs::remove_file(folder.path().join("index.db")).unwrap();
        Stored { folder, upload, seen }.comes_back().await;
    }
}

#[tokio::test]
async fn label_lost_while_stopped_is_written_at_the_next_start() {
    let stored = stored().await;
    std::fs::remove_file(stored.label_of("copy")).unwrap();
    let s3 = open(stored.folder.path());
    assert_eq!(s3.write_missing_labels().await.unwrap(), 1);
    assert_eq!(s3.write_missing_labels().await.unwrap(), 0);
    drop(s3);
    let report = stored.fsck(false, true);
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn lost_list_of_buckets_is_written_again() {
    let stored = stored().await;
    std::fs::remove_file(stored.path("blobs/buckets")).unwrap();
    drop(open(stored.folder.path()));
    std::fs::remove_file(stored.path("index.db")).unwrap();
    stored.comes_back().await;
}

/// A folder of a version without labels goes on working, gets them, and can be rebuilt from then on.
#[tokio::test]
async fn folder_of_an_older_version_gets_its_labels() {
    let mut stored = stored().await;
    let index = Connection::open(stored.path("index.db")).unwrap();
    index
        .execute_batch(
            "DROP TABLE identity; DROP TABLE labels;
             DROP TABLE publications; DROP TABLE staged; DROP TABLE replaced;
             DROP INDEX objects_without_label;
             DROP INDEX outbox_of_functions; DROP INDEX outbox_of_receivers;
             ALTER TABLE outbox DROP COLUMN created_ms; ALTER TABLE outbox DROP COLUMN away;
             ALTER TABLE triggers DROP COLUMN events;
             ALTER TABLE objects DROP COLUMN label; ALTER TABLE objects DROP COLUMN sum;
             ALTER TABLE parts DROP COLUMN label; ALTER TABLE buckets DROP COLUMN settings;
             ALTER TABLE buckets DROP COLUMN cors_sum; ALTER TABLE buckets DROP COLUMN notifications_sum;
             ALTER TABLE buckets DROP COLUMN settings_sum; DROP TABLE clock;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(index);
    for (path, _) in stored.blobs() {
        if path.extension().is_some() {
            std::fs::remove_file(path).unwrap();
        }
    }
    for name in ["mark", "buckets"] {
        std::fs::remove_file(stored.path("blobs").join(name)).unwrap();
    }
    let s3 = open(stored.folder.path());
    assert_eq!(s3.write_missing_labels().await.unwrap(), 5);
    s3.close().await.unwrap();
    drop(s3);
    assert!(!stored.path("quarantine").exists());
    std::fs::remove_file(stored.path("index.db")).unwrap();
    stored.refused();
    // Parts of uploads in progress get none; everything else is there.
    stored.seen.parts.clear();
    let (fixture, upload, seen) = stored.repaired().await;
    assert_eq!(fixture.seen(&upload).await, seen);
}

#[tokio::test]
async fn orphans_go_to_the_quarantine_and_stay_for_days() {
    let stored = stored().await;
    std::fs::write(stored.path("blobs/00/00stray"), "stray").unwrap();
    drop(open(stored.folder.path()));
    drop(open(stored.folder.path()));
    let kept: Vec<PathBuf> =
        std::fs::read_dir(stored.path("quarantine")).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(kept[0].join("00stray")).unwrap(), b"stray");
    let options = Options { quarantine_days: 0, ..Options::default() };
    let s3 = LocalS3::open(stored.folder.path(), options.clone()).unwrap();
    assert!(kept[0].exists(), "the folder knows no time yet, so the clock may be wrong");
    assert!(s3.trusts_clock(std::time::Duration::from_secs(3_600)).await.unwrap());
    drop(s3);
    drop(LocalS3::open(stored.folder.path(), options).unwrap());
    assert!(!kept[0].exists());
    assert!(stored.fsck(false, false).is_clean());
}

#[tokio::test]
async fn check_needs_a_stopped_server_and_a_known_schema() {
    let stored = stored().await;
    let s3 = open(stored.folder.path());
    let refused = fsck(stored.folder.path(), FsckOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    drop(s3);
    let index = Connection::open(stored.path("index.db")).unwrap();
    index.pragma_update(None, "user_version", 1_000).unwrap();
    drop(index);
    let refused = fsck(stored.folder.path(), FsckOptions { repair: true, verify: false }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
}

/// Labels that a crash left behind, of an object that was never acknowledged or was removed, bring nothing back.
#[tokio::test]
async fn stale_label_brings_nothing_back_while_the_index_is_whole() {
    let stored = stored().await;
    let (label, blob) = (stored.label_of("replaced"), stored.blob_of(b"new"));
    let kept =
        [(label.clone(), std::fs::read(&label).unwrap()), (blob.clone(), std::fs::read(&blob).unwrap())];
    let s3 = open(stored.folder.path());
    s3.delete_keys(BUCKET.to_owned(), vec!["replaced".to_owned()]).await.unwrap();
    s3.close().await.unwrap();
    drop(s3);
    for (path, bytes) in kept {
        assert!(!path.exists());
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(stored.fsck(false, false).count(Problem::Orphan), 2);
    let fixture = Fixture { s3: open(stored.folder.path()), folder: tempfile::tempdir().unwrap() };
    assert_eq!(code(fixture.bytes("replaced").await), "NoSuchKey");
    assert!(!label.exists() && !blob.exists() && stored.path("quarantine").exists());
}

/// Writers of one key at once: after a loss, the object is the one that was visible before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn labels_are_in_the_order_of_the_commits() {
    let fixture = std::sync::Arc::new(fixture().await);
    // A pinned folder keeps all labels, so that their order decides.
    let pin = crate::Pin::set(fixture.folder.path()).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                for turn in 0..10 {
                    fixture.put("replaced", format!("{writer} {turn}")).await;
                    // The object may have changed by then; only failures matter here.
                    fixture.s3.put_tags(tags("replaced", &format!("{writer}-{turn}"))).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let seen = fixture.seen("").await;
    let fixture = std::sync::Arc::into_inner(fixture).unwrap();
    let Fixture { s3, folder } = fixture;
    drop((s3, pin));
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    let (fixture, upload, seen) = Stored { folder, upload: String::new(), seen }.repaired().await;
    assert_eq!(fixture.seen(&upload).await, seen);
}

/// While a backup runs, the labels of replaced objects and parts stay: a rebuilt index must take the newer ones.
/// A power cut came when the label of a second upload was on the disk and its bytes were not.
#[tokio::test]
async fn label_without_bytes_hides_no_older_version() {
    let fixture = fixture().await;
    let pin = crate::Pin::set(fixture.folder.path()).unwrap();
    fixture.put("k", "old").await;
    fixture.put("k", "newer").await;
    let upload = fixture.begin("open").await;
    let seen = fixture.seen(&upload).await;
    let Fixture { s3, folder } = fixture;
    drop((s3, pin));
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    let stored = Stored { folder, upload, seen };
    let blob = stored.blob_of(b"newer");
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "").unwrap();
    let report = stored.fsck(true, false);
    assert_eq!(report.count(Problem::WrongSize), 1, "{report:?}");
    let fixture = Fixture { s3: open(stored.folder.path()), folder: tempfile::tempdir().unwrap() };
    assert_eq!(fixture.bytes("k").await.unwrap(), b"old");
}

#[tokio::test]
async fn newer_of_two_labels_is_taken() {
    let fixture = fixture().await;
    let pin = crate::Pin::set(fixture.folder.path()).unwrap();
    let upload = fixture.begin("open").await;
    for turn in 0..20 {
        fixture.put("replaced", format!("{turn}")).await;
        fixture.s3.put_tags(tags("replaced", &format!("{turn}"))).await.unwrap();
        fixture.part("open", &upload, 7, format!("part {turn}")).await.unwrap();
    }
    let seen = fixture.seen(&upload).await;
    let Fixture { s3, folder } = fixture;
    drop((s3, pin));
    let labels = |stored: &Stored| stored.blobs().keys().filter(|path| path.extension().is_some()).count();
    std::fs::remove_file(folder.path().join("index.db")).unwrap();
    let stored = Stored { folder, upload, seen };
    assert_eq!(labels(&stored), 60);
    let (fixture, upload, seen) = stored.repaired().await;
    assert_eq!(fixture.seen(&upload).await, seen);
}
