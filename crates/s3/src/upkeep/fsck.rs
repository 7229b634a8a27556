//! `fsck`: compares the index of a stopped server with the blobs and labels, says what is wrong, and rebuilds the index.
//!
//! It works out the index as it should be, in a file of its own, and compares. Without `repair` it changes nothing that
//! is there. With it, the new index takes the place of the old one, which is kept, and unused files go to the
//! quarantine.

mod bytes;
mod old_index;
mod publications;
mod wanted;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::blobs::label::serial_of;
use crate::blobs::quarantine::{Quarantine, time_name};
use crate::blobs::{each_file_in, path_in};
use crate::error::{Error, Result};
use crate::index::record::signed;
use crate::upkeep::identity::{Found, Identity, Mark, find};
use crate::upkeep::opening::lock_folder;
use crate::upkeep::saved_buckets;

use old_index::OldIndex;
use wanted::{Totals, Wanted};

/// Distance between the serial numbers of a rebuilt index and those it knows of, because it cannot know of labels that
/// were written and removed again.
const SERIAL_MARGIN: i64 = 1 << 20;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FsckOptions {
    /// Whether to repair what is wrong.
    pub repair: bool,
    /// Whether to read all bytes and compare them with their checksums.
    pub verify: bool,
}

/// A kind of problem.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The index as a whole cannot be used.
    Index,
    /// A row of the index is damaged.
    DamagedRow,
    /// An object or part that only its label knows.
    MissingRow,
    /// A blob of an object or part is missing.
    MissingBlob,
    /// A blob of an object or part is too short.
    WrongSize,
    /// The bytes of an object or part are not those that were stored.
    WrongChecksum,
    /// An object or part has no label.
    MissingLabel,
    /// A label is damaged, or does not say what the index says.
    DamagedLabel,
    /// A file that no object uses.
    Orphan,
}

impl Problem {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::Index,
        Self::DamagedRow,
        Self::MissingRow,
        Self::MissingBlob,
        Self::WrongSize,
        Self::WrongChecksum,
        Self::MissingLabel,
        Self::DamagedLabel,
        Self::Orphan,
    ];

    /// Returns the name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index unusable",
            Self::DamagedRow => "damaged rows",
            Self::MissingRow => "missing rows",
            Self::MissingBlob => "missing blobs",
            Self::WrongSize => "wrong sizes",
            Self::WrongChecksum => "wrong checksums",
            Self::MissingLabel => "missing labels",
            Self::DamagedLabel => "damaged labels",
            Self::Orphan => "unused files",
        }
    }
}

/// A problem of one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What kind of problem it is.
    pub problem: Problem,
    /// The object, part or file.
    pub name: String,
    /// What exactly is wrong, and what a repair does about it.
    pub detail: String,
}

/// What a repair did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// Where the old index is kept; `None` if there was none.
    pub old_index: Option<PathBuf>,
    /// Where unused files were moved; `None` if there were none.
    pub quarantine: Option<PathBuf>,
}

/// The result of a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FsckReport {
    /// Number of objects that can be read.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Number of parts of uploads in progress that can be read.
    pub parts: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was repaired; `None` if nothing was.
    pub repaired: Option<Repaired>,
}

impl FsckReport {
    fn add(&mut self, problem: Problem, name: impl Into<String>, detail: impl Into<String>) {
        self.findings.push(Finding { problem, name: name.into(), detail: detail.into() });
    }

    /// Returns the number of problems of a kind.
    pub fn count(&self, problem: Problem) -> usize {
        self.findings.iter().filter(|finding| finding.problem == problem).count()
    }

    /// Returns whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A folder for working files, removed at the end.
struct Workplace(PathBuf);

impl Workplace {
    fn make(dir: &Path) -> Result<Self> {
        let folder = dir.join("fsck.tmp");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the working files");
        }
    }
}

/// Checks the endpoint's folder, and repairs it if `options` say so. Blocking.
///
/// # Errors
/// Returns [`crate::ErrorKind::InUse`] if a server has the folder open, and [`crate::ErrorKind::Denied`] if a newer
/// version wrote it. Fails on a disk error.
pub fn fsck(dir: &Path, options: FsckOptions) -> Result<FsckReport, Error> {
    let _lock = lock_folder(dir)?;
    let blobs = dir.join("blobs");
    let workplace = Workplace::make(dir)?;
    let mut report = FsckReport::default();
    let found = find(dir)?;
    let old = OldIndex::open(dir, &workplace.0, &found, &mut report)?;
    let wanted_path = workplace.0.join("wanted.db");
    let mut wanted = Wanted::create(&wanted_path, &blobs, folder_id(&found, &old, &blobs)?)?;
    let saved = saved_buckets::read(dir)?.unwrap_or_default();
    if old.is_trusted() {
        wanted.take_rows(&old, &saved, &mut report)?;
    } else {
        wanted.take_labels(&mut report)?;
        wanted.add_rows(&old, &mut report)?;
        wanted.take_buckets(saved)?;
    }
    wanted.finish()?;
    let orphans = orphans(&wanted.database, &blobs, &old)?;
    for name in &orphans.told {
        report.add(Problem::Orphan, name, "no object uses it; a repair moves it to the quarantine");
    }
    let Totals { objects, bytes, parts } = wanted.totals()?;
    (report.objects, report.bytes, report.parts) = (objects, bytes, parts);
    if options.verify {
        bytes::verify(&wanted.database, &blobs, &mut report)?;
    }
    let is_repairable = report.findings.iter().any(|finding| finding.problem != Problem::WrongChecksum);
    if options.repair && is_repairable {
        let identity = wanted.seal(&next_identity(&found, &old, &wanted))?;
        drop(wanted);
        report.repaired = Some(put_in_place(dir, &wanted_path, identity, &orphans.all)?);
    }
    Ok(report)
}

/// Returns the id of the data folder: that of the mark, otherwise of the index, otherwise of the newest label.
fn folder_id(found: &Found, old: &OldIndex, blobs: &Path) -> Result<Option<String>> {
    if let Found::Mark(mark) = found {
        return Ok(Some(mark.folder.clone()));
    }
    match old.identity() {
        Some(identity) if old.is_trusted() => Ok(Some(identity.folder.clone())),
        _ => wanted::folder_of_labels(blobs),
    }
}

/// Returns an identity that is as new as all that is known.
fn next_identity(found: &Found, old: &OldIndex, wanted: &Wanted) -> Identity {
    let mark = if let Found::Mark(mark) = found { Some(mark) } else { None };
    let known: Vec<&Identity> = mark.into_iter().chain(old.identity()).collect();
    let most = |of: fn(&Identity) -> i64| known.iter().map(|identity| of(identity)).fold(0, i64::max);
    let margin = if old.is_trusted() { 0 } else { SERIAL_MARGIN };
    Identity {
        folder: wanted.folder.clone(),
        generation: most(|identity| identity.generation),
        changes: most(|identity| identity.changes) + 1,
        serial: most(|identity| identity.serial).max(wanted.serial) + margin,
    }
}

/// Files that the index as it should be does not use.
struct Orphans {
    /// All of them.
    all: Vec<String>,
    /// Those that are not just waiting for a sweep.
    told: Vec<String>,
}

fn orphans(wanted: &Connection, blobs: &Path, old: &OldIndex) -> Result<Orphans> {
    let mut orphans = Orphans { all: Vec::new(), told: Vec::new() };
    let mut blob = wanted.prepare("SELECT 1 FROM blobs WHERE id = ?1")?;
    let mut label = wanted.prepare("SELECT 1 FROM labels WHERE name = ?1")?;
    for shard in 0..=255_u8 {
        let mut names = Vec::new();
        each_file_in(blobs, shard, |name, _| names.push(name))?;
        for name in names {
            let statement = if serial_of(&name).is_some() { &mut label } else { &mut blob };
            if !statement.exists([&name])? {
                if !old.is_to_be_swept(&name)? {
                    orphans.told.push(name.clone());
                }
                orphans.all.push(name);
            }
        }
    }
    orphans.told.sort();
    Ok(orphans)
}

/// Puts the new index in the place of the old one, and unused files into the quarantine. A crash in between leaves no
/// index, which a server refuses, and the next repair finds all that this one had found.
fn put_in_place(dir: &Path, new: &Path, identity: Identity, orphans: &[String]) -> Result<Repaired> {
    File::open(new)?.sync_all()?;
    let kept = dir.join(format!("index-before-{}", time_name()));
    let old: Vec<&str> = ["index.db", "index.db-wal", "index.db-shm"]
        .into_iter()
        .filter(|name| dir.join(name).exists())
        .collect();
    if !old.is_empty() {
        std::fs::create_dir(&kept)?;
        // The log goes last: without its database it cannot be taken for the log of the new one.
        for name in &old {
            std::fs::rename(dir.join(name), kept.join(name))?;
        }
    }
    std::fs::rename(new, dir.join("index.db"))?;
    File::open(dir)?.sync_all()?;
    Mark::write(dir, identity)?;
    let index = Connection::open(dir.join("index.db"))?;
    saved_buckets::save(&index, dir)?;
    let mut quarantine = Quarantine::now(dir);
    for name in orphans {
        quarantine.take(&path_in(&dir.join("blobs"), name))?;
    }
    Ok(Repaired {
        old_index: (!old.is_empty()).then_some(kept),
        quarantine: (quarantine.files > 0).then(|| quarantine.folder().to_owned()),
    })
}

/// Returns why the pieces cannot be read from the blobs, if so.
fn missing(blobs: &Path, pieces: &[crate::index::record::Piece]) -> Result<Option<(Problem, String)>> {
    for piece in pieces {
        match std::fs::metadata(path_in(blobs, &piece.blob)) {
            Ok(file) if signed(file.len()) >= signed(piece.offset.saturating_add(piece.length)) => {}
            Ok(file) => {
                let needed = piece.offset.saturating_add(piece.length);
                let detail = format!("blob `{}` has {} of {needed} bytes", piece.blob, file.len());
                return Ok(Some((Problem::WrongSize, detail)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Some((Problem::MissingBlob, format!("blob `{}` is missing", piece.blob))));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
