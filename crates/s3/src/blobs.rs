//! The folder of blobs: files that never change and are durable before anything refers to them.
//!
//! A blob is never removed while a reader holds it. This file knows nothing of objects.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use crate::error::Result;
use crate::index::{Index, lock};
use crate::record::Piece;

/// Maximum number of files that a sweep removes per transaction.
const SWEEP_BATCH: i64 = 500;

/// The folder. Clones share it.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: PathBuf,
    incoming: PathBuf,
    held: Mutex<HashMap<String, usize>>,
    /// Readers share it while they look up and hold blobs; a sweep takes it exclusively. So a blob that was looked up
    /// still exists when it is held.
    gate: RwLock<()>,
}

/// Returns a unique random number as 32 hexadecimal digits.
pub(crate) fn unique_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

impl Blobs {
    /// Opens or creates the folder below `root` and removes half-written files.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let (blobs, incoming) = (root.join("blobs"), root.join("incoming"));
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming)?;
        }
        std::fs::create_dir_all(&incoming)?;
        for shard in 0..=255_u8 {
            std::fs::create_dir_all(blobs.join(format!("{shard:02x}")))?;
        }
        File::open(&blobs)?.sync_all()?;
        File::open(root)?.sync_all()?;
        let inner = Inner { blobs, incoming, held: Mutex::default(), gate: RwLock::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the path of a blob.
    pub(crate) fn path(&self, blob: &str) -> PathBuf {
        self.inner.blobs.join(&blob[..2]).join(blob)
    }

    /// Starts a new file. Blocking.
    pub(crate) fn create(&self) -> io::Result<IncomingBlob> {
        let id = unique_id();
        let path = self.inner.incoming.join(&id);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(IncomingBlob { blobs: self.clone(), id, path, file })
    }

    /// Takes in a finished file, as a hard link where the file system allows it. Returns the blob's id. Blocking.
    pub(crate) fn adopt(&self, source: &Path) -> io::Result<String> {
        let id = unique_id();
        let path = self.inner.incoming.join(&id);
        if std::fs::hard_link(source, &path).is_err()
            && let Err(error) = std::fs::copy(source, &path)
        {
            remove_if_there(&path)?;
            return Err(error);
        }
        let file = File::open(&path)?;
        IncomingBlob { blobs: self.clone(), id, path, file }.keep()
    }

    /// Blocks sweeps while the guard lives.
    pub(crate) fn gate(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.gate.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Holds blobs until the guard is dropped. Call it under the same [`Self::gate`] as the look-up of the blobs.
    pub(crate) fn hold<'a>(&self, blobs: impl Iterator<Item = &'a str>) -> Held {
        let names: HashSet<String> = blobs.map(str::to_owned).collect();
        let mut held = lock(&self.inner.held);
        for name in &names {
            *held.entry(name.clone()).or_default() += 1;
        }
        Held { blobs: self.clone(), names }
    }

    /// Removes blobs that nothing refers to and no reader holds. Returns how many it removed. Blocking.
    pub(crate) fn sweep(&self, index: &Index) -> Result<u64> {
        let _gate = self.inner.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut removed = 0;
        loop {
            let unused: Vec<String> = index.write_now(|transaction| {
                let held: HashSet<String> = lock(&self.inner.held).keys().cloned().collect();
                let mut statement =
                    transaction.prepare_cached("SELECT id FROM blobs WHERE refs = 0 LIMIT ?1")?;
                let limit = SWEEP_BATCH + i64::try_from(held.len()).unwrap_or(0);
                let unused = statement.query_map([limit], |row| row.get(0))?;
                let mut unused: Vec<String> = unused.collect::<rusqlite::Result<_>>()?;
                unused.retain(|blob| !held.contains(blob));
                for blob in &unused {
                    transaction.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([blob])?;
                }
                Ok(unused)
            })?;
            if unused.is_empty() {
                return Ok(removed);
            }
            // A crash here leaves the files as orphans, which the next start removes.
            for blob in unused {
                remove_if_there(&self.path(&blob))?;
                removed += 1;
            }
        }
    }

    /// Removes the files of those pieces whose blob has no row in the index. Blocking.
    pub(crate) fn discard(&self, index: &Index, pieces: &[Piece]) -> Result<()> {
        for piece in pieces {
            let is_known = index.read_now(|reader| {
                Ok(reader.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?.exists([&piece.blob])?)
            })?;
            if !is_known {
                remove_if_there(&self.path(&piece.blob))?;
            }
        }
        Ok(())
    }

    /// Removes files that the index does not know, which a crash left behind. Returns how many it removed. Must run
    /// before anyone writes. Blocking.
    pub(crate) fn remove_orphans(&self, index: &Index) -> Result<u64> {
        let known: HashSet<String> = index.read_now(|reader| {
            let mut statement = reader.prepare("SELECT id FROM blobs")?;
            let known = statement.query_map([], |row| row.get(0))?;
            Ok(known.collect::<rusqlite::Result<_>>()?)
        })?;
        let mut removed = 0;
        for shard in std::fs::read_dir(&self.inner.blobs)? {
            for file in std::fs::read_dir(shard?.path())? {
                let file = file?;
                if file.file_name().to_str().is_none_or(|name| !known.contains(name)) {
                    remove_if_there(&file.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that is being written. Dropping it before [`Self::keep`] removes the file.
pub(crate) struct IncomingBlob {
    blobs: Blobs,
    id: String,
    path: PathBuf,
    file: File,
}

impl IncomingBlob {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes the file durable under its id. Blocking.
    pub(crate) fn keep(self) -> io::Result<String> {
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o444))?;
        self.file.sync_all()?;
        let path = self.blobs.path(&self.id);
        std::fs::rename(&self.path, &path)?;
        File::open(path.parent().unwrap_or(&path))?.sync_all()?;
        Ok(self.id.clone())
    }
}

impl Drop for IncomingBlob {
    fn drop(&mut self) {
        if let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the file of an unfinished upload; it stays until the next start");
        }
    }
}

/// Keeps blobs from being swept until it is dropped.
pub(crate) struct Held {
    blobs: Blobs,
    names: HashSet<String>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = lock(&self.blobs.inner.held);
        for name in &self.names {
            if let Some(count) = held.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    held.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> (Blobs, Index) {
        (Blobs::open(folder).unwrap(), Index::open(&folder.join("index.db")).unwrap())
    }

    fn blob(blobs: &Blobs, index: &Index, refs: i64) -> String {
        let mut incoming = blobs.create().unwrap();
        incoming.write(b"bytes").unwrap();
        let id = incoming.keep().unwrap();
        let insert = "INSERT INTO blobs VALUES (?1, ?2)";
        index.write_now(|transaction| Ok(transaction.execute(insert, rusqlite::params![id, refs])?)).unwrap();
        id
    }

    #[test]
    fn sweep_spares_referenced_and_held_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, index) = open(folder.path());
        let (used, held, unused) =
            (blob(&blobs, &index, 1), blob(&blobs, &index, 0), blob(&blobs, &index, 0));
        let hold = blobs.hold([held.as_str()].into_iter());
        assert_eq!(blobs.sweep(&index).unwrap(), 1);
        let there = |id: &str| blobs.path(id).exists();
        assert_eq!((there(&used), there(&held), there(&unused)), (true, true, false));
        drop(hold);
        assert_eq!(blobs.sweep(&index).unwrap(), 1);
        assert_eq!((there(&used), there(&held)), (true, false));
    }

    #[test]
    fn opening_removes_unfinished_and_unknown_files() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, index) = open(folder.path());
        let known = blob(&blobs, &index, 1);
        let unknown = blobs.create().unwrap().keep().unwrap();
        std::mem::forget(blobs.create().unwrap());
        drop(blobs.create().unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 1);
        let (blobs, index) = open(folder.path());
        assert_eq!(blobs.remove_orphans(&index).unwrap(), 1);
        assert_eq!((blobs.path(&known).exists(), blobs.path(&unknown).exists()), (true, false));
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn kept_files_are_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, _) = open(folder.path());
        let path = blobs.path(&blobs.create().unwrap().keep().unwrap());
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    }
}
