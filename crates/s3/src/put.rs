//! PutObject, DeleteObject and DeleteObjects.
//!
//! A new object becomes visible only once its blob is durable and its checksums were compared.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    Error as ItemError, PutObjectInput, PutObjectOutput,
};
use s3s::{S3ErrorCode, S3Request};

use crate::checksums::{Algorithm, Checksums, hex, wanted};
use crate::commit::{Committed, NewObject, remove};
use crate::conditions::WriteConditions;
use crate::error::{Error, Result};
use crate::receive::{Claims, receive};
use crate::record::{Attributes, ObjectRecord, find_object, require_bucket};

use crate::LocalS3;

/// S3's limit on the keys of one DeleteObjects.
const DELETED_MAX: usize = 1_000;
/// S3's limit on the length of a key.
const KEY_MAX_BYTES: usize = 1_024;

/// Refuses keys that are longer than S3 allows.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.len() > KEY_MAX_BYTES {
        return Err(Error::refused(S3ErrorCode::KeyTooLongError, "the key is longer than 1,024 bytes"));
    }
    Ok(())
}

/// Formats the date of an `Expires` header as an HTTP date.
pub(crate) fn expires_text(date: Option<&s3s::dto::Timestamp>) -> Option<String> {
    let mut text = Vec::new();
    date?.format(s3s::dto::TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// Takes the headers that are stored with an object from any input that has them.
macro_rules! attributes {
    ($input:expr) => {
        Attributes {
            content_type: $input.content_type.take(),
            content_encoding: $input
                .content_encoding
                .take()
                .and_then(|value| crate::put::without_chunking(&value)),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: crate::put::expires_text($input.expires.as_ref()),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
            tags: crate::tagging::parse_tags($input.tagging.as_deref())?,
        }
    };
}
pub(crate) use attributes;

/// Removes `aws-chunked`, which describes only the transfer, from a content encoding. Returns `None` if nothing is
/// left.
pub(crate) fn without_chunking(value: &str) -> Option<String> {
    let rest: Vec<_> =
        value.split(',').map(str::trim).filter(|name| !matches!(*name, "aws-chunked" | "")).collect();
    (!rest.is_empty()).then(|| rest.join(","))
}

impl LocalS3 {
    pub(crate) async fn put(&self, mut request: S3Request<PutObjectInput>) -> Result<PutObjectOutput> {
        let algorithms = wanted(&request.headers)?;
        let claims = Claims {
            length: request.input.content_length.map(i64::unsigned_abs),
            md5: request.input.content_md5.take(),
            checksums: Checksums::claimed(&request.headers),
            trailers: request.trailing_headers.take(),
        };
        let asks_first = request.headers.contains_key(http::header::EXPECT);
        let mut input = request.input;
        check_key(&input.key)?;
        let attributes = attributes!(input);
        let conditions = WriteConditions { if_match: input.if_match, if_none_match: input.if_none_match };
        // A client that sends `Expect: 100-continue` learns of a refusal before it sends the body.
        let (bucket, key, early) = (input.bucket.clone(), input.key.clone(), conditions.clone());
        let refused_early = self.inner.index.read(move |reader| {
            require_bucket(reader, &bucket)?;
            let old = find_object(reader, &bucket, &key)?;
            early.check(&key, old.as_ref().map(|old| old.etag.as_str()))
        });
        if asks_first {
            refused_early.await?;
        }
        let received = receive(&self.inner.blobs, input.body, &algorithms, claims).await?;
        let new = NewObject {
            bucket: input.bucket,
            key: input.key,
            size: received.piece.length,
            etag: hex(&received.md5),
            record: ObjectRecord {
                attributes,
                checksums: received.checksums,
                pieces: vec![received.piece],
                ..ObjectRecord::default()
            },
            event_name: "ObjectCreated:Put".to_owned(),
            upload: None,
        };
        let Committed { object, .. } = self.commit(new, conditions).await?;
        let sums = &object.record.checksums;
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.etag)),
            checksum_crc32: sums.get(Algorithm::Crc32),
            checksum_crc32c: sums.get(Algorithm::Crc32c),
            checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
            checksum_sha1: sums.get(Algorithm::Sha1),
            checksum_sha256: sums.get(Algorithm::Sha256),
            checksum_type: Some(s3s::dto::ChecksumType::from_static(s3s::dto::ChecksumType::FULL_OBJECT)),
            ..PutObjectOutput::default()
        })
    }

    /// Removes objects in one transaction. Keys that do not exist count as removed.
    pub(crate) async fn delete_keys(&self, bucket: String, keys: Vec<String>) -> Result<()> {
        let write = self.inner.index.write(move |transaction| {
            require_bucket(transaction, &bucket)?;
            let mut removed = false;
            for key in &keys {
                removed |= remove(transaction, &bucket, key)?;
            }
            Ok(removed)
        });
        if write.await? {
            self.sweep_quietly().await;
        }
        Ok(())
    }

    pub(crate) async fn delete_one(&self, input: DeleteObjectInput) -> Result<DeleteObjectOutput> {
        let Some(condition) = input.if_match else {
            self.delete_keys(input.bucket, vec![input.key]).await?;
            return Ok(DeleteObjectOutput::default());
        };
        let conditions = WriteConditions { if_match: Some(condition), if_none_match: None };
        let write = self.inner.index.write(move |transaction| {
            let old = find_object(transaction, &input.bucket, &input.key)?;
            conditions.check(&input.key, old.as_ref().map(|old| old.etag.as_str()))?;
            remove(transaction, &input.bucket, &input.key)
        });
        write.await?;
        self.sweep_quietly().await;
        Ok(DeleteObjectOutput::default())
    }

    pub(crate) async fn delete_many(&self, input: DeleteObjectsInput) -> Result<DeleteObjectsOutput> {
        if input.delete.objects.is_empty() || input.delete.objects.len() > DELETED_MAX {
            let message =
                "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(Error::refused(S3ErrorCode::MalformedXML, message));
        }
        let is_quiet = input.delete.quiet.unwrap_or(false);
        let (fine, wrong): (Vec<_>, Vec<_>) =
            input.delete.objects.into_iter().map(|object| object.key).partition(|key| check_key(key).is_ok());
        self.delete_keys(input.bucket, fine.clone()).await?;
        let errors: Vec<_> = wrong
            .into_iter()
            .map(|key| ItemError {
                code: Some(S3ErrorCode::KeyTooLongError.as_str().to_owned()),
                key: Some(key),
                ..ItemError::default()
            })
            .collect();
        let deleted =
            fine.into_iter().map(|key| DeletedObject { key: Some(key), ..DeletedObject::default() });
        Ok(DeleteObjectsOutput {
            deleted: (!is_quiet).then(|| deleted.collect()),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}
