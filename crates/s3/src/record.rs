//! The JSON record that the index stores for each object in addition to its columns, and the look-ups that
//! read it.
//!
//! A record holds no bytes of the object.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::checksums::Checksums;
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
    pub record: ObjectRecord,
}

impl StoredObject {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            size: row.get::<_, i64>(0)?.unsigned_abs(),
            etag: row.get(1)?,
            modified_ms: row.get(2)?,
            sequencer: row.get(3)?,
            record: from_text(&row.get::<_, String>(4)?)?,
        })
    }
}

/// Reads an object. Returns `None` if it does not exist.
pub(crate) fn find_object(connection: &Connection, bucket: &str, key: &str) -> Result<Option<StoredObject>> {
    let sql = "SELECT size, etag, modified_ms, sequencer, record FROM objects WHERE bucket = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![bucket, key], StoredObject::read).optional()?)
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
