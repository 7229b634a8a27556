//! Copies whole objects between local files and `s3://` or `file:` URLs. Also fetches files from the web.
//!
//! A reader never sees a half-written object. The crate knows nothing of video.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;
mod folder_bucket;
mod object_url;
mod remote;
mod router;
pub mod tls;
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

/// Metadata of a stored object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectMeta {
    /// URL of the object.
    pub url: ObjectUrl,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag with its quotes, if the back end has one.
    pub e_tag: Option<String>,
}

/// Attributes that are stored with an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectAttributes {
    /// MIME type; `None` stores the back end's default.
    pub content_type: Option<String>,
    /// Compression of the bytes, such as `gzip`. Back ends that store no attributes drop it.
    pub content_encoding: Option<String>,
    /// User metadata; keys are without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// Stores whole objects. Every method may be called from several tasks at once.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Returns the metadata of the object at `url`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if there is no object. See [`ErrorKind`] for the rest.
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error>;

    /// Makes the object's bytes available as the file `destination`, which must not exist yet. Its folder must exist.
    ///
    /// The file may be a hard link to the back end's own copy: read it, but never write to it. If the future fails or
    /// is dropped, a partial `destination` may remain; the caller has to remove it.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`], [`ErrorKind::Denied`], or a retryable error if the disk or the network fails.
    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error>;

    /// Stores the bytes of the file `source` durably at `url` and replaces an existing object.
    ///
    /// Readers see the whole old object or the whole new one. `source` stays, but the object may become a hard link
    /// to it, so do not write to it any more. Publishing the same file twice is harmless.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if the bucket does not exist, [`ErrorKind::Denied`], or a retryable error.
    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error>;

    /// Deletes the object at `url`. Succeeds if there is none.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Denied`] or a retryable error.
    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error>;
}
