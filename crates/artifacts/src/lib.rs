//! What tasks read and write, wherever they run: artifacts, which are the files that a task made, under a key; and the
//! parts of a film that a task needs.
//!
//! An artifact is visible as a whole or not at all, and what is read is what was written: sizes and hashes are compared.
//! The key comes from the caller, who hashes all that determines the files; so whoever finds an artifact need not do the
//! work. Bazel's Remote Execution API calls this an action cache, and its `Digest` is the same as here. Unlike there,
//! files are not shared between artifacts, so that removing one needs no count of its users.
//!
//! The crate knows nothing of jobs, plans or ffmpeg.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod file_name;
mod files;
mod hashes;
mod limited;
mod local;
mod manifest;
mod object;
mod sources;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub use error::{Error, ErrorKind};
pub use file_name::FileName;
pub use files::{digest_of, open_plain};
pub use hashes::{ArtifactKey, ContentHash, ParseHashError};
pub use limited::{LimitedArtifacts, Limits};
pub use local::LocalArtifacts;
pub use manifest::{Digest, Manifest, ManifestFile};
pub use object::ObjectArtifacts;
pub use sources::{RangedSource, Source, WholeSources};

/// A file of an artifact, and where it lies or is to lie on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// Its name in the artifact.
    pub name: FileName,
    /// Its path on this machine, where it may have another name.
    pub path: PathBuf,
}

/// An artifact of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredArtifact {
    /// Its key.
    pub key: ArtifactKey,
    /// Size of its files in bytes. In an object store, those of abandoned uploads under the same key are counted, too.
    pub size_bytes: u64,
    /// How many bytes removing it frees: fewer where a file has another name that somebody uses.
    pub freed_bytes: u64,
    /// When it was stored or last read, by the back end's clock. An object store is told of a reader once an hour.
    pub last_used: SystemTime,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ArtifactPage {
    /// The artifacts, in the order of their keys.
    pub artifacts: Vec<StoredArtifact>,
    /// What to give to [`ArtifactStore::list`] for the next page; `None` if there is none.
    pub next: Option<ArtifactKey>,
}

/// Keeps artifacts. Every method may be called from several tasks, processes and machines at once.
///
/// If a future is dropped, its work is done as a whole or not at all, and nothing that this trait shows changes
/// afterwards, apart from an artifact that becomes visible as a whole.
#[async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Stores the files durably under `key`, and returns the manifest of the artifact that then stands there. If there
    /// is one already, it stays: whoever comes first wins, and nothing of the later files is kept. A damaged one is
    /// replaced.
    ///
    /// The files may become hard links to the sources, so do not write to these any more.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Invalid`] if two files have the same name, [`ErrorKind::Source`] if a source is no plain
    /// file that can be read, [`ErrorKind::DiskFull`], or an error of the disk or the store. No part is visible then.
    async fn put(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Manifest, Error>;

    /// Returns the manifest of an artifact, or `None` if there is none. Does not compare its files with their hashes.
    ///
    /// # Errors
    /// Returns an error of the disk or the store.
    async fn manifest(&self, key: &ArtifactKey) -> Result<Option<Manifest>, Error>;

    /// Places these files of an artifact on this machine, all of them or none: each at its path, which must not exist
    /// yet, in a folder that must. Returns `None` if there is no such artifact. One that is damaged is removed, which
    /// the log tells, and counts as none.
    ///
    /// The files may be hard links to the store's own: read them, but never write to them. If the process is killed,
    /// some of them may stand there, and hidden files whose names begin with `.abanico-`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NoSuchFile`] if the artifact does not have one of the files, [`ErrorKind::InTheWay`] if a
    /// path exists, [`ErrorKind::DiskFull`], or an error of the disk or the store. Nothing is placed then.
    async fn place(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Option<Manifest>, Error>;

    /// Places all files of an artifact in `folder`, under their own names. Otherwise as [`Self::place`].
    ///
    /// # Errors
    /// As for [`Self::place`].
    async fn get(&self, key: &ArtifactKey, folder: &Path) -> Result<Option<Manifest>, Error> {
        let Some(manifest) = self.manifest(key).await? else { return Ok(None) };
        let files: Vec<NamedFile> = manifest
            .files()
            .iter()
            .map(|file| NamedFile { name: file.name.clone(), path: folder.join(file.name.as_str()) })
            .collect();
        self.place(key, &files).await
    }

    /// Removes an artifact. Succeeds if there is none. Who is reading it ends well, with all of its files or none; who
    /// is storing it may end afterwards, and then it is there again as a whole.
    ///
    /// # Errors
    /// Returns an error of the disk or the store. The artifact may be gone then although its bytes are not.
    async fn remove(&self, key: &ArtifactKey) -> Result<(), Error>;

    /// Lists artifacts in the order of their keys: at most `most`, at least one, after the key `after`, which is
    /// [`ArtifactPage::next`] of the page before.
    ///
    /// # Errors
    /// Returns an error of the disk or the store.
    async fn list(&self, after: Option<&ArtifactKey>, most: usize) -> Result<ArtifactPage, Error>;

    /// Removes what writers have left that were killed or gave up: incomplete artifacts to which nothing was added for
    /// `older_than`. Returns how many. Locally, what a living process writes stays however old it is; in an object
    /// store nobody knows who lives, so choose a time within which each single file is uploaded, such as a day.
    ///
    /// # Errors
    /// Returns an error of the disk or the store. Some may be removed then.
    async fn remove_abandoned(&self, older_than: Duration) -> Result<usize, Error>;
}
