//! ListObjects and ListObjectsV2: returns pages of keys and common prefixes in byte order.
//!
//! A page reads a range of the index and jumps over each common prefix. It never walks the whole bucket.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, params};
use s3s::S3ErrorCode;
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass, Owner,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::record::require_bucket;
use crate::objects::get::timestamp;

/// S3's limit on the length of a page.
const PAGE_MAX: i32 = 1_000;
/// Characters that are percent-encoded with `encoding-type=url`.
const URL_KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// Returns the owner of all buckets and objects.
pub(crate) fn owner() -> Owner {
    Owner { display_name: Some("abanico".to_owned()), id: Some("abanico".to_owned()) }
}

/// Returns the first text that sorts after every text with this prefix; `None` if there is none.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Returns a delimiter that delimits something: S3 treats an empty one as none.
pub(crate) fn given(delimiter: Option<String>) -> Option<String> {
    delimiter.filter(|delimiter| !delimiter.is_empty())
}

/// Encodes names as the client requested.
pub(crate) struct Encoder {
    is_url: bool,
}

impl Encoder {
    /// # Errors
    /// Fails if the client asks for an encoding that S3 does not have.
    pub(crate) fn new(asked: Option<&EncodingType>) -> Result<Self> {
        match asked.map(EncodingType::as_str) {
            None | Some("") => Ok(Self { is_url: false }),
            Some(EncodingType::URL) => Ok(Self { is_url: true }),
            Some(_) => Err(Error::refused(
                S3ErrorCode::InvalidArgument,
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    pub(crate) fn encode(&self, name: String) -> String {
        if self.is_url { utf8_percent_encode(&name, URL_KEPT).to_string() } else { name }
    }

    pub(crate) fn some(&self, name: Option<String>) -> Option<String> {
        name.map(|name| self.encode(name))
    }
}

/// Where a page begins.
pub(crate) enum From {
    /// At this text, inclusive.
    At(String),
    /// After this text.
    After(String),
}

/// A page that a request asks for.
pub(crate) struct Query {
    pub bucket: String,
    pub prefix: String,
    pub delimiter: Option<String>,
    pub from: From,
    pub limit: usize,
}

/// An object of a page.
pub(crate) struct Row {
    pub key: String,
    pub size: i64,
    pub etag: String,
    pub modified_ms: i64,
}

/// A page of keys and common prefixes.
#[derive(Default)]
pub(crate) struct Page {
    pub rows: Vec<Row>,
    pub prefixes: Vec<String>,
    /// The key that the next page begins with, if there is one.
    pub next: Option<String>,
    /// The last key or common prefix of this page.
    pub last: Option<String>,
}

impl Page {
    fn is_full(&self, limit: usize) -> bool {
        self.rows.len() + self.prefixes.len() >= limit
    }
}

/// Reads a page.
pub(crate) fn page(connection: &Connection, query: &Query) -> Result<Page> {
    require_bucket(connection, &query.bucket)?;
    let mut page = Page::default();
    if query.limit == 0 {
        return Ok(page);
    }
    let end = after_prefix(&query.prefix);
    let mut sql =
        String::from("SELECT key, size, etag, modified_ms FROM objects WHERE bucket = ?1 AND key >= ?2");
    sql.push_str(if end.is_some() { " AND key < ?3" } else { " AND ?3 IS NULL" });
    sql.push_str(" ORDER BY key");
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut from, mut excluded) = match &query.from {
        From::At(text) => (text.clone(), None),
        From::After(text) => (text.clone(), Some(text.clone())),
    };
    if from < query.prefix {
        from.clone_from(&query.prefix);
    }
    'jump: loop {
        let mut rows = statement.query(params![query.bucket, from, end])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if excluded.as_ref() == Some(&key) {
                continue;
            }
            if page.is_full(query.limit) {
                page.next = Some(key);
                return Ok(page);
            }
            let Some(common) = common_prefix(&key, query) else {
                page.last = Some(key.clone());
                page.rows.push(Row { key, size: row.get(1)?, etag: row.get(2)?, modified_ms: row.get(3)? });
                continue;
            };
            page.last = Some(common.clone());
            let Some(beyond) = after_prefix(&common) else {
                page.prefixes.push(common);
                return Ok(page);
            };
            page.prefixes.push(common);
            (from, excluded) = (beyond, None);
            continue 'jump;
        }
        return Ok(page);
    }
}

fn common_prefix(key: &str, query: &Query) -> Option<String> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let place = key.get(query.prefix.len()..)?.find(delimiter)?;
    Some(key[..query.prefix.len() + place + delimiter.len()].to_owned())
}

/// Returns the length of a page as it is told and as a number of keys.
pub(crate) fn limit(max_keys: Option<i32>) -> Result<(i32, usize)> {
    let asked = max_keys.unwrap_or(PAGE_MAX);
    let limit = usize::try_from(asked.min(PAGE_MAX));
    let negative = |_| Error::refused(S3ErrorCode::InvalidArgument, "`max-keys` must not be negative");
    Ok((asked.min(PAGE_MAX), limit.map_err(negative)?))
}

fn contents(rows: Vec<Row>, encoder: &Encoder, with_owner: bool) -> Vec<Object> {
    let objects = rows.into_iter().map(|row| Object {
        key: Some(encoder.encode(row.key)),
        size: Some(row.size),
        e_tag: Some(ETag::Strong(row.etag)),
        last_modified: Some(timestamp(row.modified_ms)),
        owner: with_owner.then(owner),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    });
    objects.collect()
}

pub(crate) fn common_prefixes(prefixes: Vec<String>, encoder: &Encoder) -> Option<Vec<CommonPrefix>> {
    let prefixes: Vec<_> =
        prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encoder.encode(prefix)) }).collect();
    (!prefixes.is_empty()).then_some(prefixes)
}

impl LocalS3 {
    pub(crate) async fn list_v2(&self, mut input: ListObjectsV2Input) -> Result<ListObjectsV2Output> {
        let (max_keys, limit) = limit(input.max_keys)?;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        input.delimiter = given(input.delimiter);
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => From::At(token_key(token)?),
            (None, Some(after)) => From::After(after.clone()),
            (None, None) => From::At(String::new()),
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        let query =
            Query { bucket: input.bucket.clone(), prefix, delimiter: input.delimiter.clone(), from, limit };
        let page = self.inner.index.read(move |reader| page(reader, &query)).await?;
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: i32::try_from(page.rows.len() + page.prefixes.len()).ok(),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_deref().map(token_of),
            contents: Some(contents(page.rows, &encoder, input.fetch_owner.unwrap_or(false))),
            common_prefixes: common_prefixes(page.prefixes, &encoder),
            continuation_token: input.continuation_token,
            prefix: Some(encoder.encode(input.prefix.unwrap_or_default())),
            delimiter: encoder.some(input.delimiter),
            start_after: encoder.some(input.start_after),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        })
    }

    pub(crate) async fn list_v1(&self, mut input: ListObjectsInput) -> Result<ListObjectsOutput> {
        let (max_keys, limit) = limit(input.max_keys)?;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        input.delimiter = given(input.delimiter);
        let prefix = input.prefix.clone().unwrap_or_default();
        let from = marker(input.marker.clone().unwrap_or_default(), &prefix, input.delimiter.as_deref());
        let query =
            Query { bucket: input.bucket.clone(), prefix, delimiter: input.delimiter.clone(), from, limit };
        let page = self.inner.index.read(move |reader| page(reader, &query)).await?;
        let next_marker = if page.next.is_some() { page.last } else { None };
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_marker: encoder.some(next_marker),
            contents: Some(contents(page.rows, &encoder, true)),
            common_prefixes: common_prefixes(page.prefixes, &encoder),
            prefix: Some(encoder.encode(input.prefix.unwrap_or_default())),
            marker: Some(encoder.encode(input.marker.unwrap_or_default())),
            delimiter: encoder.some(input.delimiter),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }
}

/// Returns where a page after `marker` begins. A marker may be the common prefix that ended the last page: then the
/// page begins after all keys with that prefix.
pub(crate) fn marker(marker: String, prefix: &str, delimiter: Option<&str>) -> From {
    let is_common = delimiter.filter(|delimiter| !delimiter.is_empty()).is_some_and(|delimiter| {
        let rest = marker.strip_prefix(prefix).unwrap_or_default();
        rest.find(delimiter).is_some_and(|place| place + delimiter.len() == rest.len())
    });
    match after_prefix(&marker) {
        Some(beyond) if is_common => From::At(beyond),
        _ => From::After(marker),
    }
}

/// Returns a token for the page that begins at `key`.
pub(crate) fn token_of(key: &str) -> String {
    TOKEN.encode(key)
}

/// Returns the key that the page of a token begins at.
pub(crate) fn token_key(token: &str) -> Result<String> {
    let bytes = TOKEN.decode(token).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        Error::refused(S3ErrorCode::InvalidArgument, "the continuation token is not from this endpoint")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::schema::migrate;

    fn bucket(keys: &[&str]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("INSERT INTO buckets (name, created_ms) VALUES ('b', 0)", []).unwrap();
        for key in keys {
            let sql = "INSERT INTO objects (bucket, key, size, etag, modified_ms, sequencer, event_name, record) VALUES ('b', ?1, 1, 'e', 0, 's', 'n', '{}')";
            connection.execute(sql, [key]).unwrap();
        }
        connection
    }

    fn list(connection: &Connection, prefix: &str, delimiter: &str, limit: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut from = From::At(String::new());
        loop {
            let query = Query {
                bucket: "b".to_owned(),
                prefix: prefix.to_owned(),
                delimiter: Some(delimiter.to_owned()),
                from,
                limit,
            };
            let page = page(connection, &query).unwrap();
            let mut names: Vec<_> = page.rows.into_iter().map(|row| row.key).chain(page.prefixes).collect();
            names.sort();
            pages.push(names);
            let Some(next) = page.next else { return pages };
            from = From::At(next);
        }
    }

    #[test]
    fn pages_of_any_size_hold_each_name_once() {
        let keys = ["a", "a/b", "a/c/d", "a0", "b/../c", "día/x", "🏖/y", "\u{10ffff}z"];
        let connection = bucket(&keys);
        for limit in 1..10 {
            assert_eq!(list(&connection, "", "", limit).concat(), keys, "{limit}");
            let names = ["a", "a/", "a0", "b/", "día/", "🏖/", "\u{10ffff}z"];
            assert_eq!(list(&connection, "", "/", limit).concat(), names, "{limit}");
            assert_eq!(list(&connection, "a/", "/", limit).concat(), ["a/b", "a/c/"], "{limit}");
        }
        assert_eq!(list(&connection, "", "", 3).len(), 3);
        assert_eq!(list(&connection, "zz", "/", 3), [Vec::<String>::new()]);
    }

    #[test]
    fn after_prefix_is_the_first_text_beyond_it() {
        assert_eq!(after_prefix("a/").as_deref(), Some("a0"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!((after_prefix("\u{10ffff}"), after_prefix("")), (None, None));
    }

    #[test]
    fn common_prefix_marker_skips_its_keys() {
        assert!(matches!(marker("a/".to_owned(), "", Some("/")), From::At(text) if text == "a0"));
        assert!(matches!(marker("a/".to_owned(), "", None), From::After(text) if text == "a/"));
        assert!(matches!(marker("a/".to_owned(), "a/", Some("/")), From::After(text) if text == "a/"));
        let overlaps = marker("ab/".to_owned(), "ab", Some("b/"));
        assert!(
            matches!(overlaps, From::After(text) if text == "ab/"),
            "the delimiter comes after the prefix"
        );
    }

    #[test]
    fn foreign_token_is_refused() {
        assert_eq!(token_key("%%").unwrap_err().s3_code(), "InvalidArgument");
        assert_eq!(token_key(&TOKEN.encode("día")).unwrap(), "día");
    }
}
