//! Puts a backup in the place of a data folder: copies and checks every file first, then renames.
//!
//! What stood there is moved beside it, never deleted. If anything fails, nothing has changed.

use std::io;
use std::path::{Path, PathBuf};

use abanico_process::WorkPlace;
use abanico_s3::lock_folder;

use super::{
    BackupError, DATA, Entry, Manifest, Result, at, copy, is_empty_or_missing, sync_folder, sync_folders,
};

/// How many files an error names.
const FILES_TOLD: usize = 5;

/// What to restore, and where.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The folder of the backup.
    pub from: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Whether a data folder that is not empty may be moved away.
    pub replace: bool,
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// When the backup was made.
    pub created: String,
    /// Number of files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that were missing when the backup was made.
    pub missing: Vec<PathBuf>,
    /// Where the earlier data folder is now.
    pub moved_away: Option<PathBuf>,
    /// The configuration file in the backup; it is not put anywhere.
    pub settings: Option<PathBuf>,
}

/// Puts a backup in place. Blocking.
///
/// # Errors
/// Fails if the backup is not complete or damaged, if a server uses the data folder, or if the folder is not empty and
/// may not be replaced. Then nothing has changed.
pub fn restore(options: &RestoreOptions) -> Result<Restored> {
    let (from, data) = (&options.from, &options.data);
    let manifest = Manifest::read(from)?;
    let is_free = is_empty_or_missing(data)?;
    if !is_free && !options.replace {
        let message = format!(
            "`{}` is not empty: give another folder, or let `--replace` move it away",
            data.display()
        );
        return Err(BackupError::Refused(message));
    }
    let s3 = data.join("s3");
    // A server that runs here would go on in the folder that is moved away.
    let _lock = if s3.is_dir() { Some(lock_folder(&s3)?) } else { None };
    let parent = parent_of(data);
    std::fs::create_dir_all(parent).map_err(at(parent))?;
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    // A command that was killed leaves its copy; the next one removes it. An error only loses a copy.
    let place = WorkPlace { folder: parent, prefix: &format!("{name}.restoring-"), suffix: "" };
    place.remove_abandoned();
    let work = place.create().map_err(at(parent))?;
    let new = work.path().join(DATA);
    stage(from, &manifest, &new)?;
    let moved_away = put_in_place(&new, data, is_free)?;
    let settings = from.join("settings").join("abanico.toml");
    Ok(Restored {
        created: manifest.created,
        files: manifest.files.len() as u64,
        bytes: manifest.files.iter().map(|entry| entry.size).sum(),
        missing: manifest.missing,
        moved_away,
        settings: settings.is_file().then_some(settings),
    })
}

fn parent_of(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns a name beside a folder that nothing has yet.
fn beside(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let place = |at: i64| folder.with_file_name(format!("{name}.{what}-{at}"));
    (now..).map(place).find(|place| !place.exists()).unwrap_or_else(|| place(now))
}

/// Copies all files of a backup to a new folder, and compares them with the list.
fn stage(from: &Path, manifest: &Manifest, new: &Path) -> Result<()> {
    std::fs::create_dir_all(new).map_err(at(new))?;
    let mut wrong: Vec<String> = Vec::new();
    for entry in &manifest.files {
        if !is_copied(from, entry, new)? {
            wrong.push(format!("`{}`", entry.path.display()));
        }
    }
    if wrong.is_empty() {
        return sync_folders(new);
    }
    let more = wrong.len().saturating_sub(FILES_TOLD);
    let names = wrong[..wrong.len() - more].join(", ");
    let message = format!(
        "`{}` is damaged: {} of its files are missing or not what was backed up ({names}{}). Nothing was changed; use \
         another backup",
        from.display(),
        wrong.len(),
        if more > 0 { ", and others" } else { "" },
    );
    Err(BackupError::Refused(message))
}

/// Copies a file if it belongs into the data folder, else only reads it. Returns whether it is what was backed up.
fn is_copied(from: &Path, entry: &Entry, new: &Path) -> Result<bool> {
    let source = from.join(&entry.path);
    let found = match entry.path.strip_prefix(DATA) {
        Ok(path) => {
            let target = new.join(path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(at(parent))?;
            }
            copy(&source, &target)
        }
        Err(_) => super::sum(&source),
    };
    match found {
        Ok((size, sum)) => Ok(size == entry.size && sum == entry.sum),
        Err(BackupError::File { path, source: error })
            if path == source && error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Puts a new folder in the place of the data folder. Returns where that is now, if it was not empty.
fn put_in_place(new: &Path, data: &Path, is_free: bool) -> Result<Option<PathBuf>> {
    let parent = parent_of(data);
    let moved_away = if is_free {
        if data.exists() {
            std::fs::remove_dir(data).map_err(at(data))?;
        }
        None
    } else {
        let old = beside(data, "before");
        std::fs::rename(data, &old).map_err(at(data))?;
        Some(old)
    };
    if let Err(error) = std::fs::rename(new, data) {
        if let Some(old) = &moved_away {
            std::fs::rename(old, data).map_err(at(data))?;
        }
        return Err(at(data)(error));
    }
    sync_folder(parent)?;
    Ok(moved_away)
}
