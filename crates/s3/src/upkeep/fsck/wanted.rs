//! The index as it should be, worked out from the old index and the labels.
//!
//! If the old index can be trusted, it decides which objects there are. If not, the labels do: of two labels of one
//! object the newer one, and the old index adds only objects without a label. If that index is not current, an object
//! whose label is gone was removed since, unless its bytes are there for no other object.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::old_index::OldIndex;
use super::{FsckReport, Problem, missing, publications};
use crate::blobs::label::{Label, Labelled, LabelledObject, LabelledPart, serial_of};
use crate::blobs::{each_file_in, path_in};
use crate::error::{Error, Result};
use crate::index::commit::{labelled_object, retain, use_label};
use crate::index::record::{ObjectRecord, Piece, StoredObject, find_object, from_text, to_text};
use crate::index::schema::migrate;
use crate::multipart::{PartContent, StoredPart, write_part};
use crate::upkeep::identity::Identity;
use crate::upkeep::saved_buckets::{self, SavedBucket};

/// The new index in the making.
pub(super) struct Wanted {
    pub database: Connection,
    pub folder: String,
    /// The greatest serial number of a label's file.
    pub serial: i64,
    blobs: PathBuf,
    /// The newest version of each object whose bytes are not all there, with its age.
    broken: HashMap<(String, String), (i64, Problem, String)>,
}

/// Tables that are copied as they are, with their columns.
const COPIED: [(&str, &str); 4] = [
    ("triggers", "id, bucket, prefix, suffix, function, events"),
    (
        "outbox",
        "id, bucket, key, sequencer, event_name, event, function, configuration_id, attempts, last_error,
         next_attempt_ms, dead, created_ms, away",
    ),
    ("notified", "sequencer, function"),
    ("clock", "seen_ms"),
];

/// Returns the data folder that the newest label names.
pub(super) fn folder_of_labels(blobs: &Path) -> Result<Option<String>> {
    let mut newest: Option<(i64, String)> = None;
    for name in label_names(blobs)? {
        let serial = serial_of(&name).unwrap_or(0);
        if newest.as_ref().is_none_or(|(newest, _)| serial > *newest)
            && let Some(label) = read_label(blobs, &name)?
        {
            newest = Some((serial, label.folder));
        }
    }
    Ok(newest.map(|(_, folder)| folder))
}

fn label_names(blobs: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for shard in 0..=255_u8 {
        each_file_in(blobs, shard, |name, _| {
            if serial_of(&name).is_some() {
                names.push(name);
            }
        })?;
    }
    Ok(names)
}

fn read_label(blobs: &Path, name: &str) -> Result<Option<Label>> {
    Ok(Label::decode(&std::fs::read(path_in(blobs, name))?))
}

/// What an index has in all.
pub(super) struct Totals {
    pub objects: u64,
    /// Size of the objects.
    pub bytes: u64,
    /// Parts of unfinished uploads.
    pub parts: u64,
}

impl LabelledObject {
    fn stored(self, label: String) -> (String, String, StoredObject) {
        let object = StoredObject {
            size: self.size,
            etag: self.etag,
            modified_ms: self.modified_ms,
            sequencer: self.sequencer,
            event_name: self.event_name,
            record: self.record,
            label: Some(label),
        };
        (self.bucket, self.key, object)
    }
}

/// Returns a number that is greater for the later of two versions of an object.
fn age(object: &StoredObject) -> i64 {
    let of_label = object.label.as_deref().and_then(serial_of);
    of_label.or_else(|| i64::from_str_radix(&object.sequencer, 16).ok()).unwrap_or(0)
}

impl Wanted {
    /// Creates an empty index for the blobs of a data folder; without an id, of a new one.
    pub(super) fn create(path: &Path, blobs: &Path, folder: Option<String>) -> Result<Self> {
        let mut database = Connection::open(path)?;
        database.pragma_update(None, "journal_mode", "OFF")?;
        database.pragma_update(None, "synchronous", "OFF")?;
        migrate(&mut database)?;
        if let Some(folder) = folder {
            database.execute("UPDATE identity SET folder = ?1", [folder])?;
        }
        let folder = database.query_row("SELECT folder FROM identity", [], |row| row.get(0))?;
        database.execute_batch("CREATE TEMP TABLE completed (upload TEXT PRIMARY KEY); BEGIN")?;
        Ok(Self { database, folder, serial: 0, blobs: blobs.to_owned(), broken: HashMap::new() })
    }

    /// Takes the objects and parts of a trusted index whose bytes are there.
    /// `saved` are the buckets as their file lists them.
    pub(super) fn take_rows(
        &mut self,
        old: &OldIndex,
        saved: &[SavedBucket],
        report: &mut FsckReport,
    ) -> Result<()> {
        for name in label_names(&self.blobs)? {
            self.serial = self.serial.max(serial_of(&name).unwrap_or(0));
        }
        old.each_object(|row| {
            let Ok((bucket, key, mut object)) = row else { return Ok(()) };
            let name = format!("{bucket}/{key}");
            if let Some((problem, detail)) = missing(&self.blobs, &object.record.pieces)? {
                report.add(problem, name, lost(&detail));
                return Ok(());
            }
            self.check_label(&name, &bucket, &key, &mut object, report)?;
            object.write(&self.database, &bucket, &key)
        })?;
        let Some(database) = &old.database else { return Ok(()) };
        self.take_buckets(saved_buckets::of_index(database)?.mended(saved))?;
        self.copy(database, "uploads", "id, bucket, key, created_ms, record, completed")?;
        for (table, columns) in COPIED {
            self.copy(database, table, columns)?;
        }
        publications::take(&self.database, database, &self.blobs, report)?;
        let mut statement =
            database.prepare("SELECT upload, number, size, etag, modified_ms, record, label FROM parts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, number): (String, i32) = (row.get(0)?, row.get(1)?);
            let content: PartContent = from_text(&row.get::<_, String>(5)?)?;
            let name = format!("part {number} of upload {id}");
            if let Some((problem, detail)) = missing(&self.blobs, &content.pieces)? {
                report.add(problem, name, lost(&detail));
                continue;
            }
            let mut label: Option<String> = row.get(6)?;
            if let Some(file) = label.take_if(|file| !path_in(&self.blobs, file).exists()) {
                let detail =
                    format!("label `{file}` is missing: a lost index could not be rebuilt with this part");
                report.add(Problem::MissingLabel, name, detail);
            }
            let size = row.get::<_, i64>(2)?.unsigned_abs();
            let part =
                StoredPart { number, size, etag: row.get(3)?, modified_ms: row.get(4)?, content, label };
            write_part(&self.database, &id, &part)?;
        }
        Ok(())
    }

    /// Compares the label of an object with its row. A label that is not as it should be is forgotten, so that the
    /// server writes a new one.
    fn check_label(
        &self,
        name: &str,
        bucket: &str,
        key: &str,
        object: &mut StoredObject,
        report: &mut FsckReport,
    ) -> Result<()> {
        let Some(file) = &object.label else {
            let detail = "a lost index could not be rebuilt with it; the next start of the server writes it";
            report.add(Problem::MissingLabel, name, detail);
            return Ok(());
        };
        let (problem, detail) = if !path_in(&self.blobs, file).exists() {
            (Problem::MissingLabel, format!("label `{file}` is missing"))
        } else {
            let says = |upload| labelled_object(bucket, key, object, upload);
            match read_label(&self.blobs, file)? {
                None => (Problem::DamagedLabel, format!("label `{file}` is damaged")),
                Some(label) if label.what == says(None) || is_of_upload(&label, &says) => return Ok(()),
                Some(_) => {
                    (Problem::DamagedLabel, format!("label `{file}` does not say what the index says"))
                }
            }
        };
        report.add(
            problem,
            name,
            format!("{detail}; after a repair, the next start of the server writes it"),
        );
        object.label = None;
        Ok(())
    }

    /// Takes all objects and parts that labels describe and whose bytes are there.
    pub(super) fn take_labels(&mut self, report: &mut FsckReport) -> Result<()> {
        let mut parts = Vec::new();
        for name in label_names(&self.blobs)? {
            self.serial = self.serial.max(serial_of(&name).unwrap_or(0));
            let Some(label) = read_label(&self.blobs, &name)? else {
                report.add(Problem::DamagedLabel, name, "what it described cannot be rebuilt from it");
                continue;
            };
            if label.folder != self.folder {
                report.add(Problem::DamagedLabel, name, "it is the label of another data folder");
                continue;
            }
            match label.what {
                Labelled::Object(object) => self.take_object(*object, name)?,
                Labelled::Part(part) => parts.push((*part, label.serial, name)),
            }
        }
        self.tell_broken(report)?;
        parts.sort_by_key(|(_, serial, _)| *serial);
        for (part, _, name) in parts {
            self.take_part(part, name, report)?;
        }
        Ok(())
    }

    /// Takes an object whose bytes are there, unless a newer one with its key is there. A power cut may leave the label of
    /// an upload that was never acknowledged without its bytes: then what stood there before still stands.
    fn take_object(&mut self, object: LabelledObject, label: String) -> Result<()> {
        if let Some(upload) = &object.upload {
            self.database.execute("INSERT OR IGNORE INTO completed VALUES (?1)", [upload])?;
        }
        let (bucket, key, object) = object.stored(label);
        if let Some((problem, detail)) = missing(&self.blobs, &object.record.pieces)? {
            let newest = self.broken.entry((bucket, key)).or_insert((i64::MIN, problem, String::new()));
            if newest.0 < age(&object) {
                *newest = (age(&object), problem, detail);
            }
            return Ok(());
        }
        let there = find_object(&self.database, &bucket, &key)?;
        if there.is_none_or(|there| age(&there) < age(&object)) {
            object.write(&self.database, &bucket, &key)?;
        }
        Ok(())
    }

    /// Tells of the objects whose newest version has not all its bytes.
    fn tell_broken(&mut self, report: &mut FsckReport) -> Result<()> {
        let mut broken: Vec<_> = std::mem::take(&mut self.broken).into_iter().collect();
        broken.sort_by(|(one, _), (other, _)| one.cmp(other));
        for ((bucket, key), (newest, problem, detail)) in broken {
            let name = format!("{bucket}/{key}");
            match find_object(&self.database, &bucket, &key)? {
                Some(there) if age(&there) > newest => {}
                Some(_) => {
                    report.add(problem, name, format!("{detail}; a repair takes the version before it"))
                }
                None => report.add(problem, name, lost(&detail)),
            }
        }
        Ok(())
    }

    /// Returns the blobs of all objects that were taken from labels.
    fn blobs_of_objects(&self) -> Result<HashSet<String>> {
        let mut statement = self.database.prepare("SELECT record FROM objects")?;
        let mut rows = statement.query([])?;
        let mut blobs = HashSet::new();
        while let Some(row) = rows.next()? {
            let record: ObjectRecord = from_text(&row.get::<_, String>(0)?)?;
            blobs.extend(record.pieces.into_iter().map(|piece| piece.blob));
        }
        Ok(blobs)
    }

    fn keys(&self) -> Result<Vec<(String, String)>> {
        let mut statement = self.database.prepare("SELECT bucket, key FROM objects")?;
        let keys = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    fn take_part(&self, part: LabelledPart, label: String, report: &mut FsckReport) -> Result<()> {
        if self
            .database
            .prepare_cached("SELECT 1 FROM completed WHERE upload = ?1")?
            .exists([&part.upload])?
        {
            return Ok(());
        }
        let name = format!("part {} of upload {} of {}/{}", part.number, part.upload, part.bucket, part.key);
        if let Some((problem, detail)) = missing(&self.blobs, &part.content.pieces)? {
            report.add(problem, name, lost(&detail));
            return Ok(());
        }
        report.add(Problem::MissingRow, name, "a repair takes it from its label");
        let sql =
            "INSERT OR IGNORE INTO uploads (id, bucket, key, created_ms, record) VALUES (?1, ?2, ?3, ?4, ?5)";
        let settings = to_text(&part.settings);
        self.database.execute(sql, params![part.upload, part.bucket, part.key, part.created_ms, settings])?;
        let stored = StoredPart {
            number: part.number,
            size: part.size,
            etag: part.etag,
            modified_ms: part.modified_ms,
            content: part.content,
            label: Some(label),
        };
        write_part(&self.database, &part.upload, &stored)
    }

    /// Adds what only an untrusted index knows: objects without a label whose bytes are there, buckets, and events.
    /// Reports the objects that only labels know.
    pub(super) fn add_rows(&mut self, old: &OldIndex, report: &mut FsckReport) -> Result<()> {
        let mut known = HashSet::new();
        let used = self.blobs_of_objects()?;
        old.each_object(|row| {
            let Ok((bucket, key, mut object)) = row else { return Ok(()) };
            let there = find_object(&self.database, &bucket, &key)?;
            if there.as_ref().is_some_and(|there| age(there) >= age(&object)) {
                if there.as_ref() == Some(&object) {
                    known.insert((bucket, key));
                }
                return Ok(());
            }
            if missing(&self.blobs, &object.record.pieces)?.is_some() {
                // It was removed after this index was current.
                return Ok(());
            }
            if let Some(label) = object.label.take_if(|label| !path_in(&self.blobs, label).exists())
                && !old.is_current()
                && object.record.pieces.iter().any(|piece| used.contains(&piece.blob))
            {
                tracing::debug!(path = label, "an object that shares its bytes was removed after this index");
                return Ok(());
            }
            object.write(&self.database, &bucket, &key)?;
            known.insert((bucket, key));
            Ok(())
        })?;
        for (bucket, key) in self.keys()? {
            let name = format!("{bucket}/{key}");
            if !known.contains(&(bucket, key)) {
                report.add(Problem::MissingRow, name, "a repair takes it from its label");
            }
        }
        let Some(database) = &old.database else { return Ok(()) };
        // What cannot be read is left out: labels have the objects, and the events are found again at the start.
        if let Ok(buckets) = saved_buckets::of_index(database) {
            self.take_buckets(buckets.buckets)?;
        }
        for (table, columns) in COPIED {
            if self.copy(database, table, columns).is_err() {
                report.add(
                    Problem::Index,
                    table,
                    "the table cannot be read as a whole; the rest of it is left out",
                );
            }
        }
        // An older index would bring back publications that have ended.
        if old.is_current() && publications::take(&self.database, database, &self.blobs, report).is_err() {
            let detail = "they cannot be read as a whole; the rest is left out: check the outputs of jobs that were running";
            report.add(Problem::Index, "publications", detail);
        }
        Ok(())
    }

    /// Adds buckets, in place of those with the same name.
    pub(super) fn take_buckets(&self, buckets: Vec<SavedBucket>) -> Result<()> {
        buckets.iter().try_for_each(|bucket| saved_buckets::insert(&self.database, bucket))
    }

    fn copy(&self, from: &Connection, table: &str, columns: &str) -> Result<()> {
        let mut statement = from.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let width = statement.column_count();
        let places = (1..=width).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})");
        let mut insert = self.database.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values: rusqlite::Result<Vec<rusqlite::types::Value>> =
                (0..width).map(|at| row.get(at)).collect();
            insert.execute(rusqlite::params_from_iter(values?))?;
        }
        Ok(())
    }

    /// Counts the references to blobs and labels, and adds buckets that objects need.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.database.execute_batch("COMMIT")?;
        let transaction = self.database.transaction()?;
        let of_object = |text: &str| Ok(from_text::<ObjectRecord>(text)?.pieces);
        count(&transaction, "SELECT record, label FROM objects", of_object)?;
        count(&transaction, "SELECT record, label FROM replaced", of_object)?;
        // Once a publication is switched, its objects have the references.
        let staged =
            "SELECT record, NULL FROM staged JOIN publications ON publications.id = staged.publication
            WHERE publications.first IS NULL";
        count(&transaction, staged, of_object)?;
        let of_part = |text: &str| Ok(from_text::<PartContent>(text)?.pieces);
        count(&transaction, "SELECT record, label FROM parts", of_part)?;
        let missing = "INSERT OR IGNORE INTO buckets (name, created_ms)
            SELECT bucket, MIN(modified_ms) FROM objects GROUP BY bucket
            UNION ALL SELECT bucket, MIN(created_ms) FROM uploads GROUP BY bucket";
        transaction.execute(missing, [])?;
        Ok(transaction.commit()?)
    }

    /// Returns what the index has in all.
    pub(super) fn totals(&self) -> Result<Totals> {
        let sql = "SELECT COUNT(*), COALESCE(SUM(size), 0), (SELECT COUNT(*) FROM parts) FROM objects";
        let row = self.database.query_row(sql, [], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            Ok(Totals { objects: number(0)?, bytes: number(1)?, parts: number(2)? })
        });
        Ok(row?)
    }

    /// Writes the identity and makes the file complete.
    pub(super) fn seal(&mut self, identity: &Identity) -> Result<Identity> {
        let sql = "UPDATE identity SET generation = ?1, changes = ?2";
        self.database.execute(sql, params![identity.generation, identity.changes])?;
        self.database.execute("UPDATE sequence SET last = ?1", [identity.serial])?;
        let broken: Option<String> =
            self.database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).optional()?;
        match broken.as_deref() {
            Some("ok") => Ok(identity.clone()),
            _ => Err(Error::unavailable("rebuild the index", broken.unwrap_or_default())),
        }
    }
}

/// Counts the references of rows with a record and a label.
fn count(
    transaction: &Transaction<'_>,
    select: &str,
    pieces: impl Fn(&str) -> rusqlite::Result<Vec<Piece>>,
) -> Result<()> {
    let mut statement = transaction.prepare(select)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        retain(transaction, &pieces(&row.get::<_, String>(0)?)?)?;
        if let Some(label) = row.get::<_, Option<String>>(1)? {
            use_label(transaction, Some(&label))?;
        }
    }
    Ok(())
}

fn lost(detail: &str) -> String {
    format!("{detail}; it cannot be read, and a repair takes it out of the index")
}

/// Returns whether a label says the same, with the name of the upload that made the object.
fn is_of_upload(label: &Label, says: &impl Fn(Option<String>) -> Labelled) -> bool {
    match &label.what {
        Labelled::Object(object) => object.upload.is_some() && label.what == says(object.upload.clone()),
        Labelled::Part(_) => false,
    }
}
