//! Multipart uploads: creates and aborts them, and stores and copies their parts.
//!
//! A completed object uses the blobs of its parts, so completing an upload moves no bytes.

mod complete;
mod uploads;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use s3s::S3ErrorCode;
use s3s::S3Request;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::blobs::checksums::{Algorithm, Checksums, Digester, hex, wanted};
use crate::blobs::{Unflushed, unique_id};
use crate::error::{Error, Result};
use crate::index::commit::{note_serial, release, release_label, retain, use_label};
use crate::objects::conditions::ReadConditions;
use crate::objects::copy::{source_conditions, source_of};
use crate::objects::get::{BodyParts, cut, timestamp};
use abanico_process::clock::wall_ms;

use crate::blobs::label::{Label, Labelled, LabelledPart};
use crate::blobs::receive::{Claims, receive};
use crate::index::blocking;
use crate::index::record::{Attributes, Piece, from_text, require_bucket, signed, to_text};
use crate::objects::put::{attributes, check_key};

/// S3's highest part number.
const NUMBER_MAX: i32 = 10_000;
/// How long after its creation a completed upload can be completed again: a week.
const REMEMBERED_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// The settings that an upload was created with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub attributes: Attributes,
    pub algorithm: Algorithm,
    /// Whether the object's checksum will be a checksum of the parts' checksums.
    pub is_composite: bool,
    /// Whether the client named the algorithm.
    pub is_named: bool,
}

/// An upload that is in progress or completed.
pub(crate) struct Upload {
    pub created_ms: i64,
    pub record: UploadRecord,
    /// The answer to its completion; `None` while it is in progress.
    pub completed: Option<String>,
}

/// The properties of a part that have no column of their own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PartContent {
    pub pieces: Vec<Piece>,
    pub checksums: Checksums,
}

/// A part as the index stores it.
#[derive(Clone, Debug)]
pub(crate) struct StoredPart {
    pub number: i32,
    pub size: u64,
    pub etag: String,
    pub modified_ms: i64,
    pub content: PartContent,
    /// Name of its label; `None` if an older version stored it.
    pub label: Option<String>,
}

/// Reads an upload of this object. Fails if it does not exist.
pub(crate) fn upload(connection: &Connection, id: &str, bucket: &str, key: &str) -> Result<Upload> {
    let sql = "SELECT record, completed, created_ms FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![id, bucket, key], |row| {
        let record = from_text(&row.get::<_, String>(0)?)?;
        Ok(Upload { record, completed: row.get(1)?, created_ms: row.get(2)? })
    });
    found.optional()?.ok_or_else(|| Error::no_such_upload(id))
}

/// Reads an upload that still takes parts. Fails if it is completed or does not exist.
pub(crate) fn open_upload(connection: &Connection, id: &str, bucket: &str, key: &str) -> Result<Upload> {
    let upload = upload(connection, id, bucket, key)?;
    if upload.completed.is_some() { Err(Error::no_such_upload(id)) } else { Ok(upload) }
}

/// What a request names an upload by.
struct UploadName {
    id: String,
    bucket: String,
    key: String,
}

/// Returns up to `limit` parts of an upload with numbers above `after`, in order.
pub(crate) fn parts(connection: &Connection, id: &str, after: i32, limit: i64) -> Result<Vec<StoredPart>> {
    let sql = "SELECT number, size, etag, modified_ms, record, label FROM parts
        WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let parts = statement.query_map(params![id, after, limit], |row| {
        Ok(StoredPart {
            number: row.get(0)?,
            size: row.get::<_, i64>(1)?.unsigned_abs(),
            etag: row.get(2)?,
            modified_ms: row.get(3)?,
            content: from_text(&row.get::<_, String>(4)?)?,
            label: row.get(5)?,
        })
    })?;
    Ok(parts.collect::<rusqlite::Result<_>>()?)
}

/// Removes the parts of an upload and releases their blobs.
pub(crate) fn remove_parts(transaction: &Transaction<'_>, id: &str) -> Result<()> {
    for part in parts(transaction, id, 0, -1)? {
        release(transaction, &part.content.pieces)?;
        release_label(transaction, part.label.as_deref())?;
    }
    transaction.prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute([id])?;
    Ok(())
}

/// Removes all uploads of a bucket.
pub(crate) fn remove_uploads(transaction: &Transaction<'_>, bucket: &str) -> Result<()> {
    let mut statement = transaction.prepare("SELECT id FROM uploads WHERE bucket = ?1")?;
    let ids: Vec<String> =
        statement.query_map([bucket], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in ids {
        remove_parts(transaction, &id)?;
        transaction.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
    }
    Ok(())
}

/// Stores a part, in place of an earlier one with the same number.
fn put_part(transaction: &Transaction<'_>, id: &str, part: &StoredPart) -> Result<()> {
    retain(transaction, &part.content.pieces)?;
    use_label(transaction, part.label.as_deref())?;
    let sql = "SELECT record, label FROM parts WHERE upload = ?1 AND number = ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let old: Option<(String, Option<String>)> =
        statement.query_row(params![id, part.number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((content, label)) = old {
        release(transaction, &from_text::<PartContent>(&content)?.pieces)?;
        release_label(transaction, label.as_deref())?;
    }
    write_part(transaction, id, part)
}

/// Writes the row of a part, in place of an existing one.
pub(crate) fn write_part(connection: &Connection, id: &str, part: &StoredPart) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO parts (upload, number, size, etag, modified_ms, record, label)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        part.number,
        signed(part.size),
        part.etag,
        part.modified_ms,
        to_text(&part.content),
        part.label
    ])?;
    Ok(())
}

fn check_number(number: i32) -> Result<()> {
    if (1..=NUMBER_MAX).contains(&number) {
        return Ok(());
    }
    Err(Error::refused(S3ErrorCode::InvalidArgument, "a part number must be between 1 and 10,000"))
}

/// Returns an upload's checksum algorithm and whether its checksum is composite, from what the client named.
fn sums_of(input: &CreateMultipartUploadInput) -> Result<(Algorithm, bool)> {
    let named = input.checksum_algorithm.as_ref().map(|it| Algorithm::named(it.as_str())).transpose()?;
    let algorithm = named.unwrap_or(Algorithm::Crc64Nvme);
    let is_composite = match input.checksum_type.as_ref().map(|it| it.as_str()) {
        Some("FULL_OBJECT") => false,
        Some(_) => true,
        None => algorithm != Algorithm::Crc64Nvme,
    };
    let is_fitting =
        if is_composite { algorithm != Algorithm::Crc64Nvme } else { algorithm.joins().is_some() };
    if is_fitting {
        return Ok((algorithm, is_composite));
    }
    let message = format!("{} cannot be used with this checksum type", algorithm.name());
    Err(Error::refused(S3ErrorCode::InvalidRequest, message))
}

impl LocalS3 {
    pub(crate) async fn begin_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> Result<CreateMultipartUploadOutput> {
        check_key(&input.key)?;
        let (algorithm, is_composite) = sums_of(&input)?;
        let (named, kind) = (input.checksum_algorithm.clone(), input.checksum_type.clone());
        let attributes = attributes!(input);
        let record = UploadRecord { attributes, algorithm, is_composite, is_named: named.is_some() };
        let (id, bucket, key) = (unique_id(), input.bucket, input.key);
        let (abort_date, abort_rule_id) = self.abortion(&bucket, &key).unzip();
        let output = CreateMultipartUploadOutput {
            upload_id: Some(id.clone()),
            bucket: Some(bucket.clone()),
            key: Some(key.clone()),
            checksum_algorithm: named,
            checksum_type: kind,
            server_side_encryption: record.attributes.encryption(),
            abort_date,
            abort_rule_id,
            ..CreateMultipartUploadOutput::default()
        };
        let write = self.inner.index.write(move |transaction| {
            require_bucket(transaction, &bucket)?;
            let forgotten = "DELETE FROM uploads WHERE completed IS NOT NULL AND created_ms < ?1";
            transaction.prepare_cached(forgotten)?.execute([wall_ms() - REMEMBERED_MS])?;
            let sql = "INSERT INTO uploads (id, bucket, key, created_ms, record) VALUES (?1, ?2, ?3, ?4, ?5)";
            transaction.execute(sql, params![id, bucket, key, wall_ms(), to_text(&record)])?;
            Ok(())
        });
        write.await?;
        Ok(output)
    }

    pub(crate) async fn take_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> Result<UploadPartOutput> {
        let mut algorithms = wanted(&request.headers)?;
        let claims = Claims {
            length: request.input.content_length.map(i64::unsigned_abs),
            md5: request.input.content_md5.take(),
            checksums: Checksums::claimed(&request.headers),
            trailers: request.trailing_headers.take(),
        };
        let input = request.input;
        check_number(input.part_number)?;
        let (id, bucket, key) = (input.upload_id, input.bucket, input.key);
        let upload = self.upload(&id, &bucket, &key).await?.record;
        if !algorithms.contains(&upload.algorithm) {
            algorithms.push(upload.algorithm);
        }
        let received = receive(&self.inner.blobs, input.body, &algorithms, claims).await?;
        let part = StoredPart {
            number: input.part_number,
            size: received.piece.length,
            etag: hex(&received.md5),
            modified_ms: wall_ms(),
            content: PartContent { pieces: vec![received.piece], checksums: received.checksums },
            label: None,
        };
        let sums = part.content.checksums.clone();
        let server_side_encryption = upload.attributes.encryption();
        let e_tag = Some(ETag::Strong(part.etag.clone()));
        self.store_part(UploadName { id, bucket, key }, part, Some(received.bytes)).await?;
        Ok(UploadPartOutput {
            server_side_encryption,
            e_tag,
            checksum_crc32: sums.get(Algorithm::Crc32),
            checksum_crc32c: sums.get(Algorithm::Crc32c),
            checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
            checksum_sha1: sums.get(Algorithm::Sha1),
            checksum_sha256: sums.get(Algorithm::Sha256),
            ..UploadPartOutput::default()
        })
    }

    /// Makes a range of an object a part. The bytes are read once for their checksums, but not copied.
    pub(crate) async fn copy_part(&self, mut input: UploadPartCopyInput) -> Result<UploadPartCopyOutput> {
        check_number(input.part_number)?;
        let conditions: ReadConditions = source_conditions!(input);
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key).await?.record;
        let (bucket, key) = source_of(input.copy_source)?;
        let (source, held) = self.look_up_and_hold(bucket, key).await?;
        conditions.check_source(&source.etag, source.modified_ms)?;
        let run = copy_range(input.copy_source_range.as_deref(), source.size)?;
        let pieces = cut(&source.record.pieces, run.start, run.end);
        let server_side_encryption = upload.attributes.encryption();
        let mut parts = BodyParts::new(self.inner.blobs.clone(), pieces.clone(), held);
        let digests = blocking(move || {
            let mut digester = Digester::new(&[upload.algorithm]);
            while let Some(chunk) = parts.read()? {
                digester.update(&chunk);
            }
            // Hold the blobs until the part has its references to them.
            Ok((digester.finish(), parts))
        });
        let ((md5, sums), _held) = digests.await?;
        let part = StoredPart {
            number: input.part_number,
            size: run.end - run.start,
            etag: hex(&md5),
            modified_ms: wall_ms(),
            content: PartContent { pieces, checksums: sums.clone() },
            label: None,
        };
        let result = CopyPartResult {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            last_modified: Some(timestamp(part.modified_ms)),
            checksum_crc32: sums.get(Algorithm::Crc32),
            checksum_crc32c: sums.get(Algorithm::Crc32c),
            checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
            checksum_sha1: sums.get(Algorithm::Sha1),
            checksum_sha256: sums.get(Algorithm::Sha256),
        };
        let (id, bucket, key) = (input.upload_id, input.bucket, input.key);
        self.store_part(UploadName { id, bucket, key }, part, None).await?;
        Ok(UploadPartCopyOutput {
            server_side_encryption,
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }

    async fn upload(&self, id: &str, bucket: &str, key: &str) -> Result<Upload> {
        let (id, bucket, key) = (id.to_owned(), bucket.to_owned(), key.to_owned());
        self.inner.index.read(move |reader| open_upload(reader, &id, &bucket, &key)).await
    }

    /// Stores a part of an upload, with the bytes of its blob if they may not be on the disk yet.
    async fn store_part(&self, upload: UploadName, part: StoredPart, bytes: Option<Unflushed>) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            let stored = {
                // Parts with the same number take turns, so that the last one stored has the last label.
                let _turn = s3.inner.keys.hold(&upload.id, &part.number.to_string());
                let pieces = part.content.pieces.clone();
                let stored = s3.store_part_now(upload, part, bytes.as_ref());
                if stored.is_err() {
                    s3.inner.blobs.discard(&s3.inner.index, &pieces)?;
                }
                stored
            };
            s3.sweep_quietly_now();
            stored
        });
        run.await
    }

    /// Writes a part's label, then its row. Blocking.
    fn store_part_now(
        &self,
        UploadName { id, bucket, key }: UploadName,
        part: StoredPart,
        bytes: Option<&Unflushed>,
    ) -> Result<()> {
        let upload = self.inner.index.read_now(|reader| open_upload(reader, &id, &bucket, &key))?;
        let serial = self.next_serial();
        let labelled = LabelledPart {
            upload: id.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            created_ms: upload.created_ms,
            settings: upload.record,
            number: part.number,
            size: part.size,
            etag: part.etag.clone(),
            modified_ms: part.modified_ms,
            content: part.content.clone(),
        };
        let label = Label::new(&self.inner.folder, serial, Labelled::Part(Box::new(labelled)));
        let name = self.write_label(&label, bytes)?;
        let part = StoredPart { label: Some(name.clone()), ..part };
        let stored = self.inner.index.write_with_others_now(move |transaction| {
            open_upload(transaction, &id, &bucket, &key)?;
            note_serial(transaction, serial)?;
            put_part(transaction, &id, &part)
        });
        if stored.is_err() {
            self.inner.blobs.remove_label(&name);
        }
        stored
    }

    pub(crate) async fn abort(&self, input: AbortMultipartUploadInput) -> Result<AbortMultipartUploadOutput> {
        let write = self.inner.index.write(move |transaction| {
            open_upload(transaction, &input.upload_id, &input.bucket, &input.key)?;
            remove_parts(transaction, &input.upload_id)?;
            transaction.execute("DELETE FROM uploads WHERE id = ?1", [&input.upload_id])?;
            Ok(())
        });
        write.await?;
        self.sweep_quietly().await;
        Ok(AbortMultipartUploadOutput::default())
    }
}

/// Parses the range `bytes=a-b` of a part copy. Without one, returns the range of the whole source.
fn copy_range(range: Option<&str>, size: u64) -> Result<std::ops::Range<u64>> {
    let Some(range) = range else { return Ok(0..size) };
    let run = range.strip_prefix("bytes=").and_then(|run| run.split_once('-'));
    let run = run.and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    match run {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        _ => Err(Error::refused(
            S3ErrorCode::InvalidArgument,
            format!("`{range}` is not a range within the source"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copied_range_must_lie_within_its_source() {
        assert_eq!(copy_range(None, 5).unwrap(), 0..5);
        assert_eq!(copy_range(Some("bytes=1-4"), 5).unwrap(), 1..5);
        for wrong in ["bytes=1-5", "bytes=3-2", "bytes=-2", "1-2"] {
            assert_eq!(copy_range(Some(wrong), 5).unwrap_err().s3_code(), "InvalidArgument", "{wrong}");
        }
        assert!(check_number(0).is_err() && check_number(10_001).is_err() && check_number(10_000).is_ok());
    }
}
