//! Multipart uploads: in parts, out one object made of their blobs. Never a byte moved at completion.

use rusqlite::Transaction;

use crate::commit::release;
use crate::error::Result;
use crate::record::{Piece, from_text};

/// Removes all uploads of a bucket.
pub(crate) fn remove_uploads(transaction: &Transaction<'_>, bucket: &str) -> Result<()> {
    let sql =
        "SELECT parts.record FROM parts JOIN uploads ON parts.upload = uploads.id WHERE uploads.bucket = ?1";
    let mut statement = transaction.prepare(sql)?;
    let records: Vec<String> =
        statement.query_map([bucket], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for record in records {
        release(transaction, &from_text::<Vec<Piece>>(&record)?)?;
    }
    Ok(())
}
