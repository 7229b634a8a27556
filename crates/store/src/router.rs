//! One store for all URLs: sends each URL to a back end by its bucket or scheme.
//!
//! A named bucket never falls back to another store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, ObjectAttributes, ObjectMeta, ObjectStore, ObjectUrl};

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
        let store = match url {
            ObjectUrl::S3 { bucket, .. } => self.buckets.get(bucket).or(self.other_buckets.as_ref()),
            ObjectUrl::File(_) => self.files.as_ref(),
        };
        store.map(Arc::as_ref).ok_or_else(|| Error::place_not_served(url))
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
