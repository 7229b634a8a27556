//! Artifacts in an object store: `KEY/upload-ID/NAME` for each file, then `KEY/manifest.json`, which names the upload.
//!
//! Each writer has an upload of its own, and the first that creates the manifest wins. So no writer can change what a
//! reader sees, however late it comes. `KEY/last-used` tells when the artifact was read.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abanico_store::{
    ErrorKind as StoreErrorKind, ListedObject, MOST_LISTED, ObjectAttributes, ObjectMeta, ObjectStore,
    ObjectUrl, delete_all_below,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tempfile::TempPath;

use crate::files::{HIDDEN, Permit, Waiting, blocking, digest_of, first_damaged, open_plain, place_all};
use crate::{
    ArtifactKey, ArtifactPage, ArtifactStore, Digest, Error, Manifest, ManifestFile, NamedFile,
    StoredArtifact,
};

/// Names in the folder of a key. A list shows them in this order, so a page of any length has the first two.
const LAST_USED: &str = "last-used";
const MANIFEST: &str = "manifest.json";
const UPLOAD: &str = "upload-";
/// Sorts after all of them.
const AFTER_ALL: &str = "z";
/// How often the store is told that an artifact is used: each time costs two requests.
const TELL_EVERY: Duration = Duration::from_secs(3600);
/// How many files are transferred at once.
const FILES_AT_ONCE: usize = 4;
/// How often a manifest is created in the place of one that turns out to be damaged or goes away meanwhile.
const ATTEMPTS: usize = 10;

/// Artifacts in a folder of an object store. Clones share it, as do other machines.
#[derive(Clone)]
pub struct ObjectArtifacts {
    store: Arc<dyn ObjectStore>,
    folder: ObjectUrl,
}

/// The objects under a key.
#[derive(Default)]
struct Objects {
    manifest: Option<ObjectMeta>,
    /// When the artifact was stored or last read.
    last_used: Option<SystemTime>,
    has_use: bool,
    /// Sizes of files by their upload and name; only of the first page.
    files: BTreeMap<String, u64>,
    is_all: bool,
}

/// What stands under a key.
struct Standing {
    manifest: Manifest,
    upload: String,
    last_used: Option<SystemTime>,
}

/// An object of an artifact, by its name in the folder of the key.
struct Part {
    key: ArtifactKey,
    name: String,
    size_bytes: u64,
    modified: SystemTime,
}

/// Returns the URL of what has this name in a folder.
fn below(folder: &ObjectUrl, name: &str) -> ObjectUrl {
    match folder {
        ObjectUrl::S3 { bucket, key } => ObjectUrl::s3(bucket, format!("{key}{name}")),
        ObjectUrl::File(path) => ObjectUrl::File(path.join(name)),
    }
}

/// Returns the name of an object in a folder.
fn name_in<'a>(folder: &ObjectUrl, object: &'a ObjectUrl) -> Option<&'a str> {
    match (folder, object) {
        (ObjectUrl::S3 { key: folder, .. }, ObjectUrl::S3 { key, .. }) => key.strip_prefix(folder.as_str()),
        (ObjectUrl::File(folder), ObjectUrl::File(path)) => path.strip_prefix(folder).ok()?.to_str(),
        _ => None,
    }
}

/// Returns a name that no other upload has.
fn new_upload() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{UPLOAD}{:016x}{:016x}", random(), random())
}

/// Hashes files that are to be stored.
async fn manifest_of(files: &[NamedFile]) -> Result<Manifest, Error> {
    let first = files.first().map_or(Path::new("/"), |file| &file.path);
    let files = files.to_vec();
    let hash = move || {
        let listed = files.iter().map(|NamedFile { name, path }| {
            let digest = open_plain(path).and_then(|file| digest_of(&file));
            let digest = digest.map_err(|error| Error::source(path, error))?;
            Ok(ManifestFile { name: name.clone(), digest })
        });
        Manifest::new(listed.collect::<Result<_, Error>>()?)
    };
    blocking(first, hash).await
}

impl ObjectArtifacts {
    /// Keeps artifacts in `folder`, whose URL ends with `/`. Nothing else may be kept in it.
    ///
    /// # Errors
    /// Fails if the URL does not end with `/`.
    pub fn new(store: Arc<dyn ObjectStore>, folder: ObjectUrl) -> Result<Self, Error> {
        if folder.to_string().ends_with('/') {
            return Ok(Self { store, folder });
        }
        let what = "the folder of artifacts must end with `/`: add one";
        Err(Error::store(None, abanico_store::Error::about(&folder, StoreErrorKind::Unsupported, what)))
    }

    fn of(&self, key: &ArtifactKey) -> ObjectUrl {
        below(&self.folder, &format!("{key}/"))
    }

    async fn objects(&self, key: &ArtifactKey) -> Result<Objects, Error> {
        let failed = |error| Error::store(Some(key), error);
        let folder = self.of(key);
        let page = self.store.list(&folder, None, MOST_LISTED).await.map_err(failed)?;
        let mut objects = Objects { is_all: page.next.is_none(), ..Objects::default() };
        for ListedObject { meta, modified } in page.objects {
            match name_in(&folder, &meta.url) {
                Some(LAST_USED) => {
                    objects.last_used = objects.last_used.max(Some(modified));
                    objects.has_use = true;
                }
                Some(MANIFEST) => {
                    objects.last_used = objects.last_used.max(Some(modified));
                    objects.manifest = Some(meta);
                }
                Some(name) => {
                    objects.files.insert(name.to_owned(), meta.size_bytes);
                }
                None => {}
            }
        }
        Ok(objects)
    }

    /// Returns a page of what all artifacts consist of, and where the next page begins.
    async fn parts(&self, from: Option<&ObjectUrl>) -> Result<(Vec<Part>, Option<ObjectUrl>), Error> {
        let page = self.store.list(&self.folder, from, MOST_LISTED).await;
        let page = page.map_err(|error| Error::store(None, error))?;
        let part = |ListedObject { meta, modified }: ListedObject| {
            let (key, name) = name_in(&self.folder, &meta.url)?.split_once('/')?;
            let (key, name) = (key.parse().ok()?, name.to_owned());
            Some(Part { key, name, size_bytes: meta.size_bytes, modified })
        };
        Ok((page.objects.into_iter().filter_map(part).collect(), page.next))
    }

    /// Returns what stands under a key, and removes what is damaged.
    async fn standing(&self, key: &ArtifactKey) -> Result<Option<Standing>, Error> {
        let objects = self.objects(key).await?;
        let Some(meta) = &objects.manifest else { return Ok(None) };
        let read = match self.store.read_range(&meta.url, 0..meta.size_bytes, meta.e_tag.as_deref()).await {
            Ok(bytes) => Manifest::read(&bytes),
            // Somebody has removed or replaced it since.
            Err(error) if [StoreErrorKind::NotFound, StoreErrorKind::Changed].contains(&error.kind()) => {
                return Ok(None);
            }
            Err(error) if error.kind() == StoreErrorKind::OutOfRange => None,
            Err(error) => return Err(Error::store(Some(key), error)),
        };
        let Some((manifest, Some(upload))) = read else {
            return self.remove_damaged(key, "its manifest cannot be read").await.map(|()| None);
        };
        let is_there = |file: &ManifestFile| {
            objects.files.get(&format!("{upload}/{}", file.name)) == Some(&file.digest.size_bytes)
        };
        if objects.is_all && !manifest.files().iter().all(is_there) {
            return self.remove_damaged(key, "a file is missing or has another size").await.map(|()| None);
        }
        Ok(Some(Standing { manifest, upload, last_used: objects.last_used }))
    }

    async fn remove_damaged(&self, key: &ArtifactKey, why: &str) -> Result<(), Error> {
        tracing::warn!(artifact.key = %key, reason = why, "an artifact is damaged; it is removed, and made again when it is needed");
        self.remove(key).await
    }

    /// Uploads the files, which nobody sees yet.
    async fn upload(
        &self,
        key: &ArtifactKey,
        upload: &str,
        files: &[NamedFile],
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let folder = below(&self.of(key), &format!("{upload}/"));
        let each = files.iter().cloned().map(|NamedFile { name, path }| {
            let url = below(&folder, name.as_str());
            async move {
                let stored = self.store.publish(&path, &url, &ObjectAttributes::default()).await;
                let stored = stored.map_err(|error| Error::store(Some(key), error))?;
                let is_same = |file: &ManifestFile| file.digest.size_bytes == stored.size_bytes;
                let changed = || std::io::Error::other("it was written to while it was stored");
                manifest
                    .file(&name)
                    .is_some_and(is_same)
                    .then_some(())
                    .ok_or_else(|| Error::source(&path, changed()))
            }
        });
        futures::stream::iter(each).buffer_unordered(FILES_AT_ONCE).try_collect().await
    }

    /// Makes an upload visible, if nothing else is. Returns the manifest that is visible then.
    async fn make_visible(
        &self,
        key: &ArtifactKey,
        upload: &str,
        manifest: Manifest,
    ) -> Result<(Manifest, bool), Error> {
        let failed = |error| Error::store(Some(key), error);
        let stored = manifest.stored(Some(upload.to_owned()));
        let stored = Bytes::from(stored.map_err(|error| Error::disk(Path::new(MANIFEST), error.into()))?);
        let url = below(&self.of(key), MANIFEST);
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.store.create(&url, stored.clone()).await {
                Ok(_) => return Ok((manifest, true)),
                Err(error) if error.kind() == StoreErrorKind::Exists => last = Some(error),
                Err(error) => return Err(failed(error)),
            }
            if let Some(standing) = self.standing(key).await? {
                // It may be our own, if the answer to an earlier request was lost.
                let is_ours = standing.upload == upload;
                return Ok((standing.manifest, is_ours));
            }
        }
        Err(failed(last.unwrap_or_else(|| abanico_store::Error::object_exists(&url))))
    }

    /// Whether all files of an upload are still there: a cleaner may have taken them for abandoned.
    async fn is_uploaded(&self, key: &ArtifactKey, upload: &str, manifest: &Manifest) -> Result<bool, Error> {
        let objects = self.objects(key).await?;
        let is_there = |file: &ManifestFile| objects.files.contains_key(&format!("{upload}/{}", file.name));
        Ok(!objects.is_all || manifest.files().iter().all(is_there))
    }

    async fn discard(&self, key: &ArtifactKey, upload: &str) {
        let folder = below(&self.of(key), &format!("{upload}/"));
        if let Err(error) = delete_all_below(&*self.store, &folder).await {
            tracing::warn!(artifact.key = %key, %error, "cannot remove the files of an upload that nobody needs; they are removed later");
        }
    }

    /// Fetches a file to a hidden place beside its destination.
    async fn fetch(
        &self,
        url: &ObjectUrl,
        destination: &Path,
    ) -> Result<(tempfile::TempDir, TempPath), FetchError> {
        let folder = destination.parent().unwrap_or(Path::new("/")).to_owned();
        let hidden = blocking(destination, {
            let folder = folder.clone();
            move || {
                let made = tempfile::Builder::new().prefix(HIDDEN).tempdir_in(&folder);
                made.map_err(|error| Error::disk(&folder, error))
            }
        });
        let hidden = hidden.await.map_err(FetchError::Other)?;
        let place = hidden.path().join("file");
        let path =
            TempPath::try_from_path(&place).map_err(|error| FetchError::Other(Error::disk(&place, error)))?;
        self.store.fetch(url, &place).await.map_err(FetchError::Store)?;
        Ok((hidden, path))
    }

    /// Tells the store that an artifact is used. A failure only lets it be removed earlier.
    async fn tell_use(&self, key: &ArtifactKey, last_used: Option<SystemTime>) {
        let age = last_used.map(|last| last.elapsed().unwrap_or_default());
        if age.is_some_and(|age| age < TELL_EVERY) {
            return;
        }
        let url = below(&self.of(key), LAST_USED);
        let told = match self.store.delete(&url).await {
            Ok(()) => self.store.create(&url, Bytes::from_static(b"used\n")).await.map(drop),
            failed => failed,
        };
        if let Err(error) = told {
            tracing::debug!(artifact.key = %key, %error, "cannot note that an artifact is used");
        }
    }

    /// Removes the uploads of one key that nobody sees and that are old. Returns how many.
    async fn clean(
        &self,
        key: &ArtifactKey,
        found: &FoundUploads,
        is_old: impl Fn(SystemTime) -> bool,
    ) -> Result<usize, Error> {
        let old: Vec<&String> =
            found.uploads.iter().filter(|(_, newest)| is_old(**newest)).map(|(upload, _)| upload).collect();
        if old.is_empty() && (found.has_manifest || !found.has_use) {
            return Ok(0);
        }
        let seen = self.standing(key).await?;
        let mut removed = 0;
        for upload in old {
            if seen.as_ref().is_none_or(|seen| seen.upload != *upload) {
                let folder = below(&self.of(key), &format!("{upload}/"));
                let emptied = delete_all_below(&*self.store, &folder).await;
                emptied.map_err(|error| Error::store(Some(key), error))?;
                removed += 1;
            }
        }
        if seen.is_none() && found.has_use {
            let deleted = self.store.delete(&below(&self.of(key), LAST_USED)).await;
            deleted.map_err(|error| Error::store(Some(key), error))?;
        }
        Ok(removed)
    }
}

enum FetchError {
    Store(abanico_store::Error),
    Other(Error),
}

/// The uploads of a key, with the time of their newest files.
#[derive(Default)]
struct FoundUploads {
    uploads: BTreeMap<String, SystemTime>,
    has_manifest: bool,
    has_use: bool,
}

impl FoundUploads {
    fn add(&mut self, name: &str, modified: SystemTime) {
        match name.split_once('/') {
            Some((upload, _)) => {
                let newest = self.uploads.entry(upload.to_owned()).or_insert(modified);
                *newest = modified.max(*newest);
            }
            None => {
                self.has_manifest |= name == MANIFEST;
                self.has_use |= name == LAST_USED;
            }
        }
    }
}

#[async_trait]
impl ArtifactStore for ObjectArtifacts {
    async fn put(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Manifest, Error> {
        if let Some(standing) = self.standing(key).await? {
            return Ok(standing.manifest);
        }
        let upload = new_upload();
        let manifest = manifest_of(files).await?;
        let uploaded = async {
            self.upload(key, &upload, files, &manifest).await?;
            match self.is_uploaded(key, &upload, &manifest).await? {
                true => Ok(()),
                false => self.upload(key, &upload, files, &manifest).await,
            }
        };
        if let Err(error) = uploaded.await {
            self.discard(key, &upload).await;
            return Err(error);
        }
        // If this fails, the manifest may be there although the answer was lost, so the files stay until they are old.
        let (manifest, is_ours) = self.make_visible(key, &upload, manifest).await?;
        if !is_ours {
            self.discard(key, &upload).await;
        }
        Ok(manifest)
    }

    async fn manifest(&self, key: &ArtifactKey) -> Result<Option<Manifest>, Error> {
        Ok(self.standing(key).await?.map(|standing| standing.manifest))
    }

    async fn place(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Option<Manifest>, Error> {
        let Some(standing) = self.standing(key).await? else { return Ok(None) };
        let Standing { manifest, upload, last_used } = &standing;
        let mut wanted: Vec<(ObjectUrl, NamedFile, Digest)> = Vec::with_capacity(files.len());
        for file in files {
            let listed = manifest.file(&file.name);
            let listed = listed.ok_or_else(|| Error::no_such_file(key, &file.name, manifest))?;
            let url = below(&self.of(key), &format!("{upload}/{}", file.name));
            wanted.push((url, file.clone(), listed.digest));
        }
        let each = wanted.into_iter().map(|(url, file, digest)| async move {
            let (hidden, fetched) = self.fetch(&url, &file.path).await?;
            Ok((hidden, Waiting { file: fetched, destination: file.path, wanted: digest }))
        });
        let fetched = futures::stream::iter(each).buffer_unordered(FILES_AT_ONCE);
        let fetched: Vec<(tempfile::TempDir, Waiting)> = match fetched.try_collect().await {
            Ok(fetched) => fetched,
            Err(FetchError::Store(error)) if error.kind() == StoreErrorKind::NotFound => {
                // It is damaged if it still stands; looking tells that, and removes it.
                self.standing(key).await?;
                return Ok(None);
            }
            Err(FetchError::Store(error)) => return Err(Error::store(Some(key), error)),
            Err(FetchError::Other(error)) => return Err(error),
        };
        let (permit, _until_here) = Permit::until_dropped();
        let place = move || {
            let (_hidden, waiting): (Vec<_>, Vec<_>) = fetched.into_iter().unzip();
            if first_damaged(&waiting)?.is_some() {
                return Ok(false);
            }
            permit.use_for(|| place_all(waiting)).unwrap_or(Ok(())).map(|()| true)
        };
        let nowhere = Path::new("/");
        let place_of_first = files.first().map_or(nowhere, |file| &file.path);
        if blocking(place_of_first, place).await? {
            self.tell_use(key, *last_used).await;
            return Ok(Some(standing.manifest));
        }
        self.remove_damaged(key, "a file has other bytes than it had").await?;
        Ok(None)
    }

    async fn remove(&self, key: &ArtifactKey) -> Result<(), Error> {
        let failed = |error| Error::store(Some(key), error);
        let objects = self.objects(key).await?;
        let mut upload = None;
        if let Some(meta) = &objects.manifest {
            // What cannot be read names no upload; its files are abandoned then.
            let read = self.store.read_range(&meta.url, 0..meta.size_bytes, meta.e_tag.as_deref()).await;
            upload = read.ok().and_then(|bytes| Manifest::read(&bytes)).and_then(|(_, upload)| upload);
            self.store.delete(&meta.url).await.map_err(failed)?;
        }
        if objects.has_use {
            self.store.delete(&below(&self.of(key), LAST_USED)).await.map_err(failed)?;
        }
        // Other uploads may be at work. They are left alone, and cleaned when they are old.
        if let Some(upload) = upload.filter(|upload| upload.starts_with(UPLOAD) && !upload.contains('/')) {
            let folder = below(&self.of(key), &format!("{upload}/"));
            delete_all_below(&*self.store, &folder).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn list(&self, after: Option<&ArtifactKey>, most: usize) -> Result<ArtifactPage, Error> {
        let mut page = ArtifactPage::default();
        let mut from = after.map(|after| below(&self.of(after), AFTER_ALL));
        // The artifact whose objects are being read, and whether it has a manifest.
        let mut open: Option<(StoredArtifact, bool)> = None;
        loop {
            let (parts, next) = self.parts(from.as_ref()).await?;
            for Part { key, name, size_bytes, modified } in parts {
                if open.as_ref().is_none_or(|(artifact, _)| artifact.key != key) {
                    page.artifacts
                        .extend(open.take().filter(|(_, is_whole)| *is_whole).map(|(artifact, _)| artifact));
                    if page.artifacts.len() >= most.max(1) {
                        page.next = page.artifacts.last().map(|last| last.key);
                        return Ok(page);
                    }
                    let empty = StoredArtifact {
                        key,
                        size_bytes: 0,
                        freed_bytes: 0,
                        last_used: SystemTime::UNIX_EPOCH,
                    };
                    open = Some((empty, false));
                }
                let Some((artifact, is_whole)) = &mut open else { continue };
                match name.as_str() {
                    LAST_USED | MANIFEST => {
                        artifact.last_used = artifact.last_used.max(modified);
                        *is_whole |= name == MANIFEST;
                    }
                    _ => {
                        artifact.size_bytes += size_bytes;
                        artifact.freed_bytes = artifact.size_bytes;
                    }
                }
            }
            from = next;
            if from.is_none() {
                page.artifacts.extend(open.filter(|(_, is_whole)| *is_whole).map(|(artifact, _)| artifact));
                return Ok(page);
            }
        }
    }

    async fn remove_abandoned(&self, older_than: Duration) -> Result<usize, Error> {
        // A file whose time lies in the future is as old as one of now.
        let is_old = |newest: SystemTime| newest.elapsed().unwrap_or_default() >= older_than;
        let (mut from, mut removed) = (None, 0);
        let mut open: Option<(ArtifactKey, FoundUploads)> = None;
        loop {
            let (parts, next) = self.parts(from.as_ref()).await?;
            for Part { key, name, modified, .. } in parts {
                if let Some((done, found)) = open.take_if(|(open, _)| *open != key) {
                    removed += self.clean(&done, &found, is_old).await?;
                }
                open.get_or_insert_with(|| (key, FoundUploads::default())).1.add(&name, modified);
            }
            from = next;
            if from.is_none() {
                break;
            }
        }
        if let Some((done, found)) = open {
            removed += self.clean(&done, &found, is_old).await?;
        }
        Ok(removed)
    }
}
