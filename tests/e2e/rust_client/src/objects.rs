//! Uses S3's buckets, objects, multipart uploads with checksums and pages, and the SDK's waiters. Returns what S3 answered.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::client::Waiters;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};
use serde_json::{Value, json};

use crate::{BUCKET, Outcome};

/// The film's key, with a non-ASCII letter and a space, as real uploads have them.
pub(crate) const FILM: &str = "día 1.mp4";
const LARGE: &str = "large.bin";
const WAIT: Duration = Duration::from_secs(20);
const PART_BYTES: usize = 5 * 1024 * 1024;
const LARGE_BYTES: u32 = 12 * 1024 * 1024;

pub(crate) async fn seen(s3: &Client, film: &Path) -> Outcome<Value> {
    s3.create_bucket().bucket(BUCKET).send().await?;
    s3.wait_until_bucket_exists().bucket(BUCKET).wait(WAIT).await?;
    let put = s3.put_object().bucket(BUCKET).key(FILM).content_type("video/mp4");
    let put = put.metadata("taken-by", "rust").body(ByteStream::from_path(film).await?).send().await?;
    s3.wait_until_object_exists().bucket(BUCKET).key(FILM).wait(WAIT).await?;
    let head = s3.head_object().bucket(BUCKET).key(FILM).checksum_mode(ChecksumMode::Enabled).send().await?;
    let lifetime = PresigningConfig::expires_in(Duration::from_secs(300))?;
    let presigned = s3.get_object().bucket(BUCKET).key(FILM).presigned(lifetime).await?;
    Ok(json!({
        "bytes": head.content_length(),
        "contentType": head.content_type(),
        "metadata": head.metadata().and_then(|all| all.get("taken-by")),
        "sameTag": put.e_tag() == head.e_tag(),
        "sameChecksum": put.checksum_crc32().is_some() && put.checksum_crc32() == head.checksum_crc32(),
        "isTheSame": fetched(s3, FILM).await? == std::fs::read(film)?,
        "presigned": presigned.uri(),
        "byParts": in_parts(s3, ChecksumAlgorithm::Sha256, ChecksumType::Composite).await?,
        "byWhole": in_parts(s3, ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject).await?,
        "pages": pages(s3).await?,
    }))
}

/// Returns the bytes of an object. The SDK compares them with the checksum in the answer and fails if they differ.
pub(crate) async fn fetched(s3: &Client, key: &str) -> Outcome<Vec<u8>> {
    let got = s3.get_object().bucket(BUCKET).key(key).checksum_mode(ChecksumMode::Enabled).send().await?;
    Ok(got.body.collect().await?.to_vec())
}

/// Uploads three parts, the last one first, with a checksum of each. If the algorithm allows it, S3 computes the whole object's
/// checksum from them.
async fn in_parts(s3: &Client, algorithm: ChecksumAlgorithm, kind: ChecksumType) -> Outcome<Value> {
    // Every 32-bit word is different, so that parts in the wrong order would show.
    let content: Vec<u8> = (0..LARGE_BYTES / 4).flat_map(u32::to_le_bytes).collect();
    let begun = s3.create_multipart_upload().bucket(BUCKET).key(LARGE).checksum_type(kind);
    let begun = begun.checksum_algorithm(algorithm.clone()).send().await?;
    let id = begun.upload_id().ok_or("the multipart upload has no id")?;
    let mut parts = Vec::new();
    for (number, bytes) in (1..).zip(content.chunks(PART_BYTES)).collect::<Vec<_>>().into_iter().rev() {
        let sent = s3.upload_part().bucket(BUCKET).key(LARGE).upload_id(id).part_number(number);
        let sent = sent.checksum_algorithm(algorithm.clone()).body(bytes.to_vec().into()).send().await?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        let part = part.set_checksum_sha256(sent.checksum_sha256);
        parts.push(part.set_checksum_crc64_nvme(sent.checksum_crc64_nvme).build());
    }
    parts.reverse();
    let pages = s3.list_parts().bucket(BUCKET).key(LARGE).upload_id(id).into_paginator().page_size(2);
    let listed = pages.items().send().collect::<Result<Vec<_>, _>>().await?;
    let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let done = s3.complete_multipart_upload().bucket(BUCKET).key(LARGE).upload_id(id);
    let done = done.multipart_upload(whole).send().await?;
    let range = s3.get_object().bucket(BUCKET).key(LARGE).range("bytes=5242876-5242883").send().await?;
    let range = range.body.collect().await?.to_vec();
    let is_the_same = fetched(s3, LARGE).await? == content;
    let one = s3.put_object().bucket(BUCKET).key(LARGE).checksum_algorithm(algorithm);
    let one = one.body(content.into()).send().await?;
    Ok(json!({
        "parts": listed.iter().map(|part| part.size()).collect::<Vec<_>>(),
        "tag": done.e_tag(),
        "checksum": done.checksum_sha256().or(done.checksum_crc64_nvme()),
        "checksumInOnePiece": one.checksum_sha256().or(one.checksum_crc64_nvme()),
        "acrossParts": range,
        "isTheSame": is_the_same,
    }))
}

/// Lists five small objects two per page, then deletes them; the SDK waits until each one is gone.
async fn pages(s3: &Client) -> Outcome<Value> {
    for number in 0..5 {
        let key = format!("small/{number} & more+");
        s3.put_object().bucket(BUCKET).key(key).body(vec![b'x'; number].into()).send().await?;
    }
    let mut pages = s3.list_objects_v2().bucket(BUCKET).prefix("small/").into_paginator().page_size(2).send();
    let (mut keys, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page?;
        lengths.push(page.contents().len());
        keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    for key in &keys {
        s3.delete_object().bucket(BUCKET).key(key).send().await?;
        s3.wait_until_object_not_exists().bucket(BUCKET).key(key).wait(WAIT).await?;
    }
    Ok(json!({"keys": keys, "lengths": lengths}))
}
