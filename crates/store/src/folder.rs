//! Serves local files as objects: `file:` URLs below allowed folders, called roots.
//!
//! It never reaches a path outside its roots, not even through `..` or a symbolic link.

use std::fs::Metadata;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::folder_list::{files_below, remove_empty_folders};
use crate::folder_publication::{FileToStage, FolderPublication};
use crate::listing::check_range;
use crate::{
    Deletion, Error, ErrorKind, ListedObject, MOST_LISTED, NewFile, ObjectAttributes, ObjectMeta, ObjectPage,
    ObjectStore, ObjectUrl, Publication,
};

/// The mode bit by which everyone may read a file.
const READABLE_BY_ALL: u32 = 0o004;
/// How often a file is written whose folder others remove meanwhile.
const FOLDER_ATTEMPTS: usize = 10;

/// Serves `file:` URLs below a set of folders.
#[derive(Clone, Debug)]
pub struct FolderStore {
    roots: Vec<PathBuf>,
    /// Where files are written before they get their names.
    staging: Option<PathBuf>,
}

impl FolderStore {
    /// Serves the files below `roots`. An empty list serves nothing.
    ///
    /// # Errors
    /// Fails if a root does not exist.
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> std::io::Result<Self> {
        let roots = roots.into_iter().map(|root| root.canonicalize()).collect::<Result<_, _>>()?;
        Ok(Self { roots, staging: None })
    }

    /// Writes files in the folder `staging` before they get their names, where their file system is the same. Without
    /// one, they are written beside their destinations, and a process that is killed leaves them there.
    #[must_use]
    pub fn with_staging(mut self, staging: &Path) -> Self {
        self.staging = Some(staging.to_owned());
        self
    }

    /// Returns a folder as its URL names it, and with symbolic links resolved.
    fn folder(&self, folder: &ObjectUrl) -> Result<(PathBuf, PathBuf), Error> {
        let ObjectUrl::File(shown) = folder else { return Err(Error::place_not_served(folder)) };
        if !shown.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(crate::listing::no_folder(folder));
        }
        Ok((shown.clone(), self.path(folder)?))
    }

    /// Returns the path of `url` with symbolic links resolved. Fails if it is not below a root.
    fn path(&self, url: &ObjectUrl) -> Result<PathBuf, Error> {
        let ObjectUrl::File(path) = url else { return Err(Error::place_not_served(url)) };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::about(url, ErrorKind::Denied, "a folder is not an object"));
        };
        // The deepest existing folder determines the real location of the path. The components below it do not exist
        // yet and must be plain names.
        let existing = parent.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let real = existing.canonicalize().map_err(|error| Error::from_io(url, error))?;
        let missing = parent.strip_prefix(existing).unwrap_or(Path::new(""));
        if missing.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(Error::about(url, ErrorKind::Denied, "the path leaves its folder"));
        }
        let place = real.join(missing).join(name);
        let resolved = if place.exists() {
            place.canonicalize().map_err(|error| Error::from_io(url, error))?
        } else {
            place
        };
        if self.roots.iter().any(|root| resolved.starts_with(root)) {
            Ok(resolved)
        } else {
            Err(Error::about(url, ErrorKind::Denied, "the path is outside the folders that may be used"))
        }
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        let path = self.path(url)?;
        let metadata = tokio::fs::metadata(&path).await.map_err(|error| Error::from_io(url, error))?;
        if !metadata.is_file() {
            return Err(Error::object_not_found(url));
        }
        Ok(ObjectMeta { url: url.clone(), size_bytes: metadata.len(), e_tag: Some(e_tag(&metadata)) })
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        wanted: Option<&str>,
    ) -> Result<Bytes, Error> {
        check_range(url, &range)?;
        let (path, wanted, here) = (self.path(url)?, wanted.map(str::to_owned), range.clone());
        let read = blocking(url, move || {
            let file = std::fs::File::open(path)?;
            let found = file.metadata()?;
            // A file that is written while it is read has another tag afterwards.
            let is_wanted = |found: &Metadata| wanted.as_ref().is_none_or(|wanted| *wanted == e_tag(found));
            if !found.is_file() {
                return Err(std::io::ErrorKind::NotFound.into());
            }
            if !is_wanted(&found) {
                return Ok(Read::Changed);
            }
            if here.end > found.len() {
                return Ok(Read::Beyond(found.len()));
            }
            let mut bytes = vec![0; usize::try_from(here.end - here.start).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, here.start)?;
            Ok(if is_wanted(&file.metadata()?) { Read::Bytes(bytes) } else { Read::Changed })
        });
        match read.await? {
            Read::Bytes(bytes) => Ok(bytes.into()),
            Read::Changed => Err(Error::object_changed(url)),
            Read::Beyond(size_bytes) => Err(Error::beyond_the_object(url, &range, size_bytes)),
        }
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        let (shown, path) = self.folder(folder)?;
        let after = match after {
            Some(ObjectUrl::File(after)) => {
                after.strip_prefix(&shown).ok().and_then(Path::to_str).unwrap_or("")
            }
            _ => "",
        };
        let (after, most) = (after.to_owned(), most.clamp(1, MOST_LISTED));
        // One more tells whether there is another page.
        let mut found = blocking(folder, move || files_below(&path, &after, most + 1)).await?;
        let has_more = found.len() > most;
        found.truncate(most);
        let listed = |file: crate::folder_list::FoundFile| ListedObject {
            meta: ObjectMeta {
                url: ObjectUrl::File(shown.join(file.name)),
                size_bytes: file.size_bytes,
                e_tag: Some(file.e_tag),
            },
            modified: file.modified,
        };
        let objects: Vec<ListedObject> = found.into_iter().map(listed).collect();
        let next = objects.last().filter(|_| has_more).map(|last| last.meta.url.clone());
        Ok(ObjectPage { objects, next })
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        let (path, staging) = (self.path(url)?, self.staging.clone());
        let created = blocking(url, move || {
            again_without_its_folder(|| {
                let temporary = written_beside(&path, staging.as_deref(), |file| {
                    std::io::Write::write_all(file, &bytes)
                })?;
                match temporary.persist_noclobber(&path) {
                    Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error.error),
                    Ok(_) => sync_folder(folder_of(&path)).map(|()| true),
                }
            })
        });
        if created.await? { self.stat(url).await } else { Err(Error::object_exists(url)) }
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        let (_, path) = self.folder(folder)?;
        if self.roots.contains(&path) {
            let what = "a whole folder of the configuration is not emptied: name a folder below it";
            return Err(Error::about(folder, ErrorKind::Denied, what));
        }
        blocking(folder, move || {
            let found = files_below(&path, "", MOST_LISTED + 1)?;
            let is_complete = found.len() <= MOST_LISTED;
            let mut objects = 0;
            for file in found.iter().take(MOST_LISTED) {
                match std::fs::remove_file(path.join(&file.name)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                    _ => objects += 1,
                }
            }
            if is_complete {
                remove_empty_folders(&path);
            }
            Ok(Deletion { objects, is_complete })
        })
        .await
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        let meta = self.stat(url).await?;
        let (source, destination) = (self.path(url)?, destination.to_owned());
        // A hard link costs nothing. Across file systems, or where the user's file must not be linked, copy instead.
        blocking(url, move || match is_readable_without_rights(&source, &destination) {
            Ok(true) if std::fs::hard_link(&source, &destination).is_ok() => Ok(()),
            _ => copy(&source, &destination),
        })
        .await?;
        Ok(meta)
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        _: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        let (source, path) = (source.to_owned(), self.path(url)?);
        let staging = self.staging.clone();
        blocking(url, move || replace(&source, &path, staging.as_deref())).await?;
        self.stat(url).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        match tokio::fs::remove_file(self.path(url)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::from_io(url, error)),
            _ => Ok(()),
        }
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        let path = self.path(url)?;
        let folder = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if path.is_dir() || !folder.is_dir() {
            let what = "a file cannot stand where a folder is, nor below a file: choose another destination";
            return Err(Error::about(url, ErrorKind::Denied, what));
        }
        let folder = folder.to_owned();
        // Only writing tells whether a folder can be written to.
        blocking(url, move || tempfile::Builder::new().prefix(".abanico-").tempfile_in(folder).map(drop))
            .await
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        let Some(first) = files.first() else { return Ok(()) };
        let place = |file: &NewFile| {
            Ok(FileToStage { source: file.source.clone(), place: self.path(&file.url)?, turn: file.turn })
        };
        let files: Vec<_> = files.iter().map(place).collect::<Result<_, Error>>()?;
        let part = FolderPublication::new(publication.id(), publication.folder());
        blocking(&first.url.clone(), move || part.stage(&files)).await
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        of_all(publication, FolderPublication::switch).await
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        of_all(publication, FolderPublication::settle).await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        of_all(publication, FolderPublication::take_back).await
    }
}

/// What came of reading a range.
enum Read {
    Bytes(Vec<u8>),
    Changed,
    /// The file has only this many bytes.
    Beyond(u64),
}

/// Returns an entity tag: it changes when the file is written to or replaced, and not when it gets another name.
pub(crate) fn e_tag(file: &Metadata) -> String {
    format!("\"{:x}-{:x}-{:x}.{:x}\"", file.ino(), file.len(), file.mtime(), file.mtime_nsec())
}

/// Does something with all files of a publication.
async fn of_all(
    publication: &Publication,
    work: impl FnOnce(&FolderPublication) -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let part = FolderPublication::new(publication.id(), publication.folder());
    let what = ObjectUrl::File(publication.folder().to_owned());
    match spawn_blocking(move || work(&part)).await {
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::IsADirectory => {
            Err(Error::about(&what, ErrorKind::Denied, &error.to_string()))
        }
        Ok(result) => result.map_err(|error| Error::publication(publication, error)),
        Err(error) => Err(Error::publication(publication, error)),
    }
}

/// Whether a link to the file can be read by a program that has no other rights than its user's: ffmpeg, if root starts
/// abanico and the file is another user's. Tells our user by the owner of the folder that the link would be in.
fn is_readable_without_rights(file: &Path, link: &Path) -> std::io::Result<bool> {
    let (file, own) = (std::fs::metadata(file)?, std::fs::metadata(link.parent().unwrap_or(link))?);
    Ok(file.uid() == own.uid() || file.mode() & READABLE_BY_ALL != 0)
}

/// Copies the bytes of a file, but not its mode: the copy is ours to read.
fn copy(source: &Path, destination: &Path) -> std::io::Result<()> {
    let mut source = std::fs::File::open(source)?;
    std::io::copy(&mut source, &mut std::fs::File::create_new(destination)?).map(drop)
}

/// Copies the source to a new file, syncs it to disk, then renames it. A reader sees either the old file or the new one.
fn replace(source: &Path, destination: &Path, staging: Option<&Path>) -> std::io::Result<()> {
    // A missing source is nobody's folder.
    let mut source = std::fs::File::open(source)?;
    again_without_its_folder(|| {
        std::io::Seek::rewind(&mut source)?;
        let temporary =
            written_beside(destination, staging, |file| std::io::copy(&mut source, file).map(drop))?;
        temporary.persist(destination).map_err(|error| error.error)?;
        sync_folder(folder_of(destination))
    })
}

/// Repeats work that makes a file while others empty its folder: they remove the folder as soon as it is empty.
fn again_without_its_folder<T>(mut work: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    for _ in 1..FOLDER_ATTEMPTS {
        match work() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    work()
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// Writes a file that is to get the name `destination`, and flushes it to disk. Creates the folder.
fn written_beside(
    destination: &Path,
    staging: Option<&Path>,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = folder_of(destination);
    std::fs::create_dir_all(folder)?;
    let device = |folder: &Path| folder.metadata().map(|found| found.dev()).ok();
    let near = staging.filter(|staging| device(staging).is_some_and(|there| Some(there) == device(folder)));
    let mut temporary = tempfile::Builder::new().prefix(".abanico-").tempfile_in(near.unwrap_or(folder))?;
    write(temporary.as_file_mut())?;
    make_readable(temporary.path())?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Copies a file in place of an existing one, and flushes the copy to disk.
pub(crate) fn copy_durably(source: &Path, destination: &Path) -> std::io::Result<()> {
    let mut copy = std::fs::File::create(destination)?;
    std::io::copy(&mut std::fs::File::open(source)?, &mut copy)?;
    make_readable(destination)?;
    copy.sync_all()
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Makes a published file as readable as any new file. Temporary files are private to their owner.
fn make_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

async fn blocking<T: Send + 'static>(
    url: &ObjectUrl,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| Error::from_io(url, error)),
        Err(error) => Err(Error::unavailable(url, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &Path) -> ObjectUrl {
        ObjectUrl::File(path.to_owned())
    }

    #[tokio::test]
    async fn path_outside_the_roots_is_denied() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        std::os::unix::fs::symlink(&secret, inside.path().join("link")).unwrap();
        let store = FolderStore::new([inside.path().to_owned()]).unwrap();
        let name = outside.path().file_name().unwrap();
        let paths = [
            secret.clone(),
            inside.path().join("link"),
            inside.path().join("..").join(name).join("secret"),
            inside.path().join("new/../../x"),
        ];
        for path in paths {
            assert_eq!(
                store.stat(&url(&path)).await.unwrap_err().kind(),
                ErrorKind::Denied,
                "{}",
                path.display()
            );
        }
    }

    #[tokio::test]
    async fn private_file_of_another_user_is_copied() {
        use std::os::unix::fs::{PermissionsExt, chown};

        let folder = tempfile::tempdir().unwrap();
        let [file, first, second] = ["film.mp4", "first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&file, "film").unwrap();
        let store = FolderStore::new([folder.path().to_owned()]).unwrap();
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        store.fetch(&url(&file), &first).await.unwrap();
        assert_eq!(inode(&first), inode(&file), "ours is linked");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        if chown(&file, Some(1234), None).is_err() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        store.fetch(&url(&file), &second).await.unwrap();
        assert_ne!(inode(&second), inode(&file));
        assert_eq!(std::fs::read(&second).unwrap(), b"film");
    }

    #[tokio::test]
    async fn publishing_leaves_no_other_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("made");
        std::fs::write(&source, "new").unwrap();
        let store = FolderStore::new([folder.path().to_owned()]).unwrap();
        let target = folder.path().join("deep/er/film.mp4");
        store.publish(&source, &url(&target), &ObjectAttributes::default()).await.unwrap();
        let names: Vec<_> = std::fs::read_dir(target.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["film.mp4"]);
    }

    #[tokio::test]
    async fn files_are_written_in_the_staging_folder() {
        let (folder, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = folder.path().join("made");
        std::fs::write(&source, "new").unwrap();
        let target = folder.path().join("out/film.mp4");
        let publish = async |staging: &Path| {
            let store = FolderStore::new([folder.path().to_owned()]).unwrap().with_staging(staging);
            store.publish(&source, &url(&target), &ObjectAttributes::default()).await
        };
        publish(staging.path()).await.unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(staging.path()).unwrap().count(), 0);
        // Another file system cannot rename into place, so the file is written beside its destination.
        publish(Path::new("/proc")).await.unwrap();
        // Nothing can be written in the staging folder: this shows that it is used.
        let gone = staging.path().join("file");
        std::fs::write(&gone, "no folder").unwrap();
        publish(&gone).await.unwrap_err();
    }
}
