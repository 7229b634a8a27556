//! CopyObject: makes a second object of the same blobs. It reads the object only for a checksum that the client wants.

use http::header::{HeaderMap, HeaderName};
use rusqlite::Transaction;
use s3s::S3ErrorCode;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag, MetadataDirective,
    TaggingDirective,
};

use crate::LocalS3;
use crate::blobs::Held;
use crate::blobs::checksums::{Algorithm, Checksums, Digester};
use crate::error::{Error, Result};
use crate::index::blocking;
use crate::index::commit::{NewObject, TRIES, changed_too_often};
use crate::index::record::{Attributes, StoredObject, object};
use crate::objects::conditions::{ReadConditions, WriteConditions};
use crate::objects::get::{BodyParts, checksum_type, timestamp};
use crate::objects::put::{attributes, check_key};

/// Header with the source of a copy.
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// Reads a `+` in the source of a copy as a space, as in a form, which is what AWS does: clients that send a plus sign as
/// it is get `NoSuchKey` there (aws/aws-cli issue 614), and others write a space that way. `s3s` leaves it a `+`.
pub(crate) fn with_spaces(headers: &HeaderMap, source: CopySource) -> Result<CopySource> {
    let text = headers.get(COPY_SOURCE).and_then(|text| std::str::from_utf8(text.as_bytes()).ok());
    let Some(text) = text.filter(|text| text.contains('+')) else { return Ok(source) };
    CopySource::parse(&text.replace('+', "%20")).map_err(|_| {
        Error::refused(S3ErrorCode::InvalidArgument, "Copy Source must mention the source bucket and key")
    })
}

/// Returns the bucket and key of a copy's source.
pub(crate) fn source_of(source: CopySource) -> Result<(String, String)> {
    match source {
        // The version of an object without versions is called `null`.
        CopySource::Bucket { version_id: Some(version), .. } if &*version != "null" => {
            Err(Error::refused(S3ErrorCode::InvalidArgument, "Invalid version id specified"))
        }
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.into(), key.into())),
        _ => Err(Error::refused(
            S3ErrorCode::InvalidArgument,
            "the source of the copy is not an object in a bucket",
        )),
    }
}

/// Takes the conditions on a copy's source from any input that has them.
macro_rules! source_conditions {
    ($input:expr) => {
        ReadConditions {
            if_match: $input.copy_source_if_match.take(),
            if_none_match: $input.copy_source_if_none_match.take(),
            if_modified_since: $input.copy_source_if_modified_since.take(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.take(),
        }
    };
}
pub(crate) use source_conditions;

impl LocalS3 {
    /// Copies an object if the conditions on its source, and `target` on the object at the new place, hold.
    pub(crate) async fn copy_if(
        &self,
        mut input: CopyObjectInput,
        target: WriteConditions,
    ) -> Result<CopyObjectOutput> {
        check_key(&input.key)?;
        let algorithm = input.checksum_algorithm.as_ref().map(|it| Algorithm::named(it.as_str()));
        let algorithm = algorithm.transpose()?;
        let conditions = source_conditions!(input);
        let replaces_metadata =
            input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == MetadataDirective::REPLACE);
        let replaces_tags =
            input.tagging_directive.as_ref().is_some_and(|it| it.as_str() == TaggingDirective::REPLACE);
        let given: Attributes = attributes!(input);
        let (bucket, key) = source_of(input.copy_source)?;
        let is_same = bucket == input.bucket && key == input.key;
        if is_same && !replaces_metadata && !replaces_tags {
            return Err(Error::refused(
                S3ErrorCode::InvalidRequest,
                "a copy of an object onto itself must replace its metadata or its tags",
            ));
        }
        let (s3, place) = (self.clone(), (input.bucket.clone(), input.key.clone()));
        let run = blocking(move || {
            // Reading takes long, so it comes before the key is held.
            let mut sums = match algorithm {
                Some(algorithm) => {
                    let (source, held) = s3.look_up_and_hold_now(&bucket, &key)?;
                    conditions.check_source(&source.etag, source.modified_ms)?;
                    Some(s3.whole_sum(&source, held, algorithm)?)
                }
                None => None,
            };
            let committed = {
                let _turn = s3.inner.keys.hold(&input.bucket, &input.key);
                let mut tries = (0..TRIES).map(|_| {
                    let (source, held) = s3.look_up_and_hold_now(&bucket, &key)?;
                    conditions.check_source(&source.etag, source.modified_ms)?;
                    let mut record = source.record.clone();
                    if let (Some(algorithm), Some((sequencer, whole))) = (algorithm, &mut sums) {
                        if *sequencer != source.sequencer {
                            (*sequencer, *whole) = s3.whole_sum(&source, held, algorithm)?;
                            return Ok(None);
                        }
                        record.checksums = whole.clone();
                        record.is_composite = false;
                    }
                    if replaces_metadata {
                        record.attributes = given.clone();
                    }
                    let tags = if replaces_tags { &given.tags } else { &source.record.attributes.tags };
                    record.attributes.tags.clone_from(tags);
                    record.attributes.asks_for_encryption = given.asks_for_encryption;
                    let new = NewObject {
                        bucket: input.bucket.clone(),
                        key: input.key.clone(),
                        size: source.size,
                        etag: source.etag.clone(),
                        record,
                        event_name: "ObjectCreated:Copy".to_owned(),
                        upload: None,
                        bytes: None,
                    };
                    let is_still =
                        |transaction: &Transaction<'_>| Ok(object(transaction, &bucket, &key)? == source);
                    s3.commit_now(new, &target, is_still, |_| Ok(()))
                });
                tries.find_map(Result::transpose).unwrap_or_else(|| Err(changed_too_often()))?
            };
            s3.tell(&committed);
            Ok(committed)
        });
        let copied = run.await?.object;
        let expiration = self.expiration(&place.0, &place.1, &copied);
        let sums = &copied.record.checksums;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(copied.etag)),
            last_modified: Some(timestamp(copied.modified_ms)),
            checksum_crc32: sums.get(Algorithm::Crc32),
            checksum_crc32c: sums.get(Algorithm::Crc32c),
            checksum_crc64nvme: sums.get(Algorithm::Crc64Nvme),
            checksum_sha1: sums.get(Algorithm::Sha1),
            checksum_sha256: sums.get(Algorithm::Sha256),
            checksum_type: Some(checksum_type(&copied.record)),
        };
        Ok(CopyObjectOutput {
            expiration,
            server_side_encryption: copied.record.attributes.encryption(),
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        })
    }

    /// Computes the checksum of a whole object, and returns it with the object's sequencer. Blocking.
    fn whole_sum(
        &self,
        source: &StoredObject,
        held: Held,
        algorithm: Algorithm,
    ) -> Result<(String, Checksums)> {
        let pieces = source.record.pieces.clone();
        let mut parts = BodyParts::new(self.inner.blobs.clone(), pieces, held);
        let mut digester = Digester::new(&[algorithm]);
        while let Some(chunk) = parts.read()? {
            digester.update(&chunk);
        }
        Ok((source.sequencer.clone(), digester.finish().1))
    }
}
