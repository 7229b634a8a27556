//! The folder of blobs and their labels: files that never change and are durable before anything refers to them.
//!
//! A blob's bytes, its label and both names are flushed together, so that the file system's journal commits once.
//! A blob is never removed while a reader holds it, and nothing while a backup pins the folder. This file knows nothing
//! of objects.

pub(crate) mod checked;
pub(crate) mod checksums;
pub(crate) mod label;
pub(crate) mod quarantine;
pub(crate) mod receive;

use std::collections::{HashMap, HashSet};
use std::fs::{DirEntry, File, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};

use crate::error::Result;
use crate::index::record::Piece;
use crate::index::{Index, lock};

/// Maximum number of files that a sweep removes per transaction.
const SWEEP_BATCH: i64 = 500;
/// Mode of blobs and labels, which nobody changes once they are written.
const READ_ONLY: u32 = 0o444;

/// The folder. Clones share it.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    blobs: PathBuf,
    incoming: PathBuf,
    /// A backup holds a shared lock on this file; a sweep needs an exclusive one.
    pin: File,
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
        let inner = Inner {
            root: root.to_owned(),
            blobs,
            incoming,
            pin: open_pin(root)?,
            held: Mutex::default(),
            gate: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the endpoint's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Returns the path of a blob or a label.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        path_in(&self.inner.blobs, name)
    }

    /// Writes a label and makes it durable, and with it the name and `bytes` of the blob that lies beside it. Blocking.
    pub(crate) fn write_label(
        &self,
        name: &str,
        content: &[u8],
        bytes: Option<&Unflushed>,
    ) -> io::Result<()> {
        let path = self.path(name);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(READ_ONLY).open(&path)?;
            file.write_all(content)?;
            flush_beside(bytes, || {
                file.sync_data()?;
                flush_folder_of(&path)
            })
        })();
        if written.is_err() {
            self.remove_label(name);
        }
        written
    }

    /// Makes the name and the bytes of a blob durable, for one that has no label yet. Blocking.
    pub(crate) fn flush(&self, name: &str, bytes: &Unflushed) -> io::Result<()> {
        flush_beside(Some(bytes), || flush_folder_of(&self.path(name)))
    }

    /// Removes a label that nothing refers to. A label that cannot be removed stays until the next start.
    pub(crate) fn remove_label(&self, name: &str) {
        if let Err(error) = remove_if_there(&self.path(name)) {
            tracing::warn!(%error, path = name, "cannot remove an unused label; it stays until the next start");
        }
    }

    /// Starts a new file. Blocking.
    pub(crate) fn create(&self) -> io::Result<IncomingBlob> {
        let id = unique_id();
        let path = self.inner.incoming.join(&id);
        let file = OpenOptions::new().write(true).create_new(true).mode(READ_ONLY).open(&path)?;
        Ok(IncomingBlob { blobs: self.clone(), id, path, file })
    }

    /// Takes in a finished file, as a hard link where the file system allows it. Returns the blob's id, and its bytes to
    /// flush. Blocking.
    pub(crate) fn adopt(&self, source: &Path) -> io::Result<(String, Unflushed)> {
        let id = unique_id();
        let path = self.inner.incoming.join(&id);
        if std::fs::hard_link(source, &path).is_err()
            && let Err(error) = std::fs::copy(source, &path)
        {
            remove_if_there(&path)?;
            return Err(error);
        }
        let file = File::open(&path)?;
        file.set_permissions(Permissions::from_mode(READ_ONLY))?;
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

    /// Removes labels and blobs that nothing refers to and no reader holds. Returns how many blobs it removed. Removes
    /// nothing while a backup pins the folder. Blocking.
    ///
    /// Files go before their rows, so a file that cannot be removed is tried again by the next sweep.
    pub(crate) fn sweep(&self, index: &Index) -> Result<u64> {
        let _gate = self.inner.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match self.inner.pin.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(0),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let swept = self.sweep_table(index, &LABELS).and_then(|_| self.sweep_table(index, &BLOBS));
        self.inner.pin.unlock()?;
        swept
    }

    fn sweep_table(&self, index: &Index, table: &Table) -> Result<u64> {
        let (mut removed, mut last, mut failure) = (0, String::new(), None);
        loop {
            let (unused, seen) = self.unused(index, table, &last)?;
            let Some(seen) = seen else { break };
            last = seen;
            let mut gone = Vec::new();
            for name in unused {
                match remove_if_there(&self.path(&name)) {
                    Ok(()) => gone.push(name),
                    Err(error) => failure = Some(error),
                }
            }
            removed += gone.len() as u64;
            // If a power cut takes this back, the next sweep finds rows without files and deletes them.
            index.write_loosely_now(|transaction| {
                let mut statement = transaction.prepare_cached(table.delete)?;
                for name in &gone {
                    statement.execute([name])?;
                }
                Ok(())
            })?;
        }
        failure.map_or(Ok(removed), |error| Err(error.into()))
    }

    /// Returns the next names after `last` that nothing refers to and no reader holds, and the last name looked at.
    ///
    /// The gate is closed, so nobody can begin to hold a blob; and no writer is between the two looks, so none that held
    /// a blob can just have referred to it.
    fn unused(&self, index: &Index, table: &Table, last: &str) -> Result<(Vec<String>, Option<String>)> {
        index.write_now(|transaction| {
            let held: HashSet<String> = lock(&self.inner.held).keys().cloned().collect();
            let mut statement = transaction.prepare_cached(table.select)?;
            let names = statement.query_map((last, SWEEP_BATCH), |row| row.get(0))?;
            let mut names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
            let seen = names.last().cloned();
            names.retain(|name| !held.contains(name));
            Ok((names, seen))
        })
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

    /// Calls `each` with every file of a shard, in no order. Blocking.
    pub(crate) fn each_file(&self, shard: u8, each: impl FnMut(String, &DirEntry)) -> io::Result<()> {
        each_file_in(&self.inner.blobs, shard, each)
    }
}

/// Bytes of a blob at its place that need not be on the disk yet.
#[must_use = "a blob must be durable before anything refers to it"]
pub(crate) struct Unflushed(File);

/// Flushes a blob's bytes while `other` flushes something else: the journal of a file system then commits once for both.
fn flush_beside(bytes: Option<&Unflushed>, other: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(Unflushed(file)) = bytes else { return other() };
    std::thread::scope(|scope| {
        let flushing = std::thread::Builder::new().spawn_scoped(scope, || file.sync_all());
        let done = other();
        let flushed = match flushing {
            Ok(flushing) => flushing.join().unwrap_or_else(|_| Err(io::Error::other("a flush broke off"))),
            // Without a thread to spare, it takes longer.
            Err(_) => file.sync_all(),
        };
        done.and(flushed)
    })
}

/// Makes the names in the folder of a file durable.
fn flush_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// One of the two tables that name files, and how its unused rows are found and deleted.
struct Table {
    select: &'static str,
    delete: &'static str,
}

const BLOBS: Table = Table {
    select: "SELECT id FROM blobs WHERE refs = 0 AND id > ?1 ORDER BY id LIMIT ?2",
    delete: "DELETE FROM blobs WHERE id = ?1 AND refs = 0",
};
const LABELS: Table = Table {
    select: "SELECT name FROM labels WHERE used = 0 AND name > ?1 ORDER BY name LIMIT ?2",
    delete: "DELETE FROM labels WHERE name = ?1 AND used = 0",
};

/// Opens the file that a backup locks so that no blob is removed meanwhile.
pub(crate) fn open_pin(root: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(root.join("pin"))
}

/// Returns the path of a blob or a label in a folder of blobs.
pub(crate) fn path_in(blobs: &Path, name: &str) -> PathBuf {
    blobs.join(name.get(..2).unwrap_or(name)).join(name)
}

/// Calls `each` with every file of a shard of a folder of blobs. Blocking.
pub(crate) fn each_file_in(
    blobs: &Path,
    shard: u8,
    mut each: impl FnMut(String, &DirEntry),
) -> io::Result<()> {
    let entries = match std::fs::read_dir(blobs.join(format!("{shard:02x}"))) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // A name that is not UTF-8 is none of ours; it is left alone.
        if let Ok(name) = entry.file_name().into_string() {
            each(name, &entry);
        }
    }
    Ok(())
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

    /// Gives the file its id as name. Neither the name nor the bytes are durable before the label is. Blocking.
    pub(crate) fn keep(self) -> io::Result<(String, Unflushed)> {
        let bytes = Unflushed(self.file.try_clone()?);
        std::fs::rename(&self.path, self.blobs.path(&self.id))?;
        Ok((self.id.clone(), bytes))
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
        let (id, _) = incoming.keep().unwrap();
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
    fn opening_removes_unfinished_files() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, index) = open(folder.path());
        let known = blob(&blobs, &index, 1);
        std::mem::forget(blobs.create().unwrap());
        drop(blobs.create().unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 1);
        let (blobs, _) = open(folder.path());
        assert!(blobs.path(&known).exists());
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn file_that_cannot_be_removed_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, index) = open(folder.path());
        let (first, stuck, last) =
            (blob(&blobs, &index, 0), blob(&blobs, &index, 0), blob(&blobs, &index, 0));
        // A folder in the place of the file cannot be removed as a file.
        std::fs::remove_file(blobs.path(&stuck)).unwrap();
        std::fs::create_dir(blobs.path(&stuck)).unwrap();
        assert!(blobs.sweep(&index).is_err());
        assert!(!blobs.path(&first).exists() && !blobs.path(&last).exists(), "the others are removed");
        std::fs::remove_dir(blobs.path(&stuck)).unwrap();
        std::fs::write(blobs.path(&stuck), "bytes").unwrap();
        assert_eq!(blobs.sweep(&index).unwrap(), 1);
        assert!(!blobs.path(&stuck).exists());
    }

    #[test]
    fn nothing_is_removed_while_a_backup_pins_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, index) = open(folder.path());
        let unused = blob(&blobs, &index, 0);
        let pin = open_pin(folder.path()).unwrap();
        pin.lock_shared().unwrap();
        assert_eq!((blobs.sweep(&index).unwrap(), blobs.path(&unused).exists()), (0, true));
        drop(pin);
        assert_eq!((blobs.sweep(&index).unwrap(), blobs.path(&unused).exists()), (1, false));
    }

    #[test]
    fn kept_files_are_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, _) = open(folder.path());
        let path = blobs.path(&blobs.create().unwrap().keep().unwrap().0);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    }
}
