//! Implements `ObjectStore` for the endpoint, without HTTP: fetches objects as files and publishes files as objects.
//!
//! It copies bytes only where a hard link is not possible.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use abanico_store::{
    Deletion, Error as StoreError, ErrorKind as StoreErrorKind, ListedObject, MOST_LISTED, NewFile,
    ObjectAttributes, ObjectMeta, ObjectPage, ObjectStore, ObjectUrl, Publication, check_range, folder_key,
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use s3s::dto::ETagCondition;

use crate::LocalS3;
use crate::blobs::Blobs;
use crate::blobs::checked::Check;
use crate::blobs::checksums::{Algorithm, Digester};
use crate::blobs::receive::{Claims, Received, receive};
use crate::error::{Error, ErrorKind, Result};
use crate::index::blocking;
use crate::index::commit::NewObject;
use crate::index::record::{Attributes, Piece, StoredObject, object, require_bucket};
use crate::objects::conditions::WriteConditions;
use crate::objects::get::{BodyParts, cut};
use crate::objects::list::{From as PageStart, Page, Query, page};
use crate::objects::publication::NewObjectFile;
use crate::objects::put::check_key;

type StoreResult<T> = std::result::Result<T, StoreError>;

/// Returns the bucket and key of an `s3://` URL.
fn place(url: &ObjectUrl) -> StoreResult<(String, String)> {
    match url {
        ObjectUrl::S3 { bucket, key } => Ok((bucket.clone(), key.clone())),
        ObjectUrl::File(_) => Err(StoreError::place_not_served(url)),
    }
}

fn about(url: &ObjectUrl, error: Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::about(url, StoreErrorKind::NotFound, &error.to_string()),
        ErrorKind::Unavailable => StoreError::unavailable(url, error),
        _ => StoreError::about(url, StoreErrorKind::Denied, &error.to_string()),
    }
}

fn meta(url: &ObjectUrl, object: &StoredObject) -> ObjectMeta {
    ObjectMeta { url: url.clone(), size_bytes: object.size, e_tag: Some(format!("\"{}\"", object.etag)) }
}

/// Returns a page of objects as the store tells it.
fn listed(bucket: &str, page: Page) -> ObjectPage {
    let objects = page.rows.into_iter().map(|row| ListedObject {
        meta: ObjectMeta {
            url: ObjectUrl::s3(bucket, row.key),
            size_bytes: u64::try_from(row.size).unwrap_or(0),
            e_tag: Some(format!("\"{}\"", row.etag)),
        },
        modified: SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(row.modified_ms).unwrap_or(0)),
    });
    let next = page.next.and(page.last).map(|last| ObjectUrl::s3(bucket, last));
    ObjectPage { objects: objects.collect(), next }
}

/// Returns the blob that holds exactly the whole object, if there is one.
fn whole_blob<'a>(blobs: &Blobs, object: &'a StoredObject) -> Option<&'a Piece> {
    let [piece] = object.record.pieces.as_slice() else { return None };
    let size = std::fs::metadata(blobs.path(&piece.blob)).ok()?.len();
    (piece.offset == 0 && piece.length == size).then_some(piece)
}

/// Creates the file `destination` with an object's bytes, as a hard link if possible. Fails if they are not those that
/// were stored. Blocking.
fn make_file(blobs: &Blobs, object: &StoredObject, mut parts: BodyParts, destination: &Path) -> Result<()> {
    if let Some(piece) = whole_blob(blobs, object) {
        match std::fs::hard_link(blobs.path(&piece.blob), destination) {
            Ok(()) => return read_all(parts).inspect_err(|_| drop(std::fs::remove_file(destination))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(error.into()),
            // Across file systems, or with too many links, copy instead.
            Err(_) => {}
        }
    }
    let mut file = std::fs::File::create_new(destination)?;
    while let Some(chunk) = parts.read().map_err(unreadable)? {
        file.write_all(&chunk)?;
    }
    Ok(())
}

/// Reads all bytes, only to compare them with their checksums.
fn read_all(mut parts: BodyParts) -> Result<()> {
    while parts.read().map_err(unreadable)?.is_some() {}
    Ok(())
}

/// Another attempt reads the same bytes, so damage is told as it is.
fn unreadable(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Error::damaged(error.to_string()),
        _ => error.into(),
    }
}

/// Takes in a file as a blob and computes its checksums. Blocking.
pub(crate) fn take_file(blobs: &Blobs, source: &Path) -> Result<Received> {
    let (blob, bytes) = blobs.adopt(source)?;
    let length = std::fs::metadata(blobs.path(&blob))?.len();
    let piece = Piece { blob, offset: 0, length };
    let mut parts = BodyParts::new(blobs.clone(), vec![piece.clone()], blobs.hold(std::iter::empty()));
    let mut digester = Digester::new(&[Algorithm::Crc64Nvme]);
    while let Some(chunk) = parts.read()? {
        digester.update(&chunk);
    }
    let (md5, checksums) = digester.finish();
    Ok(Received { piece, bytes, md5, checksums })
}

fn stored(attributes: &ObjectAttributes) -> Attributes {
    Attributes {
        content_type: attributes.content_type.clone(),
        content_encoding: attributes.content_encoding.clone(),
        metadata: attributes.metadata.clone(),
        ..Attributes::default()
    }
}

fn publishing(publication: &Publication, error: Error) -> StoreError {
    match error.kind() {
        ErrorKind::Unavailable => StoreError::publication(publication, error),
        ErrorKind::NotFound => {
            StoreError::publication_refused(publication, StoreErrorKind::NotFound, &error.to_string())
        }
        _ => StoreError::publication_refused(publication, StoreErrorKind::Denied, &error.to_string()),
    }
}

impl LocalS3 {
    async fn publish_file(
        &self,
        source: &Path,
        bucket: String,
        key: String,
        attributes: &ObjectAttributes,
    ) -> Result<StoredObject> {
        check_key(&key)?;
        let (source, blobs) = (source.to_owned(), self.inner.blobs.clone());
        let (index, wanted) = (self.inner.index.clone(), bucket.clone());
        let taken = blocking(move || {
            index.read_now(|reader| require_bucket(reader, &wanted))?;
            take_file(&blobs, &source)
        });
        let received = taken.await?;
        let new = NewObject::received(bucket, key, stored(attributes), received, "ObjectCreated:Put");
        Ok(self.commit(new, WriteConditions::default()).await?.object)
    }

    /// Stores bytes unless there is an object.
    async fn create_object(&self, bucket: String, key: String, bytes: Bytes) -> Result<StoredObject> {
        check_key(&key)?;
        let body = futures::stream::once(async { Ok::<_, std::io::Error>(bytes) });
        let body = Some(s3s::dto::StreamingBlob::wrap(body));
        let wanted = bucket.clone();
        self.inner.index.read(move |reader| require_bucket(reader, &wanted)).await?;
        let received = receive(&self.inner.blobs, body, &[Algorithm::Crc64Nvme], Claims::default()).await?;
        let new = NewObject::received(bucket, key, Attributes::default(), received, "ObjectCreated:Put");
        let is_new =
            WriteConditions { if_none_match: Some(ETagCondition::Any), ..WriteConditions::default() };
        Ok(self.commit(new, is_new).await?.object)
    }

    /// Returns the first page of the keys of a folder after `after`.
    async fn page_of(&self, folder: &ObjectUrl, after: Option<String>, limit: usize) -> StoreResult<Page> {
        let (bucket, prefix) = folder_key(folder)?;
        let from = after.map_or(PageStart::At(String::new()), PageStart::After);
        let query =
            Query { bucket: bucket.to_owned(), prefix: prefix.to_owned(), delimiter: None, from, limit };
        let read = self.inner.index.read(move |reader| page(reader, &query)).await;
        read.map_err(|error| about(folder, error))
    }
}

#[async_trait]
impl ObjectStore for LocalS3 {
    async fn stat(&self, url: &ObjectUrl) -> StoreResult<ObjectMeta> {
        let (bucket, key) = place(url)?;
        let found = self.inner.index.read(move |reader| object(reader, &bucket, &key)).await;
        found.map(|found| meta(url, &found)).map_err(|error| about(url, error))
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> StoreResult<ObjectMeta> {
        let (bucket, key) = place(url)?;
        let look_up = self.look_up_and_hold(bucket.clone(), key.clone());
        let (found, held) = look_up.await.map_err(|error| about(url, error))?;
        let told = meta(url, &found);
        let (blobs, destination) = (self.inner.blobs.clone(), destination.to_owned());
        let check = Check::new(&bucket, &key, &found);
        let parts = BodyParts::new(blobs.clone(), found.record.pieces.clone(), held).checked(Some(check));
        let made = blocking(move || make_file(&blobs, &found, parts, &destination)).await;
        made.map(|()| told).map_err(|error| about(url, error))
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> StoreResult<Bytes> {
        check_range(url, &range)?;
        let (bucket, key) = place(url)?;
        let look_up = self.look_up_and_hold(bucket, key);
        let (found, held) = look_up.await.map_err(|error| about(url, error))?;
        let told = meta(url, &found);
        if e_tag.is_some() && told.e_tag.as_deref() != e_tag {
            return Err(StoreError::object_changed(url));
        }
        if range.end > found.size {
            return Err(StoreError::beyond_the_object(url, &range, found.size));
        }
        let pieces = cut(&found.record.pieces, range.start, range.end);
        let mut parts = BodyParts::new(self.inner.blobs.clone(), pieces, held);
        let read = blocking(move || {
            let mut bytes = BytesMut::new();
            while let Some(chunk) = parts.read().map_err(unreadable)? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.freeze())
        });
        read.await.map_err(|error| about(url, error))
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> StoreResult<ObjectPage> {
        let after = after.map(place).transpose()?.map(|(_, key)| key);
        let found = self.page_of(folder, after, most.clamp(1, MOST_LISTED)).await?;
        Ok(listed(folder_key(folder)?.0, found))
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> StoreResult<ObjectMeta> {
        let (bucket, key) = place(url)?;
        match self.create_object(bucket, key, bytes).await {
            Ok(object) => Ok(meta(url, &object)),
            Err(error) if error.kind() == ErrorKind::Conflict => Err(StoreError::object_exists(url)),
            Err(error) => Err(about(url, error)),
        }
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> StoreResult<Deletion> {
        let found = self.page_of(folder, None, MOST_LISTED).await?;
        let keys: Vec<String> = found.rows.into_iter().map(|row| row.key).collect();
        let objects = keys.len();
        if objects > 0 {
            let deleted = self.delete_keys(folder_key(folder)?.0.to_owned(), keys).await;
            deleted.map_err(|error| about(folder, error))?;
        }
        Ok(Deletion { objects, is_complete: found.next.is_none() })
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> StoreResult<ObjectMeta> {
        let (bucket, key) = place(url)?;
        let published = self.publish_file(source, bucket, key, attributes).await;
        published.map(|object| meta(url, &object)).map_err(|error| about(url, error))
    }

    async fn delete(&self, url: &ObjectUrl) -> StoreResult<()> {
        let (bucket, key) = place(url)?;
        match self.delete_keys(bucket, vec![key]).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(about(url, error)),
            _ => Ok(()),
        }
    }

    async fn check(&self, url: &ObjectUrl) -> StoreResult<()> {
        let (bucket, key) = place(url)?;
        check_key(&key).map_err(|error| about(url, error))?;
        let read = self.inner.index.read(move |reader| require_bucket(reader, &bucket)).await;
        read.map_err(|error| about(url, error))
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> StoreResult<()> {
        for file in files {
            let (bucket, key) = place(&file.url)?;
            let (source, attributes) = (file.source.clone(), stored(&file.attributes));
            let staged = self
                .stage_file(publication.id().to_owned(), NewObjectFile { source, bucket, key, attributes })
                .await;
            staged.map_err(|error| about(&file.url, error))?;
        }
        Ok(())
    }

    async fn switch(&self, publication: &Publication) -> StoreResult<()> {
        let switched = self.switch_publication(publication.id().to_owned()).await;
        switched.map_err(|error| publishing(publication, error))
    }

    async fn settle(&self, publication: &Publication) -> StoreResult<()> {
        let settled = self.settle_publication(publication.id().to_owned()).await;
        settled.map_err(|error| publishing(publication, error))
    }

    async fn take_back(&self, publication: &Publication) -> StoreResult<()> {
        let taken = self.take_back_publication(publication.id().to_owned()).await;
        taken.map_err(|error| publishing(publication, error))
    }

    async fn open_publications(&self) -> StoreResult<Vec<String>> {
        let known = self.known_publications().await;
        known.map_err(|error| publishing(&Publication::new("", std::path::PathBuf::new()), error))
    }
}
