//! One store for all URLs: sends each URL to a back end by its bucket or scheme.
//!
//! A named bucket never falls back to another store.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Deletion, Error, NewFile, ObjectAttributes, ObjectMeta, ObjectPage, ObjectStore, ObjectUrl, Publication,
};

/// Names of the parts of a publication.
const OTHER_BUCKETS: &str = "other-buckets";
const FILES: &str = "files";

fn part_of_bucket(name: &str) -> String {
    format!("bucket-{name}")
}

/// Sends each URL to its back end.
#[derive(Clone, Default)]
pub struct Router {
    buckets: BTreeMap<String, Arc<dyn ObjectStore>>,
    other_buckets: Option<Arc<dyn ObjectStore>>,
    files: Option<Arc<dyn ObjectStore>>,
}

impl Router {
    /// Creates a router that serves nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the bucket `name` from `store`.
    #[must_use]
    pub fn with_bucket(mut self, name: impl Into<String>, store: Arc<dyn ObjectStore>) -> Self {
        self.buckets.insert(name.into(), store);
        self
    }

    /// Serves all other buckets from `store`.
    #[must_use]
    pub fn with_other_buckets(mut self, store: Arc<dyn ObjectStore>) -> Self {
        self.other_buckets = Some(store);
        self
    }

    /// Serves `file:` URLs from `store`.
    #[must_use]
    pub fn with_files(mut self, store: Arc<dyn ObjectStore>) -> Self {
        self.files = Some(store);
        self
    }

    fn serving(&self, url: &ObjectUrl) -> Result<&dyn ObjectStore, Error> {
        self.named_serving(url).map(|(_, store)| store)
    }

    /// Returns the back end for a URL and the name of its part in a publication.
    fn named_serving(&self, url: &ObjectUrl) -> Result<(String, &dyn ObjectStore), Error> {
        let named = match url {
            ObjectUrl::S3 { bucket, .. } => match self.buckets.get(bucket) {
                Some(store) => Some((part_of_bucket(bucket), store)),
                None => self.other_buckets.as_ref().map(|store| (OTHER_BUCKETS.to_owned(), store)),
            },
            ObjectUrl::File(_) => self.files.as_ref().map(|store| (FILES.to_owned(), store)),
        };
        let named = named.map(|(name, store)| (name, store.as_ref()));
        named.ok_or_else(|| Error::place_not_served(url))
    }

    /// Returns all back ends with the names of their parts. Those of single buckets come first: they are remote, so
    /// that a switch is more likely to fail there.
    fn all(&self) -> impl Iterator<Item = (String, &dyn ObjectStore)> {
        let buckets = self.buckets.iter().map(|(name, store)| (part_of_bucket(name), store.as_ref()));
        let files = self.files.iter().map(|store| (FILES.to_owned(), store.as_ref()));
        let others = self.other_buckets.iter().map(|store| (OTHER_BUCKETS.to_owned(), store.as_ref()));
        buckets.chain(files).chain(others)
    }
}

#[async_trait]
impl ObjectStore for Router {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        self.serving(url)?.stat(url).await
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        self.serving(url)?.fetch(url, destination).await
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error> {
        self.serving(url)?.read_range(url, range, e_tag).await
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        self.serving(folder)?.list(folder, after, most).await
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        self.serving(url)?.create(url, bytes).await
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        self.serving(folder)?.delete_below(folder).await
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        self.serving(url)?.publish(source, url, attributes).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.serving(url)?.delete(url).await
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.serving(url)?.check(url).await
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        let mut rest = files;
        while let Some(first) = rest.first() {
            let (name, store) = self.named_serving(&first.url)?;
            let is_there =
                |file: &NewFile| self.named_serving(&file.url).is_ok_and(|(other, _)| other == name);
            let count = rest.iter().take_while(|file| is_there(file)).count();
            let (here, others) = rest.split_at(count);
            store.stage(&publication.within(&name), here).await?;
            rest = others;
        }
        Ok(())
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        for (name, store) in self.all() {
            store.switch(&publication.within(&name)).await?;
        }
        Ok(())
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        self.end(publication, true).await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        self.end(publication, false).await
    }

    async fn open_publications(&self) -> Result<Vec<String>, Error> {
        let mut open = Vec::new();
        for (_, store) in self.all() {
            open.extend(store.open_publications().await?);
        }
        Ok(open)
    }
}

impl Router {
    /// Ends a publication in every back end, even if one of them fails.
    async fn end(&self, publication: &Publication, settles: bool) -> Result<(), Error> {
        let mut ended = Ok(());
        for (name, store) in self.all() {
            let part = publication.within(&name);
            let done = if settles { store.settle(&part).await } else { store.take_back(&part).await };
            ended = ended.and(done);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, FolderStore};

    #[tokio::test]
    async fn url_without_a_back_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(FolderStore::new([folder.path().to_owned()]).unwrap());
        let router = Router::new().with_files(files);
        let kind = |error: Error| error.kind();
        assert_eq!(router.stat(&ObjectUrl::s3("b", "k")).await.map_err(kind), Err(ErrorKind::Unsupported));
        let missing = ObjectUrl::File(folder.path().join("missing"));
        assert_eq!(router.stat(&missing).await.map_err(kind), Err(ErrorKind::NotFound));
    }
}
