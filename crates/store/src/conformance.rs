//! The conformance suite: checks what every back end must do. Only for tests.

use std::path::{Path, PathBuf};

use crate::{ErrorKind, NewFile, ObjectAttributes, ObjectStore, ObjectUrl, Publication};

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
    staged_is_invisible_until_the_switch(store, &url, scratch.path()).await;
    taken_back_is_as_before(store, &url, scratch.path()).await;
    other_files_are_not_taken_back(store, &url, scratch.path()).await;
    assert!(store.check(&url("checked/new.bin")).await.is_ok(), "the place can be written to");
    let checked = store.stat(&url("checked/new.bin")).await.map_err(|error| error.kind()).err();
    assert_eq!(checked, Some(ErrorKind::NotFound), "a check leaves no trace");
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

/// Stages these files for a publication. Each name is also the content, after `new `.
async fn stage(
    store: &dyn ObjectStore,
    id: &str,
    folder: &Path,
    places: &[(ObjectUrl, &str)],
) -> Publication {
    let publication = Publication::new(id, folder.join(format!("notes-{id}")));
    let attributes = ObjectAttributes {
        metadata: [("abanico-job".to_owned(), id.to_owned())].into(),
        ..Default::default()
    };
    let files: Vec<NewFile> = places
        .iter()
        .map(|(url, text)| {
            let source = file(folder, format!("new {text}").as_bytes());
            NewFile { source, url: url.clone(), attributes: attributes.clone(), turn: 0 }
        })
        .collect();
    for some in files.chunks(2) {
        let staged = store.stage(&publication, some).await;
        staged.unwrap_or_else(|error| panic!("staging failed: {error}"));
    }
    publication
}

async fn text_at(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) -> Option<String> {
    match store.stat(url).await {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        _ => Some(String::from_utf8_lossy(&content(store, url, folder).await).into_owned()),
    }
}

async fn texts(store: &dyn ObjectStore, urls: &[ObjectUrl], folder: &Path) -> Vec<Option<String>> {
    let mut texts = Vec::new();
    for url in urls {
        texts.push(text_at(store, url, folder).await);
    }
    texts
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

async fn staged_is_invisible_until_the_switch(
    store: &dyn ObjectStore,
    url: &impl Fn(&str) -> ObjectUrl,
    folder: &Path,
) {
    let urls = [url("set one/a"), url("set one/b"), url("set one/c")];
    publish(store, &file(folder, b"old a"), &urls[0]).await;
    let places: Vec<(ObjectUrl, &str)> = urls.iter().cloned().zip(["a", "b", "c"]).collect();
    let publication = stage(store, "1-one", folder, &places).await;
    assert_eq!(texts(store, &urls, folder).await, some(&["old a", "", ""]), "staged files are invisible");
    for switch in 1..=2 {
        assert!(store.switch(&publication).await.is_ok(), "switch {switch}");
        assert_eq!(texts(store, &urls, folder).await, some(&["new a", "new b", "new c"]));
    }
    let again = stage(store, "1-one", folder, &places).await;
    assert!(store.switch(&again).await.is_ok(), "as after a crash");
    for end in 1..=2 {
        assert!(store.settle(&publication).await.is_ok(), "settling {end}");
    }
    assert!(store.take_back(&publication).await.is_ok(), "a settled publication is not taken back");
    assert_eq!(texts(store, &urls, folder).await, some(&["new a", "new b", "new c"]));
    assert_eq!(store.open_publications().await.ok(), Some(vec![]));
}

async fn taken_back_is_as_before(store: &dyn ObjectStore, url: &impl Fn(&str) -> ObjectUrl, folder: &Path) {
    let urls = [url("set two/a"), url("set two/b"), url("set two/deep/c")];
    publish(store, &file(folder, b"old a"), &urls[0]).await;
    let before = store.stat(&urls[0]).await.ok();
    let places: Vec<(ObjectUrl, &str)> = urls.iter().cloned().zip(["a", "b", "c"]).collect();
    for switches in [false, true] {
        let publication = stage(store, "2-two", folder, &places).await;
        if switches {
            assert!(store.switch(&publication).await.is_ok());
            assert_eq!(texts(store, &urls, folder).await, some(&["new a", "new b", "new c"]));
        }
        for end in 1..=2 {
            assert!(store.take_back(&publication).await.is_ok(), "taking back {end}");
            assert_eq!(texts(store, &urls, folder).await, some(&["old a", "", ""]), "{switches}");
        }
        assert_eq!(
            store.stat(&urls[0]).await.ok().map(|it| it.size_bytes),
            before.as_ref().map(|it| it.size_bytes)
        );
    }
}

async fn other_files_are_not_taken_back(
    store: &dyn ObjectStore,
    url: &impl Fn(&str) -> ObjectUrl,
    folder: &Path,
) {
    let urls = [url("set three/a"), url("set three/b")];
    publish(store, &file(folder, b"old a"), &urls[0]).await;
    let places: Vec<(ObjectUrl, &str)> = urls.iter().cloned().zip(["a", "b"]).collect();
    let publication = stage(store, "3-three", folder, &places).await;
    assert!(store.switch(&publication).await.is_ok());
    publish(store, &file(folder, b"theirs"), &urls[0]).await;
    assert!(store.delete(&urls[1]).await.is_ok());
    assert!(store.take_back(&publication).await.is_ok());
    assert_eq!(texts(store, &urls, folder).await, some(&["theirs", ""]), "what others did since stays");
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
