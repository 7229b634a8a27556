//! Objects by URL: in an `s3://` or `file:` URL and a file, out the object in a file or the file as an object; and, to
//! read only, files of the web.
//!
//! Never: knowledge of video; a half-written object that a reader could see.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;
mod folder_bucket;
mod object_url;
mod remote;
mod router;
mod web;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

pub use error::{Error, ErrorKind, WebErrorKind};
pub use folder::FolderStore;
pub use folder_bucket::FolderBucket;
pub use object_url::{ObjectUrl, ParseObjectUrlError};
pub use remote::{RemoteOptions, RemoteS3};
pub use router::Router;
pub use web::{
    FetchedFile, HostPattern, ParseHostPatternError, WebInputs, WebLimits, WebOptions, is_web_url,
    without_secrets,
};

/// What is known of a stored object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectMeta {
    /// Where it is.
    pub url: ObjectUrl,
    /// Its size.
    pub size_bytes: u64,
    /// Entity tag with its quotes, where the back end has one.
    pub e_tag: Option<String>,
}

/// What is stored beside an object's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectAttributes {
    /// MIME type; none stores the back end's default.
    pub content_type: Option<String>,
    /// How the bytes are compressed, such as `gzip`; back ends that keep no attributes do not tell it.
    pub content_encoding: Option<String>,
    /// User metadata, keys without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// A place for whole objects. Every method may be called from several tasks at once.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Says what is stored at `url`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing; see [`ErrorKind`] for the rest.
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error>;

    /// Makes the object's bytes available as the file `destination`, which must not exist; its folder must.
    ///
    /// The file may be a hard link to the back end's own copy: read it, never write it. When the future is dropped
    /// or fails, `destination` may be there in part: it is the caller's to remove.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Denied`], or a retryable failure of disk or network.
    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error>;

    /// Stores the bytes of the file `source` at `url`, durably, replacing what was there.
    ///
    /// Readers see the old object or the new one, never a part. `source` stays; it may become a hard link, so it must
    /// not be written any more. Publishing the same file twice is harmless.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the bucket is missing, [`ErrorKind::Denied`], or a retryable failure.
    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error>;

    /// Removes what is stored at `url`; nothing there is a success.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] or a retryable failure.
    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error>;
}
