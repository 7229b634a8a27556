//! Runs the conformance suite on both back ends, and compares them with a model over random histories.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use abanico_artifacts::conformance::{self, Damage, files, texts};
use abanico_artifacts::{ArtifactKey, ArtifactStore, LocalArtifacts, ObjectArtifacts};
use abanico_store::{FolderBucket, FolderStore, ObjectStore, ObjectUrl};
use common::{damage, endpoint};
use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

fn damage_locally(folder: &Path, key: ArtifactKey, damage: Damage) {
    let artifact = folder.join(key.to_string());
    let path = match damage {
        Damage::OtherByte(name) | Damage::OtherSize(name) | Damage::Missing(name) => {
            artifact.join("files").join(name)
        }
        Damage::Manifest => artifact.join("manifest.json"),
    };
    let mut bytes = std::fs::read(&path).unwrap();
    match damage {
        Damage::Missing(_) => return std::fs::remove_file(&path).unwrap(),
        Damage::OtherByte(_) => bytes[0] ^= 1,
        Damage::OtherSize(_) => bytes.push(0),
        Damage::Manifest => bytes.truncate(bytes.len() / 2),
    }
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalArtifacts::open(folder.path()).unwrap();
    conformance::run(&store, async |key, kind| damage_locally(folder.path(), key, kind)).await;
}

async fn object_store_passes(store: Arc<dyn ObjectStore>, folder: ObjectUrl) {
    let artifacts = ObjectArtifacts::new(store.clone(), folder.clone()).unwrap();
    conformance::run(&artifacts, async |key, kind| damage(&*store, &folder, key, kind).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_s3_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    object_store_passes(endpoint(folder.path()).await, ObjectUrl::s3("bucket", "artifacts/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_as_a_bucket_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FolderBucket::new(folder.path()).unwrap());
    object_store_passes(store, ObjectUrl::s3("any", "deep/artifacts/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_pass_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FolderStore::new([folder.path().to_owned()]).unwrap());
    object_store_passes(store, ObjectUrl::File(folder.path().join("artifacts/"))).await;
}

#[test]
fn folder_of_artifacts_ends_with_a_slash() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FolderBucket::new(folder.path()).unwrap());
    let error = ObjectArtifacts::new(store, ObjectUrl::s3("any", "artifacts")).err().unwrap();
    assert!(!error.is_retryable(), "{error}");
}

/// A step of a history, with the numbers of a key and a content.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8, u8),
    Get(u8),
    Remove(u8),
    Damage(u8),
    Clean,
    List(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3_u8, 0..4_u8).prop_map(|(key, content)| Step::Put(key, content)),
        3 => (0..3_u8).prop_map(Step::Get),
        1 => (0..3_u8).prop_map(Step::Remove),
        1 => (0..3_u8).prop_map(Step::Damage),
        1 => proptest::strategy::Just(Step::Clean),
        1 => (1..3_u8).prop_map(Step::List),
    ];
    proptest::collection::vec(step, 1..20)
}

async fn agrees_with_the_model(
    store: &dyn ArtifactStore,
    spoil: impl AsyncFn(ArtifactKey, Damage),
    history: &[Step],
) {
    let scratch = tempfile::tempdir().unwrap();
    let key_of = |number: u8| ArtifactKey::of(&[number]);
    // What stands there, and whether its file `a` is damaged.
    let mut model: BTreeMap<ArtifactKey, (BTreeMap<String, String>, bool)> = BTreeMap::new();
    for step in history {
        match *step {
            Step::Put(key, content) => {
                let text = format!("content {content}");
                let contents = [("a", text.as_str()), ("b", "b")];
                let sources = files(scratch.path(), &contents[..1 + usize::from(content % 2)]);
                let made = store.put(&key_of(key), &sources).await.unwrap();
                let new = contents[..1 + usize::from(content % 2)]
                    .iter()
                    .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                    .collect();
                let (standing, _) = model.entry(key_of(key)).or_insert((new, false));
                assert_eq!(made.files().len(), standing.len());
            }
            Step::Get(key) => {
                let place = tempfile::tempdir_in(scratch.path()).unwrap();
                let found = store.get(&key_of(key), place.path()).await.unwrap();
                if model.get(&key_of(key)).is_some_and(|(_, is_damaged)| *is_damaged) {
                    model.remove(&key_of(key));
                }
                let wanted = model.get(&key_of(key)).map(|(texts, _)| texts.clone());
                assert_eq!(found.map(|_| texts(place.path())), wanted);
            }
            Step::Remove(key) => {
                store.remove(&key_of(key)).await.unwrap();
                model.remove(&key_of(key));
            }
            Step::Damage(key) => {
                if let Some((_, is_damaged)) =
                    model.get_mut(&key_of(key)).filter(|(_, is_damaged)| !is_damaged)
                {
                    spoil(key_of(key), Damage::OtherByte("a")).await;
                    *is_damaged = true;
                }
            }
            Step::Clean => assert_eq!(store.remove_abandoned(Duration::ZERO).await.unwrap(), 0),
            Step::List(most) => {
                let (mut keys, mut after) = (Vec::new(), None);
                loop {
                    let page = store.list(after.as_ref(), most.into()).await.unwrap();
                    keys.extend(page.artifacts.into_iter().map(|artifact| artifact.key));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(keys, model.keys().copied().collect::<Vec<_>>());
            }
        }
    }
}

fn for_histories(cases: u32, check: impl Fn(&[Step])) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let checked = |history: Vec<Step>| {
        check(&history);
        Ok(())
    };
    TestRunner::new(config).run(&steps(), checked).unwrap();
}

#[test]
fn random_histories_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for_histories(40, |history| {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let local = LocalArtifacts::open(folder.path()).unwrap();
            agrees_with_the_model(
                &local,
                async |key, kind| damage_locally(folder.path(), key, kind),
                history,
            )
            .await;
        });
    });
    for_histories(20, |history| {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (store, root) = (endpoint(folder.path()).await, ObjectUrl::s3("bucket", "a/"));
            let objects = ObjectArtifacts::new(store.clone(), root.clone()).unwrap();
            agrees_with_the_model(
                &objects,
                async |key, kind| damage(&*store, &root, key, kind).await,
                history,
            )
            .await;
        });
    });
}
