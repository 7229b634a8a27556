//! The conformance suite: checks what every back end must do. Only for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{ArtifactKey, ArtifactStore, ErrorKind, FileName, Manifest, NamedFile};

/// What the suite does to an artifact behind the back of its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Changes a byte of this file.
    OtherByte(&'static str),
    /// Adds a byte to this file.
    OtherSize(&'static str),
    /// Removes this file.
    Missing(&'static str),
    /// Cuts the manifest short.
    Manifest,
}

/// Runs the whole suite on an empty store. `damage` damages an artifact.
///
/// # Panics
/// Panics at the first thing that the store does wrong.
pub async fn run(store: &dyn ArtifactStore, damage: impl AsyncFn(ArtifactKey, Damage)) {
    let scratch = tempfile::tempdir().expect("tests have a temporary folder");
    let folder = scratch.path();
    stored_is_placed(store, folder).await;
    first_one_wins(store, folder).await;
    all_files_are_placed_or_none(store, folder).await;
    wrong_files_are_refused(store, folder).await;
    removed_is_gone(store, folder).await;
    damaged_counts_as_none(store, &damage, folder).await;
    listed_page_by_page(store, folder).await;
    many_writers_end_well(store, folder).await;
    readers_see_a_whole_artifact_or_none(store, folder).await;
    nothing_happens_after_a_drop(store, folder).await;
    assert_eq!(store.remove_abandoned(Duration::ZERO).await.ok(), Some(0), "nothing is left behind");
}

/// Makes a name of a file.
pub fn name(name: &str) -> FileName {
    FileName::new(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes files with these names and texts into a new folder below `folder`.
pub fn files(folder: &Path, contents: &[(&str, &str)]) -> Vec<NamedFile> {
    let place = tempfile::tempdir_in(folder).expect("the temporary folder is writable").keep();
    let each = contents.iter().enumerate().map(|(number, (file, text))| {
        let path = place.join(format!("made-{number}"));
        std::fs::write(&path, text).expect("the temporary folder is writable");
        NamedFile { name: name(file), path }
    });
    each.collect()
}

/// Returns the files of a folder with their texts.
pub fn texts(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read").flatten();
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), text(entry.path()))).collect()
}

fn empty(folder: &Path) -> PathBuf {
    tempfile::tempdir_in(folder).expect("the temporary folder is writable").keep()
}

async fn put(store: &dyn ArtifactStore, key: &ArtifactKey, files: &[NamedFile]) -> Manifest {
    store.put(key, files).await.unwrap_or_else(|error| panic!("{key} cannot be stored: {error:?}"))
}

/// Returns all files of an artifact, or `None` if there is none.
async fn got(
    store: &dyn ArtifactStore,
    key: &ArtifactKey,
    folder: &Path,
) -> Option<BTreeMap<String, String>> {
    let place = empty(folder);
    let found =
        store.get(key, &place).await.unwrap_or_else(|error| panic!("{key} cannot be read: {error:?}"));
    let texts = texts(&place);
    match found {
        None => assert!(texts.is_empty(), "{key} is not there, but some of its files were placed"),
        Some(_) => assert!(!texts.keys().any(|name| name.starts_with(".abanico-")), "{texts:?}"),
    }
    found.map(|_| texts)
}

fn map(contents: &[(&str, &str)]) -> BTreeMap<String, String> {
    contents.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

async fn stored_is_placed(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"stored");
    assert_eq!(got(store, &key, folder).await, None);
    assert_eq!(store.manifest(&key).await.ok(), Some(None));
    let contents = [("video.mp4", "frames"), ("manifest.json", "{}"), ("empty", ""), ("día 🏖.txt", "sol")];
    let sources = files(folder, &contents);
    let manifest = put(store, &key, &sources).await;
    assert_eq!(manifest.size_bytes(), 11);
    assert_eq!(store.manifest(&key).await.ok(), Some(Some(manifest.clone())));
    assert!(sources.iter().all(|source| source.path.exists()), "the sources stay");
    for _ in 0..2 {
        assert_eq!(got(store, &key, folder).await, Some(map(&contents)));
    }
    let place = empty(folder);
    let one = NamedFile { name: name("video.mp4"), path: place.join("input") };
    assert_eq!(store.place(&key, &[one]).await.ok(), Some(Some(manifest)));
    assert_eq!(texts(&place), map(&[("input", "frames")]));
    let nothing = ArtifactKey::of(b"without files");
    assert_eq!(put(store, &nothing, &[]).await.files(), []);
    assert_eq!(got(store, &nothing, folder).await, Some(map(&[])));
}

async fn first_one_wins(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"twice");
    let first = put(store, &key, &files(folder, &[("a", "first")])).await;
    assert_eq!(put(store, &key, &files(folder, &[("a", "second"), ("b", "more")])).await, first);
    assert_eq!(got(store, &key, folder).await, Some(map(&[("a", "first")])));
}

async fn all_files_are_placed_or_none(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"all or none");
    put(store, &key, &files(folder, &[("a", "1"), ("b", "2"), ("c", "3")])).await;
    let (place, other) = (empty(folder), folder.join("somebody's"));
    std::fs::write(&other, "theirs").expect("the temporary folder is writable");
    std::fs::hard_link(&other, place.join("b")).expect("the temporary folder has links");
    let error = store.get(&key, &place).await.expect_err("a file is in the way");
    assert_eq!(error.kind(), ErrorKind::InTheWay, "{error:?}");
    assert_eq!(texts(&place), map(&[("b", "theirs")]));
    assert_eq!(std::fs::read_to_string(&other).ok().as_deref(), Some("theirs"));
    let place = empty(folder);
    let wanted = ["a", "d"].map(|file| NamedFile { name: name(file), path: place.join(file) });
    let error = store.place(&key, &wanted).await.expect_err("it has no such file");
    assert_eq!(error.kind(), ErrorKind::NoSuchFile, "{error:?}");
    assert!(error.to_string().contains("`a`, `b`, `c`"), "{error}");
    let gone = [NamedFile { name: name("a"), path: place.join("no folder/a") }];
    assert!(store.place(&key, &gone).await.is_err(), "its folder must exist");
    assert_eq!(texts(&place), map(&[]));
    assert!(got(store, &key, folder).await.is_some(), "it still stands");
}

async fn wrong_files_are_refused(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"wrong");
    let mut twice = files(folder, &[("a", "1"), ("b", "2")]);
    twice[1].name = name("a");
    let kind = async |files: &[NamedFile]| store.put(&key, files).await.map_err(|error| error.kind()).err();
    assert_eq!(kind(&twice).await, Some(ErrorKind::Invalid));
    let mut missing = files(folder, &[("a", "1"), ("b", "2")]);
    missing[1].path = folder.join("missing");
    assert_eq!(kind(&missing).await, Some(ErrorKind::Source));
    missing[1].path = folder.to_owned();
    assert_eq!(kind(&missing).await, Some(ErrorKind::Source), "a folder is no file");
    let link = folder.join("link");
    std::os::unix::fs::symlink(&missing[0].path, &link).expect("the temporary folder has links");
    missing[1].path = link;
    assert_eq!(kind(&missing).await, Some(ErrorKind::Source), "links are not followed");
    assert_eq!(got(store, &key, folder).await, None, "nothing half-done is visible");
    store.remove_abandoned(Duration::ZERO).await.unwrap_or_else(|error| panic!("{error:?}"));
}

async fn removed_is_gone(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"removed");
    let place = empty(folder);
    put(store, &key, &files(folder, &[("a", "1")])).await;
    assert!(store.get(&key, &place).await.is_ok_and(|found| found.is_some()));
    for _ in 0..2 {
        assert!(store.remove(&key).await.is_ok());
        assert_eq!(got(store, &key, folder).await, None);
    }
    assert_eq!(texts(&place), map(&[("a", "1")]), "what was placed stays");
    put(store, &key, &files(folder, &[("a", "new")])).await;
    assert_eq!(got(store, &key, folder).await, Some(map(&[("a", "new")])));
}

async fn damaged_counts_as_none(
    store: &dyn ArtifactStore,
    damage: &impl AsyncFn(ArtifactKey, Damage),
    folder: &Path,
) {
    let damages = [Damage::OtherByte("b"), Damage::OtherSize("a"), Damage::Missing("c"), Damage::Manifest];
    for (number, kind) in damages.into_iter().enumerate() {
        let key = ArtifactKey::of(format!("damaged {number}").as_bytes());
        put(store, &key, &files(folder, &[("a", "11"), ("b", "22"), ("c", "33")])).await;
        damage(key, kind).await;
        assert_eq!(got(store, &key, folder).await, None, "{kind:?}");
        assert_eq!(store.manifest(&key).await.ok(), Some(None), "{kind:?}: it is removed");
        let again = [("a", "44")];
        put(store, &key, &files(folder, &again)).await;
        damage(key, kind_of_a(kind)).await;
        // Whoever stores it again mends what can be seen without reading it.
        put(store, &key, &files(folder, &again)).await;
        let seen = got(store, &key, folder).await;
        let is_seen = !matches!(kind, Damage::OtherByte(_));
        assert_eq!(seen, is_seen.then(|| map(&again)), "{kind:?}: it is stored again");
        assert!(store.remove(&key).await.is_ok());
    }
    store.remove_abandoned(Duration::ZERO).await.unwrap_or_else(|error| panic!("{error:?}"));
}

fn kind_of_a(kind: Damage) -> Damage {
    match kind {
        Damage::OtherByte(_) => Damage::OtherByte("a"),
        Damage::OtherSize(_) => Damage::OtherSize("a"),
        Damage::Missing(_) => Damage::Missing("a"),
        Damage::Manifest => Damage::Manifest,
    }
}

async fn listed_page_by_page(store: &dyn ArtifactStore, folder: &Path) {
    let mut sizes: BTreeMap<ArtifactKey, u64> = BTreeMap::new();
    for number in 0..7_usize {
        let key = ArtifactKey::of(format!("listed {number}").as_bytes());
        let text = "x".repeat(number);
        put(store, &key, &files(folder, &[("a", &text), ("b", "12")])).await;
        sizes.insert(key, number as u64 + 2);
    }
    for most in [1, 2, 3, 100] {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = store.list(after.as_ref(), most).await.unwrap_or_else(|error| panic!("{error:?}"));
            assert!(page.artifacts.len() <= most);
            all.extend(page.artifacts);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert!(all.is_sorted_by_key(|artifact| artifact.key), "in the order of their keys");
        let listed: BTreeMap<_, _> = all
            .iter()
            .filter(|artifact| sizes.contains_key(&artifact.key))
            .map(|artifact| (artifact.key, artifact.size_bytes))
            .collect();
        assert_eq!(listed, sizes, "pages of {most}");
        let age = |artifact: &crate::StoredArtifact| artifact.last_used.elapsed().unwrap_or_default();
        assert!(all.iter().all(|artifact| age(artifact) < Duration::from_secs(3600)), "just stored");
    }
    for key in sizes.keys() {
        assert!(store.remove(key).await.is_ok());
    }
    let page = store.list(None, 1000).await.unwrap_or_default();
    assert!(!page.artifacts.iter().any(|artifact| sizes.contains_key(&artifact.key)));
}

async fn many_writers_end_well(store: &dyn ArtifactStore, folder: &Path) {
    for round in 0..3 {
        let key = ArtifactKey::of(format!("many writers {round}").as_bytes());
        let writers = (0..6).map(|writer| {
            let text = format!("writer {writer}");
            let sources = files(folder, &[("a", &text), ("b", &text)]);
            async move { store.put(&key, &sources).await }
        });
        let ends = futures::future::join_all(writers).await;
        let manifests: Vec<Manifest> =
            ends.into_iter().map(|end| end.unwrap_or_else(|error| panic!("{error:?}"))).collect();
        assert!(manifests.iter().all(|manifest| *manifest == manifests[0]), "all see the first one's");
        assert_eq!(store.manifest(&key).await.ok(), Some(Some(manifests[0].clone())));
        let texts = got(store, &key, folder).await.unwrap_or_default();
        assert!(texts.len() == 2 && texts["a"] == texts["b"], "{texts:?}: of one writer");
    }
}

async fn readers_see_a_whole_artifact_or_none(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"coming and going");
    let write = async {
        for round in 0..6 {
            let text = format!("round {round}");
            put(store, &key, &files(folder, &[("a", &text), ("b", &text), ("c", &text)])).await;
            assert!(store.remove(&key).await.is_ok());
        }
    };
    let read = async {
        for _ in 0..20 {
            if let Some(texts) = got(store, &key, folder).await {
                assert!(
                    texts.len() == 3 && texts["a"] == texts["b"] && texts["b"] == texts["c"],
                    "{texts:?}"
                );
            }
        }
    };
    futures::future::join3(write, read, async {
        for _ in 0..10 {
            store.list(None, 1000).await.unwrap_or_else(|error| panic!("{error:?}"));
        }
    })
    .await;
}

async fn nothing_happens_after_a_drop(store: &dyn ArtifactStore, folder: &Path) {
    let key = ArtifactKey::of(b"dropped");
    put(store, &key, &files(folder, &[("a", "1"), ("b", "2"), ("c", "3")])).await;
    let mut seen = Vec::new();
    for polls in 0..30 {
        let place = empty(folder);
        {
            let mut get = std::pin::pin!(store.get(&key, &place));
            for _ in 0..polls {
                if futures::poll!(&mut get).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let visible = |place: &Path| {
            let mut texts = texts(place);
            texts.retain(|name, _| !name.starts_with(".abanico-"));
            texts
        };
        let then = visible(&place);
        assert!([0, 3].contains(&then.len()), "{then:?}: all or none");
        seen.push((place, then));
    }
    // Other work of the same kind gives what still runs the time to go wrong.
    got(store, &key, folder).await;
    for (place, then) in seen {
        let now: Vec<String> =
            texts(&place).into_keys().filter(|name| !name.starts_with(".abanico-")).collect();
        assert_eq!(now, then.into_keys().collect::<Vec<_>>(), "nothing was placed after the drop");
    }
}
