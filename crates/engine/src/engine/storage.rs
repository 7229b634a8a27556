//! Says what takes room in an engine's folder, and frees what nobody needs.
//!
//! The same look works beside a running engine and on the folder of a stopped one. A file that has another name elsewhere
//! counts for its size, but removing it frees nothing.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::engine::Engine;
use crate::engine::probing::probe_folders;
use crate::engine::retention::{Expired, Retention};
use crate::error::Error;
use crate::jobs::ids::JobId;
use crate::records::database::Database;
use abanico_tasks::results::{self, Results};

/// Things of one kind, and the room that they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// How many there are.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Bytes that removing them would free.
    pub own_bytes: u64,
}

impl Held {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.own_bytes += other.own_bytes;
    }
}

/// What takes room in an engine's folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EngineStorage {
    /// Finished encodes that are kept for later jobs.
    pub kept_encodes: Held,
    /// Work folders of jobs that have not ended.
    pub work: Held,
    /// Work folders of jobs that have ended or are not known, and of probes.
    pub left_over: Held,
    /// Size of the job database, with its log.
    pub database_bytes: u64,
    /// Bytes of it that are free for new records.
    pub database_free_bytes: u64,
    /// Number of jobs that have ended.
    pub finished_jobs: u64,
    /// Number of stored events.
    pub events: u64,
}

impl EngineStorage {
    /// Looks at an engine's folder and its kept encodes. Blocking; it holds up no engine.
    ///
    /// # Errors
    /// Fails if a folder or the job database cannot be read.
    pub fn of(folder: &Path, kept: &Path) -> Result<Self, Error> {
        let path = folder.join("jobs.sqlite");
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        let count = |sql: &str| -> Result<u64, Error> {
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
        };
        let going_on = "SELECT id FROM jobs WHERE stage NOT IN ('COMPLETE', 'ERROR', 'CANCELED')";
        let mut statement = connection.prepare(going_on)?;
        let ids = statement.query_map([], |row| row.get(0))?.collect::<Result<BTreeSet<String>, _>>()?;
        let wrong = |error| Error::storage("look at the engine's folder", error);
        let (mut work, mut left_over) = (Held::default(), Held::default());
        for path in folders(&folder.join("work")).map_err(wrong)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let own = if ids.contains(&name) { &mut work } else { &mut left_over };
            own.add(Held { count: 1, ..below(&path) });
        }
        for path in folders(folder).map_err(wrong)? {
            let is_probe = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("probe-"));
            if is_probe {
                left_over.add(Held { count: 1, ..below(&path) });
            }
        }
        let mut kept_encodes = Held::default();
        for path in folders(kept).map_err(wrong)? {
            kept_encodes.add(Held { count: 1, ..below(&path) });
        }
        let files = ["jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm"];
        Ok(Self {
            kept_encodes,
            work,
            left_over,
            database_bytes: files.iter().map(|name| size(&folder.join(name))).sum(),
            database_free_bytes: count(
                "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
            )?,
            finished_jobs: count(
                "SELECT COUNT(*) FROM jobs WHERE stage IN ('COMPLETE', 'ERROR', 'CANCELED')",
            )?,
            events: count("SELECT COUNT(*) FROM events")?,
        })
    }
}

/// Frees what nobody needs in the folder of an engine that is stopped: expired jobs and events, and all kept encodes.
/// Work folders stay, because their jobs may go on, or have outputs to take back. Blocking.
///
/// # Errors
/// Fails if a folder or the job database cannot be written.
pub fn free_stopped(folder: &Path, kept: &Path, retention: Retention) -> Result<Expired, Error> {
    let database = Database::open(&folder.join("jobs.sqlite"))?;
    let now_ms = abanico_process::clock::now_ms();
    let mut expired = Expired::default();
    if let Some(expiry) = retention.expiry(now_ms, |most| database.beyond_newest(most))? {
        let is_done_with = |id: &JobId| !folder.join("work").join(id.as_str()).exists();
        let mut after = (i64::MIN, String::new());
        loop {
            let batch = database.expire_jobs(&expiry, &after, now_ms, is_done_with)?;
            expired.jobs += batch.deleted;
            match batch.next {
                Some(next) => after = next,
                None => break,
            }
        }
    }
    if let Some(before_ms) = retention.events_before_ms(now_ms) {
        let mut after = 0;
        loop {
            let (deleted, last) = database.expire_events(before_ms, after)?;
            expired.events += deleted;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    let wrong = |error| Error::storage("remove kept encodes", error);
    if let Some(kept) = Results::open(kept, u64::MAX, 0).map_err(wrong)? {
        expired.encode_bytes = kept.give_up().map_err(wrong)?;
    }
    Ok(expired)
}

impl Engine {
    /// Returns what takes room in the engine's folder.
    ///
    /// # Errors
    /// Fails if a folder or the job database cannot be read.
    pub async fn storage(&self) -> Result<EngineStorage, Error> {
        let (folder, kept) = (self.folder().to_owned(), self.kept_folder());
        let looked = tokio::task::spawn_blocking(move || EngineStorage::of(&folder, &kept)).await;
        looked.map_err(|error| Error::storage("look at the engine's folder", error))?
    }

    /// Frees what nobody needs: what has expired, all kept encodes, and what ended jobs and probes left.
    ///
    /// # Errors
    /// Fails if the job database cannot be written.
    pub async fn free(&self) -> Result<Expired, Error> {
        let mut expired = self.expire().await?;
        expired.encode_bytes += self.workshop().give_up_all_kept().await;
        self.conclude_left_over().await;
        probe_folders(self.folder()).remove_abandoned();
        Ok(expired)
    }

    fn kept_folder(&self) -> PathBuf {
        let kept = self.workshop().machine.results.as_ref().map(|kept| kept.folder().to_owned());
        kept.unwrap_or_else(|| self.folder().join(results::FOLDER))
    }
}

/// Returns the folders in a folder; none if there is no such folder.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.flatten().filter(is_folder).map(|entry| entry.path()).collect())
}

/// Returns the size of all files below a folder. What vanishes meanwhile, or cannot be read, is left out.
fn below(folder: &Path) -> Held {
    let mut held = Held::default();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() {
            held.add(below(&entry.path()));
        } else {
            held.bytes += found.len();
            held.own_bytes += if found.nlink() == 1 { found.len() } else { 0 };
        }
    }
    held
}

/// Returns how many bytes removing a folder would free.
pub(crate) fn own_bytes_below(folder: &Path) -> u64 {
    below(folder).own_bytes
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobs::job_machine::Event;
    use crate::records::database::{sample_database, sample_record};

    #[test]
    fn room_is_told_by_what_takes_it() {
        let (folder, database) = sample_database();
        let mut ended = sample_record("1-a", 1);
        ended.machine.apply(Event::CancelRequested);
        ended.times.finished_ms = Some(2);
        for record in [ended, sample_record("2-b", 1)] {
            database.insert(&record, &[serde_json::json!({})], 1).unwrap();
        }
        let kept = folder.path().join("results");
        for (place, bytes) in
            [("work/1-a/deep", 10), ("work/2-b", 20), ("work/3-c", 40), ("probe-x", 80), ("results/key", 160)]
        {
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("file"), vec![1; bytes]).unwrap();
        }
        std::fs::hard_link(kept.join("key/file"), folder.path().join("work/2-b/linked")).unwrap();
        let found = EngineStorage::of(folder.path(), &kept).unwrap();
        assert_eq!(found.work, Held { count: 1, bytes: 180, own_bytes: 20 });
        assert_eq!(found.left_over, Held { count: 3, bytes: 130, own_bytes: 130 });
        assert_eq!(found.kept_encodes, Held { count: 1, bytes: 160, own_bytes: 0 });
        assert_eq!((found.finished_jobs, found.events), (1, 2));
        assert!(found.database_bytes > 0);
    }

    #[test]
    fn stopped_engine_keeps_what_its_jobs_need() {
        let (folder, database) = sample_database();
        for id in ["1-a", "2-b"] {
            let mut record = sample_record(id, 1);
            record.machine.apply(Event::CancelRequested);
            record.times.finished_ms = Some(2);
            database.insert(&record, &[], 1).unwrap();
        }
        database.insert(&sample_record("3-c", 1), &[], 1).unwrap();
        drop(database);
        let kept = folder.path().join("results");
        let key = "0".repeat(64);
        for place in [&format!("results/{key}/files"), "work/2-b"] {
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
            std::fs::write(folder.path().join(place).join("file"), "1234").unwrap();
        }
        let hash = blake3::hash(b"1234").to_hex();
        let file = serde_json::json!({"name": "file", "size_bytes": 4, "hash": hash.as_str()});
        let manifest = serde_json::json!({"version": 1, "files": [file]});
        std::fs::write(kept.join(&key).join("manifest.json"), manifest.to_string()).unwrap();
        let retention = Retention { jobs: Some(Duration::from_secs(60)), ..Retention::default() };
        let freed = free_stopped(folder.path(), &kept, retention).unwrap();
        assert_eq!(freed, Expired { jobs: 1, events: 0, encode_bytes: 4 });
        let database = Database::open(&folder.path().join("jobs.sqlite")).unwrap();
        assert!(database.get(&JobId::new("1-a")).is_err(), "it ended long ago");
        assert!(database.get(&JobId::new("2-b")).is_ok(), "it still has a work folder");
        assert!(database.get(&JobId::new("3-c")).is_ok(), "it has not ended");
        assert!(folder.path().join("work/2-b/file").exists() && !kept.join(key).exists());
    }
}
