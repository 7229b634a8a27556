//! Whether pages of a list meet: in any set of keys, prefix, delimiter and page size, out exactly the keys and common
//! prefixes that S3 documents. Never HTTP: the operation is called as the protocol layer calls it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use abanico_s3::{LocalS3, Options};
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl};
use proptest::prelude::*;
use s3s::dto::{DeleteObjectInput, ListObjectsV2Input};
use s3s::{S3, S3Request};

/// What a list said, over all its pages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    keys: Vec<String>,
    prefixes: Vec<String>,
}

/// The documented answer, worked out from the whole set.
fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Listed {
    let mut listed = Listed::default();
    let mut prefixes = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let cut = delimiter
            .and_then(|delimiter| key[prefix.len()..].find(delimiter).map(|at| at + delimiter.len()));
        match cut {
            Some(end) => drop(prefixes.insert(key[..prefix.len() + end].to_owned())),
            None => listed.keys.push(key.clone()),
        }
    }
    listed.prefixes = prefixes.into_iter().collect();
    listed
}

/// Reads page after page; fails when a page is longer than asked for or the list does not end.
async fn listed(s3: &LocalS3, prefix: &str, delimiter: Option<&str>, page: i32) -> Listed {
    let mut all = Listed::default();
    let mut token = None;
    for _ in 0..500 {
        let input = ListObjectsV2Input {
            bucket: "bucket".to_owned(),
            prefix: Some(prefix.to_owned()),
            delimiter: delimiter.map(str::to_owned),
            max_keys: Some(page),
            continuation_token: token.take(),
            ..ListObjectsV2Input::default()
        };
        let request = S3Request {
            input,
            method: http::Method::GET,
            uri: http::Uri::from_static("/bucket"),
            headers: http::HeaderMap::new(),
            extensions: http::Extensions::new(),
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        };
        let answer = s3.list_objects_v2(request).await.unwrap().output;
        let (keys, prefixes) =
            (answer.contents.unwrap_or_default(), answer.common_prefixes.unwrap_or_default());
        assert!(
            keys.len() + prefixes.len() <= usize::try_from(page).unwrap(),
            "a page is no longer than asked for"
        );
        all.keys.extend(keys.into_iter().filter_map(|object| object.key));
        all.prefixes.extend(prefixes.into_iter().filter_map(|prefix| prefix.prefix));
        token = answer.next_continuation_token;
        if token.is_none() {
            assert_ne!(answer.is_truncated, Some(true), "a list that goes on says how");
            return all;
        }
    }
    panic!("the list does not end: {all:?}");
}

async fn filled(folder: &std::path::Path, keys: &BTreeSet<String>) -> LocalS3 {
    let s3 = LocalS3::open(&folder.join("s3"), Options::default()).unwrap();
    s3.ensure_bucket("bucket").await.unwrap();
    let source = folder.join("source");
    std::fs::write(&source, "x").unwrap();
    for key in keys {
        s3.publish(&source, &ObjectUrl::s3("bucket", key), &ObjectAttributes::default()).await.unwrap();
    }
    s3
}

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    // Few letters, so that prefixes and delimiters meet often; one of them outside of ASCII, one below `/`.
    proptest::collection::btree_set("[ab/é.]{1,6}", 0..20)
}

fn prefixes() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ab/]{1,2}"]
}

fn delimiters() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![1 => Just(None), 4 => Just(Some("/")), 1 => Just(Some("a")), 1 => Just(Some("/a"))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn do_pages_meet_without_gap_or_overlap(
        keys in keys(),
        prefix in prefixes(),
        delimiter in delimiters(),
        page in 1_i32..5,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let s3 = filled(folder.path(), &keys).await;
            let found = listed(&s3, &prefix, delimiter, page).await;
            assert_eq!(found, expected(&keys, &prefix, delimiter), "{keys:?}");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn does_a_deleted_key_leave_the_list_and_its_file_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let names: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
    let s3 = filled(folder.path(), &names).await;
    let request = S3Request {
        input: DeleteObjectInput { bucket: "bucket".to_owned(), key: "a".to_owned(), ..Default::default() },
        method: http::Method::DELETE,
        uri: http::Uri::from_static("/bucket/a"),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    };
    s3.delete_object(request).await.unwrap();
    assert_eq!(listed(&s3, "", None, 10).await.keys, ["b"]);
    s3.sweep().await.unwrap();
    let blobs = walk(&folder.path().join("s3")).into_iter().filter(|size| *size == 1).count();
    assert_eq!(blobs, 1, "the body of the deleted object is gone, the other's stays");
}

/// Sizes of all files below a folder.
fn walk(folder: &std::path::Path) -> Vec<u64> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { sizes.extend(walk(&entry.path())) } else { sizes.push(metadata.len()) }
    }
    sizes
}
