//! Stores the user's own presets, job templates and queues durably. Bodies are in wire form and are not checked here;
//! callers have checked them.

use abanico_model::arn::{Arn, ResourceKind};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use crate::error::Error;
use crate::records::database::{Database, Opened, Place, checksum, opened, parsed, sifted, sifted_one};

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

    fn checksum(&self) -> String {
        checksum(Place::Resources, &stored_name(self.kind, &self.name), &self.body.to_string())
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
        let changed = self.store_resource(resource, "ON CONFLICT DO NOTHING")?;
        if changed == 0 { Err(Error::resource_exists(resource.kind, &resource.name)) } else { Ok(()) }
    }

    /// Replaces a resource's body, or stores the first body of the system's own queue.
    pub(crate) fn put_resource(&self, resource: &Resource) -> Result<(), Error> {
        let update =
            "ON CONFLICT (kind, name) DO UPDATE SET paused = ?4, body = ?5, updated_ms = ?7, checksum = ?8";
        self.store_resource(resource, update)?;
        Ok(())
    }

    /// Inserts a resource, or does what `on_conflict` says if there is one of the same name. Returns how many rows changed.
    fn store_resource(&self, resource: &Resource, on_conflict: &str) -> Result<usize, Error> {
        let statement = format!(
            "INSERT INTO resources (kind, name, arn, paused, body, created_ms, updated_ms, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) {on_conflict}"
        );
        let values = params![
            resource.kind.segment(),
            resource.name,
            resource.arn(),
            resource.is_paused(),
            resource.body.to_string(),
            resource.created_ms,
            resource.updated_ms,
            resource.checksum(),
        ];
        Ok(self.lock().execute(&statement, values)?)
    }

    /// Returns a resource, or `None` if it does not exist. Fails if it cannot be read, which puts it aside.
    pub(crate) fn resource(&self, kind: ResourceKind, name: &str) -> Result<Option<Resource>, Error> {
        let connection = self.lock();
        let columns = Place::Resources.columns();
        let sql = format!("SELECT {columns} FROM resources WHERE kind = ?1 AND name = ?2");
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement.query_row(params![kind.segment(), name], |row| read(kind, row)).optional()?;
        match found {
            Some(found) => sifted_one(&connection, found).map(Some),
            None => {
                let name = stored_name(kind, name);
                match Self::reason_put_aside(&connection, Place::Resources, &name)? {
                    Some(reason) => Err(Error::record_is_put_aside(&Place::Resources.thing(&name), &reason)),
                    None => Ok(None),
                }
            }
        }
    }

    /// Returns all resources of a kind that can be read, sorted by name.
    pub(crate) fn resources(&self, kind: ResourceKind) -> Result<Vec<Resource>, Error> {
        let connection = self.lock();
        let columns = Place::Resources.columns();
        let sql = format!("SELECT {columns} FROM resources WHERE kind = ?1 ORDER BY name");
        let mut statement = connection.prepare_cached(&sql)?;
        let opened = statement.query_map([kind.segment()], |row| read(kind, row))?;
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        Ok(sifted(&connection, opened))
    }

    /// Deletes a resource, even one that was put aside. Returns false if it does not exist.
    pub(crate) fn delete_resource(&self, kind: ResourceKind, name: &str) -> Result<bool, Error> {
        let connection = self.lock();
        let removed = connection
            .execute("DELETE FROM resources WHERE kind = ?1 AND name = ?2", params![kind.segment(), name])?;
        let aside = Self::forget_put_aside(&connection, Place::Resources, &stored_name(kind, name))?;
        Ok(removed > 0 || aside)
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

fn stored_name(kind: ResourceKind, name: &str) -> String {
    format!("{}/{name}", kind.segment())
}

fn read(kind: ResourceKind, row: &Row<'_>) -> rusqlite::Result<Opened<Resource>> {
    opened(Place::Resources, row, |_, body| {
        let column = |error: rusqlite::Error| error.to_string();
        Ok(Resource {
            kind,
            name: row.get(4).map_err(column)?,
            body: parsed(body)?,
            created_ms: row.get(5).map_err(column)?,
            updated_ms: row.get(6).map_err(column)?,
        })
    })
}

/// Reads a resource whose kind does not matter.
pub(crate) fn opened_resource(row: &Row<'_>) -> rusqlite::Result<Opened<Resource>> {
    read(ResourceKind::Queue, row)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;
    use crate::records::database::sample_database;

    fn preset(name: &str, body: Value) -> Resource {
        Resource { kind: ResourceKind::Preset, name: name.to_owned(), body, created_ms: 1, updated_ms: 1 }
    }

    #[test]
    fn names_are_unique_within_a_kind() {
        let (_folder, database) = sample_database();
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
        let (_folder, database) = sample_database();
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
