//! Files of this machine as objects: in `file:` URLs below allowed roots, out files linked or copied.
//! Never a path outside its roots, also not through `..` or a symbolic link.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use crate::{Error, ErrorKind, ObjectAttributes, ObjectMeta, ObjectStore, ObjectUrl};

/// Serves `file:` URLs below some folders.
#[derive(Clone, Debug)]
pub struct FolderStore {
    roots: Vec<PathBuf>,
}

impl FolderStore {
    /// Serves what lies below `roots`; an empty list serves nothing.
    ///
    /// # Errors
    /// When a root does not exist.
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> std::io::Result<Self> {
        let roots = roots.into_iter().map(|root| root.canonicalize()).collect::<Result<_, _>>()?;
        Ok(Self { roots })
    }

    /// The path of `url` with its folder made real, if it lies below a root.
    fn path(&self, url: &ObjectUrl) -> Result<PathBuf, Error> {
        let ObjectUrl::File(path) = url else { return Err(Error::place_not_served(url)) };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::about(url, ErrorKind::Denied, "a folder is no object"));
        };
        // The deepest folder that exists decides where the path really lies; what is missing below it is plain names.
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
            Err(Error::about(url, ErrorKind::Denied, "the path lies outside the folders that are served"))
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
        // A link costs nothing; across file systems, or where the user's file may not be linked, it is a copy.
        blocking(url, move || {
            std::fs::hard_link(&source, &destination)
                .or_else(|_| std::fs::copy(&source, &destination).map(drop))
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
        blocking(url, move || replace(&source, &path)).await?;
        self.stat(url).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        match tokio::fs::remove_file(self.path(url)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::from_io(url, error)),
            _ => Ok(()),
        }
    }
}

/// Copies beside the destination, makes it durable, then renames: a reader sees the old file or the new one.
fn replace(source: &Path, destination: &Path) -> std::io::Result<()> {
    let folder = destination.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(".abanico-").tempfile_in(folder)?;
    std::io::copy(&mut std::fs::File::open(source)?, temporary.as_file_mut())?;
    make_readable(temporary.path())?;
    temporary.as_file().sync_all()?;
    temporary.persist(destination).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Temporary files are private to their owner; a rendition is as readable as any new file.
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
    async fn is_a_path_outside_the_roots_denied_however_it_is_written() {
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
    async fn does_publishing_leave_no_other_file_behind() {
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
}
