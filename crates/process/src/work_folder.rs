//! Folders of work in progress. One is removed when its owner drops it; if the owner was killed, the next process that
//! works in the same place removes it.
//!
//! The proof of life is the kernel's lock on the folder, which ends with its process. It never removes a folder that
//! is locked, whose lock cannot be asked for, or that belongs to another user.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;

/// How often a new folder is tried again because another process took it for an abandoned one before it was locked.
const ATTEMPTS: usize = 20;

/// Where work folders are made, and how their names begin and end. No other folder there may have such a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkPlace<'a> {
    /// The folder that has the work folders.
    pub folder: &'a Path,
    /// How their names begin.
    pub prefix: &'a str,
    /// How their names end.
    pub suffix: &'a str,
}

/// A folder that its owner's process has locked.
#[derive(Debug)]
pub struct WorkFolder {
    // Removed before it is unlocked.
    folder: TempDir,
    /// `None` on a file system without locks, on which no process removes another's folder.
    _lock: Option<File>,
}

/// What became of an attempt to lock a folder.
enum Locking {
    /// It is ours until the file is closed.
    Ours(File),
    /// Another process has it, or it is gone.
    NotOurs,
    /// The file system has no locks.
    Unknown,
}

impl WorkPlace<'_> {
    /// Creates an empty folder with a name that no other has, and locks it.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn create(&self) -> io::Result<WorkFolder> {
        for _ in 0..ATTEMPTS {
            let folder =
                tempfile::Builder::new().prefix(self.prefix).suffix(self.suffix).tempdir_in(self.folder)?;
            match locked(folder.path()) {
                Locking::Ours(lock) => return Ok(WorkFolder { folder, _lock: Some(lock) }),
                Locking::Unknown => return Ok(WorkFolder { folder, _lock: None }),
                Locking::NotOurs => {}
            }
        }
        Err(io::Error::other("other processes remove each new work folder"))
    }

    /// Returns the folders whose owners are gone, and whether there is one whose owner lives or may live. Removes nothing.
    pub fn abandoned(&self) -> (Vec<PathBuf>, bool) {
        let (mut gone, mut is_busy) = (Vec::new(), false);
        for entry in std::fs::read_dir(self.folder).into_iter().flatten().flatten() {
            if !self.has(&entry) {
                continue;
            }
            match locked(&entry.path()) {
                Locking::Ours(_) => gone.push(entry.path()),
                Locking::NotOurs | Locking::Unknown => is_busy = true,
            }
        }
        (gone, is_busy)
    }

    /// Removes the folders whose owners are gone and returns how many it removed.
    pub fn remove_abandoned(&self) -> usize {
        self.remove_abandoned_for(Duration::ZERO)
    }

    /// Like [`Self::remove_abandoned`], but leaves folders that were made, or got or lost an entry, within `age`.
    pub fn remove_abandoned_for(&self, age: Duration) -> usize {
        let entries = std::fs::read_dir(self.folder).into_iter().flatten().flatten();
        let is_old = |entry: &std::fs::DirEntry| {
            let changed = entry.metadata().and_then(|found| found.modified());
            // The time of a folder may lie in the future; then its age is not known.
            age.is_zero() || changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|since| since >= age))
        };
        entries.filter(|entry| self.has(entry) && is_old(entry) && is_removed(&entry.path())).count()
    }

    /// Whether an entry is a folder with such a name, of this user.
    fn has(&self, entry: &std::fs::DirEntry) -> bool {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_named = name.len() > self.prefix.len() + self.suffix.len()
            && name.starts_with(self.prefix)
            && name.ends_with(self.suffix);
        // This does not follow a symbolic link.
        let is_own = |found: std::fs::Metadata| found.is_dir() && found.uid() == geteuid().as_raw();
        is_named && entry.metadata().is_ok_and(is_own)
    }
}

impl WorkFolder {
    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes the folder with all that is in it.
    ///
    /// # Errors
    /// Fails if something in it cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Removes the folder if its owner is gone.
fn is_removed(folder: &Path) -> bool {
    let Locking::Ours(_lock) = locked(folder) else { return false };
    match std::fs::remove_dir_all(folder) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove an abandoned work folder");
            false
        }
    }
}

fn locked(folder: &Path) -> Locking {
    let Ok(file) = File::open(folder) else { return Locking::NotOurs };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Locking::NotOurs,
        Err(TryLockError::Error(_)) => return Locking::Unknown,
        Ok(()) => {}
    }
    // Whoever had the lock before may have removed or renamed the folder.
    let identity = |found: io::Result<std::fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    let opened = identity(file.metadata());
    if opened.is_some() && opened == identity(folder.symlink_metadata()) {
        Locking::Ours(file)
    } else {
        Locking::NotOurs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> WorkPlace<'_> {
        WorkPlace { folder, prefix: ".work-", suffix: ".partial" }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_abandoned_folders_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let living = place.create().unwrap();
        std::fs::write(living.path().join("file"), "x").unwrap();
        let abandoned = folder.path().join(".work-1.partial");
        std::fs::create_dir_all(abandoned.join("deep/er")).unwrap();
        std::fs::write(abandoned.join("deep/file"), "x").unwrap();
        // None of these is a work folder.
        std::fs::create_dir(folder.path().join("finished-work-1.partial")).unwrap();
        std::fs::create_dir(folder.path().join(".work-1.whole")).unwrap();
        std::fs::create_dir(folder.path().join(".work-.partial")).unwrap();
        std::fs::write(folder.path().join(".work-2.partial"), "a file").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join(".work-3.partial")).unwrap();
        assert_eq!(place.abandoned(), (vec![abandoned.clone()], true));
        assert_eq!(place.remove_abandoned_for(Duration::from_secs(3600)), 0);
        assert_eq!(place.remove_abandoned(), 1);
        assert_eq!(place.remove_abandoned(), 0);
        assert!(!abandoned.exists() && living.path().join("file").exists());
        assert_eq!(names(folder.path()).len(), 6);
        living.remove().unwrap();
        assert_eq!(names(folder.path()).len(), 5);
    }

    #[test]
    fn folder_is_abandoned_once_its_lock_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let WorkFolder { folder: kept, _lock } = place.create().unwrap();
        let kept = kept.keep();
        assert_eq!(place.remove_abandoned(), 0);
        drop(_lock);
        assert_eq!(place.remove_abandoned(), 1);
        assert!(!kept.exists());
    }

    #[test]
    fn renamed_folder_survives_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let work = place.create().unwrap();
        let before = File::open(work.path()).unwrap();
        std::fs::rename(work.path(), folder.path().join("result")).unwrap();
        drop(work);
        // A process that opened it under its first name gets the lock, but has no folder to remove.
        before.try_lock().unwrap();
        assert_eq!(place.remove_abandoned(), 0);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn folders_made_and_removed_side_by_side_do_not_collide() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let work = place.create().unwrap();
                        std::fs::write(work.path().join("file"), "x").unwrap();
                        place.remove_abandoned();
                        assert!(work.path().join("file").exists());
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
