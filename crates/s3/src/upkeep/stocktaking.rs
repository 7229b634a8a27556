//! Compares the files beside each other with the index at the start, and moves what nothing uses to the quarantine.
//!
//! It must run before anyone writes. If the index shows any damage, it moves nothing.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Row};

use crate::blobs::Blobs;
use crate::blobs::label::serial_of;
use crate::blobs::quarantine::Quarantine;
use crate::error::Result;
use crate::index::Index;
use crate::index::record::{OBJECT_COLUMNS, ObjectRecord, Piece, StoredObject, from_text};
use crate::multipart::PartContent;
use crate::upkeep::saved_buckets;

/// How many names a log line has.
const NAMES_TOLD: usize = 10;

/// What the comparison found.
#[derive(Default)]
pub(crate) struct Stock {
    /// Files of blobs and labels that the index does not know.
    pub orphans: HashSet<String>,
    /// Blobs that the index refers to and that are not there.
    pub lost_blobs: HashSet<String>,
    /// Labels that the index refers to and that are not there.
    pub lost_labels: HashSet<String>,
    /// Blobs that are there and that the index counts as unused.
    pub unused: HashSet<String>,
    /// Orphans and unused blobs that an object or part refers to after all.
    pub wanted: HashSet<String>,
    /// Objects and parts whose bytes are not all there.
    pub broken: Vec<String>,
    /// Sizes of the blobs that the index knows.
    sizes: HashMap<String, u64>,
    /// Rows that cannot be read, or are not what was written.
    pub damaged: Vec<String>,
    /// The greatest serial number of a label's file.
    pub serial: i64,
}

/// Lists the files of all shards and compares them, and the rows, with each other. Blocking.
pub(crate) fn take(index: &Index, blobs: &Blobs) -> Result<Stock> {
    index.read_now(|reader| {
        let mut stock = Stock::default();
        for shard in 0..=255_u8 {
            let mut files = HashSet::new();
            blobs.each_file(shard, |name, file| {
                if serial_of(&name).is_none()
                    && let Ok(file) = file.metadata()
                {
                    stock.sizes.insert(name.clone(), file.len());
                }
                files.insert(name);
            })?;
            let serials = files.iter().filter_map(|name| serial_of(name));
            stock.serial = serials.fold(stock.serial, i64::max);
            known(reader, "SELECT id, refs FROM blobs WHERE", "id", shard, |name, refs| {
                match (files.remove(&name), refs > 0) {
                    (false, true) => stock.lost_blobs.insert(name),
                    (true, false) => stock.unused.insert(name),
                    _ => false,
                };
            })?;
            known(reader, "SELECT name, used FROM labels WHERE", "name", shard, |name, used| {
                if !files.remove(&name) && used > 0 {
                    stock.lost_labels.insert(name);
                }
            })?;
            stock.orphans.extend(files);
        }
        stock.read_rows(reader)?;
        stock.sizes = HashMap::new();
        Ok(stock)
    })
}

/// Calls `each` with the names of a table that belong to a shard.
fn known(
    reader: &Connection,
    select: &str,
    column: &str,
    shard: u8,
    mut each: impl FnMut(String, i64),
) -> Result<()> {
    let prefix = format!("{shard:02x}");
    // `g` comes after every hexadecimal digit and the dot.
    let sql = format!("{select} {column} >= ?1 AND {column} < ?2");
    let mut statement = reader.prepare_cached(&sql)?;
    let mut rows = statement.query([&prefix, &format!("{prefix}g")])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

impl Stock {
    /// Reads every object and part, and what publications keep: is it what was written, and are its bytes there?
    fn read_rows(&mut self, reader: &Connection) -> Result<()> {
        let objects = format!("SELECT {OBJECT_COLUMNS}, rowid FROM objects");
        // They may have to stand again.
        let replaced = format!("SELECT {OBJECT_COLUMNS} FROM replaced");
        for sql in [objects, replaced] {
            let mut statement = reader.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                match StoredObject::read(row) {
                    Ok((bucket, key, object)) => {
                        self.check(&object.record.pieces, || format!("{bucket}/{key}"));
                    }
                    Err(_) => self.damaged.push(name_of(row)),
                }
            }
        }
        let staged =
            "SELECT bucket, key, record FROM staged JOIN publications ON publications.id = staged.publication
            WHERE publications.first IS NULL";
        let mut statement = reader.prepare(staged)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match row.get::<_, String>(2).and_then(|text| from_text::<ObjectRecord>(&text)) {
                Ok(record) => self.check(&record.pieces, || name_of(row)),
                Err(_) => self.damaged.push(name_of(row)),
            }
        }
        self.damaged.extend(missing_buckets(reader)?.into_iter().map(|name| format!("bucket {name}")));
        let rules = saved_buckets::of_index(reader)?.damaged;
        self.damaged
            .extend(rules.into_iter().map(|(name, rules)| format!("{} of bucket {name}", rules.column())));
        let mut statement = reader.prepare("SELECT upload, number, record FROM parts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name = || {
                let number = row.get::<_, i64>(1).unwrap_or(0);
                format!("part {number} of upload {}", row.get::<_, String>(0).unwrap_or_default())
            };
            let content = row.get::<_, String>(2).and_then(|text| from_text::<PartContent>(&text));
            match content {
                Ok(content) => self.check(&content.pieces, name),
                Err(_) => self.damaged.push(name()),
            }
        }
        Ok(())
    }

    fn check(&mut self, pieces: &[Piece], name: impl Fn() -> String) {
        let mut is_broken = false;
        for piece in pieces {
            let end = piece.offset.saturating_add(piece.length);
            let is_short = self.sizes.get(&piece.blob).is_some_and(|size| *size < end);
            is_broken |= is_short || self.lost_blobs.contains(&piece.blob);
            if self.orphans.contains(&piece.blob) || self.unused.contains(&piece.blob) {
                self.wanted.insert(piece.blob.clone());
            }
        }
        if is_broken {
            self.broken.push(name());
        }
    }

    /// Returns whether the index is in order, so that what it does not know is unused.
    pub(crate) fn is_trusted(&self) -> bool {
        self.damaged.is_empty() && self.wanted.is_empty()
    }

    /// Tells what is missing or damaged.
    pub(crate) fn tell(&self) {
        let hint = "run `abanico s3 fsck` on the stopped server's data folder to see all, with --verify for their bytes too";
        if !self.broken.is_empty() {
            let names = told(&self.broken);
            tracing::error!(objects = self.broken.len(), names, hint, "objects have lost bytes");
        }
        if !self.damaged.is_empty() {
            let names = told(&self.damaged);
            tracing::error!(rows = self.damaged.len(), names, hint, "rows of the index are damaged");
        }
        if !self.wanted.is_empty() {
            tracing::error!(
                blobs = self.wanted.len(),
                hint,
                "the index does not count blobs that objects use"
            );
        }
        if !self.lost_labels.is_empty() {
            let labels = self.lost_labels.len();
            tracing::warn!(labels, "labels beside the blobs are missing; they are written again");
        }
    }

    /// Moves the orphans to the quarantine, and tells. Moves nothing if the index is not in order. Blocking.
    pub(crate) fn put_orphans_away(&self, blobs: &Blobs, days: u32) -> Result<()> {
        if self.orphans.is_empty() {
            return Ok(());
        }
        if !self.is_trusted() {
            let files = self.orphans.len();
            tracing::warn!(
                files,
                "files that no object uses stay where they are, because the index is not in order"
            );
            return Ok(());
        }
        let mut quarantine = Quarantine::now(blobs.root());
        for name in &self.orphans {
            quarantine.take(&blobs.path(name))?;
        }
        let (files, size_bytes) = (quarantine.files, quarantine.bytes);
        let path = quarantine.folder().display();
        tracing::warn!(files, size_bytes, %path, days, "moved files that no object uses to the quarantine");
        Ok(())
    }

    /// Notes which objects and parts have no label any more, so that they get new ones. Blocking.
    pub(crate) fn forget_lost_labels(&self, index: &Index) -> Result<()> {
        if self.lost_labels.is_empty() {
            return Ok(());
        }
        index.write_now(|transaction| {
            for name in &self.lost_labels {
                transaction.prepare_cached("DELETE FROM labels WHERE name = ?1")?.execute([name])?;
            }
            for table in ["objects", "parts"] {
                let sql =
                    format!("UPDATE {table} SET label = NULL WHERE label NOT IN (SELECT name FROM labels)");
                transaction.execute(&sql, [])?;
            }
            Ok(())
        })
    }
}

/// Returns the names of buckets that have objects and no row: nobody could reach them.
pub(crate) fn missing_buckets(reader: &Connection) -> Result<Vec<String>> {
    let sql =
        "SELECT DISTINCT CAST(bucket AS TEXT) FROM objects WHERE bucket NOT IN (SELECT name FROM buckets)";
    let mut statement = reader.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

fn name_of(row: &Row<'_>) -> String {
    let text = |column| row.get::<_, String>(column).unwrap_or_else(|_| "?".to_owned());
    format!("{}/{}", text(0), text(1))
}

fn told(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_TOLD);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
