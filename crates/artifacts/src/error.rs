//! The error of this crate.

use std::io;
use std::path::Path;

use crate::{ArtifactKey, FileName, Manifest};

/// The kind of an [`Error`], for callers to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name is no plain file name, or two files have the same.
    Invalid,
    /// The artifact does not have a file that was asked for.
    NoSuchFile,
    /// Something stands where a file is to be placed.
    InTheWay,
    /// A file to store cannot be read.
    Source,
    /// This machine's disk is full.
    DiskFull,
    /// This machine's disk failed; a retry may succeed.
    Disk,
    /// The object store failed.
    Store(abanico_store::ErrorKind),
}

/// A failed access to an artifact.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    is_retryable: bool,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, is_retryable: kind == ErrorKind::Disk, message, source: None }
    }

    fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn bad_name(name: &str) -> Self {
        let shown: String = name.chars().take(80).collect();
        Self::new(
            ErrorKind::Invalid,
            format!(
                "{shown:?} is not the name of a file in an artifact: give a plain name of at most 255 bytes"
            ),
        )
    }

    pub(crate) fn name_twice(name: &FileName) -> Self {
        Self::new(
            ErrorKind::Invalid,
            format!("two files of an artifact are called `{name}`: rename one of them"),
        )
    }

    pub(crate) fn no_such_file(key: &ArtifactKey, name: &FileName, manifest: &Manifest) -> Self {
        let names: Vec<&str> = manifest.files().iter().map(|file| file.name.as_str()).collect();
        let message = format!(
            "the artifact `{key}` has no file `{name}`: ask for one of `{}`, or remove it, so that it is made anew",
            names.join("`, `")
        );
        Self::new(ErrorKind::NoSuchFile, message)
    }

    pub(crate) fn in_the_way(path: &Path, source: io::Error) -> Self {
        let message = format!("`{}` exists: a file is only placed where none is", path.display());
        Self::new(ErrorKind::InTheWay, message).because(source)
    }

    /// Makes the error for a file to store that cannot be read.
    pub(crate) fn source(path: &Path, source: io::Error) -> Self {
        match kind_of(&source) {
            ErrorKind::DiskFull => Self::disk(path, source),
            _ => {
                let message = format!(
                    "`{}` cannot be stored: it must be a plain file that can be read",
                    path.display()
                );
                Self::new(ErrorKind::Source, message).because(source)
            }
        }
    }

    /// Makes the error for a failure of this machine's disk at `path`.
    pub(crate) fn disk(path: &Path, source: io::Error) -> Self {
        let kind = kind_of(&source);
        let remedy =
            if kind == ErrorKind::DiskFull { "the disk is full: free some space" } else { "the disk failed" };
        Self::new(kind, format!("`{}`: {remedy}", path.display())).because(source)
    }

    pub(crate) fn store(key: Option<&ArtifactKey>, source: abanico_store::Error) -> Self {
        let what = key.map_or("the artifacts".to_owned(), |key| format!("the artifact `{key}`"));
        let kind = ErrorKind::Store(source.kind());
        let is_retryable = source.is_retryable();
        let error = Self::new(kind, format!("the object store of {what} failed")).because(source);
        Self { is_retryable, ..error }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether a retry may succeed without anybody's help.
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::Disk,
    }
}
