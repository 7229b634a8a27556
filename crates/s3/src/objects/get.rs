//! GetObject and HeadObject: returns an object's headers and a stream over its blobs.
//!
//! Only one buffer of a body is in memory at once. A body never changes under its reader.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures::Stream;
use s3s::S3ErrorCode;
use s3s::dto::{
    ChecksumMode, ChecksumType, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    Range, StreamingBlob, Timestamp, TimestampFormat,
};
use time::OffsetDateTime;

use crate::LocalS3;
use crate::blobs::checked::Check;
use crate::blobs::checksums::{Algorithm, Checksums};
use crate::blobs::{Blobs, Held};
use crate::error::{Error, Result};
use crate::index::blocking;
use crate::index::record::{ObjectRecord, Piece, StoredObject, object};
use crate::objects::conditions::ReadConditions;

/// Maximum number of bytes read from a blob at once.
const READ_BYTES: usize = 256 << 10;

/// Converts milliseconds since 1970 to a time in an S3 response.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}

/// Returns an object's checksum type.
pub(crate) fn checksum_type(record: &ObjectRecord) -> ChecksumType {
    let is_composite = record.is_composite;
    ChecksumType::from_static(if is_composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
}

/// Returns the bytes `first..end` of a list of pieces, again as pieces.
pub(crate) fn cut(pieces: &[Piece], first: u64, end: u64) -> Vec<Piece> {
    let mut start = 0;
    let mut run = Vec::new();
    for piece in pieces {
        let (from, to) = (first.max(start), end.min(start + piece.length));
        if from < to {
            run.push(Piece {
                blob: piece.blob.clone(),
                offset: piece.offset + (from - start),
                length: to - from,
            });
        }
        start += piece.length;
    }
    run
}

/// The content that a request asks for.
struct Wanted {
    conditions: ReadConditions,
    range: Option<Range>,
    part: Option<i32>,
    /// Whether the request asks for checksums.
    sums: bool,
}

/// The bytes to send.
struct Span {
    first: u64,
    end: u64,
    is_partial: bool,
    /// Checksums of these bytes, if they are known.
    sums: Option<Checksums>,
}

impl Wanted {
    fn span(&self, object: &StoredObject) -> Result<Span> {
        self.conditions.check(&object.etag, object.modified_ms)?;
        let size = object.size;
        if let Some(number) = self.part {
            return part_span(object, number);
        }
        let whole = Some(object.record.checksums.clone());
        let Some(range) = &self.range else {
            return Ok(Span { first: 0, end: size, is_partial: false, sums: whole });
        };
        let unfit = || Error::refused(S3ErrorCode::InvalidRange, "the range is outside the object");
        let run = range.check(size).ok().filter(|run| !run.is_empty()).ok_or_else(unfit)?;
        // S3 sends the checksums of the whole object only with the whole object.
        Ok(Span { first: run.start, end: run.end, is_partial: true, sums: None })
    }
}

fn part_span(object: &StoredObject, number: i32) -> Result<Span> {
    let parts = &object.record.parts;
    if parts.is_empty() && number == 1 {
        let sums = Some(object.record.checksums.clone());
        return Ok(Span { first: 0, end: object.size, is_partial: object.size > 0, sums });
    }
    let mut first = 0;
    for part in parts {
        if part.number == number {
            let sums = Some(part.checksums.clone());
            return Ok(Span { first, end: first + part.size, is_partial: part.size > 0, sums });
        }
        first += part.size;
    }
    Err(Error::refused(S3ErrorCode::InvalidRange, format!("the object has no part {number}")))
}

/// Sets the fields that the outputs of GET and HEAD share.
macro_rules! describe {
    ($output:ident, $object:ident, $span:ident, $sums:expr, $is_part:expr) => {
        let record = $object.record;
        let kept = record.attributes.clone();
        if let Some(sums) = $span.sums.filter(|_| $sums) {
            $output.checksum_crc32 = sums.get(Algorithm::Crc32);
            $output.checksum_crc32c = sums.get(Algorithm::Crc32c);
            $output.checksum_crc64nvme = sums.get(Algorithm::Crc64Nvme);
            $output.checksum_sha1 = sums.get(Algorithm::Sha1);
            $output.checksum_sha256 = sums.get(Algorithm::Sha256);
            $output.checksum_type = Some(checksum_type(&record));
        }
        $output.server_side_encryption = kept.encryption();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = kept.cache_control;
        $output.content_disposition = kept.content_disposition;
        $output.content_encoding = kept.content_encoding;
        $output.content_language = kept.content_language;
        $output.content_type = Some(kept.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.expires =
            kept.expires.and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, &text).ok());
        $output.metadata = (!kept.metadata.is_empty()).then(|| kept.metadata.into_iter().collect());
        $output.content_length = i64::try_from($span.end - $span.first).ok();
        $output.content_range = $span
            .is_partial
            .then(|| format!("bytes {}-{}/{}", $span.first, $span.end.saturating_sub(1), $object.size));
        $output.e_tag = Some(ETag::Strong($object.etag));
        $output.last_modified = Some(timestamp($object.modified_ms));
        // S3 counts the parts only for those who ask for one.
        $output.parts_count = i32::try_from(record.parts.len()).ok().filter(|count| $is_part && *count > 0);
    };
}

/// Takes from a GetObject or HeadObject what it wants of the object.
macro_rules! wanted {
    ($input:ident) => {
        Wanted {
            conditions: ReadConditions {
                if_match: $input.if_match,
                if_none_match: $input.if_none_match,
                if_modified_since: $input.if_modified_since,
                if_unmodified_since: $input.if_unmodified_since,
            },
            range: $input.range,
            part: $input.part_number,
            sums: $input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED),
        }
    };
}

impl LocalS3 {
    pub(crate) async fn get(&self, input: GetObjectInput) -> Result<GetObjectOutput> {
        let wanted = wanted!(input);
        let (sums, is_part) = (wanted.sums, wanted.part.is_some());
        let version_id = input.version_id;
        let (object, held) = self.look_up_and_hold(input.bucket.clone(), input.key.clone()).await?;
        let span = wanted.span(&object)?;
        let pieces = cut(&object.record.pieces, span.first, span.end);
        let is_whole = span.first == 0 && span.end == object.size;
        let check = is_whole.then(|| Check::new(&input.bucket, &input.key, &object));
        let tags = i32::try_from(object.record.attributes.tags.len()).ok().filter(|count| *count > 0);
        let body = BodyParts::new(self.inner.blobs.clone(), pieces, held).checked(check);
        let mut output = GetObjectOutput {
            body: Some(body.stream()),
            tag_count: tags,
            version_id,
            expiration: self.expiration(&input.bucket, &input.key, &object),
            ..GetObjectOutput::default()
        };
        describe!(output, object, span, sums, is_part);
        Ok(output)
    }

    /// Returns the headers of an object.
    pub(crate) async fn head(&self, input: HeadObjectInput) -> Result<Head> {
        let wanted = wanted!(input);
        let (sums, is_part) = (wanted.sums, wanted.part.is_some());
        let version_id = input.version_id;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let object = self.inner.index.read(move |reader| object(reader, &bucket, &key)).await?;
        let span = wanted.span(&object)?;
        let tags = object.record.attributes.tags.len();
        let is_partial = span.is_partial;
        let expiration = self.expiration(&input.bucket, &input.key, &object);
        let mut output = HeadObjectOutput { version_id, expiration, ..HeadObjectOutput::default() };
        describe!(output, object, span, sums, is_part);
        Ok(Head { output, is_partial, tags })
    }

    /// Looks up an object and keeps its blobs from being swept.
    pub(crate) async fn look_up_and_hold(&self, bucket: String, key: String) -> Result<(StoredObject, Held)> {
        let s3 = self.clone();
        blocking(move || s3.look_up_and_hold_now(&bucket, &key)).await
    }

    /// Like [`Self::look_up_and_hold`]. Blocking.
    pub(crate) fn look_up_and_hold_now(&self, bucket: &str, key: &str) -> Result<(StoredObject, Held)> {
        let blobs = &self.inner.blobs;
        let _gate = blobs.gate();
        let object = self.inner.index.read_now(|reader| object(reader, bucket, key))?;
        let held = blobs.hold(object.record.pieces.iter().map(|piece| piece.blob.as_str()));
        Ok((object, held))
    }
}

/// The answer to a request for an object's headers.
pub(crate) struct Head {
    /// The headers.
    pub output: HeadObjectOutput,
    /// Whether they are of a range of the object.
    pub is_partial: bool,
    /// Number of the object's tags.
    pub tags: usize,
}

/// A body on its way to a reader. Its blobs are held until it is dropped.
pub(crate) struct BodyParts {
    blobs: Blobs,
    pieces: VecDeque<Piece>,
    open: Option<File>,
    check: Option<Check>,
    _held: Held,
}

impl BodyParts {
    pub(crate) fn new(blobs: Blobs, pieces: Vec<Piece>, held: Held) -> Self {
        Self { blobs, pieces: pieces.into(), open: None, check: None, _held: held }
    }

    /// Compares the bytes with the object's checksums while they are read.
    pub(crate) fn checked(self, check: Option<Check>) -> Self {
        Self { check, ..self }
    }

    /// Reads the next bytes; `None` at the end. Blocking.
    pub(crate) fn read(&mut self) -> std::io::Result<Option<Bytes>> {
        // An empty object has one empty piece.
        self.pieces.retain(|piece| piece.length > 0);
        let Some(piece) = self.pieces.front_mut() else { return Ok(None) };
        let file = match self.open.take() {
            Some(file) => file,
            None => File::open(self.blobs.path(&piece.blob))?,
        };
        let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, piece.offset)?;
        if let Some(check) = &mut self.check {
            check.take(&buffer)?;
        }
        piece.offset += length as u64;
        piece.length -= length as u64;
        if piece.length == 0 {
            self.pieces.pop_front();
        } else {
            self.open = Some(file);
        }
        Ok(Some(buffer.into()))
    }

    /// Tells why the bytes cannot be read: the client only sees that the body ends too soon.
    fn tell(&self, error: &std::io::Error) {
        let object = self.check.as_ref().map_or("", Check::name);
        let blob = self.pieces.front().map_or("", |piece| piece.blob.as_str());
        tracing::error!(%error, object, blob, "cannot read the bytes of an object");
    }

    fn stream(self) -> StreamingBlob {
        StreamingBlob::wrap(self.chunks())
    }

    /// Streams the bytes in chunks that are read off the async threads.
    pub(crate) fn chunks(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static {
        futures::stream::try_unfold(self, |mut parts| async move {
            let read = tokio::task::spawn_blocking(move || {
                let chunk = parts.read().inspect_err(|error| parts.tell(error))?;
                Ok(chunk.map(|chunk| (chunk, parts)))
            });
            read.await.map_err(std::io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_can_begin_and_end_within_pieces() {
        let piece = |blob: &str, offset, length| Piece { blob: blob.to_owned(), offset, length };
        let pieces = [piece("a", 0, 10), piece("b", 5, 3), piece("c", 0, 10)];
        assert_eq!(cut(&pieces, 0, 23), pieces);
        assert_eq!(cut(&pieces, 9, 14), [piece("a", 9, 1), piece("b", 5, 3), piece("c", 0, 1)]);
        assert_eq!(cut(&pieces, 11, 12), [piece("b", 6, 1)]);
        assert_eq!(cut(&pieces, 4, 4), []);
    }
}
