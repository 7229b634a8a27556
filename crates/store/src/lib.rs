//! Copies objects between local files and `s3://` or `file:` URLs, whole or in ranges. Also fetches files from the web.
//!
//! A reader never sees a half-written object. The crate knows nothing of video.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;
mod folder_bucket;
mod folder_list;
mod folder_publication;
mod holes;
mod ledger;
mod listing;
mod object_url;
mod publication;
mod remote;
mod remote_credentials;
mod remote_publication;
mod router;
#[cfg(feature = "conformance")]
pub mod steered;
pub mod tls;
mod web;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;

pub use bytes::Bytes;

pub use error::{Error, ErrorKind, WebErrorKind};
pub use folder::FolderStore;
pub use folder_bucket::FolderBucket;
pub use holes::{FillOptions, Filled, fill};
pub use listing::{
    Deletion, ListedObject, MOST_LISTED, MOST_RANGE_BYTES, ObjectPage, check_range, delete_all_below,
    folder_key,
};
pub use object_url::{ObjectUrl, ParseObjectUrlError};
pub use publication::{NewFile, Publication};
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

/// Stores objects. Every method may be called from several tasks at once.
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

    /// Returns the bytes `range` of the object at `url`: all of them, not fewer. They are not compared with a checksum of
    /// the object, because only a whole object has one.
    ///
    /// `e_tag` is the entity tag that the object must have, as [`ObjectMeta::e_tag`] told it: so several ranges are of
    /// one object, even if somebody replaces it in between. `None` reads whatever stands there.
    ///
    /// # Errors
    /// Returns [`ErrorKind::OutOfRange`] if the range is empty, longer than [`MOST_RANGE_BYTES`] or ends after the
    /// object, [`ErrorKind::Changed`] if the object has another tag, [`ErrorKind::NotFound`], [`ErrorKind::Denied`], or
    /// a retryable error.
    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error>;

    /// Lists objects whose URLs begin with `folder`, in the order of the bytes of their URLs: at most `most` of them,
    /// and at most [`MOST_LISTED`]. `folder` ends with `/`, so that a list of `jobs/1/` never shows `jobs/10`. `after`
    /// is [`ObjectPage::next`] of the page before. Where nothing begins so, the page is empty.
    ///
    /// Files that are staged for a publication, symbolic links and names that are not UTF-8 are not listed.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] if `folder` does not end with `/`, [`ErrorKind::NotFound`] if the bucket does
    /// not exist, [`ErrorKind::Denied`], or a retryable error.
    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error>;

    /// Stores a few bytes durably at `url`, unless there is an object. Of several calls at once, one succeeds.
    ///
    /// After a lost answer, the same bytes may be there although the call failed with [`ErrorKind::Exists`]: read them
    /// if that matters.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Exists`] if there is an object, and the rest as [`Self::publish`]. A remote S3 must know
    /// `If-None-Match: *`; all but very old ones do.
    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error>;

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

    /// Deletes up to [`MOST_LISTED`] of the objects whose URLs begin with `folder`, which ends with `/`. Repeat it until
    /// [`Deletion::is_complete`], as [`delete_all_below`] does. Succeeds if there are none.
    ///
    /// Objects that others store there meanwhile may stay. On a remote S3, keys with empty parts stay, too: this
    /// client cannot name them.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] if `folder` does not end with `/`, [`ErrorKind::Denied`] or a retryable
    /// error. Some objects may be deleted then.
    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error>;

    /// Checks, as far as that is possible without leaving a trace, that an object can be stored at `url`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if the bucket does not exist, [`ErrorKind::Denied`], or a retryable error.
    async fn check(&self, url: &ObjectUrl) -> Result<(), Error>;

    /// Stages files: they are durable here afterwards, and nobody sees them. May be called several times for one
    /// publication, with some of its files each, and again with the same files; after [`Self::switch`] has begun, it
    /// only makes up for what a crash has lost.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error>;

    /// Makes all staged files visible, and keeps what they replace. Does nothing if nothing is staged. Nobody may
    /// switch another publication with files at the same places before this one is settled or taken back.
    ///
    /// # Errors
    /// As for [`Self::publish`]. Some files may be visible then: call it again, or [`Self::take_back`].
    async fn switch(&self, publication: &Publication) -> Result<(), Error>;

    /// Ends a publication: drops what was kept, and what was staged but never switched. Does nothing if there is none.
    ///
    /// # Errors
    /// Returns a retryable error; call it again then.
    async fn settle(&self, publication: &Publication) -> Result<(), Error>;

    /// Ends a publication: lets stand again what stood there before [`Self::switch`]. Leaves what others have stored
    /// there since. Does nothing if there is none.
    ///
    /// # Errors
    /// Returns a retryable error; call it again then.
    async fn take_back(&self, publication: &Publication) -> Result<(), Error>;

    /// Returns the ids of the publications that the back end itself knows to be neither settled nor taken back.
    ///
    /// # Errors
    /// Returns a retryable error.
    async fn open_publications(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}
