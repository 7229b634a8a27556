//! Decides whether an index fits the blobs beside it, before anything is changed.
//!
//! An index that is gone, empty, damaged, of another data folder, or older than the blobs would make abanico take
//! objects for orphans. So it is refused, with what to do.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::blobs::each_file_in;
use crate::error::{Error, Result};
use crate::index::schema::{is_intact, version};
use crate::upkeep::identity::{Found, Identity};

/// Why an index cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    Missing,
    Empty,
    Damaged(String),
    OtherFolder,
    Older { behind: i64 },
    BlobsOlder,
}

/// What an index says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// It has no tables.
    Empty,
    /// An older version wrote it, which noted no identity.
    Unmarked,
    Marked(Identity),
}

impl Lost {
    /// Says what is wrong, with the names of the files.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Missing => "`index.db` is missing or has no bytes, but there are blobs".to_owned(),
            Self::Empty => {
                "`index.db` is empty, but there are blobs: perhaps its `index.db-wal` is missing".to_owned()
            }
            Self::Damaged(what) => format!("`index.db` is damaged: {what}"),
            Self::OtherFolder => {
                "`index.db` is the index of another data folder than `blobs/mark`".to_owned()
            }
            Self::Older { behind } => format!(
                "`index.db` is older than the blobs: {behind} changes that `blobs/mark` knows are missing, perhaps with \
                 its `index.db-wal`"
            ),
            Self::BlobsOlder => {
                "the blobs are older than `index.db`: perhaps `blobs` is an older copy".to_owned()
            }
        }
    }

    /// Returns the refusal, with what to do. `dir` is the endpoint's folder.
    pub(crate) fn refusal(&self, dir: &Path) -> Error {
        let data = dir.parent().unwrap_or(dir).display();
        Error::damaged(format!(
            "the index in `{}` cannot be used, and nothing was changed: {}. Run `abanico s3 fsck --data {data}` to see \
             what can be rebuilt, and again with `--repair` to do it; or put a backup in place with `abanico restore`",
            dir.display(),
            self.text(),
        ))
    }
}

/// Reads what an index says about itself.
pub(crate) fn claim(connection: &Connection) -> Result<Claim> {
    match version(connection)? {
        0 => return Ok(Claim::Empty),
        1 => return Ok(Claim::Unmarked),
        _ => {}
    }
    let sql = "SELECT folder, generation, changes, (SELECT last FROM sequence) FROM identity";
    let found = connection.query_row(sql, [], |row| {
        let (folder, generation, changes) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Identity { folder, generation, changes, serial: row.get(3)? })
    });
    match found.optional()? {
        Some(identity) => Ok(Claim::Marked(identity)),
        None => Err(Error::damaged("the index is damaged: it has no identity")),
    }
}

/// Compares an index with the mark beside the blobs. Returns what is wrong, if anything.
pub(crate) fn compare(claim: &Claim, found: &Found, has_blobs: bool) -> Option<Lost> {
    match (claim, found) {
        (Claim::Empty, Found::Nothing) => has_blobs.then_some(Lost::Empty),
        (Claim::Empty, _) => Some(Lost::Empty),
        (Claim::Unmarked, Found::Mark(mark)) => Some(Lost::Older { behind: mark.changes }),
        (_, Found::Nothing | Found::Unreadable) => None,
        (Claim::Marked(index), Found::Mark(mark)) => {
            if index.folder != mark.folder {
                Some(Lost::OtherFolder)
            } else if index.changes < mark.changes {
                Some(Lost::Older { behind: mark.changes - index.changes })
            } else if index.generation < mark.generation {
                Some(Lost::Older { behind: 0 })
            } else if index.generation > mark.generation + 1 {
                // A crash between the two writes of a start leaves a difference of one.
                Some(Lost::BlobsOlder)
            } else {
                None
            }
        }
    }
}

/// Reads all pages of an index. Returns what is wrong, if anything.
pub(crate) fn damage(connection: &Connection) -> Result<Option<String>> {
    let found: Option<String> =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).optional()?;
    let found = found.filter(|found| found != "ok");
    if found.is_none() && !is_intact(connection)? {
        return Ok(Some("its tables have other columns than they should".to_owned()));
    }
    Ok(found)
}

/// Returns whether there is a file in a folder of blobs.
pub(crate) fn has_blobs(blobs: &Path) -> Result<bool> {
    for shard in 0..=255_u8 {
        let mut is_any = false;
        each_file_in(blobs, shard, |_, _| is_any = true)?;
        if is_any {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(folder: &str, generation: i64, changes: i64) -> Identity {
        Identity { folder: folder.to_owned(), generation, changes, serial: 0 }
    }

    #[test]
    fn index_is_refused_unless_it_fits_the_mark() {
        let mark = || Found::Mark(identity("a", 5, 100));
        let index = |folder, generation, changes| Claim::Marked(identity(folder, generation, changes));
        let cases = [
            (index("a", 5, 100), None),
            // A power cut may take back what the mark noted, never what the index committed.
            (index("a", 5, 170), None),
            (index("a", 6, 101), None),
            (index("b", 5, 100), Some(Lost::OtherFolder)),
            (index("a", 5, 99), Some(Lost::Older { behind: 1 })),
            (index("a", 4, 100), Some(Lost::Older { behind: 0 })),
            (index("a", 7, 900), Some(Lost::BlobsOlder)),
            (Claim::Unmarked, Some(Lost::Older { behind: 100 })),
            (Claim::Empty, Some(Lost::Empty)),
        ];
        for (claim, expected) in cases {
            assert_eq!(compare(&claim, &mark(), true), expected, "{claim:?}");
        }
    }

    #[test]
    fn without_a_mark_only_an_empty_index_is_refused() {
        for found in [Found::Nothing, Found::Unreadable] {
            assert_eq!(compare(&Claim::Unmarked, &found, true), None);
            assert_eq!(compare(&Claim::Marked(identity("a", 5, 1)), &found, true), None);
            assert_eq!(compare(&Claim::Empty, &found, true), Some(Lost::Empty));
        }
        assert_eq!(compare(&Claim::Empty, &Found::Nothing, false), None);
    }
}
