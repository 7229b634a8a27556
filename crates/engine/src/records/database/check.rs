//! Checks the structure of a SQLite file with `PRAGMA quick_check`, on a connection and thread of its own. A big file
//! takes seconds, so the check goes on in the background after a while. It repairs nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How many faults are told.
const FAULTS: usize = 3;

/// How long a start waits for a check. 100,000 jobs (906 MB) take 0.5 s from memory, and minutes from a slow disk.
pub const CHECK_PATIENCE: Duration = Duration::from_secs(2);

/// A check that runs or has ended. Clones share it.
#[derive(Clone, Debug)]
pub struct DatabaseCheck {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// `None` while the check runs; then the faults, if any.
    faults: Mutex<Option<Option<String>>>,
    ended: Condvar,
}

impl DatabaseCheck {
    /// Starts to check the file. A missing file has no faults.
    pub fn start(path: &Path) -> Self {
        let shared =
            Arc::new(Shared { path: path.to_owned(), faults: Mutex::new(None), ended: Condvar::new() });
        let check = Self { shared: shared.clone() };
        let run = move || {
            let faults = if shared.path.exists() { faults(&shared.path) } else { None };
            if let Some(faults) = &faults {
                tracing::error!(path = %shared.path.display(), faults, "a database is damaged");
            }
            *shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(faults);
            shared.ended.notify_all();
        };
        if let Err(error) = std::thread::Builder::new().name("quick-check".to_owned()).spawn(run) {
            tracing::warn!(path = %path.display(), %error, "cannot check a database");
        }
        check
    }

    /// Waits until the check has ended, at most this long. Returns what is wrong, if anything is known to be.
    pub fn wait(&self, patience: Duration) -> Option<String> {
        let faults = self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, timeout) = self
            .shared
            .ended
            .wait_timeout_while(faults, patience, |faults| faults.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            tracing::info!(path = %self.shared.path.display(), "still checking a database, in the background");
        }
        faults.clone().flatten().map(|faults| self.told(&faults))
    }

    /// Returns what is wrong, if the check has ended and found something.
    pub fn damage(&self) -> Option<String> {
        let faults = self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clone().flatten();
        faults.map(|faults| self.told(&faults))
    }

    fn told(&self, faults: &str) -> String {
        damaged(&self.shared.path, faults)
    }
}

/// Says that a database is damaged, and what to do.
pub(crate) fn damaged(path: &Path, faults: &str) -> String {
    let path = path.display();
    format!(
        "the database `{path}` is damaged ({faults}): stop abanico, then restore it from a backup, or save what can be \
         read with `sqlite3 {path} .recover | sqlite3 recovered.db` and put that file in its place"
    )
}

/// Runs the check. Returns the faults in one line.
fn faults(path: &Path) -> Option<String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        let mut statement = connection.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    match read() {
        Ok(lines) if lines == ["ok"] => None,
        Ok(lines) => Some(lines.join("; ").replace('\n', " ")),
        Err(error) if is_damage(&error) => Some(error.to_string()),
        // Whoever opens the database next tells better why it cannot be opened.
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot check a database");
            None
        }
    }
}

/// Returns whether the file itself is damaged.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn database(folder: &Path) -> PathBuf {
        let path = folder.join("d.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a TEXT); CREATE INDEX i ON t (a)").unwrap();
        for number in 0..2000 {
            connection.execute("INSERT INTO t VALUES (?1)", [format!("{number:0100}")]).unwrap();
        }
        path
    }

    #[test]
    fn sound_and_missing_files_have_no_faults() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(DatabaseCheck::start(&database(folder.path())).wait(PATIENCE), None);
        assert_eq!(DatabaseCheck::start(&folder.path().join("none")).wait(PATIENCE), None);
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn damaged_page_is_told_with_a_remedy() {
        use std::os::unix::fs::FileExt;
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff; 3000], 4096 * 9 + 8).unwrap();
        let check = DatabaseCheck::start(&path);
        let told = check.wait(PATIENCE).unwrap();
        assert!(told.contains(".recover") && told.contains("d.sqlite"), "{told}");
        assert_eq!(check.damage(), Some(told));
    }

    #[test]
    fn file_of_another_kind_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "no database at all, but a text that is long enough".repeat(100)).unwrap();
        assert!(DatabaseCheck::start(&path).wait(PATIENCE).unwrap().contains("not a database"));
    }
}
