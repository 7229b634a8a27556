//! CompleteMultipartUpload: makes one object of the parts that the client lists, in one transaction on the index.
//!
//! It reads no bytes of the parts. A completion that fails leaves the upload unchanged.

use base64::Engine as _;
use rusqlite::{Connection, Transaction, params};
use s3s::S3ErrorCode;
use s3s::S3Request;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag,
    ServerSideEncryption,
};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::blobs::checksums::{Algorithm, Checksums, composed, hex, joined};
use crate::edge::answers::address_of;
use crate::error::{Error, Result};
use crate::index::blocking;
use crate::index::commit::{Committed, NewObject, TRIES, changed_too_often};
use crate::index::record::{ObjectRecord, PartRecord, from_text, to_text};
use crate::multipart::{StoredPart, UploadRecord, parts, remove_parts, upload};
use crate::objects::conditions::WriteConditions;

/// S3's minimum size of every part but the last.
const PART_MIN_BYTES: u64 = 5 << 20;

/// The answer to a completion. A repeated completion gets the same answer.
#[derive(Serialize, Deserialize)]
struct Answer {
    etag: String,
    checksums: Checksums,
    is_composite: bool,
    #[serde(default)]
    asks_for_encryption: bool,
}

/// The client's request to complete an upload.
struct Wish {
    id: String,
    bucket: String,
    key: String,
    listed: Vec<CompletedPart>,
    claimed: Checksums,
    /// Whether the client says that the checksum is composite, if it says so.
    is_composite: Option<bool>,
    size: Option<u64>,
    conditions: WriteConditions,
}

/// Returns the stored parts that the client lists, in its order.
fn choose(listed: &[CompletedPart], stored: Vec<StoredPart>) -> Result<Vec<StoredPart>> {
    let refuse = |code, message: &str| Err(Error::refused(code, message));
    if listed.is_empty() {
        return refuse(S3ErrorCode::MalformedXML, "the completion lists no parts");
    }
    let numbers: Vec<i32> = listed.iter().map(|part| part.part_number.unwrap_or(0)).collect();
    if !numbers.is_sorted_by(|a, b| a < b) {
        return refuse(S3ErrorCode::InvalidPartOrder, "the parts are not listed in ascending order");
    }
    let mut stored: std::collections::BTreeMap<i32, StoredPart> =
        stored.into_iter().map(|part| (part.number, part)).collect();
    let mut chosen = Vec::with_capacity(listed.len());
    for (listed, number) in listed.iter().zip(numbers) {
        let invalid = || {
            Error::refused(
                S3ErrorCode::InvalidPart,
                format!("part {number} was not uploaded or differs from the listed ETag or checksum"),
            )
        };
        let part = stored.remove(&number).ok_or_else(invalid)?;
        let claims_etag = listed.e_tag.as_ref().is_some_and(|etag| etag.value() == part.etag);
        if !claims_etag || part.content.checksums.verify(&claimed_of(listed)).is_err() {
            return Err(invalid());
        }
        chosen.push(part);
    }
    let (_, before_last) = chosen.split_last().unwrap_or((&chosen[0], &[]));
    if before_last.iter().any(|part| part.size < PART_MIN_BYTES) {
        return refuse(S3ErrorCode::EntityTooSmall, "every part but the last must have at least 5 MiB");
    }
    Ok(chosen)
}

fn claimed_of(part: &CompletedPart) -> Checksums {
    let claims = [
        (Algorithm::Crc32, &part.checksum_crc32),
        (Algorithm::Crc32c, &part.checksum_crc32c),
        (Algorithm::Crc64Nvme, &part.checksum_crc64nvme),
        (Algorithm::Sha1, &part.checksum_sha1),
        (Algorithm::Sha256, &part.checksum_sha256),
    ];
    Checksums(claims.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum.clone()?))).collect())
}

/// Returns the ETag of a multipart object: the MD5 of the parts' MD5s, then `-` and the number of parts.
fn etag_of(parts: &[StoredPart]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        let digits = part.etag.as_bytes().chunks(2);
        let bytes = digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        md5.update(&bytes.collect::<Vec<u8>>());
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

/// Computes the checksum of the whole object from the parts' checksums; empty if that is not possible.
fn sum_of(upload: &UploadRecord, parts: &[StoredPart]) -> Checksums {
    let algorithm = upload.algorithm;
    let sums = parts.iter().filter_map(|part| Some((part.content.checksums.get(algorithm)?, part.size)));
    let sums: Vec<(String, u64)> = sums.collect();
    let whole = if sums.len() != parts.len() {
        None
    } else if upload.is_composite {
        composed(algorithm, &sums.into_iter().map(|(sum, _)| sum).collect::<Vec<_>>())
    } else {
        joined(algorithm, &sums)
    };
    Checksums(whole.map(|whole| (algorithm, whole)).into_iter().collect())
}

/// What a completion will make.
struct Planned {
    answer: Answer,
    new: NewObject,
}

/// Plans the object of an upload, or returns the answer of an earlier completion.
fn plan(connection: &Connection, wish: &Wish) -> Result<Result<Planned, Answer>> {
    let upload = upload(connection, &wish.id, &wish.bucket, &wish.key)?;
    if let Some(answer) = upload.completed {
        return Ok(Err(from_text(&answer)?));
    }
    let chosen = choose(&wish.listed, parts(connection, &wish.id, 0, -1)?)?;
    let size = chosen.iter().map(|part| part.size).sum();
    if wish.size.is_some_and(|claimed| claimed != size) {
        return Err(Error::refused(
            S3ErrorCode::InvalidRequest,
            "the size of the object differs from the announced size",
        ));
    }
    let upload = upload.record;
    if wish.is_composite.is_some_and(|claimed| claimed != upload.is_composite) {
        return Err(Error::refused(
            S3ErrorCode::InvalidRequest,
            "the checksum type differs from that of the upload",
        ));
    }
    let asks_for_encryption = upload.attributes.asks_for_encryption;
    let checksums = sum_of(&upload, &chosen);
    verify(&checksums, &wish.claimed)?;
    let record = ObjectRecord {
        attributes: upload.attributes,
        checksums: checksums.clone(),
        is_composite: upload.is_composite,
        parts: chosen
            .iter()
            .map(|part| PartRecord {
                number: part.number,
                size: part.size,
                checksums: part.content.checksums.clone(),
            })
            .collect(),
        pieces: chosen.iter().flat_map(|part| part.content.pieces.clone()).collect(),
    };
    let answer =
        Answer { etag: etag_of(&chosen), checksums, is_composite: upload.is_composite, asks_for_encryption };
    let new = NewObject {
        bucket: wish.bucket.clone(),
        key: wish.key.clone(),
        size,
        etag: answer.etag.clone(),
        record,
        event_name: "ObjectCreated:CompleteMultipartUpload".to_owned(),
        upload: Some(wish.id.clone()),
        bytes: None,
    };
    Ok(Ok(Planned { answer, new }))
}

/// Compares the checksums of the whole object. A client may claim a composite checksum without its `-N`.
fn verify(computed: &Checksums, claimed: &Checksums) -> Result<()> {
    let is_base64 = |sum: &String| base64::engine::general_purpose::STANDARD.decode(sum).is_ok();
    let comparable = claimed.0.iter().map(|(algorithm, claim)| {
        let full =
            computed.get(*algorithm).filter(|full| is_base64(claim) && full.starts_with(claim.as_str()));
        (*algorithm, full.unwrap_or_else(|| claim.clone()))
    });
    computed.verify(&Checksums(comparable.collect()))
}

impl LocalS3 {
    /// Completes an upload. Once started, all of this completes even if the future is dropped.
    async fn complete_by(&self, wish: Wish) -> Result<Answer> {
        let s3 = self.clone();
        let run = blocking(move || {
            let (answer, committed) = {
                let _turn = s3.inner.keys.hold(&wish.bucket, &wish.key);
                let mut tries = (0..TRIES).map(|_| s3.complete_once(&wish));
                tries.find_map(Result::transpose).unwrap_or_else(|| Err(changed_too_often()))?
            };
            if let Some(committed) = committed {
                s3.tell(&committed);
                s3.sweep_quietly_now();
            }
            Ok(answer)
        });
        run.await
    }

    /// Completes an upload. The second value is `None` if the upload was completed before. Returns `None` if a part
    /// changed meanwhile. Hold the key. Blocking.
    fn complete_once(&self, wish: &Wish) -> Result<Option<(Answer, Option<Committed>)>> {
        let Planned { answer, new } = match self.inner.index.read_now(|reader| plan(reader, wish))? {
            Ok(planned) => planned,
            Err(answer) => return Ok(Some((answer, None))),
        };
        let record = new.record.clone();
        let is_still = |transaction: &Transaction<'_>| {
            Ok(plan(transaction, wish)?.is_ok_and(|planned| planned.new.record == record))
        };
        let then = |transaction: &Transaction<'_>| {
            remove_parts(transaction, &wish.id)?;
            let sql = "UPDATE uploads SET completed = ?2 WHERE id = ?1";
            transaction.execute(sql, params![wish.id, to_text(&answer)])?;
            Ok(())
        };
        let committed = self.commit_now(new, &wish.conditions, is_still, then)?;
        Ok(committed.map(|committed| (answer, Some(committed))))
    }

    pub(crate) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<CompleteMultipartUploadOutput> {
        let claimed = Checksums::claimed(&request.headers);
        let place = address_of(
            &request.headers,
            &self.inner.options.base_domains,
            &request.input.bucket,
            &request.input.key,
        );
        let input = request.input;
        let kind = input.checksum_type.as_ref().map(ChecksumType::as_str);
        let wish = Wish {
            id: input.upload_id,
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            listed: input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default(),
            claimed,
            is_composite: kind.map(|kind| kind == ChecksumType::COMPOSITE),
            size: input.mpu_object_size.map(i64::unsigned_abs),
            conditions: WriteConditions { if_match: input.if_match, if_none_match: input.if_none_match },
        };
        let answer = self.complete_by(wish).await?;
        let expiration = self.expiration_of(&input.bucket, &input.key, &answer.etag).await?;
        let kind = if answer.is_composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
        Ok(CompleteMultipartUploadOutput {
            location: Some(place),
            expiration,
            server_side_encryption: answer
                .asks_for_encryption
                .then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(answer.etag)),
            checksum_crc32: answer.checksums.get(Algorithm::Crc32),
            checksum_crc32c: answer.checksums.get(Algorithm::Crc32c),
            checksum_crc64nvme: answer.checksums.get(Algorithm::Crc64Nvme),
            checksum_sha1: answer.checksums.get(Algorithm::Sha1),
            checksum_sha256: answer.checksums.get(Algorithm::Sha256),
            checksum_type: Some(ChecksumType::from_static(kind)),
            ..CompleteMultipartUploadOutput::default()
        })
    }
}
