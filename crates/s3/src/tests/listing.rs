//! Tests of listings: compares pages with a list that is computed from the same keys.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;
use s3s::dto::{CommonPrefix, ListObjectsInput, ListObjectsV2Input, Object};

impl Fixture {
    /// Replaces all object rows by rows with these keys. Listings read only the rows.
    async fn set_keys(&self, keys: impl IntoIterator<Item = String>) {
        let keys: Vec<String> = keys.into_iter().collect();
        let write = self.s3.inner.index.write(move |transaction| {
            transaction.execute("DELETE FROM objects", [])?;
            for key in keys {
                transaction
                    .prepare_cached("INSERT INTO objects (bucket, key, size, etag, modified_ms, sequencer, event_name, record) VALUES ('media', ?1, 1, 'etag', 0, '', '', '{}')")?
                    .execute([key])?;
            }
            Ok(())
        });
        write.await.unwrap();
    }

    /// Lists with ListObjectsV2 and returns the names on each page: keys, and common prefixes with `>` before them.
    async fn pages_v2(&self, prefix: &str, delimiter: Option<&str>, max_keys: i32) -> Vec<Vec<String>> {
        let (mut pages, mut token) = (Vec::new(), None);
        loop {
            let input = ListObjectsV2Input {
                bucket: BUCKET.to_owned(),
                prefix: Some(prefix.to_owned()),
                delimiter: delimiter.map(ToOwned::to_owned),
                max_keys: Some(max_keys),
                continuation_token: token,
                ..Default::default()
            };
            let page = self.s3.list_v2(input).await.unwrap();
            let names = names(page.contents, page.common_prefixes);
            assert_eq!(page.key_count.map(|count| count as usize), Some(names.len()));
            assert_eq!(page.is_truncated, Some(page.next_continuation_token.is_some()));
            pages.push(names);
            token = page.next_continuation_token;
            if token.is_none() {
                return pages;
            }
        }
    }

    /// Does the same with ListObjects, whose pages begin after a name.
    async fn pages_v1(&self, prefix: &str, delimiter: Option<&str>, max_keys: i32) -> Vec<Vec<String>> {
        let (mut pages, mut marker) = (Vec::new(), None);
        loop {
            let input = ListObjectsInput {
                bucket: BUCKET.to_owned(),
                prefix: Some(prefix.to_owned()),
                delimiter: delimiter.map(ToOwned::to_owned),
                max_keys: Some(max_keys),
                marker,
                ..Default::default()
            };
            let page = self.s3.list_v1(input).await.unwrap();
            pages.push(names(page.contents, page.common_prefixes));
            marker = page.next_marker;
            if marker.is_none() {
                return pages;
            }
        }
    }
}

/// Returns a page's names in order, with `>` before each common prefix.
fn names(contents: Option<Vec<Object>>, prefixes: Option<Vec<CommonPrefix>>) -> Vec<String> {
    let keys: Vec<String> = contents.unwrap_or_default().into_iter().filter_map(|it| it.key).collect();
    let prefixes: Vec<String> = prefixes.unwrap_or_default().into_iter().filter_map(|it| it.prefix).collect();
    assert!(keys.is_sorted() && prefixes.is_sorted(), "{keys:?} {prefixes:?}");
    let keys = keys.into_iter().map(|key| (key.clone(), key));
    let prefixes = prefixes.into_iter().map(|prefix| (prefix.clone(), format!(">{prefix}")));
    let all: BTreeSet<(String, String)> = keys.chain(prefixes).collect();
    all.into_iter().map(|(_, shown)| shown).collect()
}

/// Computes the expected listing from the keys themselves.
fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let place = delimiter.filter(|it| !it.is_empty()).and_then(|it| Some((rest.find(it)?, it.len())));
        let name = match place {
            Some((place, length)) => format!(">{prefix}{}", &rest[..place + length]),
            None => key.clone(),
        };
        if shown.last() != Some(&name) {
            shown.push(name);
        }
    }
    shown
}

#[tokio::test]
async fn pages_list_each_of_2600_keys_once() {
    let fixture = fixture().await;
    let keys: BTreeSet<String> = (0..2_600_u32)
        .map(|place| match place % 4 {
            0 => format!("flat-{place:05}"),
            1 => format!("dir-{}/{place}", place % 37),
            2 => format!("dir-{}/deep/{place}", place % 11),
            _ => format!("é🎬/{place}"),
        })
        .collect();
    assert_eq!(keys.len(), 2_600);
    fixture.set_keys(keys.clone()).await;
    for (delimiter, max_keys) in [(None, 1_000), (None, 999), (Some("/"), 1_000), (Some("/"), 7)] {
        let pages = fixture.pages_v2("", delimiter, max_keys).await;
        let (last, full) = pages.split_last().unwrap();
        assert!(full.iter().all(|page| page.len() == max_keys as usize) && !last.is_empty());
        assert!(pages.concat() == expected(&keys, "", delimiter), "{delimiter:?} {max_keys}");
        assert!(fixture.pages_v1("", delimiter, max_keys).await.concat() == pages.concat());
    }
    // A larger page is cut to S3's limit.
    assert_eq!(fixture.pages_v2("", None, 5_000).await[0].len(), 1_000);
}

#[tokio::test]
async fn next_page_sees_changes_beyond_its_token() {
    let fixture = fixture().await;
    fixture.set_keys(["b", "d", "f"].map(ToOwned::to_owned)).await;
    let input = |token| ListObjectsV2Input {
        bucket: BUCKET.to_owned(),
        max_keys: Some(1),
        continuation_token: token,
        ..Default::default()
    };
    let token = fixture.s3.list_v2(input(None)).await.unwrap().next_continuation_token;
    fixture.set_keys(["a", "b", "e", "f"].map(ToOwned::to_owned)).await;
    let page = fixture.s3.list_v2(input(token)).await.unwrap();
    assert_eq!(names(page.contents, page.common_prefixes), ["e"]);
}

#[tokio::test]
async fn empty_listing_is_one_empty_page() {
    let fixture = fixture().await;
    fixture.set_keys(["k".to_owned()]).await;
    assert_eq!(fixture.pages_v2("none", Some("/"), 10).await, [Vec::<String>::new()]);
    assert_eq!(fixture.pages_v2("", None, 0).await, [Vec::<String>::new()]);
    let negative = ListObjectsV2Input { bucket: BUCKET.to_owned(), max_keys: Some(-1), ..Default::default() };
    assert_eq!(code(fixture.s3.list_v2(negative).await), "InvalidArgument");
    let other = ListObjectsV2Input { bucket: "other".to_owned(), ..Default::default() };
    assert_eq!(code(fixture.s3.list_v2(other).await), "NoSuchBucket");
}

#[test]
fn all_pages_together_are_the_filtered_keys() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    // Few characters, so that prefixes and delimiters often match. The last two are the greatest characters before and
    // after the surrogates.
    let key = "[ab/.é\u{d7ff}\u{10ffff}]{1,6}";
    let case = (
        prop::collection::btree_set(key, 0..40),
        "[ab/\u{10ffff}]{0,2}",
        prop::option::of("[ab/\u{10ffff}]{0,2}"),
        1..9_i32,
    );
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((keys, prefix, delimiter, max_keys) in case)| {
        let delimiter = delimiter.as_deref();
        let expected = expected(&keys, &prefix, delimiter);
        let (v2, v1) = runtime.block_on(async {
            fixture.set_keys(keys.clone()).await;
            let v2 = fixture.pages_v2(&prefix, delimiter, max_keys).await;
            (v2, fixture.pages_v1(&prefix, delimiter, max_keys).await)
        });
        prop_assert!(v2.iter().rev().skip(1).all(|page| page.len() == max_keys as usize), "{v2:?}");
        prop_assert_eq!(v2.concat(), expected.clone());
        prop_assert_eq!(v1.concat(), expected);
    });
}
