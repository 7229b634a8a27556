//! Receives a request body into a blob, which its label will make durable, and compares it with the length and checksums
//! that the client claims.
//!
//! Only a few chunks are in memory at once. If anything goes wrong, no blob is left behind.

use bytes::Bytes;
use futures::StreamExt;
use s3s::dto::StreamingBlob;
use s3s::{S3ErrorCode, TrailingHeaders};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::blobs::checksums::{Algorithm, Checksums, Digester, verify_md5};
use crate::blobs::{Blobs, IncomingBlob, Unflushed};
use crate::error::{Error, Result};
use crate::index::blocking;
use crate::index::record::Piece;

/// Bytes gathered before they are written to disk. At most two such batches and one chunk are in memory.
const BATCH_BYTES: usize = 1 << 20;

/// What the client claims about a body.
#[derive(Default)]
pub(crate) struct Claims {
    pub length: Option<u64>,
    /// In base64.
    pub md5: Option<String>,
    pub checksums: Checksums,
    pub trailers: Option<TrailingHeaders>,
}

/// A received body.
pub(crate) struct Received {
    pub piece: Piece,
    /// To flush before anything refers to the piece.
    pub bytes: Unflushed,
    pub md5: [u8; 16],
    pub checksums: Checksums,
}

/// Reads the whole body into a blob.
///
/// # Errors
/// Fails if the body breaks off, a claim does not hold, or the disk fails.
pub(crate) async fn receive(
    blobs: &Blobs,
    body: Option<StreamingBlob>,
    algorithms: &[Algorithm],
    claims: Claims,
) -> Result<Received> {
    let digester = Digester::new(algorithms);
    let blobs = blobs.clone();
    let mut sink = blocking(move || Ok(Sink { blob: blobs.create()?, digester, length: 0 })).await?;
    if let Some(mut body) = body {
        let mut batch = Vec::new();
        let mut gathered = 0;
        let mut writing: Option<JoinHandle<Result<Sink>>> = None;
        let mut idle = Some(sink);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(broken_off)?;
            gathered += chunk.len();
            batch.push(chunk);
            if gathered >= BATCH_BYTES {
                // Gather the next batch while this one is written.
                let ready = settled(&mut idle, &mut writing).await?;
                let full = std::mem::take(&mut batch);
                gathered = 0;
                writing = Some(spawn_blocking(move || ready.write(full)));
            }
        }
        let ready = settled(&mut idle, &mut writing).await?;
        sink = blocking(move || ready.write(batch)).await?;
    }
    let mut claims = claims;
    if let Some(trailers) = claims.trailers.take() {
        trailers.read(|headers| claims.checksums.0.extend(Checksums::claimed(headers).0));
    }
    blocking(move || sink.finish(&claims)).await
}

/// Returns the sink once the pending write is done.
async fn settled(idle: &mut Option<Sink>, writing: &mut Option<JoinHandle<Result<Sink>>>) -> Result<Sink> {
    match (idle.take(), writing.take()) {
        (Some(sink), _) => Ok(sink),
        (None, Some(handle)) => handle.await.map_err(|error| Error::unavailable("write the body", error))?,
        (None, None) => Err(Error::unavailable("write the body", "its file was lost")),
    }
}

/// Whether a body could not be read because its sender was silent for too long.
pub(crate) fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.into_iter().any(|error| {
        error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    })
}

/// How `s3s` tells that a body is not what its sender signed. Its types are private, so only their words can be known.
const WORDS: [(&str, S3ErrorCode); 3] = [
    ("AwsChunkedStreamError: SignatureMismatch", S3ErrorCode::SignatureDoesNotMatch),
    ("UploadStreamError: Sha256Mismatch", S3ErrorCode::BadDigest),
    ("UploadStreamError: InvalidChecksum", S3ErrorCode::BadDigest),
];

/// Turns a failure to read a body into an error that the client understands.
fn broken_off(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    // A body that is a form's file knows itself what is wrong.
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let text = error.to_string();
    let code = match WORDS.iter().find(|(words, _)| text.ends_with(words)) {
        _ if is_timeout(error.as_ref()) => S3ErrorCode::RequestTimeout,
        Some((_, code)) => code.clone(),
        None => S3ErrorCode::IncompleteBody,
    };
    Error::refused(code, format!("cannot read the whole body: {text}"))
}

/// A body's file and checksums so far. Dropping it before [`Self::finish`] removes the file.
struct Sink {
    blob: IncomingBlob,
    digester: Digester,
    length: u64,
}

impl Sink {
    fn write(mut self, batch: Vec<Bytes>) -> Result<Self> {
        for chunk in batch {
            self.digester.update(&chunk);
            self.blob.write(&chunk)?;
            self.length += chunk.len() as u64;
        }
        Ok(self)
    }

    /// Checks the claims, then keeps the file.
    fn finish(self, claims: &Claims) -> Result<Received> {
        let (md5, checksums) = self.digester.finish();
        if claims.length.is_some_and(|claimed| claimed != self.length) {
            return Err(Error::refused(
                S3ErrorCode::IncompleteBody,
                "the length of the body differs from the announced length",
            ));
        }
        verify_md5(&md5, claims.md5.as_deref())?;
        checksums.verify(&claims.checksums)?;
        let (blob, bytes) = self.blob.keep()?;
        Ok(Received { piece: Piece { blob, offset: 0, length: self.length }, bytes, md5, checksums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::dto::StreamingBlob;

    fn body(chunks: Vec<std::result::Result<Bytes, std::io::Error>>) -> Option<StreamingBlob> {
        Some(StreamingBlob::wrap(futures::stream::iter(chunks)))
    }

    fn files(folder: &std::path::Path) -> usize {
        let count = |path: std::path::PathBuf| std::fs::read_dir(path).unwrap().count();
        (0..=255_u8).map(|shard| count(folder.join(format!("blobs/{shard:02x}")))).sum::<usize>()
            + count(folder.join("incoming"))
    }

    #[tokio::test]
    async fn body_is_kept_only_if_claims_hold() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let whole = || body(vec![Ok("he".into()), Ok("llo".into())]);
        let claims = |length, md5: &str| Claims { length, md5: Some(md5.to_owned()), ..Claims::default() };
        for (claims, code) in [
            (claims(Some(6), "XUFAKrxLKna5cZ2REBfFkg=="), "IncompleteBody"),
            (claims(Some(5), "AAAAAAAAAAAAAAAAAAAAAA=="), "BadDigest"),
        ] {
            let refused = receive(&blobs, whole(), &[], claims).await.err().unwrap();
            assert_eq!(refused.s3_code(), code);
        }
        let cut = body(vec![Ok("he".into()), Err(std::io::Error::other("gone"))]);
        assert_eq!(
            receive(&blobs, cut, &[], Claims::default()).await.err().unwrap().s3_code(),
            "IncompleteBody"
        );
        for _ in 0..500 {
            if files(folder.path()) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(files(folder.path()), 0);
        let kept = receive(&blobs, whole(), &[], claims(Some(5), "XUFAKrxLKna5cZ2REBfFkg==")).await.unwrap();
        assert_eq!(std::fs::read(blobs.path(&kept.piece.blob)).unwrap(), b"hello");
    }
}
