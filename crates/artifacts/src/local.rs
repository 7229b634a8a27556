//! Artifacts in a folder of this machine: `KEY/manifest.json` and `KEY/files/NAME`.
//!
//! A folder gets its name when all is in it and on the disk, and loses it before anything is removed. Files are hard
//! links where the file system has them, so storing and placing cost no bytes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abanico_process::WorkPlace;
use async_trait::async_trait;

use crate::files::{
    Permit, Waiting, blocking, digest_of, first_damaged, linked_beside, open_plain, place_all, sync_folder,
};
use crate::{
    ArtifactKey, ArtifactPage, ArtifactStore, Error, Manifest, ManifestFile, NamedFile, StoredArtifact,
};

const MANIFEST: &str = "manifest.json";
const FILES: &str = "files";
/// Name of an artifact in the work folder where it is removed.
const REMOVED: &str = "removed";
/// How often an artifact is stored in the place of one that turns out to be damaged or goes away meanwhile.
const ATTEMPTS: usize = 10;

/// Artifacts in a folder. Clones share it, as do other processes.
#[derive(Clone, Debug)]
pub struct LocalArtifacts {
    folder: Arc<PathBuf>,
}

/// What stands under a key.
enum Found {
    Whole(Manifest),
    Damaged(&'static str),
    Nothing,
}

impl LocalArtifacts {
    /// Opens the folder, and creates it if it does not exist. Nothing else may be kept in it. Blocking.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::disk(folder, error))?;
        Ok(Self { folder: Arc::new(folder.to_owned()) })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn of(&self, key: &ArtifactKey) -> PathBuf {
        self.folder.join(key.to_string())
    }

    fn unfinished(&self) -> WorkPlace<'_> {
        WorkPlace { folder: &self.folder, prefix: ".", suffix: ".partial" }
    }

    /// Returns what stands under a key, by the manifest and the sizes of the files.
    fn find(&self, key: &ArtifactKey) -> Result<Found, Error> {
        let folder = self.of(key);
        let stored = match std::fs::read(folder.join(MANIFEST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if folder.exists() {
                    Found::Damaged("it has no manifest")
                } else {
                    Found::Nothing
                });
            }
            stored => stored.map_err(|error| Error::disk(&folder, error))?,
        };
        let Some((manifest, _)) = Manifest::read(&stored) else {
            return Ok(Found::Damaged("its manifest cannot be read"));
        };
        let is_there = |file: &ManifestFile| {
            let found = folder.join(FILES).join(file.name.as_str()).symlink_metadata();
            found.is_ok_and(|found| found.is_file() && found.len() == file.digest.size_bytes)
        };
        match manifest.files().iter().all(is_there) {
            true => Ok(Found::Whole(manifest)),
            // Somebody may have removed it while we looked.
            false if !folder.join(MANIFEST).exists() => Ok(Found::Nothing),
            false => Ok(Found::Damaged("a file is missing or has another size")),
        }
    }

    /// Like [`Self::find`], but removes what is damaged.
    fn find_whole(&self, key: &ArtifactKey) -> Result<Option<Manifest>, Error> {
        match self.find(key)? {
            Found::Whole(manifest) => Ok(Some(manifest)),
            Found::Nothing => Ok(None),
            Found::Damaged(why) => self.remove_damaged(key, why).map(|()| None),
        }
    }

    fn remove_damaged(&self, key: &ArtifactKey, why: &str) -> Result<(), Error> {
        tracing::warn!(artifact.key = %key, reason = why, "an artifact is damaged; it is removed, and made again when it is needed");
        self.remove_now(key)
    }

    /// Like [`ArtifactStore::put`], on this thread. Blocking.
    ///
    /// # Errors
    /// As for [`ArtifactStore::put`].
    pub fn put_now(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Manifest, Error> {
        if let Some(standing) = self.find_whole(key)? {
            return Ok(standing);
        }
        let disk = |error| Error::disk(&self.folder, error);
        let work = self.unfinished().create().map_err(disk)?;
        let inside = work.path().join(FILES);
        std::fs::create_dir(&inside).map_err(disk)?;
        let mut listed = Vec::with_capacity(files.len());
        for NamedFile { name, path } in files {
            let taken = inside.join(name.as_str());
            let digest = take_in(path, &taken).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::name_twice(name),
                _ => Error::source(path, error),
            })?;
            listed.push(ManifestFile { name: name.clone(), digest });
        }
        let manifest = Manifest::new(listed)?;
        let written = manifest.stored(None).map_err(io::Error::other).and_then(|stored| {
            let mut file = File::create_new(work.path().join(MANIFEST))?;
            file.write_all(&stored)?;
            file.sync_all()?;
            sync_folder(&inside)?;
            sync_folder(work.path())
        });
        written.map_err(disk)?;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match std::fs::rename(work.path(), self.of(key)) {
                Ok(()) => {
                    sync_folder(&self.folder).map_err(disk)?;
                    return Ok(manifest);
                }
                Err(error) => last = Some(error),
            }
            // Another one was stored first.
            if let Some(standing) = self.find_whole(key)? {
                return Ok(standing);
            }
        }
        Err(disk(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into())))
    }

    /// Like [`ArtifactStore::place`], on this thread. Blocking.
    ///
    /// # Errors
    /// As for [`ArtifactStore::place`].
    pub fn place_now(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Option<Manifest>, Error> {
        let (permit, _until_here) = Permit::until_dropped();
        self.place_permitted(key, files, &permit)
    }

    fn place_permitted(
        &self,
        key: &ArtifactKey,
        wanted: &[NamedFile],
        permit: &Permit,
    ) -> Result<Option<Manifest>, Error> {
        let Some(manifest) = self.find_whole(key)? else { return Ok(None) };
        let mut waiting = Vec::with_capacity(wanted.len());
        for NamedFile { name, path } in wanted {
            let file = manifest.file(name).ok_or_else(|| Error::no_such_file(key, name, &manifest))?;
            let kept = self.of(key).join(FILES).join(name.as_str());
            match linked_beside(&kept, path) {
                Ok(link) => {
                    waiting.push(Waiting { file: link, destination: path.clone(), wanted: file.digest })
                }
                // Somebody has removed it since, unless it is the destination that does not exist.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !kept.exists() => return Ok(None),
                Err(error) => return Err(Error::disk(path, error)),
            }
        }
        if first_damaged(&waiting)?.is_some() {
            self.remove_damaged(key, "a file has other bytes than it had")?;
            return Ok(None);
        }
        // The time only decides which artifact is removed first, so a failure does no harm.
        let _ = File::open(self.of(key)).and_then(|folder| folder.set_modified(SystemTime::now()));
        // Nobody waits for the answer if the permit was withdrawn.
        permit.use_for(|| place_all(waiting)).unwrap_or(Ok(()))?;
        Ok(Some(manifest))
    }

    /// Like [`ArtifactStore::remove`], on this thread. Blocking.
    ///
    /// # Errors
    /// As for [`ArtifactStore::remove`].
    pub fn remove_now(&self, key: &ArtifactKey) -> Result<(), Error> {
        let disk = |error| Error::disk(&self.folder, error);
        if !self.of(key).exists() {
            return Ok(());
        }
        let work = self.unfinished().create().map_err(disk)?;
        match std::fs::rename(self.of(key), work.path().join(REMOVED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
            _ => work.remove().map_err(disk),
        }
    }

    /// Returns all artifacts, least recently used first. Blocking.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub fn by_last_use(&self) -> Result<Vec<StoredArtifact>, Error> {
        let keys = self.keys().map_err(|error| Error::disk(&self.folder, error))?;
        // One that is removed meanwhile is not listed.
        let mut all: Vec<StoredArtifact> = keys.filter_map(|key| self.measured(key).ok()).collect();
        all.sort_by_key(|artifact| artifact.last_used);
        Ok(all)
    }

    /// Removes what is under a key and is no artifact: it is damaged, or another version of this program made it. Returns
    /// how many. Blocking.
    ///
    /// # Errors
    /// Fails on a disk error. Some may be removed then.
    pub fn remove_unreadable(&self) -> Result<usize, Error> {
        let keys: Vec<ArtifactKey> = self.keys().map_err(|error| Error::disk(&self.folder, error))?.collect();
        let mut removed = 0;
        for key in keys {
            if matches!(self.find(&key)?, Found::Damaged(_)) {
                self.remove_now(&key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the work folders of writers that are gone, of older versions as well. Blocking.
    pub(crate) fn remove_left_over(&self) {
        WorkPlace { prefix: "", ..self.unfinished() }.remove_abandoned();
    }

    fn keys(&self) -> io::Result<impl Iterator<Item = ArtifactKey>> {
        let names = std::fs::read_dir(&*self.folder)?.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.to_str()?.parse().ok()))
    }

    fn list_now(&self, after: Option<ArtifactKey>, most: usize) -> io::Result<ArtifactPage> {
        let is_later = |key: &ArtifactKey| after.is_none_or(|after| *key > after);
        let mut keys: Vec<ArtifactKey> = self.keys()?.filter(is_later).collect();
        keys.sort_unstable();
        let has_more = keys.len() > most.max(1);
        keys.truncate(most.max(1));
        let next = keys.last().copied().filter(|_| has_more);
        // One that is removed meanwhile is not listed.
        let artifacts = keys.into_iter().filter_map(|key| self.measured(key).ok()).collect();
        Ok(ArtifactPage { artifacts, next })
    }

    fn measured(&self, key: ArtifactKey) -> io::Result<StoredArtifact> {
        let folder = self.of(&key);
        let last_used = folder.metadata()?.modified()?;
        let (mut size_bytes, mut freed_bytes) = (0, 0);
        for file in std::fs::read_dir(folder.join(FILES))? {
            let file = file?.metadata()?;
            size_bytes += file.len();
            freed_bytes += if file.nlink() == 1 { file.len() } else { 0 };
        }
        Ok(StoredArtifact { key, size_bytes, freed_bytes, last_used })
    }
}

/// Takes in a file, as a hard link where that is possible, flushes it to disk and hashes it.
fn take_in(source: &Path, taken: &Path) -> io::Result<crate::Digest> {
    let opened = open_plain(source)?;
    match std::fs::hard_link(source, taken) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {
            io::copy(&mut &opened, &mut File::create_new(taken)?)?;
        }
        Ok(()) => {}
    }
    let file = open_plain(taken)?;
    file.sync_all()?;
    digest_of(&file)
}

#[async_trait]
impl ArtifactStore for LocalArtifacts {
    async fn put(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Manifest, Error> {
        let (this, key, files) = (self.clone(), *key, files.to_vec());
        blocking(&self.folder, move || this.put_now(&key, &files)).await
    }

    async fn manifest(&self, key: &ArtifactKey) -> Result<Option<Manifest>, Error> {
        let (this, key) = (self.clone(), *key);
        blocking(&self.folder, move || this.find_whole(&key)).await
    }

    async fn place(&self, key: &ArtifactKey, files: &[NamedFile]) -> Result<Option<Manifest>, Error> {
        let (this, key, files) = (self.clone(), *key, files.to_vec());
        let (permit, _until_here) = Permit::until_dropped();
        blocking(&self.folder, move || this.place_permitted(&key, &files, &permit)).await
    }

    async fn remove(&self, key: &ArtifactKey) -> Result<(), Error> {
        let (this, key) = (self.clone(), *key);
        blocking(&self.folder, move || this.remove_now(&key)).await
    }

    async fn list(&self, after: Option<&ArtifactKey>, most: usize) -> Result<ArtifactPage, Error> {
        let (this, after) = (self.clone(), after.copied());
        let list = move || this.list_now(after, most).map_err(|error| Error::disk(&this.folder, error));
        blocking(&self.folder, list).await
    }

    async fn remove_abandoned(&self, older_than: Duration) -> Result<usize, Error> {
        let this = self.clone();
        blocking(&self.folder, move || Ok(this.unfinished().remove_abandoned_for(older_than))).await
    }
}
