//! The index as `fsck` finds it: works on a copy, so that nothing of the original changes.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::{FsckReport, Problem};
use crate::ErrorKind;
use crate::blobs::label::serial_of;
use crate::error::Result;
use crate::index::record::{OBJECT_COLUMNS, StoredObject, from_text};
use crate::index::schema::migrate;
use crate::multipart::PartContent;
use crate::upkeep::identity::{Found, Identity};
use crate::upkeep::judgement::{Claim, Lost, claim, compare, damage};
use crate::upkeep::saved_buckets;
use crate::upkeep::stocktaking::missing_buckets;

/// The old index, as far as it can be read.
pub(super) struct OldIndex {
    /// `None` if it cannot be opened.
    pub database: Option<Connection>,
    identity: Option<Identity>,
    is_trusted: bool,
    is_current: bool,
}

impl OldIndex {
    /// Copies the index into `workplace` and opens the copy. Reports what is wrong with the index as a whole.
    pub(super) fn open(dir: &Path, workplace: &Path, found: &Found, report: &mut FsckReport) -> Result<Self> {
        let lost = |lost: Lost| (Problem::Index, "index.db".to_owned(), lost.text());
        let nothing = Self { database: None, identity: None, is_trusted: false, is_current: false };
        let original = dir.join("index.db");
        if !std::fs::metadata(&original).is_ok_and(|file| file.len() > 0) {
            let (problem, name, detail) = lost(Lost::Missing);
            report.add(problem, name, detail);
            return Ok(nothing);
        }
        let copy = workplace.join("index.db");
        std::fs::copy(&original, &copy)?;
        let log = dir.join("index.db-wal");
        if log.exists() {
            std::fs::copy(&log, workplace.join("index.db-wal"))?;
        }
        match Self::examined(&copy, found) {
            Ok((old, None)) => Ok(old.with_rows_checked(report)?),
            Ok((old, Some(why))) => {
                let (problem, name, detail) = lost(why);
                report.add(problem, name, detail);
                Ok(old)
            }
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let cause =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                let (problem, name, detail) = lost(Lost::Damaged(cause));
                report.add(problem, name, detail);
                Ok(nothing)
            }
            Err(error) => Err(error),
        }
    }

    fn examined(path: &Path, found: &Found) -> Result<(Self, Option<Lost>)> {
        let mut database = Connection::open(path)?;
        database.busy_timeout(Duration::from_secs(10))?;
        let damage = damage(&database)?.map(Lost::Damaged);
        let claimed = claim(&database)?;
        let lost = damage.or_else(|| compare(&claimed, found, true));
        if claimed == Claim::Empty {
            return Ok((Self { database: None, identity: None, is_trusted: false, is_current: false }, lost));
        }
        migrate(&mut database)?;
        let identity = match claimed {
            Claim::Marked(identity) if lost != Some(Lost::OtherFolder) => Some(identity),
            _ => None,
        };
        // Another folder's index says nothing about these blobs.
        let database = (lost != Some(Lost::OtherFolder)).then_some(database);
        let is_trusted = lost.is_none();
        let is_current = match (&identity, found) {
            (Some(index), Found::Mark(mark)) => index.changes >= mark.changes,
            _ => is_trusted,
        };
        Ok((Self { database, identity, is_trusted, is_current }, lost))
    }

    /// Reads all rows of objects. One that is damaged makes the index untrusted: then the labels decide.
    fn with_rows_checked(mut self, report: &mut FsckReport) -> Result<Self> {
        let mut damaged = 0;
        self.each_object(|row| {
            if let Err(name) = row {
                damaged += 1;
                let detail = "the row is not what was written; a repair takes the object from its label";
                report.add(Problem::DamagedRow, name, detail);
            }
            Ok(())
        })?;
        let buckets = self.database.as_ref().filter(|_| self.is_trusted).map(missing_buckets).transpose()?;
        for name in buckets.unwrap_or_default() {
            damaged += 1;
            let detail = "the bucket has objects and no row; a repair takes it from `blobs/buckets`";
            report.add(Problem::DamagedRow, format!("bucket {name}"), detail);
        }
        if let Some(database) = self.database.as_ref().filter(|_| self.is_trusted) {
            for (name, rules) in saved_buckets::of_index(database)?.damaged {
                let detail = "the rules are not what was written; a repair takes them from `blobs/buckets`";
                report.add(Problem::DamagedRow, format!("{} of bucket {name}", rules.column()), detail);
            }
        }
        for name in self.damaged_parts()? {
            damaged += 1;
            let detail = "the row is not what was written; a repair takes the part from its label";
            report.add(Problem::DamagedRow, name, detail);
        }
        self.is_trusted &= damaged == 0;
        Ok(self)
    }

    fn damaged_parts(&self) -> Result<Vec<String>> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let mut statement = database.prepare("SELECT upload, number, record FROM parts")?;
        let mut rows = statement.query([])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            if row.get::<_, String>(2).and_then(|text| from_text::<PartContent>(&text)).is_err() {
                let upload = row.get::<_, String>(0).unwrap_or_default();
                names.push(format!("part {} of upload {upload}", row.get::<_, i64>(1).unwrap_or(0)));
            }
        }
        Ok(names)
    }

    /// Returns whether the index decides which objects there are. Otherwise the labels do.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// Returns whether the index has every change. If not, objects in it may have been removed since.
    pub(super) fn is_current(&self) -> bool {
        self.is_current
    }

    /// Returns what the index says about itself, if it is of this data folder.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Calls `each` with every object, or with the name of a row that cannot be read. Stops where the file is damaged.
    pub(super) fn each_object(
        &self,
        mut each: impl FnMut(std::result::Result<(String, String, StoredObject), String>) -> Result<()>,
    ) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let mut statement = database.prepare(&format!("SELECT {OBJECT_COLUMNS} FROM objects"))?;
        let mut rows = statement.query([])?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(_) if !self.is_trusted => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let text = |column| row.get::<_, String>(column).unwrap_or_else(|_| "?".to_owned());
            each(StoredObject::read(row).map_err(|_| format!("{}/{}", text(0), text(1))))?;
        }
    }

    /// Returns whether the index knows a file as unused, so that a sweep will remove it.
    pub(super) fn is_to_be_swept(&self, name: &str) -> Result<bool> {
        let Some(database) = self.database.as_ref().filter(|_| self.is_trusted) else { return Ok(false) };
        let sql = match serial_of(name) {
            Some(_) => "SELECT 1 FROM labels WHERE name = ?1 AND used = 0",
            None => "SELECT 1 FROM blobs WHERE id = ?1 AND refs = 0",
        };
        Ok(database.prepare_cached(sql)?.exists([name])?)
    }
}
