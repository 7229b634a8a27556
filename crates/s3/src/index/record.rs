//! The JSON record that the index stores for each object in addition to its columns, and the look-ups that
//! read it.
//!
//! A record holds no bytes of the object.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use s3s::dto::ServerSideEncryption;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::blobs::checksums::Checksums;
use crate::blobs::label::checksum;
use crate::error::{Error, Result};

/// A range of bytes in a blob.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub blob: String,
    pub offset: u64,
    pub length: u64,
}

/// Headers, metadata and tags that the client set.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    /// As an HTTP date.
    pub expires: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub tags: Vec<(String, String)>,
    /// Whether the client asked for encryption with keys of the server, which is told back and does nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks_for_encryption: bool,
}

impl Attributes {
    /// Returns the encryption to tell clients.
    pub(crate) fn encryption(&self) -> Option<ServerSideEncryption> {
        self.asks_for_encryption.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256))
    }
}

/// A part of an object that was created by a multipart upload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub number: i32,
    pub size: u64,
    pub checksums: Checksums,
}

/// The properties of an object that have no column.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    pub attributes: Attributes,
    pub checksums: Checksums,
    /// Whether `checksums` are checksums of the parts' checksums.
    pub is_composite: bool,
    /// Empty if the object was uploaded in one request.
    pub parts: Vec<PartRecord>,
    pub pieces: Vec<Piece>,
}

/// An object as the index stores it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredObject {
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified_ms: i64,
    pub sequencer: String,
    /// Without `s3:`, such as `ObjectCreated:Put`.
    pub event_name: String,
    pub record: ObjectRecord,
    /// Name of its label; `None` if an older version stored it and it has none yet.
    pub label: Option<String>,
}

/// The columns that [`StoredObject::read`] reads.
pub(crate) const OBJECT_COLUMNS: &str =
    "bucket, key, size, etag, modified_ms, sequencer, event_name, record, label, sum";

impl StoredObject {
    /// Reads [`OBJECT_COLUMNS`] as bucket, key and object. Fails if they are not what was written.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(String, String, Self)> {
        let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
        let text: String = row.get(7)?;
        let found = Self {
            size: row.get::<_, i64>(2)?.unsigned_abs(),
            etag: row.get(3)?,
            modified_ms: row.get(4)?,
            sequencer: row.get(5)?,
            event_name: row.get(6)?,
            record: from_text(&text)?,
            label: row.get(8)?,
        };
        let sum: Option<i64> = row.get(9)?;
        if sum.is_some_and(|sum| sum != found.sum(&bucket, &key, &text)) {
            let error = "its checksum differs: run `abanico s3 fsck`";
            return Err(rusqlite::Error::FromSqlConversionFailure(
                9,
                rusqlite::types::Type::Integer,
                error.into(),
            ));
        }
        Ok((bucket, key, found))
    }

    /// Returns the checksum of the row. `text` is the record as it is stored.
    fn sum(&self, bucket: &str, key: &str, text: &str) -> i64 {
        let (size, modified) = (self.size.to_be_bytes(), self.modified_ms.to_be_bytes());
        let fields = [bucket, key, &self.etag, &self.sequencer, &self.event_name, text].map(str::as_bytes);
        sum_of(fields.into_iter().chain([&size[..], &modified[..]]))
    }

    /// Writes the object's row, in place of an existing one.
    pub(crate) fn write(&self, connection: &Connection, bucket: &str, key: &str) -> Result<()> {
        let text = to_text(&self.record);
        let sql = format!(
            "INSERT OR REPLACE INTO objects ({OBJECT_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        );
        connection.prepare_cached(&sql)?.execute(params![
            bucket,
            key,
            signed(self.size),
            self.etag,
            self.modified_ms,
            self.sequencer,
            self.event_name,
            text,
            self.label,
            self.sum(bucket, key, &text),
        ])?;
        Ok(())
    }
}

/// Returns the checksum of the fields of a row.
pub(crate) fn sum_of<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> i64 {
    let mut bytes = Vec::with_capacity(1_024);
    for field in fields {
        // The length keeps `ab`+`c` apart from `a`+`bc`.
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    checksum(&bytes).cast_signed()
}

/// Reads an object. Returns `None` if it does not exist.
pub(crate) fn find_object(connection: &Connection, bucket: &str, key: &str) -> Result<Option<StoredObject>> {
    let sql = format!("SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    match statement.query_row(params![bucket, key], StoredObject::read).optional() {
        Ok(found) => Ok(found.map(|(_, _, object)| object)),
        Err(error @ rusqlite::Error::FromSqlConversionFailure(..)) => {
            Err(Error::unavailable(&format!("read the index's row of `{bucket}/{key}`"), error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads an object. Fails if it or its bucket does not exist.
pub(crate) fn object(connection: &Connection, bucket: &str, key: &str) -> Result<StoredObject> {
    match find_object(connection, bucket, key)? {
        Some(object) => Ok(object),
        None => {
            require_bucket(connection, bucket)?;
            Err(Error::no_such_key(key))
        }
    }
}

/// Fails if the bucket does not exist.
pub(crate) fn require_bucket(connection: &Connection, bucket: &str) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?;
    if statement.exists([bucket])? { Ok(()) } else { Err(Error::no_such_bucket(bucket)) }
}

/// Serialises a record as JSON.
pub(crate) fn to_text(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("records have string keys only, so they always serialise")
}

/// Parses a record from JSON.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Converts a size to the signed integer that SQLite stores.
pub(crate) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
