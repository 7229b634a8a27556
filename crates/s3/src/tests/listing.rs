//! Questions to listings: pages against a list made by hand from the same keys.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;
use s3s::dto::{CommonPrefix, ListObjectsInput, ListObjectsV2Input, Object};

impl Fixture {
    /// Puts rows of objects in place of all that are there; listings look at rows only.
    async fn set_keys(&self, keys: impl IntoIterator<Item = String>) {
        let keys: Vec<String> = keys.into_iter().collect();
        let write = self.s3.inner.index.write(move |transaction| {
            transaction.execute("DELETE FROM objects", [])?;
            for key in keys {
                transaction
                    .prepare_cached("INSERT INTO objects VALUES ('media', ?1, 1, 'etag', 0, '', '', '{}')")?
                    .execute([key])?;
            }
            Ok(())
        });
        write.await.unwrap();
    }

    /// The pages of version 2, each as its names: keys, and common prefixes with a mark before them.
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

    /// The same of version 1, whose pages begin after a name.
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

/// A page's names in order; a common prefix has `>` before it.
fn names(contents: Option<Vec<Object>>, prefixes: Option<Vec<CommonPrefix>>) -> Vec<String> {
    let keys: Vec<String> = contents.unwrap_or_default().into_iter().filter_map(|it| it.key).collect();
    let prefixes: Vec<String> = prefixes.unwrap_or_default().into_iter().filter_map(|it| it.prefix).collect();
    assert!(keys.is_sorted() && prefixes.is_sorted(), "{keys:?} {prefixes:?}");
    let keys = keys.into_iter().map(|key| (key.clone(), key));
    let prefixes = prefixes.into_iter().map(|prefix| (prefix.clone(), format!(">{prefix}")));
    let all: BTreeSet<(String, String)> = keys.chain(prefixes).collect();
    all.into_iter().map(|(_, shown)| shown).collect()
}

/// What a listing is to be, from the keys themselves.
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
async fn are_2600_keys_told_once_each_over_pages_of_any_length() {
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
    // More than S3's limit is S3's limit.
    assert_eq!(fixture.pages_v2("", None, 5_000).await[0].len(), 1_000);
}

#[tokio::test]
async fn does_a_listing_see_what_changes_between_its_pages_only_beyond_its_place() {
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
async fn is_a_listing_of_nothing_a_page_of_nothing() {
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
fn is_the_union_of_all_pages_the_filtered_set_for_any_keys() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    // Few letters, so that prefixes and delimiters meet; the last two are the ends of what a text may hold.
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
