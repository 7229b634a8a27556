//! PutObject, DeleteObject and DeleteObjects.
//!
//! A new object becomes visible only once its blob is durable and its checksums were compared.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    Error as ItemError, PutObjectInput, PutObjectOutput,
};
use s3s::{S3ErrorCode, S3Request};

use crate::blobs::checksums::{Algorithm, Checksums, wanted};
use crate::blobs::receive::{Claims, receive};
use crate::error::{Error, Result};
use crate::events::notifications::Removal;
use crate::index::commit::{Committed, NewObject, Removed, remove};
use crate::index::record::{Attributes, find_object, require_bucket};
use crate::objects::conditions::{DeleteConditions, WriteConditions};

use crate::LocalS3;
use crate::objects::tagging::malformed;

/// S3's limit on the keys of one DeleteObjects.
const DELETED_MAX: usize = 1_000;
/// S3's limit on the names and values of an object's user metadata.
const METADATA_MAX_BYTES: usize = 2_048;
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
                .and_then(|value| crate::objects::put::without_chunking(&value)),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: crate::objects::put::expires_text($input.expires.as_ref()),
            metadata: crate::objects::put::checked_metadata(
                $input.metadata.take().unwrap_or_default().into_iter().collect(),
            )?,
            tags: crate::objects::tagging::parse_tags($input.tagging.as_deref())?,
            asks_for_encryption: $input.server_side_encryption.is_some(),
        }
    };
}
pub(crate) use attributes;

/// Refuses user metadata that is longer than S3 allows: answers with longer headers could not be read.
pub(crate) fn checked_metadata(metadata: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let length: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if length > METADATA_MAX_BYTES {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Error::refused(S3ErrorCode::MetadataTooLarge, message));
    }
    Ok(metadata)
}

/// Removes `aws-chunked`, which describes only the transfer, from a content encoding and leaves the rest as it is.
/// Returns `None` if nothing is left.
pub(crate) fn without_chunking(value: &str) -> Option<String> {
    let rest: Vec<_> = value.split(',').filter(|name| name.trim() != "aws-chunked").collect();
    let rest = rest.join(",");
    let rest = rest.trim();
    (!rest.is_empty()).then(|| rest.to_owned())
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
        let (bucket, key) = (input.bucket, input.key);
        let new = NewObject::received(bucket.clone(), key.clone(), attributes, received, "ObjectCreated:Put");
        let Committed { object, .. } = self.commit(new, conditions).await?;
        let sums = &object.record.checksums;
        Ok(PutObjectOutput {
            expiration: self.expiration(&bucket, &key, &object),
            server_side_encryption: object.record.attributes.encryption(),
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
        let region = self.inner.options.region.clone();
        let write = self.inner.index.write_with_others(move |transaction| {
            require_bucket(transaction, &bucket)?;
            let remove = |key: &String| remove(transaction, &bucket, key, Removal::Request, &region);
            keys.iter().map(remove).collect::<Result<Vec<_>>>()
        });
        let removed = write.await?;
        self.tell_of_removals(removed.into_iter()).await;
        Ok(())
    }

    /// Wakes the outbox's readers and sweeps, as far as removals need it.
    pub(crate) async fn tell_of_removals(&self, removals: impl Iterator<Item = Removed> + Clone) {
        if removals.clone().any(|removed| removed.is_notified) {
            self.wake_outbox();
        }
        if removals.clone().any(|removed| removed.existed) {
            self.sweep_quietly().await;
        }
    }

    pub(crate) async fn delete_one(&self, input: DeleteObjectInput) -> Result<DeleteObjectOutput> {
        let conditions = DeleteConditions {
            etag: input.if_match.map(|condition| match condition.as_etag() {
                Some(etag) => etag.value().to_owned(),
                None => "*".to_owned(),
            }),
            size: input.if_match_size,
            modified: input.if_match_last_modified_time,
        };
        let wish = Wish { key: input.key, conditions, version: input.version_id.clone() };
        self.delete_wished(input.bucket, vec![wish]).await?.remove(0).1?;
        Ok(DeleteObjectOutput { version_id: input.version_id, ..DeleteObjectOutput::default() })
    }

    /// Removes the objects whose conditions hold, in one transaction. Returns for each key what was done, or why it
    /// stays. If the disk or the index fails, nothing is removed.
    async fn delete_wished(&self, bucket: String, wishes: Vec<Wish>) -> Result<Vec<(Wish, Result<Removed>)>> {
        let region = self.inner.options.region.clone();
        let write = self.inner.index.write_with_others(move |transaction| {
            require_bucket(transaction, &bucket)?;
            let delete = |wish: &Wish| {
                let deleted = wish.delete(transaction, &bucket, &region);
                match deleted {
                    Err(error) if !error.is_refusal() => Err(error),
                    answer => Ok((wish.clone(), answer)),
                }
            };
            wishes.iter().map(delete).collect::<Result<Vec<_>>>()
        });
        let deleted = write.await?;
        let removals: Vec<Removed> =
            deleted.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).copied().collect();
        self.tell_of_removals(removals.into_iter()).await;
        Ok(deleted)
    }

    pub(crate) async fn delete_many(&self, input: DeleteObjectsInput) -> Result<DeleteObjectsOutput> {
        if input.delete.objects.is_empty() || input.delete.objects.len() > DELETED_MAX {
            return Err(malformed());
        }
        let is_quiet = input.delete.quiet.unwrap_or(false);
        let wishes = input.delete.objects.into_iter().map(|object| Wish {
            key: object.key,
            conditions: DeleteConditions {
                etag: object.e_tag.map(|etag| etag.value().to_owned()),
                size: object.size,
                modified: object.last_modified_time,
            },
            version: object.version_id,
        });
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (wish, outcome) in self.delete_wished(input.bucket, wishes.collect()).await? {
            match outcome {
                Ok(_) => deleted.push(DeletedObject {
                    key: Some(wish.key),
                    version_id: wish.version,
                    ..DeletedObject::default()
                }),
                Err(error) => errors.push(ItemError {
                    code: Some(error.s3_code().to_owned()),
                    message: Some(error.to_string()),
                    key: Some(wish.key),
                    version_id: wish.version,
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}

/// A client's wish to delete an object.
#[derive(Clone, Debug)]
struct Wish {
    key: String,
    conditions: DeleteConditions,
    version: Option<String>,
}

impl Wish {
    /// Removes the object if it is what the client means.
    fn delete(&self, transaction: &Transaction<'_>, bucket: &str, region: &str) -> Result<Removed> {
        check_key(&self.key)?;
        // The version of an object without versions is called `null`.
        if self.version.as_ref().is_some_and(|version| version != "null") {
            return Err(Error::refused(S3ErrorCode::NoSuchVersion, "The specified version does not exist."));
        }
        let found = find_object(transaction, bucket, &self.key)?;
        self.conditions.check(&self.key, found.as_ref())?;
        remove(transaction, bucket, &self.key, Removal::Request, region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_transfer_leaves_a_content_encoding() {
        for (given, kept) in [
            ("gzip", Some("gzip")),
            ("deflate, gzip", Some("deflate, gzip")),
            ("gzip, aws-chunked", Some("gzip")),
            ("aws-chunked,gzip", Some("gzip")),
            ("deflate, aws-chunked, gzip", Some("deflate, gzip")),
            ("aws-chunked", None),
            ("", None),
        ] {
            assert_eq!(without_chunking(given).as_deref(), kept, "{given}");
        }
    }

    #[test]
    fn metadata_has_two_kilobytes_at_most() {
        let metadata = |length| [("name".to_owned(), "v".repeat(length))].into();
        assert!(checked_metadata(metadata(2_044)).is_ok());
        assert_eq!(checked_metadata(metadata(2_045)).unwrap_err().s3_code(), "MetadataTooLarge");
    }
}
