//! Stores what users have besides jobs: presets, job templates, queues, and other named bodies. Knows nothing of how a
//! job runs; a queue that becomes active only wakes the scheduler.

use abanico_model::arn::ResourceKind;
use serde_json::Value;

use super::Engine;
use crate::error::Error;
use crate::records::items::ItemKind;
use crate::records::resources::Resource;
use crate::requests::quotas::Stored;
use abanico_process::clock;

impl Engine {
    /// Returns how many resources of a kind there are, and how many bytes they take together.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn stored_resources(&self, kind: ResourceKind) -> Result<Stored, Error> {
        self.database(move |database| database.stored_resources(kind)).await
    }

    /// Stores a new preset, job template or queue.
    ///
    /// # Errors
    /// Fails with a conflict if the name is taken.
    pub async fn create_resource(
        &self,
        kind: ResourceKind,
        name: &str,
        body: Value,
    ) -> Result<Resource, Error> {
        let now_ms = clock::now_ms();
        let resource = Resource { kind, name: name.to_owned(), body, created_ms: now_ms, updated_ms: now_ms };
        let stored = resource.clone();
        self.database(move |database| database.insert_resource(&stored)).await?;
        Ok(resource)
    }

    /// Replaces a resource's body and wakes the scheduler, because a queue may have become active.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn update_resource(&self, resource: Resource, body: Value) -> Result<Resource, Error> {
        let resource = Resource { body, updated_ms: clock::now_ms(), ..resource };
        let stored = resource.clone();
        self.database(move |database| database.put_resource(&stored)).await?;
        self.shared.wake.notify_one();
        Ok(resource)
    }

    /// Returns a resource, or `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn resource(&self, kind: ResourceKind, name: &str) -> Result<Option<Resource>, Error> {
        let name = name.to_owned();
        self.database(move |database| database.resource(kind, &name)).await
    }

    /// Returns all resources of a kind, sorted by name.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn resources(&self, kind: ResourceKind) -> Result<Vec<Resource>, Error> {
        self.database(move |database| database.resources(kind)).await
    }

    /// Deletes a resource. Returns false if it does not exist.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn delete_resource(&self, kind: ResourceKind, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.database(move |database| database.delete_resource(kind, &name)).await
    }

    /// Returns how many jobs of the queue with this ARN are waiting, and how many are in progress.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn queue_counts(&self, arn: &str) -> Result<(u64, u64), Error> {
        let arn = arn.to_owned();
        self.database(move |database| database.queue_counts(&arn)).await
    }

    /// Stores a body under this kind and name, replacing any earlier one.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn put_item(&self, kind: ItemKind, name: &str, body: Value) -> Result<(), Error> {
        let name = name.to_owned();
        self.database(move |database| {
            database.put_item(kind, &name, &body)?;
            if kind == ItemKind::JobsQuery { database.forget_old_queries() } else { Ok(()) }
        })
        .await
    }

    /// Returns the body stored under this kind and name, or `None`.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn item(&self, kind: ItemKind, name: &str) -> Result<Option<Value>, Error> {
        let name = name.to_owned();
        self.database(move |database| database.item(kind, &name)).await
    }

    /// Removes a stored body. Returns false if there is none.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn remove_item(&self, kind: ItemKind, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.database(move |database| database.remove_item(kind, &name)).await
    }

    /// Creates an id for a new jobs query.
    pub fn new_query_id(&self) -> String {
        crate::jobs::ids::job(clock::now_ms()).as_str().to_owned()
    }
}
