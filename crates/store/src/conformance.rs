//! The conformance suite: checks what every back end must do. Only for tests.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{
    Deletion, ErrorKind, FillOptions, MOST_LISTED, MOST_RANGE_BYTES, NewFile, ObjectAttributes, ObjectStore,
    ObjectUrl, Publication, delete_all_below, fill,
};

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
    ranges_are_exact(store, &url("ranges.bin"), scratch.path()).await;
    replaced_object_is_noticed(store, &url("ranges/replaced.bin"), scratch.path()).await;
    file_with_holes_has_the_wanted_bytes(store, &url("ranges/holes.bin"), scratch.path()).await;
    created_once(store, &url("created/once.json"), scratch.path()).await;
    listed_in_order_page_by_page(store, &url, scratch.path()).await;
    only_what_is_below_is_deleted(store, &url, scratch.path()).await;
    many_are_deleted_in_bounded_steps(store, &url).await;
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

async fn ranges_are_exact(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) {
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index % 253) as u8).collect();
    publish(store, &file(folder, &bytes), url).await;
    let e_tag = store.stat(url).await.ok().and_then(|meta| meta.e_tag);
    let last = bytes.len() as u64;
    for (start, end) in [(0, 1), (0, last), (99_999, last), (70_001, 70_777), (300, 90_000)] {
        for wanted in [None, e_tag.as_deref()] {
            let read = store.read_range(url, start..end, wanted).await;
            let read = read.unwrap_or_else(|error| panic!("bytes {start} to {end} of {url}: {error}"));
            let place = |at: u64| usize::try_from(at).expect("small");
            assert!(read == bytes[place(start)..place(end)], "bytes {start} to {end} of {url}");
        }
    }
    let refused = async |range: Range<u64>| {
        store.read_range(url, range, None).await.map_err(|error| error.kind()).err()
    };
    let backwards = Range { start: 9, end: 3 };
    for range in
        [99_999..last + 1, last..last + 1, last + 7..last + 9, 5..5, backwards, 0..MOST_RANGE_BYTES + 1]
    {
        let shown = format!("{range:?} of {url}");
        assert_eq!(refused(range).await, Some(ErrorKind::OutOfRange), "{shown}");
    }
}

async fn replaced_object_is_noticed(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) {
    let missing = store.read_range(url, 0..1, None).await.map_err(|error| error.kind()).err();
    assert_eq!(missing, Some(ErrorKind::NotFound));
    publish(store, &file(folder, b"the first"), url).await;
    let first = store.stat(url).await.expect("it was stored");
    assert!(first.e_tag.is_some(), "a store tells which object it is");
    publish(store, &file(folder, b"the other"), url).await;
    let changed = store.read_range(url, 0..3, first.e_tag.as_deref()).await;
    assert_eq!(changed.map_err(|error| error.kind()).err(), Some(ErrorKind::Changed));
    let place = folder.join("with holes");
    let options = FillOptions::default();
    let filled = fill(store, &first, std::slice::from_ref(&(0..3)), &[], &place, &options).await;
    assert_eq!(filled.map_err(|error| error.kind()).err(), Some(ErrorKind::Changed));
    assert!(!place.exists(), "nothing half-done stays");
}

async fn file_with_holes_has_the_wanted_bytes(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|index| (index % 241) as u8 + 1).collect();
    publish(store, &file(folder, &bytes), url).await;
    let object = store.stat(url).await.expect("it was stored");
    let place = folder.join("with holes");
    let options = FillOptions { merge_bytes: 10, request_bytes: 30_000, ..FillOptions::default() };
    let known = [(190_000, Bytes::copy_from_slice(&bytes[190_000..]))];
    let ranges = [150_000..150_001, 20_000..90_000, 20_500..20_600, 90_010..91_000];
    let filled = fill(store, &object, &ranges, &known, &place, &options).await;
    let filled = filled.unwrap_or_else(|error| panic!("{url} cannot be fetched in ranges: {error}"));
    assert_eq!((filled.bytes, filled.requests), (71_001, 4));
    let mut wanted = vec![0; bytes.len()];
    for range in [20_000..91_000, 150_000..150_001, 190_000..200_000] {
        wanted[range.clone()].copy_from_slice(&bytes[range]);
    }
    assert!(std::fs::read(&place).is_ok_and(|made| made == wanted), "{url} with holes");
    std::fs::remove_file(&place).expect("the temporary folder is writable");
}

async fn created_once(store: &dyn ObjectStore, url: &ObjectUrl, folder: &Path) {
    let create = async |text: &'static str| {
        let created = store.create(url, Bytes::from_static(text.as_bytes())).await;
        created.map(|meta| meta.size_bytes).map_err(|error| error.kind())
    };
    let both = futures::future::join(create("one"), create("two")).await;
    assert!(matches!(both, (Ok(3), Err(ErrorKind::Exists)) | (Err(ErrorKind::Exists), Ok(3))), "{both:?}");
    let winner = if both.0.is_ok() { "one" } else { "two" };
    assert_eq!(create("three").await, Err(ErrorKind::Exists));
    assert_eq!(text_at(store, url, folder).await.as_deref(), Some(winner));
    assert!(store.delete(url).await.is_ok());
    assert_eq!(create("again").await, Ok(5));
}

/// Returns all that a folder has, from pages of this size.
async fn listed(store: &dyn ObjectStore, folder: &ObjectUrl, most: usize) -> Vec<(ObjectUrl, u64)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(folder, after.as_ref(), most).await;
        let page = page.unwrap_or_else(|error| panic!("{folder} cannot be listed: {error}"));
        assert!(page.objects.len() <= most);
        all.extend(page.objects.into_iter().map(|object| (object.meta.url, object.meta.size_bytes)));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

async fn listed_in_order_page_by_page(
    store: &dyn ObjectStore,
    url: &impl Fn(&str) -> ObjectUrl,
    folder: &Path,
) {
    let names = ["a!", "a-/x", "a.b", "a/b", "a/b-/c", "a/b0", "a0", "with space + ünï/x"];
    for name in names.iter().rev() {
        publish(store, &file(folder, name.as_bytes()), &url(&format!("list/{name}"))).await;
    }
    // Neither is below the folder.
    publish(store, &file(folder, b"beside"), &url("list-2/x")).await;
    publish(store, &file(folder, b"before"), &url("lis/x")).await;
    let wanted: Vec<(ObjectUrl, u64)> =
        names.iter().map(|name| (url(&format!("list/{name}")), name.len() as u64)).collect();
    for most in [1, 2, 3, 7, 8, 9, MOST_LISTED] {
        assert_eq!(listed(store, &url("list/"), most).await, wanted, "pages of {most}");
    }
    let deeper: Vec<_> =
        wanted.iter().filter(|(there, _)| there.to_string().contains("/a/")).cloned().collect();
    assert_eq!(listed(store, &url("list/a/"), 2).await, deeper);
    assert_eq!(listed(store, &url("list/nothing/"), 2).await, []);
    let refused = store.list(&url("list/a"), None, 2).await.map_err(|error| error.kind()).err();
    assert_eq!(refused, Some(ErrorKind::Unsupported), "only folders are listed");
    let page = store.list(&url("list/"), None, 1).await.expect("it can be listed");
    let (object, stat) = (&page.objects[0].meta, store.stat(&wanted[0].0).await.expect("it is there"));
    assert_eq!(object.e_tag, stat.e_tag, "a list tells the same tag");
}

async fn only_what_is_below_is_deleted(
    store: &dyn ObjectStore,
    url: &impl Fn(&str) -> ObjectUrl,
    folder: &Path,
) {
    for name in ["gone/a", "gone/b/c", "gone/b/d", "gone-2/e", "gone.f"] {
        publish(store, &file(folder, b"x"), &url(&format!("below/{name}"))).await;
    }
    let refused = store.delete_below(&url("below/gone")).await.map_err(|error| error.kind()).err();
    assert_eq!(refused, Some(ErrorKind::Unsupported), "only folders are emptied");
    let first = store.delete_below(&url("below/gone/")).await.ok();
    assert_eq!(first, Some(Deletion { objects: 3, is_complete: true }));
    let again = store.delete_below(&url("below/gone/")).await.ok();
    assert_eq!(again, Some(Deletion { objects: 0, is_complete: true }));
    let left: Vec<_> = listed(store, &url("below/"), 10).await.into_iter().map(|(there, _)| there).collect();
    assert_eq!(left, [url("below/gone-2/e"), url("below/gone.f")]);
    publish(store, &file(folder, b"late"), &url("below/gone/a")).await;
    assert_eq!(text_at(store, &url("below/gone/a"), folder).await.as_deref(), Some("late"));
    assert_eq!(delete_all_below(store, &url("below/")).await.ok(), Some(3));
}

async fn many_are_deleted_in_bounded_steps(store: &dyn ObjectStore, url: &impl Fn(&str) -> ObjectUrl) {
    let all = MOST_LISTED + 3;
    for number in 0..all {
        let created = store.create(&url(&format!("many/{number:04}")), Bytes::from_static(b"x")).await;
        created.unwrap_or_else(|error| panic!("object {number} cannot be created: {error}"));
    }
    assert_eq!(listed(store, &url("many/"), MOST_LISTED).await.len(), all);
    let first = store.delete_below(&url("many/")).await.ok();
    assert_eq!(first, Some(Deletion { objects: MOST_LISTED, is_complete: false }));
    assert_eq!(delete_all_below(store, &url("many/")).await.ok(), Some(3));
    assert_eq!(listed(store, &url("many/"), 2).await, []);
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
