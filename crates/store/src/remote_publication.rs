//! Publications on a remote S3. Files are staged as multipart uploads that are not completed, so that nobody sees them;
//! the switch completes them, those that name others last. What they replace is downloaded before, into the folder of
//! the publication.
//!
//! S3 has no transaction over several objects: readers may see some of them before the others. An object is ours if
//! its metadata names our publication; other people's objects are never replaced by taking back. There is a moment
//! between that look and the deed in which somebody else's change would be lost.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, Attributes, GetOptions, GetResult, MultipartUpload, ObjectStore as _, PutMultipartOptions,
    PutPayload,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ledger::Ledger;
use crate::remote::{PART_BYTES, PARTS_IN_FLIGHT, RemoteS3, from_remote, to_remote};
use crate::{Error, ErrorKind, NewFile, ObjectUrl, Publication};

/// Metadata that names the publication of an object. The engine gives it to its outputs, too.
const OWNER: &str = "abanico-job";
/// Objects that are looked at, completed or put back at once.
const AT_ONCE: usize = 8;

/// A multipart upload with all its parts, which waits for its completion.
type Pending = Box<dyn MultipartUpload>;
/// The uploads of each publication that wait for their completion.
pub(crate) type AllPending = BTreeMap<String, BTreeMap<ObjectUrl, Pending>>;

/// A staged object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct StagedObject {
    url: ObjectUrl,
    turn: u8,
}

/// An object that was replaced. Its bytes are in a file beside the notes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct KeptObject {
    file: String,
    attributes: Vec<(String, String)>,
}

/// Attributes by their names in a note.
const NAMED: [(&str, Attribute); 6] = [
    ("content-type", Attribute::ContentType),
    ("content-encoding", Attribute::ContentEncoding),
    ("content-language", Attribute::ContentLanguage),
    ("content-disposition", Attribute::ContentDisposition),
    ("cache-control", Attribute::CacheControl),
    ("x-amz-storage-class", Attribute::StorageClass),
];
const METADATA: &str = "x-amz-meta-";

fn noted(attributes: &Attributes) -> Vec<(String, String)> {
    let name = |attribute: &Attribute| match attribute {
        Attribute::Metadata(key) => Some(format!("{METADATA}{key}")),
        other => NAMED.iter().find(|(_, known)| known == other).map(|(name, _)| (*name).to_owned()),
    };
    attributes
        .iter()
        .filter_map(|(attribute, value)| Some((name(attribute)?, value.as_ref().to_owned())))
        .collect()
}

fn from_note(note: &[(String, String)]) -> Attributes {
    let mut attributes = Attributes::new();
    for (name, value) in note {
        let known = NAMED.iter().find(|(known, _)| known == name).map(|(_, attribute)| attribute.clone());
        let metadata = || name.strip_prefix(METADATA).map(|key| Attribute::Metadata(key.to_owned().into()));
        if let Some(attribute) = known.or_else(metadata) {
            attributes.insert(attribute, value.clone().into());
        }
    }
    attributes
}

/// The part of a publication that lies on a remote S3.
pub(crate) struct RemotePublication<'a> {
    s3: &'a RemoteS3,
    publication: &'a Publication,
    ledger: Ledger,
}

impl<'a> RemotePublication<'a> {
    pub fn new(s3: &'a RemoteS3, publication: &'a Publication) -> Self {
        Self { s3, publication, ledger: Ledger::of(publication.folder()) }
    }

    fn on_disk<T>(&self, done: std::io::Result<T>) -> Result<T, Error> {
        done.map_err(|error| Error::publication(self.publication, error))
    }

    pub async fn stage(&self, files: &[NewFile]) -> Result<(), Error> {
        let known: Vec<StagedObject> = self.on_disk(self.ledger.staged())?;
        let fresh: Vec<StagedObject> = files
            .iter()
            .filter(|file| !known.iter().any(|object| object.url == file.url))
            .map(|file| StagedObject { url: file.url.clone(), turn: file.turn })
            .collect();
        self.on_disk(self.ledger.note_staged(&fresh))?;
        let has_begun = self.on_disk(self.ledger.before::<Vec<Option<KeptObject>>>())?.is_some();
        let parts_in_flight = if files.len() > 1 { 1 } else { PARTS_IN_FLIGHT };
        let mut deeds = Vec::with_capacity(files.len());
        for file in files {
            deeds.push(self.stage_unless_done(file, has_begun, parts_in_flight).boxed());
        }
        all(deeds, PARTS_IN_FLIGHT).await.map(drop)
    }

    async fn stage_unless_done(
        &self,
        file: &NewFile,
        has_begun: bool,
        parts_in_flight: usize,
    ) -> Result<(), Error> {
        let is_done = self.is_pending(&file.url) || (has_begun && self.is_ours(&file.url).await?);
        if is_done { Ok(()) } else { self.stage_one(file, parts_in_flight).await }
    }

    async fn stage_one(&self, file: &NewFile, parts_in_flight: usize) -> Result<(), Error> {
        let mut attributes = file.attributes.clone();
        attributes.metadata.insert(OWNER.to_owned(), self.publication.id().to_owned());
        let upload =
            upload(self.s3, &file.source, &file.url, to_remote(&attributes), parts_in_flight).await?;
        let mut pending = self.s3.pending();
        pending.entry(self.publication.id().to_owned()).or_default().insert(file.url.clone(), upload);
        Ok(())
    }

    pub async fn switch(&self) -> Result<(), Error> {
        let mut objects: Vec<StagedObject> = self.on_disk(self.ledger.staged())?;
        if objects.is_empty() {
            return Ok(());
        }
        if self.on_disk(self.ledger.before::<Vec<Option<KeptObject>>>())?.is_none() {
            let mut deeds = Vec::with_capacity(objects.len());
            for (number, object) in objects.iter().enumerate() {
                deeds.push(self.keep(number, &object.url).boxed());
            }
            let kept: Vec<Option<KeptObject>> = all(deeds, AT_ONCE).await?;
            self.on_disk(self.ledger.note_before(&kept))?;
        }
        objects.sort_by_key(|object| object.turn);
        for turn in objects.chunk_by(|one, next| one.turn == next.turn) {
            let mut deeds = Vec::with_capacity(turn.len());
            for object in turn {
                deeds.push(self.complete(&object.url).boxed());
            }
            all(deeds, AT_ONCE).await?;
        }
        Ok(())
    }

    /// Downloads the object that stands at a URL, if there is one.
    async fn keep(&self, number: usize, url: &ObjectUrl) -> Result<Option<KeptObject>, Error> {
        let (client, path) = self.s3.place(url)?;
        let found = match client.get_opts(&path, GetOptions::default()).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| from_remote(url, error))?,
        };
        let kept = KeptObject { file: format!("kept-{number}"), attributes: noted(&found.attributes) };
        let local = |error| Error::unavailable(url, error);
        let mut file = tokio::fs::File::create(self.ledger.path(&kept.file)).await.map_err(local)?;
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk.map_err(|error| from_remote(url, error))?).await.map_err(local)?;
        }
        file.sync_all().await.map_err(local)?;
        Ok(Some(kept))
    }

    async fn complete(&self, url: &ObjectUrl) -> Result<(), Error> {
        let upload = self.take_pending(url);
        let Some(mut upload) = upload else {
            // Completed before; or its parts were lost with an earlier process, and staging did not make up for it.
            let is_there = self.is_ours(url).await?;
            let lost = || Error::unavailable(url, "its upload was lost and is made again");
            return if is_there { Ok(()) } else { Err(lost()) };
        };
        // A failed completion may have been carried out: the next attempt looks, and stages the object again if not.
        upload.complete().await.map(drop).map_err(|error| from_remote(url, error))
    }

    pub async fn settle(&self) -> Result<(), Error> {
        self.abort_pending().await;
        self.on_disk(self.ledger.remove())
    }

    pub async fn take_back(&self) -> Result<(), Error> {
        self.abort_pending().await;
        let objects: Vec<StagedObject> = self.on_disk(self.ledger.staged())?;
        if let Some(kept) = self.on_disk(self.ledger.before::<Vec<Option<KeptObject>>>())? {
            let mut pairs: Vec<(&StagedObject, &Option<KeptObject>)> = objects.iter().zip(&kept).collect();
            // Files that name others go first.
            pairs.sort_by_key(|(object, _)| std::cmp::Reverse(object.turn));
            for turn in pairs.chunk_by(|(one, _), (next, _)| one.turn == next.turn) {
                let mut deeds = Vec::with_capacity(turn.len());
                for (object, kept) in turn {
                    deeds.push(self.put_back(&object.url, kept.as_ref()).boxed());
                }
                all(deeds, AT_ONCE).await?;
            }
        }
        self.on_disk(self.ledger.remove())
    }

    async fn put_back(&self, url: &ObjectUrl, kept: Option<&KeptObject>) -> Result<(), Error> {
        if !self.is_ours(url).await? {
            return Ok(());
        }
        let Some(kept) = kept else { return crate::ObjectStore::delete(self.s3, url).await };
        let attributes = from_note(&kept.attributes);
        let mut upload = upload(self.s3, &self.ledger.path(&kept.file), url, attributes, 1).await?;
        upload.complete().await.map(drop).map_err(|error| from_remote(url, error))
    }

    /// Returns whether the object at a URL is one of this publication.
    async fn is_ours(&self, url: &ObjectUrl) -> Result<bool, Error> {
        let (client, path) = self.s3.place(url)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found: GetResult = match client.get_opts(&path, options).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            found => found.map_err(|error| from_remote(url, error))?,
        };
        let owner = found.attributes.get(&Attribute::Metadata(OWNER.into()));
        Ok(owner.is_some_and(|owner| owner.as_ref() == self.publication.id()))
    }

    fn is_pending(&self, url: &ObjectUrl) -> bool {
        self.s3.pending().get(self.publication.id()).is_some_and(|uploads| uploads.contains_key(url))
    }

    fn take_pending(&self, url: &ObjectUrl) -> Option<Pending> {
        self.s3.pending().get_mut(self.publication.id())?.remove(url)
    }

    /// Aborts the uploads that were not completed. Those of an earlier process stay until a lifecycle rule of the
    /// bucket removes them.
    async fn abort_pending(&self) {
        let uploads = self.s3.pending().remove(self.publication.id()).unwrap_or_default();
        for mut upload in uploads.into_values() {
            let _ = upload.abort().await;
        }
    }
}

/// Does all this, some at once, and returns the results in order.
async fn all<T>(deeds: Vec<BoxFuture<'_, Result<T, Error>>>, at_once: usize) -> Result<Vec<T>, Error> {
    stream::iter(deeds).buffered(at_once).try_collect().await
}

/// Uploads all parts of a file, and leaves the upload to be completed.
pub(crate) async fn upload(
    s3: &RemoteS3,
    source: &Path,
    url: &ObjectUrl,
    attributes: Attributes,
    parts_in_flight: usize,
) -> Result<Pending, Error> {
    let (client, path) = s3.place(url)?;
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let mut upload =
        client.put_multipart_opts(&path, options).await.map_err(|error| from_remote(url, error))?;
    if let Err(error) = send(source, url, upload.as_mut(), parts_in_flight).await {
        // Left-over parts would cost money until a lifecycle rule removes them.
        let _ = upload.abort().await;
        return Err(error);
    }
    Ok(upload)
}

/// Sends a file part by part, at least one part even for an empty file.
async fn send(
    source: &Path,
    url: &ObjectUrl,
    upload: &mut dyn MultipartUpload,
    parts_in_flight: usize,
) -> Result<(), Error> {
    let local = |error| Error::unavailable(url, error);
    let limit = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
    let mut file = tokio::fs::File::open(source).await.map_err(local)?;
    let mut in_flight = tokio::task::JoinSet::new();
    let mut is_first = true;
    loop {
        let mut part = Vec::new();
        (&mut file).take(limit).read_to_end(&mut part).await.map_err(local)?;
        if part.is_empty() && !is_first {
            break;
        }
        is_first = false;
        in_flight.spawn(upload.put_part(PutPayload::from(part)));
        while in_flight.len() >= parts_in_flight {
            sent(url, in_flight.join_next().await)?;
        }
    }
    while let Some(part) = in_flight.join_next().await {
        sent(url, Some(part))?;
    }
    Ok(())
}

fn sent(
    url: &ObjectUrl,
    part: Option<Result<object_store::Result<()>, tokio::task::JoinError>>,
) -> Result<(), Error> {
    match part {
        Some(Err(error)) => Err(Error::unavailable(url, error)),
        Some(Ok(sent)) => sent.map_err(|error| from_remote(url, error)),
        None => Ok(()),
    }
}

/// Checks that objects can be stored at a URL: begins an upload and aborts it.
pub(crate) async fn check(s3: &RemoteS3, url: &ObjectUrl) -> Result<(), Error> {
    let (client, path) = s3.place(url)?;
    if !s3.may_have_credentials().await {
        let what = "there are no credentials for this S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(Error::about(url, ErrorKind::Denied, what));
    }
    let begun = client.put_multipart_opts(&path, PutMultipartOptions::default()).await;
    match begun.map_err(|error| from_remote(url, error)) {
        Ok(mut upload) => {
            // Who may upload may lack the right to abort.
            let _ = upload.abort().await;
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::about(url, ErrorKind::NotFound, "the bucket does not exist").because(error))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_from_a_note() {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "video/mp4".into());
        attributes.insert(Attribute::CacheControl, "no-store".into());
        attributes.insert(Attribute::Metadata("team".into()), "news".into());
        assert_eq!(from_note(&noted(&attributes)), attributes);
    }
}
