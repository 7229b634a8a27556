//! Buckets on a remote S3, with credentials from the usual AWS chain.
//!
//! Transfers are streamed: at most a few parts of 8 MiB are in memory, never a whole object.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as KeyPath;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions,
};
use tokio::io::AsyncWriteExt;

use crate::listing::{check_range, folder_key};
use crate::remote_credentials;
use crate::remote_publication::{AllPending, RemotePublication, check, upload};
use crate::{
    Deletion, Error, ErrorKind, ListedObject, MOST_LISTED, NewFile, ObjectAttributes, ObjectMeta, ObjectPage,
    ObjectStore, ObjectUrl, Publication,
};

/// Size of an uploaded part. S3 takes 10,000 parts, so an object can have up to 78 GiB.
pub(crate) const PART_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of parts in flight per upload.
pub(crate) const PARTS_IN_FLIGHT: usize = 4;

/// Maximum number of objects that are deleted at once.
const DELETIONS_IN_FLIGHT: usize = 16;

/// How to reach the S3 service. Absent values come from the AWS environment variables (`AWS_ENDPOINT_URL`,
/// `AWS_REGION`, keys).
#[derive(Clone, Default)]
pub struct RemoteOptions {
    /// Endpoint such as `https://s3.example.org`; `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// Region. Default: `AWS_REGION` or `us-east-1`.
    pub region: Option<String>,
    /// Whether plain HTTP may be used.
    pub allow_http: bool,
    /// Access key and secret. Default: the usual AWS chain.
    pub keys: Option<(String, String)>,
    /// Session token of temporary keys.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for RemoteOptions {
    /// Leaves out the secret and the session token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access_key = self.keys.as_ref().map(|(access_key, _)| access_key);
        f.debug_struct("RemoteOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("allow_http", &self.allow_http)
            .field("access_key", &access_key)
            .finish()
    }
}

/// All buckets of one S3 service.
pub struct RemoteS3 {
    options: RemoteOptions,
    clients: Mutex<BTreeMap<String, Arc<AmazonS3>>>,
    pending: Mutex<AllPending>,
}

impl RemoteS3 {
    /// Creates a store. It creates the client of a bucket when the bucket is first used.
    pub fn new(options: RemoteOptions) -> Self {
        Self { options, clients: Mutex::default(), pending: Mutex::default() }
    }

    /// Returns the uploads that wait for their completion.
    pub(crate) fn pending(&self) -> MutexGuard<'_, AllPending> {
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns whether there can be credentials for this service.
    pub(crate) async fn may_have_credentials(&self) -> bool {
        self.options.keys.is_some() || remote_credentials::may_exist().await
    }

    /// Returns the client for the URL's bucket, and the key as the client's path.
    pub(crate) fn place(&self, url: &ObjectUrl) -> Result<(Arc<AmazonS3>, KeyPath), Error> {
        let ObjectUrl::S3 { bucket, key } = url else { return Err(Error::place_not_served(url)) };
        let path = KeyPath::parse(key).map_err(|error| {
            let what =
                "keys with empty, `.` or `..` parts cannot be reached on a remote S3: rename the object";
            Error::about(url, ErrorKind::Unsupported, what).because(error)
        })?;
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = clients.get(bucket) {
            return Ok((client.clone(), path));
        }
        let client = Arc::new(self.client(url, bucket)?);
        clients.insert(bucket.clone(), client.clone());
        Ok((client, path))
    }

    fn client(&self, url: &ObjectUrl, bucket: &str) -> Result<AmazonS3, Error> {
        // A plain HTTP endpoint in the environment is deliberate.
        let from_environment = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"));
        let allow_http = self.options.allow_http || (self.options.endpoint.is_none() && from_environment);
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(allow_http);
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        if let Some(region) = &self.options.region {
            builder = builder.with_region(region);
        }
        if let Some((access_key, secret)) = &self.options.keys {
            builder = builder.with_access_key_id(access_key).with_secret_access_key(secret);
        }
        if let Some(token) = &self.options.session_token {
            builder = builder.with_token(token);
        }
        crate::tls::use_ring();
        builder.build().map_err(|error| {
            let what = "the S3 client cannot be set up: check endpoint, region and credentials";
            Error::about(url, ErrorKind::Unsupported, what).because(error)
        })
    }
}

#[async_trait]
impl ObjectStore for RemoteS3 {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        let (client, path) = self.place(url)?;
        let meta = client.head(&path).await.map_err(|error| from_remote(url, error))?;
        Ok(ObjectMeta { url: url.clone(), size_bytes: meta.size, e_tag: meta.e_tag })
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        let (client, path) = self.place(url)?;
        let found = client.get(&path).await.map_err(|error| from_remote(url, error))?;
        let meta =
            ObjectMeta { url: url.clone(), size_bytes: found.meta.size, e_tag: found.meta.e_tag.clone() };
        let local = |error| Error::unavailable(url, error);
        let mut file = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(destination)
            .await
            .map_err(local)?;
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk.map_err(|error| from_remote(url, error))?).await.map_err(local)?;
        }
        file.flush().await.map_err(local)?;
        Ok(meta)
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error> {
        check_range(url, &range)?;
        let (client, path) = self.place(url)?;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: e_tag.map(str::to_owned),
            ..GetOptions::default()
        };
        let found = match client.get_opts(&path, options).await {
            Ok(found) => found,
            // The client tells neither 416 nor a range that the service has cut apart from other failures.
            Err(error @ object_store::Error::Generic { .. }) => {
                let size_bytes = self.stat(url).await?.size_bytes;
                let is_beyond = range.end > size_bytes;
                return Err(if is_beyond {
                    Error::beyond_the_object(url, &range, size_bytes).because(error)
                } else {
                    from_remote(url, error)
                });
            }
            Err(error @ object_store::Error::Precondition { .. }) => {
                return Err(Error::object_changed(url).because(error));
            }
            Err(error) => return Err(from_remote(url, error)),
        };
        if found.range != range {
            return Err(Error::beyond_the_object(url, &range, found.meta.size));
        }
        let bytes = found.bytes().await.map_err(|error| from_remote(url, error))?;
        let is_whole = bytes.len() as u64 == range.end - range.start;
        let cut = || Error::unavailable(url, "the service sent another number of bytes than it promised");
        is_whole.then_some(bytes).ok_or_else(cut)
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        let (bucket, prefix) = folder_key(folder)?;
        let (client, path) = self.place(folder)?;
        let mut listed = match after {
            Some(after) => client.list_with_offset(Some(&path), &self.place(after)?.1),
            None => client.list(Some(&path)),
        };
        let most = most.clamp(1, MOST_LISTED);
        let mut page = ObjectPage::default();
        while let Some(object) = listed.next().await {
            let object = object.map_err(|error| from_remote(folder, error))?;
            let url = ObjectUrl::s3(bucket, object.location.as_ref());
            // The object that some tools make for a folder itself comes without its last `/`.
            if !object.location.as_ref().starts_with(prefix) || after == Some(&url) {
                continue;
            }
            if page.objects.len() == most {
                page.next = page.objects.last().map(|last| last.meta.url.clone());
                break;
            }
            page.objects.push(ListedObject {
                meta: ObjectMeta { url, size_bytes: object.size, e_tag: object.e_tag },
                modified: object.last_modified.into(),
            });
        }
        Ok(page)
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        let (client, path) = self.place(url)?;
        let size_bytes = bytes.len() as u64;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match client.put_opts(&path, bytes.into(), options).await {
            Ok(put) => Ok(ObjectMeta { url: url.clone(), size_bytes, e_tag: put.e_tag }),
            Err(error @ object_store::Error::AlreadyExists { .. }) => {
                Err(Error::object_exists(url).because(error))
            }
            Err(error) => Err(from_remote(url, error)),
        }
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        let page = self.list(folder, None, MOST_LISTED).await?;
        let objects = page.objects.len();
        let urls = page.objects.into_iter().map(|object| object.meta.url);
        let delete = |url: ObjectUrl| async move { self.delete(&url).await };
        let mut deletions = futures::stream::iter(urls.map(delete)).buffer_unordered(DELETIONS_IN_FLIGHT);
        while let Some(deleted) = deletions.next().await {
            deleted?;
        }
        Ok(Deletion { objects, is_complete: page.next.is_none() })
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        let mut upload = upload(self, source, url, to_remote(attributes), PARTS_IN_FLIGHT).await?;
        upload.complete().await.map_err(|error| from_remote(url, error))?;
        self.stat(url).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        let (client, path) = self.place(url)?;
        match client.delete(&path).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(from_remote(url, error)),
        }
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        check(self, url).await
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        RemotePublication::new(self, publication).stage(files).await
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        RemotePublication::new(self, publication).switch().await
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        RemotePublication::new(self, publication).settle().await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        RemotePublication::new(self, publication).take_back().await
    }
}

pub(crate) fn to_remote(attributes: &ObjectAttributes) -> Attributes {
    let mut remote = Attributes::new();
    if let Some(encoding) = &attributes.content_encoding {
        remote.insert(Attribute::ContentEncoding, encoding.clone().into());
    }
    if let Some(content_type) = &attributes.content_type {
        remote.insert(Attribute::ContentType, content_type.clone().into());
    }
    for (key, value) in &attributes.metadata {
        remote.insert(Attribute::Metadata(key.clone().into()), value.clone().into());
    }
    remote
}

pub(crate) fn from_remote(url: &ObjectUrl, error: object_store::Error) -> Error {
    use object_store::Error as Remote;
    match error {
        Remote::NotFound { .. } => Error::object_not_found(url).because(error),
        Remote::InvalidPath { .. } => {
            let what = "an object here has a key with empty, `.` or `..` parts, which cannot be reached on a remote \
                        S3: rename it";
            Error::about(url, ErrorKind::Unsupported, what).because(error)
        }
        Remote::PermissionDenied { .. } | Remote::Unauthenticated { .. } => {
            Error::about(url, ErrorKind::Denied, "the credentials do not allow this").because(error)
        }
        _ => Error::unavailable(url, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn unsupported_key_is_refused_before_any_request() {
        let store = RemoteS3::new(RemoteOptions {
            endpoint: Some("http://127.0.0.1:9".into()),
            ..RemoteOptions::default()
        });
        let error = store.stat(&ObjectUrl::s3("b", "a/../c")).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unsupported, false));
    }
}
