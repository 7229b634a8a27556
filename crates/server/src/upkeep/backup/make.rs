//! Makes a backup of a data folder, whether a server uses it or not.
//!
//! All databases are copied as they were at one instant, then the files that they refer to. Nothing is removed from the
//! folder of blobs meanwhile. Work in progress and kept encodes are left out: jobs that were running begin again.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use abanico_s3::{Pin, files_of_index, snapshot_databases};

use super::{
    BackupError, DATA, Entry, FORMAT, Manifest, Result, at, copy, is_empty_or_missing, sum, sync_folders,
};

/// The first bytes of every SQLite database.
const DATABASE: &[u8; 16] = b"SQLite format 3\0";

/// What is left out, relative to the data folder: what the next start makes again, and what is only kept in case.
const LEFT_OUT: [&str; 9] = [
    // It may be ahead of the copied database, and is written again.
    "engine/jobs.mark",
    "engine/work",
    "engine/results",
    "s3/blobs",
    "s3/fsck.tmp",
    "s3/incoming",
    "s3/lock",
    "s3/pin",
    "s3/quarantine",
];

/// What to back up, and where.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// The data folder.
    pub data: PathBuf,
    /// The configuration file, if there is one.
    pub settings: Option<PathBuf>,
    /// The folder of the backup; it must not exist or be empty.
    pub to: PathBuf,
}

/// What was backed up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Number of files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that the index refers to and that were missing already.
    pub missing: Vec<PathBuf>,
}

/// Makes a backup. Blocking.
///
/// # Errors
/// Fails if the target is not empty, or a file cannot be read or written. Then the target is not a complete backup.
pub fn back_up(options: &BackupOptions) -> Result<Made> {
    let (data, to) = (&options.data, &options.to);
    let s3 = data.join("s3");
    if !s3.join("index.db").is_file() {
        return Err(BackupError::Refused(format!("`{}` is not a data folder of abanico", data.display())));
    }
    if !is_empty_or_missing(to)? {
        let message = format!("`{}` is not empty: give a new folder for each backup", to.display());
        return Err(BackupError::Refused(message));
    }
    std::fs::create_dir_all(to).map_err(at(to))?;
    let (inside, target) = (data.canonicalize().map_err(at(data))?, to.canonicalize().map_err(at(to))?);
    if target.starts_with(&inside) {
        let message = format!("`{}` is inside the data folder: give a folder elsewhere", to.display());
        return Err(BackupError::Refused(message));
    }
    let copied = to.join(DATA);
    make_folder(&copied.join("s3"))?;
    let _pin = Pin::set(&s3)?;
    let (databases, others) = sorted(data)?;
    let mut copies = Vec::new();
    for path in &databases {
        let target = copied.join(path);
        make_parent(&target)?;
        copies.push((data.join(path), target));
    }
    snapshot_databases(&copies)?;
    let mut backup = Backup { to, files: Vec::new(), missing: Vec::new() };
    for path in files_of_index(&copied.join("s3"))? {
        backup.take_blob(&s3.join(&path), &Path::new(DATA).join("s3").join(&path))?;
    }
    let made = ["s3/blobs/mark", "s3/blobs/buckets"].map(PathBuf::from);
    for path in databases.iter().chain(made.iter().filter(|path| copied.join(path).exists())) {
        backup.note(&Path::new(DATA).join(path))?;
    }
    for path in others {
        backup.take(&data.join(&path), &Path::new(DATA).join(&path))?;
    }
    if let Some(settings) = &options.settings {
        backup.take(settings, Path::new("settings/abanico.toml"))?;
    }
    sync_folders(to)?;
    backup.finish()
}

/// Returns the databases and the other files of a data folder that are backed up, relative to it.
fn sorted(data: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut databases, mut others, mut folders) = (Vec::new(), Vec::new(), vec![PathBuf::new()]);
    let mut seen = HashSet::new();
    while let Some(folder) = folders.pop() {
        let place = data.join(&folder);
        // A link may lead back to a folder above it.
        if !seen.insert(place.canonicalize().map_err(at(&place))?) {
            continue;
        }
        for entry in std::fs::read_dir(&place).map_err(at(&place))? {
            let entry = entry.map_err(at(&place))?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(at(&place))?;
            if LEFT_OUT.iter().any(|left_out| path == Path::new(left_out)) || is_passing(&path) {
                continue;
            }
            // A link may lead to a folder on another disk; FIFOs, sockets and devices are nobody's data.
            let (is_folder, is_file) = if kind.is_symlink() {
                let target = std::fs::metadata(entry.path()).map_err(at(&entry.path()))?;
                (target.is_dir(), target.is_file())
            } else {
                (kind.is_dir(), kind.is_file())
            };
            if is_folder {
                folders.push(path);
            } else if is_file && is_database(&entry.path())? {
                databases.push(path);
            } else if is_file {
                others.push(path);
            }
        }
    }
    Ok((databases, others))
}

/// Returns whether a file belongs to a running database, or is an old index that a repair kept.
fn is_passing(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with("-wal")
        || name.ends_with("-shm")
        || name.ends_with("-journal")
        || name.starts_with("index-before-")
}

fn is_database(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut first)).map_err(at(path))?;
    // A database whose pages are all in its log is one, too.
    Ok(first == DATABASE || (first.is_empty() && path.with_file_name(log_of(path)).exists()))
}

fn log_of(path: &Path) -> std::ffi::OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    name
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(at(folder))
}

fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_folder)
}

/// A backup in the making.
struct Backup<'a> {
    to: &'a Path,
    files: Vec<Entry>,
    missing: Vec<PathBuf>,
}

impl Backup<'_> {
    /// Copies a file that may change or go at any time.
    fn take(&mut self, from: &Path, path: &Path) -> Result<()> {
        let target = self.to.join(path);
        make_parent(&target)?;
        match copy(from, &target) {
            Ok((size, sum)) => self.files.push(Entry { path: path.to_owned(), size, sum }),
            Err(BackupError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes a file that never changes: as a hard link where the file system allows it, else as a copy.
    fn take_blob(&mut self, from: &Path, path: &Path) -> Result<()> {
        let target = self.to.join(path);
        make_parent(&target)?;
        match std::fs::hard_link(from, &target) {
            Ok(()) => self.note(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.missing.push(path.to_owned());
                Ok(())
            }
            Err(_) => self.take(from, path),
        }
    }

    /// Notes a file that is in place.
    fn note(&mut self, path: &Path) -> Result<()> {
        let (size, sum) = sum(&self.to.join(path))?;
        self.files.push(Entry { path: path.to_owned(), size, sum });
        Ok(())
    }

    fn finish(self) -> Result<Made> {
        let now = time::OffsetDateTime::now_utc();
        let manifest = Manifest {
            format: FORMAT,
            abanico: env!("CARGO_PKG_VERSION").to_owned(),
            created: now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default(),
            files: self.files,
            missing: self.missing,
        };
        manifest.write(self.to)?;
        let bytes = manifest.files.iter().map(|entry| entry.size).sum();
        Ok(Made { files: manifest.files.len() as u64, bytes, missing: manifest.missing })
    }
}
