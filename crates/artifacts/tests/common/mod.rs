//! Stores for tests.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abanico_artifacts::ArtifactKey;
use abanico_artifacts::conformance::Damage;
use abanico_s3::{LocalS3, Options};
use abanico_store::{
    Deletion, Error, ErrorKind, NewFile, ObjectAttributes, ObjectMeta, ObjectPage, ObjectStore, ObjectUrl,
    Publication,
};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Opens abanico's own S3 with the bucket `bucket`.
pub async fn endpoint(folder: &Path) -> Arc<dyn ObjectStore> {
    let s3 = LocalS3::open(folder, Options::default()).unwrap();
    s3.ensure_bucket("bucket").await.unwrap();
    Arc::new(s3)
}

/// Damages an object of an artifact.
pub async fn damage(store: &dyn ObjectStore, folder: &ObjectUrl, key: ArtifactKey, damage: Damage) {
    let below = |name: &str| match folder {
        ObjectUrl::S3 { bucket, key } => ObjectUrl::s3(bucket, format!("{key}{name}")),
        ObjectUrl::File(path) => ObjectUrl::File(path.join(name)),
    };
    let name = match damage {
        Damage::OtherByte(name) | Damage::OtherSize(name) | Damage::Missing(name) => name,
        Damage::Manifest => "manifest.json",
    };
    let page = store.list(&below(&format!("{key}/")), None, 1000).await.unwrap();
    let mut urls = page.objects.into_iter().map(|object| object.meta.url);
    let url = urls.find(|url| url.file_name() == name).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
    store.fetch(&url, &old).await.unwrap();
    let mut bytes = std::fs::read(&old).unwrap();
    match damage {
        Damage::Missing(_) => return store.delete(&url).await.unwrap(),
        Damage::OtherByte(_) => bytes[0] ^= 1,
        Damage::OtherSize(_) => bytes.push(0),
        Damage::Manifest => bytes.truncate(bytes.len() / 2),
    }
    std::fs::write(&new, bytes).unwrap();
    store.publish(&new, &url, &ObjectAttributes::default()).await.unwrap();
}

/// A store whose user dies after some calls, or is held up before it creates an object.
pub struct Steered {
    pub store: Arc<dyn ObjectStore>,
    /// How many calls succeed before all fail.
    pub calls_left: AtomicUsize,
    /// Held while a file is published, so that each one is stored before the next fails.
    pub turn: tokio::sync::Mutex<()>,
    /// Gives a permit for each object that may be created.
    pub creations: Semaphore,
    /// Where an object waits to be created.
    pub waiting: Semaphore,
}

impl Steered {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        let (creations, waiting) = (Semaphore::new(1000), Semaphore::new(0));
        Self {
            store,
            calls_left: AtomicUsize::new(usize::MAX),
            turn: tokio::sync::Mutex::default(),
            creations,
            waiting,
        }
    }

    fn call(&self) -> Result<&dyn ObjectStore, Error> {
        let left =
            self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let dead = || Error::about(&ObjectUrl::s3("bucket", "x"), ErrorKind::Denied, "the process is dead");
        left.map(|_| &*self.store).map_err(|_| dead())
    }
}

#[async_trait::async_trait]
impl ObjectStore for Steered {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        self.call()?.stat(url).await
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        self.call()?.fetch(url, destination).await
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error> {
        self.call()?.read_range(url, range, e_tag).await
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        self.call()?.list(folder, after, most).await
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        self.waiting.add_permits(1);
        self.creations.acquire().await.unwrap().forget();
        self.call()?.create(url, bytes).await
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        let _turn = self.turn.lock().await;
        self.call()?.publish(source, url, attributes).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.call()?.delete(url).await
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        self.call()?.delete_below(folder).await
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.call()?.check(url).await
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        self.call()?.stage(publication, files).await
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        self.call()?.switch(publication).await
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        self.call()?.settle(publication).await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        self.call()?.take_back(publication).await
    }
}
