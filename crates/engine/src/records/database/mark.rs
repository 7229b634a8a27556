//! The mark: a small file beside the job database that says how far the database has come.
//!
//! The database counts its changes, and the mark repeats the number after each commit. So a database that is missing,
//! empty or older than it was is refused before anything is changed, instead of forgetting jobs in silence. The mark is
//! never ahead of the database, and it says nothing about jobs.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use rusqlite::{Connection, OptionalExtension};

use crate::error::Error;

/// Size of the file. It is smaller than a disk's sector, so a power cut leaves the old or the new content.
const MARK_BYTES: usize = 64;
/// Digits of the checksum.
const SUM_DIGITS: usize = 16;

/// Creates the count of changes. It lists no columns of the other tables, so these may change.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS progress (changes INTEGER NOT NULL);
INSERT INTO progress SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM progress);
CREATE TRIGGER IF NOT EXISTS job_comes AFTER INSERT ON jobs
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS job_changes AFTER UPDATE ON jobs
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS job_goes AFTER DELETE ON jobs
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS resource_comes AFTER INSERT ON resources
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS resource_changes AFTER UPDATE ON resources
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS resource_goes AFTER DELETE ON resources
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS kept_comes AFTER INSERT ON kept
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS kept_changes AFTER UPDATE ON kept
    BEGIN UPDATE progress SET changes = changes + 1; END;
CREATE TRIGGER IF NOT EXISTS kept_goes AFTER DELETE ON kept
    BEGIN UPDATE progress SET changes = changes + 1; END;
";

/// What the mark's file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// There is no file.
    Nothing,
    /// There is a file, but it cannot be read.
    Unreadable,
    /// The number of changes.
    Changes(i64),
}

/// The mark's file, open for writing.
#[derive(Debug)]
pub(super) struct Mark(File);

/// Returns the path of a database's mark.
pub(super) fn path_of(database: &Path) -> PathBuf {
    database.with_extension("mark")
}

fn encode(changes: i64) -> Vec<u8> {
    let text = changes.to_string();
    let mut line = format!("{text} {}", sum(&text));
    while line.len() < MARK_BYTES - 1 {
        line.push(' ');
    }
    line.push('\n');
    line.into_bytes()
}

fn sum(text: &str) -> String {
    let mut sum = blake3::hash(text.as_bytes()).to_hex().to_string();
    sum.truncate(SUM_DIGITS);
    sum
}

fn decode(bytes: &[u8]) -> Option<i64> {
    let (text, found) = std::str::from_utf8(bytes).ok()?.trim_end().split_once(' ')?;
    (found == sum(text)).then(|| text.parse().ok()).flatten()
}

/// Reads the mark of a database.
pub(super) fn find(database: &Path) -> io::Result<Found> {
    match std::fs::read(path_of(database)) {
        Ok(bytes) => Ok(decode(&bytes).map_or(Found::Unreadable, Found::Changes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// Refuses a database that has no bytes although it had some. Opens nothing: SQLite would remove the log of such a
/// database, and all that is in it.
pub(super) fn refuse_missing(database: &Path, found: Found) -> Result<(), Error> {
    if found == Found::Nothing || std::fs::metadata(database).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    Err(refusal(database, "is missing or has no bytes"))
}

/// Refuses a database that is older than its mark.
pub(super) fn refuse_older(connection: &Connection, database: &Path, found: Found) -> Result<(), Error> {
    let Found::Changes(known) = found else { return Ok(()) };
    let behind = known - changes(connection)?;
    if behind <= 0 {
        return Ok(());
    }
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let what = format!("is older than it was: {behind} changes are missing, perhaps with its `{name}-wal`");
    Err(refusal(database, &what))
}

fn refusal(database: &Path, what: &str) -> Error {
    let (path, mark) = (database.display(), path_of(database));
    let text = format!(
        "the database `{path}` {what}, so jobs would be forgotten, and nothing was changed. Put the right files or a \
         backup in place (`abanico restore`); or remove `{}` to go on with the jobs that are left",
        mark.display()
    );
    Error::storage("open the job database", text)
}

/// Returns how many changes a database has had; 0 if it is empty or of an older version.
fn changes(connection: &Connection) -> Result<i64, Error> {
    let has_count =
        connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'progress'")?.exists([])?;
    if !has_count {
        return Ok(0);
    }
    let found = connection.query_row("SELECT changes FROM progress", [], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}

impl Mark {
    /// Writes a database's mark, durably, and keeps it open.
    pub fn write(database: &Path, connection: &Connection) -> Result<Self, Error> {
        let changes = changes(connection)?;
        let path = path_of(database);
        let write = || -> io::Result<Self> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.write_all_at(&encode(changes), 0)?;
            file.set_len(MARK_BYTES as u64)?;
            file.sync_all()?;
            File::open(path.parent().unwrap_or(&path))?.sync_all()?;
            Ok(Self(file))
        };
        write().map_err(|error| Error::storage("write the mark of the job database", error))
    }

    /// Notes how far the database has come. It is not flushed to disk, which no crash of this process can take back.
    /// After a power cut the mark may be behind.
    fn note(&self, connection: &Connection) {
        let noted = changes(connection)
            .map_err(|error| error.to_string())
            .and_then(|changes| self.0.write_all_at(&encode(changes), 0).map_err(|error| error.to_string()));
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write the mark of the job database; an older one would not be noticed");
        }
    }
}

/// The database's connection, locked. What was changed through it is noted in the mark when it is dropped.
pub(crate) struct Locked<'a> {
    connection: MutexGuard<'a, Connection>,
    mark: &'a Mark,
    before: u64,
}

impl<'a> Locked<'a> {
    pub(super) fn new(connection: MutexGuard<'a, Connection>, mark: &'a Mark) -> Self {
        let before = connection.total_changes();
        Self { connection, mark, before }
    }
}

impl Deref for Locked<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.connection.total_changes() != self.before {
            self.mark.note(&self.connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::database::{Database, sample_record};

    fn refused(path: &Path) -> String {
        let error = Database::open(path).err().expect("the database is refused");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_default()
    }

    fn with_jobs(path: &Path, numbers: std::ops::Range<i64>) {
        let database = Database::open(path).unwrap();
        for number in numbers {
            database.insert(&sample_record(&format!("{number}-a"), number), &[], 0).unwrap();
        }
    }

    #[test]
    fn missing_and_empty_databases_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        with_jobs(&path, 0..3);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let told = refused(&path);
        assert!(
            told.contains("is missing") && told.contains("jobs.mark") && told.contains("abanico restore"),
            "{told}"
        );
        assert!(!path.exists(), "nothing is changed");
        std::fs::write(&path, "").unwrap();
        refused(&path);
        std::fs::write(&path, &whole).unwrap();
        with_jobs(&path, 3..4);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(path_of(&path)).unwrap();
        with_jobs(&path, 0..1);
    }

    #[test]
    fn older_database_is_refused_and_a_newer_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        with_jobs(&path, 0..2);
        let (older, behind) = (std::fs::read(&path).unwrap(), std::fs::read(path_of(&path)).unwrap());
        with_jobs(&path, 2..4);
        let newer = std::fs::read(&path).unwrap();
        std::fs::write(&path, &older).unwrap();
        let told = refused(&path);
        assert!(told.contains("2 changes are missing"), "{told}");
        std::fs::write(&path, &newer).unwrap();
        std::fs::write(path_of(&path), &behind).unwrap();
        with_jobs(&path, 4..5);
        assert_eq!(find(&path).unwrap(), Found::Changes(5));
    }

    #[test]
    fn mark_is_written_again_if_it_is_lost_or_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        with_jobs(&path, 0..2);
        for damage in [&b"3 0123456789abcdef"[..], b""] {
            std::fs::write(path_of(&path), damage).unwrap();
            assert_eq!(find(&path).unwrap(), Found::Unreadable);
            with_jobs(&path, 0..0);
            assert_eq!(find(&path).unwrap(), Found::Changes(2));
        }
        std::fs::remove_file(path_of(&path)).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Nothing);
        with_jobs(&path, 0..0);
        assert_eq!(find(&path).unwrap(), Found::Changes(2));
    }
}
