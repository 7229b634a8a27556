//! Serves local files as objects: `file:` URLs below allowed folders, called roots.
//!
//! It never reaches a path outside its roots, not even through `..` or a symbolic link.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use crate::folder_publication::FolderPublication;
use crate::{Error, ErrorKind, NewFile, ObjectAttributes, ObjectMeta, ObjectStore, ObjectUrl, Publication};

/// The mode bit by which everyone may read a file.
const READABLE_BY_ALL: u32 = 0o004;

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
        Ok(ObjectMeta { url: url.clone(), size_bytes: metadata.len(), e_tag: None })
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
        let place = |file: &NewFile| Ok((file.source.clone(), self.path(&file.url)?, file.turn));
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
    let folder = destination.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let device = |folder: &Path| folder.metadata().map(|found| found.dev()).ok();
    let near = staging.filter(|staging| device(staging).is_some_and(|there| Some(there) == device(folder)));
    let mut temporary = tempfile::Builder::new().prefix(".abanico-").tempfile_in(near.unwrap_or(folder))?;
    std::io::copy(&mut std::fs::File::open(source)?, temporary.as_file_mut())?;
    make_readable(temporary.path())?;
    temporary.as_file().sync_all()?;
    temporary.persist(destination).map_err(|error| error.error)?;
    sync_folder(folder)
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
