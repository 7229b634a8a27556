//! What a backup needs of the data folder while a server uses it: copies of databases as they were at one instant, and
//! blobs that stay until they are copied.
//!
//! It talks to no server: SQLite's own locks and one locked file are enough.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest};
use rusqlite::{Connection, OpenFlags, backup};

use crate::blobs::label::{seal, unseal};
use crate::blobs::open_pin;
use crate::error::{Error, Result};
use crate::upkeep::identity::Mark;
use crate::upkeep::judgement::{Claim, claim};
use crate::upkeep::saved_buckets;

/// How long a copy waits for a transaction of the server to end.
const WAIT: Duration = Duration::from_secs(60);

/// Keeps all blobs and labels of the endpoint's folder from being removed until it is dropped.
pub struct Pin {
    _file: File,
}

impl Pin {
    /// Pins the folder, after a running sweep has ended. Blocking.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn set(dir: &Path) -> Result<Self, Error> {
        let file = open_pin(dir)?;
        file.lock_shared()?;
        Ok(Self { _file: file })
    }
}

/// Copies databases to new files, all as they were at one instant. Others may use them meanwhile. Blocking.
///
/// At that instant no transaction is open in any of them. So the copies together are what a power cut at that instant
/// would have left, from which every program that uses them can go on.
///
/// # Errors
/// Fails if a file is no database, is locked for a minute, or on a disk error.
pub fn snapshot_databases(copies: &[(PathBuf, PathBuf)]) -> Result<(), Error> {
    let open = |path: &Path| -> Result<Connection> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(WAIT)?;
        Ok(connection)
    };
    let sources =
        copies.iter().map(|(from, _)| Ok((open(from)?, open(from)?))).collect::<Result<Vec<_>>>()?;
    for (writer, _) in &sources {
        writer.execute_batch("BEGIN IMMEDIATE")?;
    }
    for (_, reader) in &sources {
        // A read transaction begins with the first read.
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_master")?;
    }
    for (writer, _) in &sources {
        writer.execute_batch("ROLLBACK")?;
    }
    for ((_, reader), (_, to)) in sources.iter().zip(copies) {
        let mut copy = Connection::open(to)?;
        let run = backup::Backup::new(reader, &mut copy)?;
        // All pages in one step, from the one read transaction.
        if run.step(-1)? != backup::StepResult::Done {
            return Err(Error::unavailable("copy a database", "it is locked"));
        }
        drop(run);
        // Without a log, the copy is one file, whoever reads it.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        drop(copy);
        File::open(to)?.sync_all()?;
    }
    Ok(())
}

/// Makes a copied index complete: writes the mark and the list of buckets beside it. Returns the names of the files
/// below the endpoint's folder that the index refers to. Blocking.
///
/// # Errors
/// Fails if the index cannot be read, or on a disk error.
pub fn files_of_index(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let index = Connection::open_with_flags(dir.join("index.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let blobs = Path::new("blobs");
    std::fs::create_dir_all(dir.join(blobs))?;
    let mut files = Vec::new();
    let mut name = |text: String| {
        let shard = text.get(..2).unwrap_or(&text);
        files.push(blobs.join(shard).join(&text));
    };
    let mut sources = vec!["SELECT id FROM blobs WHERE refs > 0"];
    if let Claim::Marked(identity) = claim(&index)? {
        Mark::write(dir, identity)?;
        sources.push("SELECT name FROM labels WHERE used > 0");
    }
    for sql in sources {
        let mut statement = index.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            name(row.get(0)?);
        }
    }
    saved_buckets::save(&index, dir)?;
    Ok(files)
}

/// Adds a checksum to a text, so that [`unsealed`] notices any damage. The text must be one line.
pub fn sealed(text: &str) -> Vec<u8> {
    seal(text)
}

/// Returns the text of [`sealed`]; `None` if it is damaged.
pub fn unsealed(bytes: &[u8]) -> Option<&str> {
    unseal(bytes)
}

/// A reader that computes the size and the checksum of what it reads.
pub struct Summed<R> {
    inner: R,
    size: u64,
    digest: Digest,
}

impl<R: Read> Summed<R> {
    /// Wraps a reader.
    pub fn new(inner: R) -> Self {
        Self { inner, size: 0, digest: Digest::new(CrcAlgorithm::Crc64Nvme) }
    }

    /// Returns the number of bytes read and their checksum.
    pub fn finish(self) -> (u64, String) {
        (self.size, format!("{:016x}", self.digest.finalize()))
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A writer always changes the first database before the second: no copy may have the second change alone.
    #[test]
    fn copies_are_of_one_instant() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["first", "second"].map(|name| folder.path().join(name));
        // Databases between the two give the writer time to be noticed.
        let between: Vec<PathBuf> =
            (0..100).map(|number| folder.path().join(format!("between {number}"))).collect();
        let open = |path: &PathBuf| {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(WAIT).unwrap();
            connection.pragma_update(None, "journal_mode", "WAL").unwrap();
            connection
        };
        for path in paths.iter().chain(&between) {
            open(path).execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)").unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (stop, paths) = (stop.clone(), paths.clone());
            move || {
                let connections = paths.map(|path| {
                    let connection = Connection::open(path).unwrap();
                    connection.busy_timeout(WAIT).unwrap();
                    connection.pragma_update(None, "synchronous", "OFF").unwrap();
                    connection
                });
                while !stop.load(Ordering::SeqCst) {
                    for connection in &connections {
                        connection.execute("UPDATE t SET n = n + 1", []).unwrap();
                    }
                }
            }
        });
        for round in 0..5 {
            let sources = [&paths[0]].into_iter().chain(&between).chain([&paths[1]]);
            let copies = sources.map(|path| (path.clone(), path.with_extension(round.to_string())));
            let copies: Vec<_> = copies.collect();
            snapshot_databases(&copies).unwrap();
            let count = |path: &PathBuf| {
                let copy = Connection::open(path).unwrap();
                copy.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
            };
            let (first, second) = (count(&copies[0].1), count(&copies[copies.len() - 1].1));
            assert!(first == second || first == second + 1, "{first} and {second}");
        }
        stop.store(true, Ordering::SeqCst);
        writer.join().unwrap();
    }
}
