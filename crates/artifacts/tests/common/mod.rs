//! Stores for tests.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abanico_artifacts::ArtifactKey;
use abanico_artifacts::conformance::Damage;
use abanico_s3::{LocalS3, Options};
use abanico_store::steered::{Call, SteeredStore, Steers};
use abanico_store::{Error, ErrorKind, ObjectAttributes, ObjectStore, ObjectUrl};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

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
pub type Steered = SteeredStore<Steering>;

/// How a test steers a store.
pub struct Steering {
    /// How many calls succeed before all fail.
    pub calls_left: AtomicUsize,
    /// Held while a file is published, so that each one is stored before the next fails.
    pub turn: Arc<Mutex<()>>,
    /// Gives a permit for each object that may be created.
    pub creations: Semaphore,
    /// Where an object waits to be created.
    pub waiting: Semaphore,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            calls_left: AtomicUsize::new(usize::MAX),
            turn: Arc::default(),
            creations: Semaphore::new(1000),
            waiting: Semaphore::new(0),
        }
    }
}

#[async_trait::async_trait]
impl Steers for Steering {
    type Held = Option<OwnedMutexGuard<()>>;

    async fn before(&self, call: Call) -> Result<Self::Held, Error> {
        if call == Call::Create {
            self.waiting.add_permits(1);
            self.creations.acquire().await.unwrap().forget();
        }
        let held = if call == Call::Publish { Some(self.turn.clone().lock_owned().await) } else { None };
        let left =
            self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let dead = |_| Error::about(&ObjectUrl::s3("bucket", "x"), ErrorKind::Denied, "the process is dead");
        left.map(|_| held).map_err(dead)
    }
}
