//! The read-only requests about uploads and parts: ListParts, ListMultipartUploads and GetObjectAttributes.

use rusqlite::params;
use s3s::S3ErrorCode;
use s3s::dto::{
    Checksum, ChecksumAlgorithm, ChecksumType, CommonPrefix, ETag, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectAttributesParts, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, ObjectAttributes,
    ObjectPart, Part, StorageClass,
};

use crate::LocalS3;
use crate::blobs::checksums::Algorithm;
use crate::error::{Error, Result};
use crate::index::record::{StoredObject, from_text, object, require_bucket};
use crate::multipart::{UploadRecord, open_upload, parts};
use crate::objects::get::{checksum_type, timestamp};
use crate::objects::list::{Encoder, given, owner};

/// S3's limit on the length of a page.
const PAGE_MAX: i32 = 1_000;

fn limit(asked: Option<i32>) -> Result<i32> {
    match asked.unwrap_or(PAGE_MAX) {
        asked @ 0.. => Ok(asked.min(PAGE_MAX)),
        _ => Err(Error::refused(S3ErrorCode::InvalidArgument, "the length of a page must not be negative")),
    }
}

fn kind(record: &UploadRecord) -> Option<ChecksumType> {
    let kind = if record.is_composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    record.is_named.then(|| ChecksumType::from_static(kind))
}

fn algorithm(record: &UploadRecord) -> Option<ChecksumAlgorithm> {
    record.is_named.then(|| ChecksumAlgorithm::from_static(record.algorithm.name()))
}

/// Returns who began all uploads: the owner, as there is nobody else.
fn initiator() -> Initiator {
    let owner = owner();
    Initiator { display_name: owner.display_name, id: owner.id }
}

/// One row in the list of uploads.
struct Listed {
    key: String,
    id: String,
    created_ms: i64,
    record: UploadRecord,
}

impl LocalS3 {
    pub(crate) async fn upload_parts(&self, input: ListPartsInput) -> Result<ListPartsOutput> {
        let (max, after) = (limit(input.max_parts)?, input.part_number_marker.unwrap_or(0));
        let (id, bucket, key) = (input.upload_id.clone(), input.bucket.clone(), input.key.clone());
        let read = self.inner.index.read(move |reader| {
            let record = open_upload(reader, &id, &bucket, &key)?.record;
            Ok((record, parts(reader, &id, after, i64::from(max) + 1)?))
        });
        let (record, mut found) = read.await?;
        let page = usize::try_from(max).unwrap_or(0);
        let is_truncated = found.len() > page;
        found.truncate(page);
        let last = found.last().map(|part| part.number);
        let told = found.into_iter().map(|part| {
            let sums = part.content.checksums;
            Part {
                part_number: Some(part.number),
                size: i64::try_from(part.size).ok(),
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(timestamp(part.modified_ms)),
                checksum_crc32: sums.get(Algorithm::Crc32),
                checksum_crc32c: sums.get(Algorithm::Crc32c),
                checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
                checksum_sha1: sums.get(Algorithm::Sha1),
                checksum_sha256: sums.get(Algorithm::Sha256),
            }
        });
        Ok(ListPartsOutput {
            parts: Some(told.collect()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max),
            part_number_marker: Some(after),
            is_truncated: Some(is_truncated),
            next_part_number_marker: last.filter(|_| is_truncated),
            owner: Some(owner()),
            initiator: Some(initiator()),
            checksum_algorithm: algorithm(&record),
            checksum_type: kind(&record),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..ListPartsOutput::default()
        })
    }

    pub(crate) async fn uploads(
        &self,
        mut input: ListMultipartUploadsInput,
    ) -> Result<ListMultipartUploadsOutput> {
        input.delimiter = given(input.delimiter);
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let max = limit(input.max_uploads)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let found = self.uploads_after(&input, prefix.clone()).await?;
        let (mut told, mut prefixes) = (Vec::<MultipartUpload>::new(), Vec::<String>::new());
        let mut last: Option<(String, String)> = None;
        let mut is_truncated = false;
        for upload in found {
            let common = common_prefix(&upload.key, &prefix, input.delimiter.as_deref());
            let is_told = common.as_ref().is_some_and(|common| prefixes.last() == Some(common));
            if !is_told && told.len() + prefixes.len() >= usize::try_from(max).unwrap_or(0) {
                is_truncated = true;
                break;
            }
            last = Some((upload.key.clone(), upload.id.clone()));
            match common {
                Some(_) if is_told => {}
                Some(common) => prefixes.push(common),
                None => told.push(MultipartUpload {
                    checksum_algorithm: algorithm(&upload.record),
                    checksum_type: kind(&upload.record),
                    initiated: Some(timestamp(upload.created_ms)),
                    key: Some(encoder.encode(upload.key)),
                    upload_id: Some(upload.id),
                    owner: Some(owner()),
                    initiator: Some(initiator()),
                    storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                }),
            }
        }
        let (next_key, next_id) = last.filter(|_| is_truncated).unzip();
        let prefixes =
            prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encoder.encode(prefix)) });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            uploads: Some(told),
            common_prefixes: Some(prefixes.collect()),
            is_truncated: Some(is_truncated),
            next_key_marker: next_key.map(|key| encoder.encode(key)),
            next_upload_id_marker: next_id,
            max_uploads: Some(max),
            prefix: Some(encoder.encode(prefix)),
            delimiter: input.delimiter.map(|delimiter| encoder.encode(delimiter)),
            key_marker: Some(encoder.encode(input.key_marker.unwrap_or_default())),
            upload_id_marker: input.upload_id_marker,
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        })
    }

    /// Returns all uploads in progress after the input's markers. Uploads are few, so it needs no limit.
    async fn uploads_after(&self, input: &ListMultipartUploadsInput, prefix: String) -> Result<Vec<Listed>> {
        let bucket = input.bucket.clone();
        let (key, id) = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        let read = self.inner.index.read(move |reader| {
            require_bucket(reader, &bucket)?;
            let sql = "SELECT key, id, created_ms, record FROM uploads
                WHERE bucket = ?1 AND completed IS NULL AND key >= ?2 AND (key > ?3 OR (key = ?3 AND id > ?4))
                ORDER BY key, id";
            let mut statement = reader.prepare_cached(sql)?;
            let rows = statement.query_map(params![bucket, prefix, key, id], |row| {
                let (key, id, created_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let record = row.get::<_, String>(3).and_then(|text| from_text(&text));
                Ok(record.map(|record| Listed { key, id, created_ms, record }))
            })?;
            // One upload that cannot be read must not hide the others.
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut found: Vec<Listed> = rows
                .into_iter()
                .filter_map(|upload| {
                    upload
                        .inspect_err(
                            |error| tracing::error!(bucket, %error, "an upload in progress cannot be read"),
                        )
                        .ok()
                })
                .collect();
            found.retain(|upload| upload.key.starts_with(&prefix));
            Ok(found)
        });
        read.await
    }

    pub(crate) async fn attributes(
        &self,
        input: GetObjectAttributesInput,
    ) -> Result<GetObjectAttributesOutput> {
        let (max, after) = (limit(input.max_parts)?, input.part_number_marker.unwrap_or(0));
        // The header may list several attributes, separated by commas.
        let attributes: Vec<&str> =
            input.object_attributes.iter().flat_map(|list| list.as_str().split(',')).map(str::trim).collect();
        let asked = |name: &str| attributes.contains(&name);
        let wants_sums = asked(ObjectAttributes::CHECKSUM);
        let wants_etag = asked(ObjectAttributes::ETAG);
        let wants_size = asked(ObjectAttributes::OBJECT_SIZE);
        let wants_class = asked(ObjectAttributes::STORAGE_CLASS);
        let wants_parts = asked(ObjectAttributes::OBJECT_PARTS);
        let found = self.inner.index.read(move |reader| object(reader, &input.bucket, &input.key)).await?;
        let sums = &found.record.checksums;
        Ok(GetObjectAttributesOutput {
            checksum: wants_sums.then(|| Checksum {
                checksum_crc32: sums.get(Algorithm::Crc32),
                checksum_crc32c: sums.get(Algorithm::Crc32c),
                checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
                checksum_sha1: sums.get(Algorithm::Sha1),
                checksum_sha256: sums.get(Algorithm::Sha256),
                checksum_type: Some(checksum_type(&found.record)),
            }),
            object_parts: (wants_parts && !found.record.parts.is_empty())
                .then(|| object_parts(&found, max, after)),
            object_size: i64::try_from(found.size).ok().filter(|_| wants_size),
            storage_class: wants_class.then(|| StorageClass::from_static(StorageClass::STANDARD)),
            last_modified: Some(timestamp(found.modified_ms)),
            e_tag: wants_etag.then_some(ETag::Strong(found.etag)),
            ..GetObjectAttributesOutput::default()
        })
    }
}

fn object_parts(found: &StoredObject, max: i32, after: i32) -> GetObjectAttributesParts {
    let all = &found.record.parts;
    let rest: Vec<_> = all.iter().filter(|part| part.number > after).collect();
    let page = usize::try_from(max).unwrap_or(0);
    let is_truncated = rest.len() > page;
    let told: Vec<_> = rest
        .into_iter()
        .take(page)
        .map(|part| ObjectPart {
            part_number: Some(part.number),
            size: i64::try_from(part.size).ok(),
            checksum_crc32: part.checksums.get(Algorithm::Crc32),
            checksum_crc32c: part.checksums.get(Algorithm::Crc32c),
            checksum_crc64nvme: part.checksums.get(Algorithm::Crc64Nvme),
            checksum_sha1: part.checksums.get(Algorithm::Sha1),
            checksum_sha256: part.checksums.get(Algorithm::Sha256),
        })
        .collect();
    let last = told.last().and_then(|part| part.part_number);
    GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: Some(max),
        part_number_marker: Some(after),
        next_part_number_marker: last.filter(|_| is_truncated),
        parts: Some(told),
        total_parts_count: i32::try_from(all.len()).ok(),
    }
}

fn common_prefix(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let place = key.get(prefix.len()..)?.find(delimiter)?;
    Some(key[..prefix.len() + place + delimiter.len()].to_owned())
}
