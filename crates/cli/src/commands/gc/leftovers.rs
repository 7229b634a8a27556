//! What killed runs of `abanico transcode` left in a folder of outputs: work folders and hidden files.
//!
//! Nothing is removed while a run still works there. Files that a run was replacing are named and never removed.

use std::io;
use std::path::{Path, PathBuf};

use abanico_process::WorkPlace;
use abanico_server::RoomUse;

use crate::commands::transcode::WORK_PREFIX;

/// How the hidden names of files begin that are about to get their place, and of those that they replace.
const HIDDEN: &str = ".abanico-";

/// What killed runs left.
pub(super) struct Leftovers {
    folder: PathBuf,
    work_folders: Vec<PathBuf>,
    staged: Vec<PathBuf>,
    /// Files that a run was replacing.
    pub kept: Vec<PathBuf>,
    /// Whether a run works there now.
    is_busy: bool,
}

fn place(folder: &Path) -> WorkPlace<'_> {
    WorkPlace { folder, prefix: WORK_PREFIX, suffix: "" }
}

/// Looks at a folder, but not below it.
///
/// # Errors
/// Fails if the folder cannot be read.
pub(super) fn of(folder: &Path) -> io::Result<Leftovers> {
    let (mut staged, mut kept) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(HIDDEN) || !entry.file_type()?.is_file() {
            continue;
        }
        match name.rsplit_once('.').map(|(_, kind)| kind) {
            Some("staged") => staged.push(entry.path()),
            Some("kept") => kept.push(entry.path()),
            _ => {}
        }
    }
    let (work_folders, is_busy) = place(folder).abandoned();
    Ok(Leftovers { folder: folder.to_owned(), work_folders, staged, kept, is_busy })
}

impl Leftovers {
    /// Removes the work folders, and the hidden files that were never visible, unless a run works there.
    ///
    /// # Errors
    /// Fails if a file cannot be removed.
    pub fn free(&self) -> io::Result<()> {
        place(&self.folder).remove_abandoned();
        if !self.is_busy {
            self.staged.iter().try_for_each(std::fs::remove_file)?;
        }
        Ok(())
    }

    /// Returns how much room they take.
    pub fn row(&self, place: &Path) -> RoomUse {
        let all = || self.work_folders.iter().chain(&self.staged).chain(&self.kept);
        let staged = if self.is_busy { 0 } else { self.staged.iter().map(|file| size(file)).sum() };
        RoomUse {
            what: format!("left by killed runs in {}", place.display()),
            count: all().count() as u64,
            bytes: all().map(|path| size(path)).sum(),
            freeable_bytes: self.work_folders.iter().map(|folder| size(folder)).sum::<u64>() + staged,
        }
    }
}

/// Returns the size of a file, or of all files below a folder. What cannot be read is left out.
fn size(path: &Path) -> u64 {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| size(&entry.path())).sum()
        }
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_visible_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let there = |name: &str| folder.path().join(name);
        std::fs::create_dir(there(".abanico-work-1")).unwrap();
        for (name, bytes) in [
            (".abanico-work-1/file", 1),
            (".abanico-1-a-0.staged", 2),
            (".abanico-1-a-0.kept", 4),
            ("film.mp4", 8),
            (".other.staged", 16),
        ] {
            std::fs::write(there(name), vec![1; bytes]).unwrap();
        }
        let living = place(folder.path()).create().unwrap();
        let found = of(folder.path()).unwrap();
        assert_eq!((found.row(folder.path()).bytes, found.row(folder.path()).freeable_bytes), (7, 1));
        found.free().unwrap();
        assert!(there(".abanico-1-a-0.staged").exists(), "a run may still need it");
        assert!(!there(".abanico-work-1").exists() && living.path().exists());
        living.remove().unwrap();
        let found = of(folder.path()).unwrap();
        assert_eq!(found.row(folder.path()).freeable_bytes, 2);
        found.free().unwrap();
        let left = of(folder.path()).unwrap();
        assert_eq!(left.kept, [there(".abanico-1-a-0.kept")]);
        assert_eq!(left.row(folder.path()).freeable_bytes, 0);
        assert!(there("film.mp4").exists() && there(".other.staged").exists());
    }
}
