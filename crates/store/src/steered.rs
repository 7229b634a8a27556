//! A store for tests that asks before it passes a call on, and tells when the call has succeeded: so a test can stop a
//! process between two calls, or let calls fail.

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Deletion, Error, NewFile, ObjectAttributes, ObjectMeta, ObjectPage, ObjectStore, ObjectUrl, Publication,
};

/// A call of an [`ObjectStore`], by its method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the methods have the documentation")]
pub enum Call {
    Stat,
    Fetch,
    ReadRange,
    List,
    Create,
    Publish,
    Delete,
    DeleteBelow,
    Check,
    Stage,
    Switch,
    Settle,
    TakeBack,
}

/// Decides what becomes of calls.
#[async_trait]
pub trait Steers: Send + Sync {
    /// What is held while the store answers.
    type Held: Send;

    /// Comes before the store is called, and may wait.
    ///
    /// # Errors
    /// Fails if the call shall fail without reaching the store.
    async fn before(&self, call: Call) -> Result<Self::Held, Error>;

    /// Comes after the store has done it, and may wait.
    ///
    /// # Errors
    /// Fails if the call shall fail although the store has done it.
    async fn after(&self, _call: Call) -> Result<(), Error> {
        Ok(())
    }
}

/// A store whose calls are steered.
pub struct SteeredStore<S> {
    /// The store that does them.
    pub store: Arc<dyn ObjectStore>,
    /// What decides about them.
    pub steering: S,
}

impl<S: Steers> SteeredStore<S> {
    async fn steer<T: Send>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let _held = self.steering.before(call).await?;
        let answer = answer.await?;
        self.steering.after(call).await?;
        Ok(answer)
    }
}

#[async_trait]
impl<S: Steers> ObjectStore for SteeredStore<S> {
    async fn stat(&self, url: &ObjectUrl) -> Result<ObjectMeta, Error> {
        self.steer(Call::Stat, self.store.stat(url)).await
    }

    async fn fetch(&self, url: &ObjectUrl, destination: &Path) -> Result<ObjectMeta, Error> {
        self.steer(Call::Fetch, self.store.fetch(url, destination)).await
    }

    async fn read_range(
        &self,
        url: &ObjectUrl,
        range: Range<u64>,
        e_tag: Option<&str>,
    ) -> Result<Bytes, Error> {
        self.steer(Call::ReadRange, self.store.read_range(url, range, e_tag)).await
    }

    async fn list(
        &self,
        folder: &ObjectUrl,
        after: Option<&ObjectUrl>,
        most: usize,
    ) -> Result<ObjectPage, Error> {
        self.steer(Call::List, self.store.list(folder, after, most)).await
    }

    async fn create(&self, url: &ObjectUrl, bytes: Bytes) -> Result<ObjectMeta, Error> {
        self.steer(Call::Create, self.store.create(url, bytes)).await
    }

    async fn publish(
        &self,
        source: &Path,
        url: &ObjectUrl,
        attributes: &ObjectAttributes,
    ) -> Result<ObjectMeta, Error> {
        self.steer(Call::Publish, self.store.publish(source, url, attributes)).await
    }

    async fn delete(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.steer(Call::Delete, self.store.delete(url)).await
    }

    async fn delete_below(&self, folder: &ObjectUrl) -> Result<Deletion, Error> {
        self.steer(Call::DeleteBelow, self.store.delete_below(folder)).await
    }

    async fn check(&self, url: &ObjectUrl) -> Result<(), Error> {
        self.steer(Call::Check, self.store.check(url)).await
    }

    async fn stage(&self, publication: &Publication, files: &[NewFile]) -> Result<(), Error> {
        self.steer(Call::Stage, self.store.stage(publication, files)).await
    }

    async fn switch(&self, publication: &Publication) -> Result<(), Error> {
        self.steer(Call::Switch, self.store.switch(publication)).await
    }

    async fn settle(&self, publication: &Publication) -> Result<(), Error> {
        self.steer(Call::Settle, self.store.settle(publication)).await
    }

    async fn take_back(&self, publication: &Publication) -> Result<(), Error> {
        self.steer(Call::TakeBack, self.store.take_back(publication)).await
    }

    async fn open_publications(&self) -> Result<Vec<String>, Error> {
        self.store.open_publications().await
    }
}
