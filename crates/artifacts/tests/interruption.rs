//! Kills writers at each point, and lets them come late: nothing half-done is seen, and what is left can be cleaned.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use abanico_artifacts::conformance::{files, texts};
use abanico_artifacts::{ArtifactKey, ArtifactStore, LocalArtifacts, ObjectArtifacts};
use abanico_store::{ObjectStore, ObjectUrl};
use common::{Steered, Steering, endpoint};

fn root() -> ObjectUrl {
    ObjectUrl::s3("bucket", "artifacts/")
}

async fn objects(store: &dyn ObjectStore) -> Vec<String> {
    let page = store.list(&root(), None, 1000).await.unwrap();
    page.objects.into_iter().map(|object| object.meta.url.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_killed_at_any_call_leaves_nothing_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = endpoint(&folder.path().join("s3")).await;
    let healthy = ObjectArtifacts::new(store.clone(), root()).unwrap();
    let key = ArtifactKey::of(b"key");
    let sources = files(folder.path(), &[("a", "1"), ("b", "2"), ("c", "3")]);
    let mut left_behind = 0;
    for calls in 0.. {
        let steering = Steering { calls_left: AtomicUsize::new(calls), ..Steering::default() };
        let dying = Steered { store: store.clone(), steering };
        let put = ObjectArtifacts::new(Arc::new(dying), root()).unwrap().put(&key, &sources).await;
        if put.is_ok() {
            assert!(calls > 5, "a list, three files, a list and a manifest");
            break;
        }
        assert_eq!(healthy.manifest(&key).await.unwrap(), None, "after {calls} calls");
        assert!(healthy.list(None, 10).await.unwrap().artifacts.is_empty());
        let there = objects(&*store).await.len();
        assert_eq!(
            healthy.remove_abandoned(Duration::from_secs(3600)).await.unwrap(),
            0,
            "it may still be at work"
        );
        assert_eq!(objects(&*store).await.len(), there);
        left_behind += healthy.remove_abandoned(Duration::ZERO).await.unwrap();
        assert_eq!(objects(&*store).await, [""; 0], "after {calls} calls");
    }
    assert!(left_behind >= 3, "some writers died in the middle");
    assert!(healthy.manifest(&key).await.unwrap().is_some());
    assert_eq!(
        healthy.remove_abandoned(Duration::ZERO).await.unwrap(),
        0,
        "what is visible is not abandoned"
    );
    let place = tempfile::tempdir().unwrap();
    assert!(healthy.get(&key, place.path()).await.unwrap().is_some());
    assert_eq!(texts(place.path()).len(), 3);
}

/// Starts to store an artifact, and does something while the writer is about to make it visible.
async fn held_up(
    store: &Arc<dyn ObjectStore>,
    folder: &Path,
    key: ArtifactKey,
    meanwhile: impl AsyncFnOnce(&ObjectArtifacts),
) -> ObjectArtifacts {
    let healthy = ObjectArtifacts::new(store.clone(), root()).unwrap();
    let steering = Steering { creations: tokio::sync::Semaphore::new(0), ..Steering::default() };
    let steered = Arc::new(Steered { store: store.clone(), steering });
    let late = ObjectArtifacts::new(steered.clone(), root()).unwrap();
    let sources = files(folder, &[("a", "late"), ("b", "late")]);
    let writing = tokio::spawn(async move { late.put(&key, &sources).await });
    steered.steering.waiting.acquire().await.unwrap().forget();
    meanwhile(&healthy).await;
    steered.steering.creations.add_permits(100);
    writing.await.unwrap().unwrap();
    healthy
}

#[tokio::test(flavor = "multi_thread")]
async fn late_writer_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let store = endpoint(&folder.path().join("s3")).await;
    let first = files(folder.path(), &[("a", "first")]);
    let read = async |artifacts: &ObjectArtifacts, key: &ArtifactKey| {
        let place = tempfile::tempdir().unwrap();
        artifacts.get(key, place.path()).await.unwrap().map(|_| texts(place.path())["a"].clone())
    };
    let key = ArtifactKey::of(b"removed meanwhile");
    let removed = async |healthy: &ObjectArtifacts| {
        healthy.put(&key, &first).await.unwrap();
        healthy.remove(&key).await.unwrap();
    };
    let after = held_up(&store, folder.path(), key, removed).await;
    assert_eq!(read(&after, &key).await.as_deref(), Some("late"), "it is there again, as a whole");
    let key = ArtifactKey::of(b"stored meanwhile");
    let stored = async |healthy: &ObjectArtifacts| drop(healthy.put(&key, &first).await.unwrap());
    let after = held_up(&store, folder.path(), key, stored).await;
    assert_eq!(read(&after, &key).await.as_deref(), Some("first"), "the first one stays");
    assert_eq!(after.remove_abandoned(Duration::ZERO).await.unwrap(), 0, "the late one has cleaned up");
    let key = ArtifactKey::of(b"cleaned meanwhile");
    let cleaned = async |healthy: &ObjectArtifacts| {
        assert_eq!(healthy.remove_abandoned(Duration::ZERO).await.unwrap(), 1)
    };
    let after = held_up(&store, folder.path(), key, cleaned).await;
    assert_eq!(read(&after, &key).await, None, "it has lost its files, so it is none");
    assert_eq!(after.manifest(&key).await.unwrap(), None);
    after.put(&key, &first).await.unwrap();
    assert_eq!(read(&after, &key).await.as_deref(), Some("first"));
}

const FOLDER: &str = "ARTIFACTS_OF_A_CHILD";

/// The process that `killed_process_leaves_whole_artifacts` kills; without its folder it does nothing.
#[tokio::test]
async fn child_stores_and_removes() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (store, scratch) = (LocalArtifacts::open(Path::new(&folder)).unwrap(), tempfile::tempdir().unwrap());
    let pid = std::process::id();
    for number in 0_u64.. {
        let text = format!("{pid} {number} ").repeat(20_000);
        let key = |number: u64| ArtifactKey::of(format!("{pid} {number}").as_bytes());
        store.put(&key(number), &files(scratch.path(), &[("a", &text), ("b", &text)])).await.unwrap();
        if number > 3 {
            store.remove(&key(number - 3)).await.unwrap();
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn killed_process_leaves_whole_artifacts() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalArtifacts::open(folder.path()).unwrap();
    let mut whole = 0;
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child_stores_and_removes"]).env(FOLDER, folder.path());
        let child = Killed(child.stdout(std::process::Stdio::null()).spawn().unwrap());
        let before = store.list(None, 1000).await.unwrap().artifacts.len();
        let deadline = Instant::now() + Duration::from_secs(60);
        while store.list(None, 1000).await.unwrap().artifacts.len() < before + 2 {
            assert!(Instant::now() < deadline, "the child stores nothing");
        }
        // Any moment will do.
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        drop(child);
        let left = store.list(None, 1000).await.unwrap().artifacts;
        for artifact in &left {
            let place = tempfile::tempdir().unwrap();
            assert!(store.get(&artifact.key, place.path()).await.unwrap().is_some(), "{}", artifact.key);
            let texts = texts(place.path());
            assert!(texts.len() == 2 && texts["a"] == texts["b"]);
            whole += 1;
        }
        store.remove_abandoned(Duration::ZERO).await.unwrap();
        let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
        let names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| name.parse::<ArtifactKey>().is_ok()), "{names:?}");
    }
    assert!(whole > 0);
}

#[tokio::test]
async fn living_writer_is_not_abandoned() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalArtifacts::open(folder.path()).unwrap();
    let place = abanico_process::WorkPlace { folder: folder.path(), prefix: ".", suffix: ".partial" };
    let living = place.create().unwrap();
    assert_eq!(store.remove_abandoned(Duration::ZERO).await.unwrap(), 0);
    assert!(living.path().exists());
    let dead = folder.path().join(".dead.partial");
    std::fs::create_dir(&dead).unwrap();
    assert_eq!(store.remove_abandoned(Duration::from_secs(3600)).await.unwrap(), 0, "it is not old");
    assert_eq!(store.remove_abandoned(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(store.remove_abandoned(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(store.list(None, 10).await.unwrap().artifacts, [], "neither is an artifact");
}
