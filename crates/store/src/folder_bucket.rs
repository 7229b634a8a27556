//! Serves a local folder as a bucket: the `s3://` URLs of one bucket become files below its folder.
//!
//! It never reaches a file outside the folder, because the components of a key must be plain names.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use crate::listing::folder_key;
use crate::{
    Deletion, Error, ErrorKind, FolderStore, ListedObject, NewFile, ObjectAttributes, ObjectMeta, ObjectPage,
    ObjectStore, ObjectUrl, Publication,
};

/// Serves one bucket from one folder. A key is a relative path.
#[derive(Clone, Debug)]
pub struct FolderBucket {
    root: PathBuf,
    files: FolderStore,
    /// A key that stands for a file with another name, and that name.
    alias: Option<(String, PathBuf)>,
}

impl FolderBucket {
    /// Serves the folder `root`.
    ///
    /// # Errors
    /// Fails if the folder does not exist.
    pub fn new(root: &Path) -> std::io::Result<Self> {
        let root = root.canonicalize()?;
        Ok(Self { files: FolderStore::new([root.clone()])?, root, alias: None })
    }

    /// Like [`FolderStore::with_staging`].
    #[must_use]
    pub fn with_staging(mut self, staging: &Path) -> Self {
        self.files = self.files.with_staging(staging);
        self
    }

    /// Lets the key `alias` stand for the file `name` of the folder, as a symbolic link from elsewhere does.
    #[must_use]
    pub fn with_alias(mut self, alias: &str, name: impl Into<PathBuf>) -> Self {
        self.alias = Some((alias.to_owned(), name.into()));
        self
    }

    fn file(&self, url: &ObjectUrl) -> Result<ObjectUrl, Error> {
        let ObjectUrl::S3 { key, .. } = url else { return Err(Error::place_not_served(url)) };
        let alias = self.alias.as_ref().filter(|(alias, _)| alias == key);
        if let Some((_, name)) = alias {
            return Ok(ObjectUrl::File(self.root.join(name)));
        }
        let path = Path::new(key);
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            Ok(ObjectUrl::File(self.root.join(path)))
        } else {
            Err(Error::about(url, ErrorKind::Denied, "the key leaves the folder of its bucket"))
        }
    }
}

#[async_trait]
impl ObjectStore for FolderBucket {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        Ok(ObjectMeta { url: url.clone(), ..self.files.stat(&self.file(url)?).await? })
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        Ok(ObjectMeta { url: url.clone(), ..self.files.fetch(&self.file(url)?, destination).await? })
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error> {
        let read = self.files.read_range(&self.file(url)?, range, e_tag).await;
        read.map_err(|error| error.of(url))
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        let (bucket, _) = folder_key(folder)?;
        let after = after.map(|after| self.file(after)).transpose()?;
        let page = self.files.list(&self.file(folder)?, after.as_ref(), most).await;
        let page = page.map_err(|error| error.of(folder))?;
        let named = |url: &ObjectUrl| match url {
            ObjectUrl::File(path) => {
                let key = path.strip_prefix(&self.root).unwrap_or(path);
                ObjectUrl::s3(bucket, key.to_string_lossy())
            }
            ObjectUrl::S3 { .. } => url.clone(),
        };
        let listed = |object: ListedObject| {
            let url = named(&object.meta.url);
            ListedObject { meta: ObjectMeta { url, ..object.meta }, ..object }
        };
        Ok(ObjectPage {
            next: page.next.as_ref().map(named),
            objects: page.objects.into_iter().map(listed).collect(),
        })
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        let created = self.files.create(&self.file(url)?, bytes).await.map_err(|error| error.of(url))?;
        Ok(ObjectMeta { url: url.clone(), ..created })
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        folder_key(folder)?;
        self.files.delete_below(&self.file(folder)?).await.map_err(|error| error.of(folder))
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        Ok(ObjectMeta { url: url.clone(), ..self.files.publish(source, &self.file(url)?, attributes).await? })
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.files.delete(&self.file(url)?).await
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.files.check(&self.file(url)?).await.map_err(|error| error.of(url))
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        let here = |file: &NewFile| Ok(NewFile { url: self.file(&file.url)?, ..file.clone() });
        let files: Vec<NewFile> = files.iter().map(here).collect::<Result<_, Error>>()?;
        self.files.stage(publication, &files).await
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        self.files.switch(publication).await
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        self.files.settle(publication).await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        self.files.take_back(publication).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn alias_stands_for_one_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0815.bin"), "film").unwrap();
        let bucket = FolderBucket::new(folder.path()).unwrap().with_alias("film.mp4", "0815.bin");
        let size =
            async |key: &str| bucket.stat(&ObjectUrl::s3("b", key)).await.map(|meta| meta.size_bytes).ok();
        assert_eq!(
            (size("film.mp4").await, size("0815.bin").await, size("film").await),
            (Some(4), Some(4), None)
        );
    }

    #[tokio::test]
    async fn key_that_leaves_the_folder_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = FolderBucket::new(folder.path()).unwrap();
        for key in ["../x", "a/../../x", "/etc/passwd"] {
            let error = bucket.stat(&ObjectUrl::s3("b", key)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{key}");
        }
    }
}
