//! The notes that a back end keeps about a publication on disk: which files it has staged, and, once it begins to
//! switch, what stood at their places. A note is on disk before the deed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// List of the staged files, one JSON value a line.
const STAGED: &str = "staged.jsonl";
/// What stood there; exists from the moment at which the switch begins.
const BEFORE: &str = "before.json";

/// The notes about one publication in one folder.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// Returns the notes in `folder`, which need not exist.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns the path of a file beside the notes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the staged files in the order in which they were noted; empty without notes. A last line that a crash
    /// cut off does not count: its deed was never begun.
    pub fn staged<T: DeserializeOwned>(&self) -> io::Result<Vec<T>> {
        let file = match File::open(self.path(STAGED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut reader = BufReader::new(file);
        let (mut staged, mut line) = (Vec::new(), String::new());
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            staged.push(serde_json::from_str(&line)?);
            line.clear();
        }
        Ok(staged)
    }

    /// Adds staged files, durably.
    pub fn note_staged<T: Serialize>(&self, files: &[T]) -> io::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)?;
        let mut lines = Vec::new();
        for file in files {
            serde_json::to_writer(&mut lines, file)?;
            lines.push(b'\n');
        }
        let path = self.path(STAGED);
        let known = whole_lines(&path)?;
        let mut list = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
        list.set_len(known)?;
        io::Seek::seek(&mut list, io::SeekFrom::End(0))?;
        list.write_all(&lines)?;
        list.sync_all()?;
        self.sync_folders()
    }

    /// Returns what stood there, if the switch has begun.
    pub fn before<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        match std::fs::read(self.path(BEFORE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => Ok(Some(serde_json::from_slice(&text?)?)),
        }
    }

    /// Notes what stood there, durably and as a whole: from now on the switch has begun.
    pub fn note_before<T: Serialize>(&self, before: &T) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(file.as_file_mut(), before)?;
        file.as_file().sync_all()?;
        file.persist(self.path(BEFORE)).map_err(|error| error.error)?;
        self.sync_folders()
    }

    /// Removes the notes and all beside them. The list of staged files goes last, so that a crash leaves enough to
    /// begin again.
    pub fn remove(&self) -> io::Result<()> {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if is_missing(&error) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name() != STAGED {
                std::fs::remove_file(entry.path())?;
            }
        }
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folders(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()?;
        self.folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }
}

/// Returns how many bytes of a list are whole lines.
fn whole_lines(path: &Path) -> io::Result<u64> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        bytes => {
            let end = bytes?.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            Ok(u64::try_from(end).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_a_crash_cut_off_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of(&folder.path().join("deep"));
        assert!(ledger.staged::<u32>().unwrap().is_empty());
        ledger.note_staged(&[1, 22]).unwrap();
        let mut list = OpenOptions::new().append(true).open(ledger.path(STAGED)).unwrap();
        list.write_all(b"33").unwrap();
        assert_eq!(ledger.staged::<u32>().unwrap(), [1, 22]);
        ledger.note_staged(&[4]).unwrap();
        assert_eq!(ledger.staged::<u32>().unwrap(), [1, 22, 4]);
    }

    #[test]
    fn removed_notes_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of(&folder.path().join("deep"));
        assert_eq!(ledger.before::<u32>().unwrap(), None);
        ledger.note_staged(&[1]).unwrap();
        ledger.note_before(&7).unwrap();
        assert_eq!(ledger.before::<u32>().unwrap(), Some(7));
        ledger.remove().unwrap();
        ledger.remove().unwrap();
        assert!(!folder.path().join("deep").exists());
    }
}
