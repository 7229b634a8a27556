//! Reads all bytes of all objects and parts and compares them with their checksums.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use super::{FsckReport, Problem};
use crate::blobs::checksums::{Algorithm, Checksums, Digester, hex};
use crate::blobs::path_in;
use crate::error::Result;
use crate::index::record::{OBJECT_COLUMNS, Piece, StoredObject, from_text};
use crate::multipart::PartContent;
use crate::objects::get::cut;

const BUFFER_BYTES: usize = 1 << 20;

/// Compares everything in the index with its checksums.
pub(super) fn verify(index: &Connection, blobs: &Path, report: &mut FsckReport) -> Result<()> {
    let mut statement = index.prepare(&format!("SELECT {OBJECT_COLUMNS} FROM objects"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (bucket, key, object) = StoredObject::read(row)?;
        if !is_whole(blobs, &object)? {
            differs(report, format!("{bucket}/{key}"));
        }
    }
    let mut statement = index.prepare("SELECT upload, number, etag, record FROM parts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, number, etag): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let content: PartContent = from_text(&row.get::<_, String>(3)?)?;
        if !is_same(blobs, &content.pieces, Some(&etag), &content.checksums)? {
            differs(report, format!("part {number} of upload {id}"));
        }
    }
    Ok(())
}

fn differs(report: &mut FsckReport, name: String) {
    let detail =
        "its bytes are not those that were stored; it stays as it is: upload it again or restore a backup";
    report.add(Problem::WrongChecksum, name, detail);
}

/// Returns whether the bytes of an object are those that were stored: as a whole, or part by part.
fn is_whole(blobs: &Path, object: &StoredObject) -> Result<bool> {
    let record = &object.record;
    let mut first = 0;
    for part in &record.parts {
        let pieces = cut(&record.pieces, first, first + part.size);
        if !is_same(blobs, &pieces, None, &part.checksums)? {
            return Ok(false);
        }
        first += part.size;
    }
    let whole = if record.is_composite { Checksums::default() } else { record.checksums.clone() };
    // The entity tag of a multipart object is not the MD5 of its bytes.
    let md5 = (!object.etag.contains('-')).then_some(object.etag.as_str());
    if !record.parts.is_empty() && whole.0.is_empty() && md5.is_none() {
        return Ok(true);
    }
    is_same(blobs, &record.pieces, md5, &whole)
}

/// Returns whether pieces have an MD5 and checksums.
fn is_same(blobs: &Path, pieces: &[Piece], md5: Option<&str>, sums: &Checksums) -> Result<bool> {
    let algorithms: Vec<Algorithm> = sums.0.keys().copied().collect();
    let mut digester = Digester::new(&algorithms);
    let mut buffer = vec![0; BUFFER_BYTES];
    for piece in pieces {
        let file = File::open(path_in(blobs, &piece.blob))?;
        let (mut at, end) = (piece.offset, piece.offset + piece.length);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            let count = file.read_at(&mut buffer[..most], at)?;
            if count == 0 {
                return Ok(false);
            }
            digester.update(&buffer[..count]);
            at += count as u64;
        }
    }
    let (found, computed) = digester.finish();
    Ok(md5.is_none_or(|md5| md5 == hex(&found)) && computed == *sums)
}
