//! The rules that clients put on buckets, as the index stores them: each kind is a text with a checksum, so that nothing
//! acts on rules that are not what was written.
//!
//! What the rules mean is in the files of their kinds.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::index::Index;
use crate::index::record::sum_of;

/// A kind of rules, each in columns of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rules {
    /// Which pages of other origins may use the bucket.
    Cors,
    /// Who hears of what happens in the bucket.
    Notifications,
    /// Tags, policy, public-access block, lifecycle and the like.
    Settings,
}

impl Rules {
    pub(crate) const ALL: [Self; 3] = [Self::Cors, Self::Notifications, Self::Settings];

    /// Returns the name of the column.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Cors => "cors",
            Self::Notifications => "notifications",
            Self::Settings => "settings",
        }
    }

    fn sum(self, bucket: &str, text: &str) -> i64 {
        sum_of([bucket, self.column(), text].map(str::as_bytes))
    }

    /// Reads a text and its checksum from two columns. Fails if the text is not what was written.
    pub(crate) fn read(self, bucket: &str, row: &Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
        let (text, sum): (Option<String>, Option<i64>) = (row.get(at)?, row.get(at + 1)?);
        // Rules of an older version have no checksum until the next start.
        let is_whole = match (&text, sum) {
            (_, None) => true,
            (Some(text), Some(sum)) => self.sum(bucket, text) == sum,
            (None, Some(_)) => false,
        };
        if is_whole {
            return Ok(text);
        }
        let error = format!("the checksum of the bucket's {} differs: run `abanico s3 fsck`", self.column());
        Err(rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into()))
    }

    /// Reads the rules of a bucket. The outer `None` says that it does not exist. Fails if they are not what was written.
    pub(crate) fn of(self, connection: &Connection, bucket: &str) -> Result<Option<Option<String>>> {
        let column = self.column();
        let sql = format!("SELECT {column}, {column}_sum FROM buckets WHERE name = ?1");
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row([bucket], |row| self.read(bucket, row, 0)).optional()?)
    }

    /// Writes the rules of a bucket, in place of what there is. Does nothing if the bucket does not exist.
    pub(crate) fn write(self, connection: &Connection, bucket: &str, text: Option<&str>) -> Result<()> {
        let column = self.column();
        let sql = format!("UPDATE buckets SET {column} = ?2, {column}_sum = ?3 WHERE name = ?1");
        let sum = text.map(|text| self.sum(bucket, text));
        connection.prepare_cached(&sql)?.execute(params![bucket, text, sum])?;
        Ok(())
    }
}

/// Gives checksums to the rules of an older version. Blocking.
pub(crate) fn write_missing_sums(index: &Index) -> Result<()> {
    for rules in Rules::ALL {
        let column = rules.column();
        let sql =
            format!("SELECT name, {column} FROM buckets WHERE {column} IS NOT NULL AND {column}_sum IS NULL");
        let found: Vec<(String, String)> = index.read_now(|reader| {
            let mut statement = reader.prepare(&sql)?;
            let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })?;
        if !found.is_empty() {
            index.write_now(|transaction| {
                found.iter().try_for_each(|(bucket, text)| rules.write(transaction, bucket, Some(text)))
            })?;
        }
    }
    Ok(())
}
