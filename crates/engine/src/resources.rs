//! Stores the user's own presets, job templates and queues durably. Bodies are in wire form and are not checked here;
//! callers have checked them.

use abanico_model::arn::{Arn, ResourceKind};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use crate::database::{Database, unreadable};
use crate::error::Error;

/// A preset, job template or queue of the user.
#[derive(Clone, PartialEq, Debug)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Name, unique within its kind.
    pub name: String,
    /// What the client sent, in wire form.
    pub body: Value,
    /// When it was created, in milliseconds since 1970-01-01 UTC.
    pub created_ms: i64,
    /// When it was last changed, in milliseconds since 1970-01-01 UTC.
    pub updated_ms: i64,
}

impl Resource {
    /// Returns the ARN.
    pub fn arn(&self) -> String {
        Arn::local(self.kind, self.name.as_str()).to_string()
    }

    /// Returns whether it is a paused queue, whose jobs wait until it is active again.
    fn is_paused(&self) -> bool {
        self.kind == ResourceKind::Queue && self.body.get("status").and_then(Value::as_str) == Some("PAUSED")
    }
}

impl Database {
    /// Stores a new resource.
    ///
    /// # Errors
    /// Fails with a conflict if the name is taken.
    pub(crate) fn insert_resource(&self, resource: &Resource) -> Result<(), Error> {
        let changed = self.lock().execute(
            "INSERT INTO resources (kind, name, arn, paused, body, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                resource.kind.segment(),
                resource.name,
                resource.arn(),
                resource.is_paused(),
                resource.body.to_string(),
                resource.created_ms,
                resource.updated_ms
            ],
        )?;
        if changed == 0 { Err(Error::resource_exists(resource.kind, &resource.name)) } else { Ok(()) }
    }

    /// Replaces a resource's body, or stores the first body of the system's own queue.
    pub(crate) fn put_resource(&self, resource: &Resource) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO resources (kind, name, arn, paused, body, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (kind, name) DO UPDATE SET paused = ?4, body = ?5, updated_ms = ?7",
            params![
                resource.kind.segment(),
                resource.name,
                resource.arn(),
                resource.is_paused(),
                resource.body.to_string(),
                resource.created_ms,
                resource.updated_ms
            ],
        )?;
        Ok(())
    }

    /// Returns a resource, or `None` if it does not exist.
    pub(crate) fn resource(&self, kind: ResourceKind, name: &str) -> Result<Option<Resource>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT name, body, created_ms, updated_ms FROM resources WHERE kind = ?1 AND name = ?2",
        )?;
        Ok(statement.query_row(params![kind.segment(), name], |row| read(kind, row)).optional()?)
    }

    /// Returns all resources of a kind, sorted by name.
    pub(crate) fn resources(&self, kind: ResourceKind) -> Result<Vec<Resource>, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT name, body, created_ms, updated_ms FROM resources WHERE kind = ?1 ORDER BY name",
        )?;
        let rows = statement.query_map([kind.segment()], |row| read(kind, row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes a resource. Returns false if it does not exist.
    pub(crate) fn delete_resource(&self, kind: ResourceKind, name: &str) -> Result<bool, Error> {
        let removed = self
            .lock()
            .execute("DELETE FROM resources WHERE kind = ?1 AND name = ?2", params![kind.segment(), name])?;
        Ok(removed > 0)
    }

    /// Returns how many jobs of the queue with this ARN are waiting, and how many are in progress.
    pub(crate) fn queue_counts(&self, arn: &str) -> Result<(u64, u64), Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT COUNT(*) FILTER (WHERE stage = 'SUBMITTED'),
                    COUNT(*) FILTER (WHERE stage IN ('PROBING', 'TRANSCODING', 'UPLOADING'))
             FROM jobs WHERE queue = ?1 AND stage IN ('SUBMITTED', 'PROBING', 'TRANSCODING', 'UPLOADING')",
        )?;
        let counts = statement.query_row([arn], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        Ok((u64::try_from(counts.0).unwrap_or(0), u64::try_from(counts.1).unwrap_or(0)))
    }
}

fn read(kind: ResourceKind, row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        kind,
        name: row.get(0)?,
        body: serde_json::from_str(&row.get::<_, String>(1)?).map_err(unreadable)?,
        created_ms: row.get(2)?,
        updated_ms: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("jobs.sqlite")).unwrap();
        (folder, database)
    }

    fn preset(name: &str, body: Value) -> Resource {
        Resource { kind: ResourceKind::Preset, name: name.to_owned(), body, created_ms: 1, updated_ms: 1 }
    }

    #[test]
    fn names_are_unique_within_a_kind() {
        let (_folder, database) = database();
        database.insert_resource(&preset("a", json!({"settings": {}}))).unwrap();
        let again = database.insert_resource(&preset("a", json!({}))).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict);
        database.insert_resource(&Resource { kind: ResourceKind::Queue, ..preset("a", json!({})) }).unwrap();
        assert_eq!(
            database.resource(ResourceKind::Preset, "a").unwrap().unwrap().body,
            json!({"settings": {}})
        );
    }

    #[test]
    fn changes_are_stored_and_removals_final() {
        let (_folder, database) = database();
        for name in ["b", "a"] {
            database.insert_resource(&preset(name, json!({"v": 1}))).unwrap();
        }
        database.put_resource(&Resource { updated_ms: 9, ..preset("a", json!({"v": 2})) }).unwrap();
        let listed = database.resources(ResourceKind::Preset).unwrap();
        let seen: Vec<_> =
            listed.iter().map(|one| (one.name.as_str(), &one.body["v"], one.updated_ms)).collect();
        assert_eq!(seen, [("a", &json!(2), 9), ("b", &json!(1), 1)]);
        assert!(database.delete_resource(ResourceKind::Preset, "a").unwrap());
        assert!(!database.delete_resource(ResourceKind::Preset, "a").unwrap());
        assert_eq!(database.resource(ResourceKind::Preset, "a").unwrap(), None);
    }
}
