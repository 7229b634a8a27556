//! Publications in local folders: files are staged beside their places under hidden names, and renamed. A file that
//! is replaced keeps a second, hidden name until the publication is settled or taken back.
//!
//! Readers may see some of the renames before the others; they never see half a file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::folder::{copy_durably, sync_folder};
use crate::ledger::Ledger;

/// A staged file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    /// Where it becomes visible.
    pub place: PathBuf,
    /// Its hidden name until then.
    staged: PathBuf,
    /// Hidden name of the file that it replaces.
    kept: PathBuf,
    /// Folders that did not exist before, outermost first.
    made: Vec<PathBuf>,
    /// See [`crate::NewFile::turn`].
    turn: u8,
}

/// What is known about a staged file when the switch begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Before {
    /// Device and inode of the new file: nobody else's file at the same place has them.
    identity: (u64, u64),
    /// Whether a file stood there, which now has its hidden name.
    has_kept: bool,
}

/// A file that is to be published in a folder.
pub(crate) struct FileToStage {
    /// The file, which stays where it is.
    pub source: PathBuf,
    /// Where it will stand.
    pub place: PathBuf,
    /// When it becomes visible: files with a smaller number first.
    pub turn: u8,
}

/// The part of a publication that lies in local folders. Its methods block.
pub(crate) struct FolderPublication {
    id: String,
    ledger: Ledger,
}

impl FolderPublication {
    pub fn new(id: &str, folder: &Path) -> Self {
        Self { id: id.to_owned(), ledger: Ledger::of(folder) }
    }

    /// Stages files.
    pub fn stage(&self, files: &[FileToStage]) -> io::Result<()> {
        if self.ledger.before::<Vec<Before>>()?.is_some() {
            // The switch has begun, so all files have been staged before.
            return Ok(());
        }
        let known: Vec<StagedFile> = self.ledger.staged()?;
        let mut noted = Vec::new();
        let mut all = Vec::with_capacity(files.len());
        for FileToStage { source, place, turn } in files {
            let staged = match known.iter().find(|file| file.place == *place) {
                Some(file) => file.clone(),
                None => {
                    let file = self.named(place, known.len() + noted.len(), *turn)?;
                    noted.push(file.clone());
                    file
                }
            };
            all.push((source, staged));
        }
        self.ledger.note_staged(&noted)?;
        for (source, file) in all {
            if let Some(folder) = file.place.parent() {
                std::fs::create_dir_all(folder)?;
            }
            copy_durably(source, &file.staged)?;
        }
        Ok(())
    }

    fn named(&self, place: &Path, number: usize, turn: u8) -> io::Result<StagedFile> {
        let Some(folder) = place.parent() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder is not an object"));
        };
        let mut made: Vec<PathBuf> =
            folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        made.reverse();
        let hidden = |kind: &str| folder.join(format!(".abanico-{}-{number}.{kind}", self.id));
        Ok(StagedFile { place: place.to_owned(), staged: hidden("staged"), kept: hidden("kept"), made, turn })
    }

    /// Makes the staged files visible, and keeps what they replace.
    pub fn switch(&self) -> io::Result<()> {
        self.switch_with(|_| Ok(()))
    }

    /// Like [`Self::switch`], with a function that is called before each deed; tests let it fail.
    fn switch_with(&self, mut before_deed: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let mut files: Vec<StagedFile> = self.ledger.staged()?;
        if files.is_empty() {
            return Ok(());
        }
        if self.ledger.before::<Vec<Before>>()?.is_none() {
            let mut all = Vec::with_capacity(files.len());
            for file in &files {
                before_deed("keep")?;
                all.push(keep(file)?);
            }
            before_deed("note")?;
            self.ledger.note_before(&all)?;
        }
        files.sort_by_key(|file| file.turn);
        for file in &files {
            before_deed("rename")?;
            // A file without its hidden name has been renamed before.
            if file.staged.exists() {
                std::fs::rename(&file.staged, &file.place)?;
            }
        }
        sync_parents(&files)
    }

    /// Drops what was kept, and files that were staged and never switched.
    pub fn settle(&self) -> io::Result<()> {
        for file in self.ledger.staged::<StagedFile>()? {
            remove_if_there(&file.kept)?;
            remove_if_there(&file.staged)?;
        }
        self.ledger.remove()
    }

    /// Lets stand again what stood there, except where somebody else has stored a file since.
    pub fn take_back(&self) -> io::Result<()> {
        self.take_back_with(|_| Ok(()))
    }

    fn take_back_with(&self, mut before_deed: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let files: Vec<StagedFile> = self.ledger.staged()?;
        let before: Option<Vec<Before>> = self.ledger.before()?;
        let mut order: Vec<usize> = (0..files.len()).collect();
        // Files that name others go first.
        order.sort_by_key(|index| std::cmp::Reverse(files[*index].turn));
        for index in order {
            let file = &files[index];
            before_deed("take back")?;
            if let Some(before) = before.as_ref().and_then(|all| all.get(index)) {
                let stands = std::fs::symlink_metadata(&file.place).ok();
                let is_ours = stands.is_some_and(|stands| identity(&stands) == before.identity);
                match (is_ours, before.has_kept) {
                    // A kept name that is gone was renamed before a crash; then the place is not ours any more.
                    (true, true) => std::fs::rename(&file.kept, &file.place)?,
                    (true, false) => remove_if_there(&file.place)?,
                    (false, _) => {}
                }
            }
            remove_if_there(&file.kept)?;
            remove_if_there(&file.staged)?;
        }
        sync_parents(&files)?;
        for folder in files.iter().flat_map(|file| &file.made).rev() {
            // Fails if somebody has put something there since.
            let _ = std::fs::remove_dir(folder);
        }
        self.ledger.remove()
    }
}

/// Gives the file that stands at a place its second name.
fn keep(file: &StagedFile) -> io::Result<Before> {
    let new = std::fs::symlink_metadata(&file.staged)?;
    remove_if_there(&file.kept)?;
    let has_kept = match std::fs::symlink_metadata(&file.place) {
        Ok(old) if old.is_dir() => {
            let what = format!("`{}` is a folder: choose another destination", file.place.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, what));
        }
        Ok(_) => {
            // Where the file system has no links, a copy serves.
            if std::fs::hard_link(&file.place, &file.kept).is_err() {
                copy_durably(&file.place, &file.kept)?;
            }
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok(Before { identity: identity(&new), has_kept })
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn sync_parents(files: &[StagedFile]) -> io::Result<()> {
    let folders: std::collections::BTreeSet<&Path> =
        files.iter().filter_map(|file| file.place.parent()).collect();
    for folder in folders {
        match File::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => sync_folder(folder)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder in which `a` and `b` stand, and a publication of `a`, `new/c` and `b`, in this order, `b` last by its
    /// turn.
    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("out")).unwrap();
            for name in ["a", "b"] {
                std::fs::write(folder.path().join("out").join(name), format!("old {name}")).unwrap();
            }
            for name in ["a", "b", "c"] {
                std::fs::write(folder.path().join(name), format!("new {name}")).unwrap();
            }
            Self { folder }
        }

        fn out(&self, name: &str) -> PathBuf {
            self.folder.path().join("out").join(name)
        }

        /// Returns the publication as a process that has just started finds it.
        fn publication(&self) -> FolderPublication {
            FolderPublication::new("1-a", &self.folder.path().join("notes"))
        }

        fn stage(&self) {
            let file = |name: &str, place: &str, turn| {
                let (source, place) = (self.folder.path().join(name), self.out(place));
                FileToStage { source, place, turn }
            };
            let files = [file("b", "b", 2), file("a", "a", 0), file("c", "new/c", 0)];
            self.publication().stage(&files[..1]).unwrap();
            self.publication().stage(&files).unwrap();
        }

        /// Returns every file below the destination with its content, and the number of folders.
        fn all(&self) -> (Vec<(String, String)>, usize) {
            fn walk(folder: &Path, files: &mut Vec<(String, String)>) -> usize {
                let mut folders = 0;
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders += 1 + walk(&path, files);
                    } else {
                        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                        files.push((name, std::fs::read_to_string(path).unwrap()));
                    }
                }
                folders
            }
            let mut files = Vec::new();
            let folders = walk(&self.folder.path().join("out"), &mut files);
            files.sort();
            (files, folders)
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// Lets the deed with this number fail, counting from 0.
    fn fails_at(at: usize) -> impl FnMut(&str) -> io::Result<()> {
        let mut count = 0;
        move |_| {
            count += 1;
            if count > at { Err(io::Error::other("killed")) } else { Ok(()) }
        }
    }

    fn old() -> (Vec<(String, String)>, usize) {
        (pairs(&[("a", "old a"), ("b", "old b")]), 0)
    }

    fn new() -> (Vec<(String, String)>, usize) {
        (pairs(&[("a", "new a"), ("b", "new b"), ("c", "new c")]), 1)
    }

    #[test]
    fn staged_files_have_hidden_names_only() {
        let bench = Bench::new();
        bench.stage();
        let visible = |(name, _): &(String, String)| !name.starts_with('.');
        let seen: Vec<_> = bench.all().0.into_iter().filter(visible).collect();
        assert_eq!(seen, old().0);
        bench.publication().take_back().unwrap();
        assert_eq!(bench.all(), old());
    }

    #[test]
    fn killed_switch_is_finished_or_taken_back_whole() {
        for at in 0..=7 {
            for goes_on in [true, false] {
                let bench = Bench::new();
                bench.stage();
                assert_eq!(bench.publication().switch_with(fails_at(at)).is_err(), at < 7, "{at}");
                if goes_on {
                    bench.stage();
                    bench.publication().switch().unwrap();
                    bench.publication().settle().unwrap();
                } else {
                    bench.publication().take_back().unwrap();
                }
                assert_eq!(bench.all(), if goes_on { new() } else { old() }, "{at} {goes_on}");
                assert!(!bench.folder.path().join("notes").exists());
            }
        }
    }

    #[test]
    fn killed_taking_back_is_finished() {
        for at in 0..3 {
            let bench = Bench::new();
            bench.stage();
            bench.publication().switch().unwrap();
            assert!(bench.publication().take_back_with(fails_at(at)).is_err());
            bench.publication().take_back().unwrap();
            assert_eq!(bench.all(), old(), "{at}");
        }
    }

    #[test]
    fn files_that_others_stored_since_are_left() {
        let bench = Bench::new();
        bench.stage();
        bench.publication().switch().unwrap();
        std::fs::write(bench.out("theirs"), "theirs").unwrap();
        std::fs::rename(bench.out("theirs"), bench.out("a")).unwrap();
        std::fs::remove_file(bench.out("new/c")).unwrap();
        std::fs::write(bench.out("new/d"), "theirs").unwrap();
        bench.publication().take_back().unwrap();
        assert_eq!(bench.all(), (pairs(&[("a", "theirs"), ("b", "old b"), ("d", "theirs")]), 1));
    }

    #[test]
    fn folder_at_a_place_is_refused_before_anything_is_replaced() {
        let bench = Bench::new();
        bench.stage();
        std::fs::create_dir_all(bench.out("new/c")).unwrap();
        let error = bench.publication().switch().unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
        bench.publication().take_back().unwrap();
        assert_eq!(bench.all().0, old().0);
    }
}
