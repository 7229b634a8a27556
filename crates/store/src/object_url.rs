//! The URL of an object: parses it into bucket and key, or into a path.
//!
//! It never normalises a key: S3 takes keys literally, so `a/../b`, spaces and `+` stay.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The URL of an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ObjectUrl {
    /// `s3://bucket/key`. The key is not percent-encoded in the URL.
    S3 {
        /// Bucket name.
        bucket: String,
        /// Object key, not empty.
        key: String,
    },
    /// `file:///absolute/path` on this machine.
    File(PathBuf),
}

/// The error for a text that is not the URL of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the URL of an object: write `s3://bucket/key` or `file:///path`")]
pub struct ParseObjectUrlError {
    text: String,
}

impl ObjectUrl {
    /// Makes the URL of the object `key` in `bucket`.
    pub fn s3(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self::S3 { bucket: bucket.into(), key: key.into() }
    }

    /// Returns the file name: what follows the last `/` of the key or path.
    pub fn file_name(&self) -> String {
        match self {
            Self::S3 { key, .. } => key.rsplit('/').next().unwrap_or(key).to_owned(),
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl FromStr for ObjectUrl {
    type Err = ParseObjectUrlError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseObjectUrlError { text: text.to_owned() };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').ok_or_else(wrong)?;
            if bucket.is_empty() || key.is_empty() {
                return Err(wrong());
            }
            return Ok(Self::s3(bucket, key));
        }
        match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(wrong()),
        }
    }
}

impl From<ObjectUrl> for String {
    fn from(url: ObjectUrl) -> Self {
        url.to_string()
    }
}

impl TryFrom<String> for ObjectUrl {
    type Error = ParseObjectUrlError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_taken_literally() {
        for text in ["s3://b/a/../c", "s3://b/a b+c%20d?e#f", "s3://b//", "s3://b/día 🏖.mp4"] {
            let url: ObjectUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
            assert!(matches!(&url, ObjectUrl::S3 { bucket, .. } if bucket == "b"));
        }
    }

    #[test]
    fn texts_without_bucket_key_or_root_are_refused() {
        for text in
            ["", "s3://", "s3://b", "s3://b/", "s3:///k", "file://host/x", "/etc/passwd", "https://h/x"]
        {
            assert!(text.parse::<ObjectUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn file_name_is_what_follows_the_last_slash() {
        assert_eq!(ObjectUrl::s3("b", "x/y/z.mp4").file_name(), "z.mp4");
        assert_eq!("file:///x/film.mov".parse::<ObjectUrl>().unwrap().file_name(), "film.mov");
    }
}
