//! The mark: a small file beside the blobs that says which data folder they are of and how far its index has come.
//!
//! The index stores the same. So an index that is empty, older than the blobs or of another folder is noticed before
//! anything is taken for an orphan. This file decides nothing about objects.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::blobs::label::checksum;
use crate::index::lock;
use crate::index::record::to_text;

/// Size of the file. It is smaller than a disk's sector, so a power cut leaves the old or the new content.
const MARK_BYTES: usize = 384;

/// Which data folder it is, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Random id of the data folder.
    pub folder: String,
    /// Number of times that the folder was opened.
    pub generation: i64,
    /// Number of transactions that changed the index.
    pub changes: i64,
    /// The greatest serial number of a label that the index knows.
    pub serial: i64,
}

/// What the mark's file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// There is no file.
    Nothing,
    /// There is a file, but it cannot be read.
    Unreadable,
    Mark(Identity),
}

/// The mark's file, open for writing.
pub(crate) struct Mark {
    file: File,
    identity: Mutex<Identity>,
}

/// Returns the path of the mark of a folder of blobs.
fn path(blobs: &Path) -> PathBuf {
    blobs.join("mark")
}

/// Returns the path of the mark below the endpoint's folder.
pub(crate) fn mark_path(root: &Path) -> PathBuf {
    path(&root.join("blobs"))
}

fn encode(identity: &Identity) -> Vec<u8> {
    let text = to_text(identity);
    let mut line = format!("{text} {:016x}", checksum(text.as_bytes()));
    while line.len() < MARK_BYTES - 1 {
        line.push(' ');
    }
    line.push('\n');
    line.into_bytes()
}

fn decode(bytes: &[u8]) -> Option<Identity> {
    let (text, sum) = std::str::from_utf8(bytes).ok()?.trim_end().rsplit_once(' ')?;
    let is_whole = u64::from_str_radix(sum, 16).ok()? == checksum(text.as_bytes());
    is_whole.then(|| serde_json::from_str(text).ok()).flatten()
}

/// Reads the mark below the endpoint's folder.
pub(crate) fn find(root: &Path) -> io::Result<Found> {
    match std::fs::read(mark_path(root)) {
        Ok(bytes) => Ok(decode(&bytes).map_or(Found::Unreadable, Found::Mark)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

impl Mark {
    /// Writes the mark below the endpoint's folder, durably, and keeps it open.
    pub(crate) fn write(root: &Path, identity: Identity) -> io::Result<Self> {
        let path = mark_path(root);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        file.write_all_at(&encode(&identity), 0)?;
        file.set_len(MARK_BYTES as u64)?;
        file.sync_all()?;
        File::open(path.parent().unwrap_or(&path))?.sync_all()?;
        Ok(Self { file, identity: Mutex::new(identity) })
    }

    /// Notes how far the index has come. Call it after the commit: the mark is never ahead of the index. It is not
    /// flushed to disk, which no crash of this process can take back. After a power cut the mark may be behind.
    pub(crate) fn note(&self, changes: i64, serial: i64) {
        let mut identity = lock(&self.identity);
        identity.changes = changes;
        identity.serial = serial;
        if let Err(error) = self.file.write_all_at(&encode(&identity), 0) {
            tracing::warn!(%error, "cannot write the mark beside the blobs; an older index would not be noticed");
        }
    }

    /// Flushes the mark to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_read_as_written_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("blobs")).unwrap();
        assert_eq!(find(folder.path()).unwrap(), Found::Nothing);
        let identity = Identity { folder: "f".repeat(32), generation: 3, changes: 10, serial: 4 };
        let mark = Mark::write(folder.path(), identity.clone()).unwrap();
        mark.note(i64::MAX, i64::MAX);
        let noted = Identity { changes: i64::MAX, serial: i64::MAX, ..identity };
        assert_eq!(find(folder.path()).unwrap(), Found::Mark(noted));
        let path = mark_path(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), MARK_BYTES);
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(find(folder.path()).unwrap(), Found::Unreadable);
    }
}
