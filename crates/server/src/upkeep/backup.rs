//! Backups of the data folder: makes one while a server runs, and puts one in place.
//!
//! A backup is a folder with the files below `data`, and `manifest.json`, which is written last and lists every file
//! with its size and checksum. Without it, or if a file differs, a backup is refused.

mod make;
mod restore;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use abanico_s3::{Summed, sealed, unsealed};
use serde::{Deserialize, Serialize};

pub use make::{BackupOptions, Made, back_up};
pub use restore::{RestoreOptions, Restored, restore};

/// Version of the format of backups.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// Folder of the data folder's files in a backup.
const DATA: &str = "data";

/// Why a backup could not be made or put in place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The folders are not such that the work can begin.
    #[error("{0}")]
    Refused(String),
    /// A file could not be read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database could not be read.
    #[error("cannot copy the databases")]
    Database(#[from] abanico_s3::Error),
}

type Result<T, E = BackupError> = std::result::Result<T, E>;

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// The list of a backup's files.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    abanico: String,
    created: String,
    files: Vec<Entry>,
    /// Files that the index refers to and that were missing already.
    missing: Vec<PathBuf>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Relative to the backup's folder.
    path: PathBuf,
    size: u64,
    /// CRC-64/NVME in hexadecimal digits.
    sum: String,
}

impl Manifest {
    /// Writes the list, durably.
    fn write(&self, folder: &Path) -> Result<()> {
        let (path, new) = (folder.join(MANIFEST), folder.join("manifest.json.new"));
        let text = serde_json::to_string(self).map_err(|error| at(&path)(error.into()))?;
        let mut file = File::create(&new).map_err(at(&new))?;
        file.write_all(&sealed(&text)).and_then(|()| file.sync_all()).map_err(at(&new))?;
        std::fs::rename(&new, &path).map_err(at(&path))?;
        sync_folder(folder)
    }

    /// Reads the list of a complete backup.
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!(
                    "`{}` is not a complete backup: it has no `{MANIFEST}`, which is written last. Make a new one with \
                     `abanico backup`",
                    folder.display()
                );
                return Err(BackupError::Refused(message));
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let damaged = || BackupError::Refused(format!("`{}` is damaged: use another backup", path.display()));
        let manifest: Self =
            unsealed(&bytes).and_then(|text| serde_json::from_str(text).ok()).ok_or_else(damaged)?;
        if manifest.format != FORMAT {
            let message = format!(
                "`{}` has format {}, but this version of abanico knows format {FORMAT}: use a newer version",
                path.display(),
                manifest.format
            );
            return Err(BackupError::Refused(message));
        }
        // A path that leads out of the folder would be written outside of the data folder.
        let is_inside = |entry: &Entry| {
            entry.path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if manifest.files.iter().all(is_inside) { Ok(manifest) } else { Err(damaged()) }
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Flushes a folder and all folders below it.
fn sync_folders(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.file_type().map_err(at(folder))?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Copies a file durably. Returns its size and checksum.
fn copy(from: &Path, to: &Path) -> Result<(u64, String)> {
    let source = File::open(from).map_err(at(from))?;
    let rights = source.metadata().map_err(at(from))?.permissions();
    let mut source = Summed::new(source);
    let mut target = File::create_new(to).map_err(at(to))?;
    io::copy(&mut source, &mut target).map_err(at(to))?;
    target.set_permissions(rights).and_then(|()| target.sync_all()).map_err(at(to))?;
    Ok(source.finish())
}

/// Returns the size and checksum of a file.
fn sum(path: &Path) -> Result<(u64, String)> {
    let mut file = Summed::new(File::open(path).map_err(at(path))?);
    io::copy(&mut file, &mut io::sink()).map_err(at(path))?;
    Ok(file.finish())
}

fn is_empty_or_missing(folder: &Path) -> Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(at(folder)(error)),
    }
}

#[cfg(test)]
mod tests;
