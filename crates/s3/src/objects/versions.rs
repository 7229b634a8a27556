//! ListObjectVersions. Buckets have no versions, so each object has one, which S3 calls `null`.
//!
//! There are no delete markers.

use s3s::S3ErrorCode;
use s3s::dto::{
    ETag, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, ObjectVersionStorageClass,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::objects::get::timestamp;
use crate::objects::list::{Encoder, Query, Row, common_prefixes, given, limit, marker, owner, page};

/// The name of the only version of an object.
pub(crate) const NULL: &str = "null";

fn version(row: Row, encoder: &Encoder) -> ObjectVersion {
    ObjectVersion {
        key: Some(encoder.encode(row.key)),
        version_id: Some(NULL.to_owned()),
        is_latest: Some(true),
        size: Some(row.size),
        e_tag: Some(ETag::Strong(row.etag)),
        last_modified: Some(timestamp(row.modified_ms)),
        owner: Some(owner()),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        ..ObjectVersion::default()
    }
}

/// Refuses a place between the versions of a key that is not one.
fn check_markers(input: &ListObjectVersionsInput) -> Result<()> {
    let wrong = |message: &str| Err(Error::refused(S3ErrorCode::InvalidArgument, message));
    // Some clients send empty markers with the first page.
    let version = input.version_id_marker.as_ref().filter(|version| !version.is_empty());
    let Some(version) = version else { return Ok(()) };
    if input.key_marker.as_ref().is_none_or(String::is_empty) {
        return wrong("A version-id marker cannot be specified without a key marker.");
    }
    if version == NULL { Ok(()) } else { wrong("Invalid version id specified") }
}

impl LocalS3 {
    pub(crate) async fn list_versions(
        &self,
        mut input: ListObjectVersionsInput,
    ) -> Result<ListObjectVersionsOutput> {
        let (max_keys, limit) = limit(input.max_keys)?;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        check_markers(&input)?;
        input.delimiter = given(input.delimiter);
        let prefix = input.prefix.clone().unwrap_or_default();
        // The only version of the key at the marker is on the page before, whether or not the marker names it.
        let from = marker(input.key_marker.clone().unwrap_or_default(), &prefix, input.delimiter.as_deref());
        let query =
            Query { bucket: input.bucket.clone(), prefix, delimiter: input.delimiter.clone(), from, limit };
        let page = self.inner.index.read(move |reader| page(reader, &query)).await?;
        let next = page.next.is_some().then(|| page.last.clone()).flatten();
        let ends_with_version = page.rows.last().is_some_and(|row| Some(&row.key) == next.as_ref());
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_version_id_marker: ends_with_version.then(|| NULL.to_owned()),
            next_key_marker: encoder.some(next),
            versions: Some(page.rows.into_iter().map(|row| version(row, &encoder)).collect()),
            common_prefixes: common_prefixes(page.prefixes, &encoder),
            prefix: Some(encoder.encode(input.prefix.unwrap_or_default())),
            key_marker: Some(encoder.encode(input.key_marker.unwrap_or_default())),
            version_id_marker: input.version_id_marker.or(Some(String::new())),
            delimiter: encoder.some(input.delimiter),
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        })
    }
}
