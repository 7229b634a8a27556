//! The quarantine: files that nothing refers to are moved there, told, and deleted only after days.
//!
//! Each time has a folder of its own, named by the time. Files keep their names, so what was wrongly moved can be moved
//! back. This file does not decide what is unused.

use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const NAME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]-[minute]-[second].[subsecond digits:3]Z");

/// A folder of the quarantine for the files that are moved now. It is made with the first file.
pub(crate) struct Quarantine {
    folder: PathBuf,
    pub files: u64,
    pub bytes: u64,
}

fn root(dir: &Path) -> PathBuf {
    dir.join("quarantine")
}

/// Returns the current time as the name of a folder.
pub(crate) fn time_name() -> String {
    // A formatting that needs no input cannot fail.
    OffsetDateTime::now_utc().format(NAME).unwrap_or_default()
}

impl Quarantine {
    /// Prepares a folder below the endpoint's folder.
    pub(crate) fn now(dir: &Path) -> Self {
        Self { folder: root(dir).join(time_name()), files: 0, bytes: 0 }
    }

    /// Returns the folder of the files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves a file into the quarantine.
    pub(crate) fn take(&mut self, file: &Path) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let bytes = std::fs::symlink_metadata(file)?.len();
        let name = file.file_name().unwrap_or(file.as_os_str());
        std::fs::rename(file, self.folder.join(name))?;
        self.files += 1;
        self.bytes += bytes;
        Ok(())
    }
}

/// Deletes what has been in the quarantine for more than `days`. Returns the number of deleted files and their bytes.
/// A folder whose name is no time stays.
pub(crate) fn purge(dir: &Path, days: u32) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for folder in folders(dir, Some(days))? {
        let (count, size_bytes) = files_of(&folder)?;
        std::fs::remove_dir_all(folder)?;
        files += count;
        bytes += size_bytes;
    }
    Ok((files, bytes))
}

/// Returns the number of files in the quarantine and their bytes; with `days`, of those that have been there longer.
pub(crate) fn held(dir: &Path, days: Option<u32>) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for folder in folders(dir, days)? {
        let (count, size_bytes) = files_of(&folder)?;
        files += count;
        bytes += size_bytes;
    }
    Ok((files, bytes))
}

/// Returns the folders of the quarantine; with `days`, those whose name is a longer past time.
fn folders(dir: &Path, days: Option<u32>) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(root(dir)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // More days than the calendar has keep everything.
    let oldest = |days| OffsetDateTime::now_utc().checked_sub(time::Duration::days(i64::from(days)));
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let since = name.to_str().and_then(|name| time::PrimitiveDateTime::parse(name, NAME).ok());
        let is_meant = days.is_none_or(|days| match (since, oldest(days)) {
            (Some(since), Some(oldest)) => since.assume_utc() < oldest,
            _ => false,
        });
        if is_meant && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn files_of(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
        files += 1;
    }
    Ok((files, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_only_after_their_days() {
        let folder = tempfile::tempdir().unwrap();
        let stray = folder.path().join("stray");
        std::fs::write(&stray, "12345").unwrap();
        let mut quarantine = Quarantine::now(folder.path());
        quarantine.take(&stray).unwrap();
        assert_eq!((quarantine.files, quarantine.bytes, stray.exists()), (1, 5, false));
        let old = root(folder.path()).join("2020-01-01T00-00-00.000Z");
        let own = root(folder.path()).join("not a time");
        for place in [&old, &own] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("x"), "1").unwrap();
        }
        assert_eq!(purge(folder.path(), u32::MAX).unwrap(), (0, 0));
        assert_eq!(purge(folder.path(), 7).unwrap(), (1, 1));
        let there = |path: &Path| path.exists();
        assert_eq!((there(&old), there(&own), there(quarantine.folder())), (false, true, true));
        assert_eq!(purge(folder.path(), 0).unwrap(), (1, 5));
    }
}
