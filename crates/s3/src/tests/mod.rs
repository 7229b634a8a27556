//! Tests of the back end as a whole, without HTTP: sends requests as `s3s` hands them over and checks what is visible
//! and on disk.
//!
//! Behaviour that needs a network is tested outside the crate.

mod disk;
mod listing;
mod losses;
mod multipart;
mod notices;
mod publications;
mod puts;
mod reading;
mod receivers;
mod settings;
mod storage;

use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use s3s::S3Request;
use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedMultipartUpload, CompletedPart,
    CopyObjectInput, CopyObjectOutput, CopySource, CreateMultipartUploadInput, ETag, GetObjectInput,
    PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartInput,
};

use crate::error::Result;
use crate::objects::conditions::WriteConditions;
use crate::{Destinations, LocalS3, Options, Trigger};

const BUCKET: &str = "media";

/// An endpoint with one empty bucket, in a temporary folder.
struct Fixture {
    s3: LocalS3,
    folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let s3 = open(folder.path());
    s3.ensure_bucket(BUCKET).await.unwrap();
    Fixture { s3, folder }
}

fn open(folder: &Path) -> LocalS3 {
    let options = Options {
        functions: vec!["encode".to_owned(), "audit".to_owned()],
        destinations: Destinations { queues: true, topics: true, event_bus: true },
        ..Options::default()
    };
    LocalS3::open(folder, options).unwrap()
}

fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::PUT,
        uri: Uri::default(),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

fn body(bytes: impl Into<Bytes>) -> Option<StreamingBlob> {
    let bytes = bytes.into();
    Some(StreamingBlob::wrap(futures::stream::iter([Ok::<_, std::io::Error>(bytes)])))
}

fn put_input(key: &str, bytes: impl Into<Bytes>) -> PutObjectInput {
    PutObjectInput { bucket: BUCKET.to_owned(), key: key.to_owned(), body: body(bytes), ..Default::default() }
}

fn code<T>(result: Result<T>) -> String {
    result.err().map_or_else(|| "success".to_owned(), |error| error.s3_code().to_owned())
}

fn trigger(id: &str, prefix: &str, suffix: &str, function: &str) -> Trigger {
    let [id, bucket, prefix, suffix, function] =
        [id, BUCKET, prefix, suffix, function].map(ToOwned::to_owned);
    Trigger { id, bucket, prefix, suffix, function, events: Vec::new() }
}

fn copy_input(from: &str, to: &str) -> CopyObjectInput {
    let source = CopySource::Bucket { bucket: BUCKET.into(), key: from.into(), version_id: None };
    let mut copy = CopyObjectInput::builder();
    copy.set_bucket(BUCKET.to_owned());
    copy.set_key(to.to_owned());
    copy.set_copy_source(source);
    copy.build().unwrap()
}

impl LocalS3 {
    /// Copies an object whatever is at the new place.
    async fn copy(&self, input: CopyObjectInput) -> Result<CopyObjectOutput> {
        self.copy_if(input, WriteConditions::default()).await
    }
}

fn listed(number: i32, etag: &str) -> CompletedPart {
    let e_tag = Some(ETag::Strong(etag.to_owned()));
    CompletedPart { part_number: Some(number), e_tag, ..Default::default() }
}

impl Fixture {
    async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> PutObjectOutput {
        self.s3.put(request(put_input(key, bytes))).await.unwrap()
    }

    async fn put_claiming(&self, key: &str, header: &'static str, sum: &str) -> Result<PutObjectOutput> {
        let mut request = request(put_input(key, "body"));
        request.headers.insert(header, HeaderValue::from_str(sum).unwrap());
        self.s3.put(request).await
    }

    fn get_input(key: &str) -> GetObjectInput {
        GetObjectInput { bucket: BUCKET.to_owned(), key: key.to_owned(), ..Default::default() }
    }

    async fn get(&self, input: GetObjectInput) -> Result<Vec<u8>> {
        let mut stream = self.s3.get(input).await?.body.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        Ok(bytes)
    }

    async fn bytes(&self, key: &str) -> Result<Vec<u8>> {
        self.get(Self::get_input(key)).await
    }

    async fn begin(&self, key: &str) -> String {
        let input = CreateMultipartUploadInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            ..Default::default()
        };
        self.s3.begin_upload(input).await.unwrap().upload_id.unwrap()
    }

    /// Stores a part and returns its ETag.
    async fn part(&self, key: &str, id: &str, number: i32, bytes: impl Into<Bytes>) -> Result<String> {
        let input = UploadPartInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            upload_id: id.to_owned(),
            part_number: number,
            body: body(bytes),
            ..Default::default()
        };
        let stored = self.s3.take_part(request(input)).await?;
        Ok(stored.e_tag.unwrap().value().to_owned())
    }

    async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<CompleteMultipartUploadOutput> {
        let input = CompleteMultipartUploadInput {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            upload_id: id.to_owned(),
            multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts) }),
            ..Default::default()
        };
        self.s3.complete(request(input)).await
    }

    /// Counts the blobs, which each have one label, and the files below `incoming`.
    fn files(&self) -> (usize, usize) {
        let count = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        let shards = std::fs::read_dir(self.folder.path().join("blobs")).unwrap();
        let shards = shards.map(|shard| shard.unwrap().path()).filter(|shard| shard.is_dir());
        let names = shards.flat_map(|shard| std::fs::read_dir(shard).unwrap());
        let is_blob = |name: &std::ffi::OsString| !name.to_string_lossy().contains('.');
        let blobs = names.map(|file| file.unwrap().file_name()).filter(is_blob).count();
        (blobs, count(&self.folder.path().join("incoming")))
    }
}
