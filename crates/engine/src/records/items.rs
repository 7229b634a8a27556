//! Stores small items of users, which jobs only read: tags, the policy on inputs, certificates, shares and job
//! queries. Bodies are stored durably in wire form and are not checked here.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use crate::error::Error;
use crate::records::database::{Database, Place, checksum, opened_as, sifted, sifted_one};

/// Kind of a stored item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// Tags of a resource, by its ARN.
    Tags,
    /// The policy on inputs, under the empty name.
    Policy,
    /// An associated certificate, by its ARN.
    Certificate,
    /// A job shared for support, by its id.
    Share,
    /// A query over jobs, by its id.
    JobsQuery,
}

impl ItemKind {
    fn word(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Policy => "policy",
            Self::Certificate => "certificates",
            Self::Share => "shares",
            Self::JobsQuery => "jobsQueries",
        }
    }
}

impl Database {
    /// Stores a body, replacing any earlier one.
    pub(crate) fn put_item(&self, kind: ItemKind, name: &str, body: &Value) -> Result<(), Error> {
        let body = body.to_string();
        let checksum = checksum(Place::Items, &stored_name(kind, name), &body);
        self.lock().execute(
            "INSERT INTO kept (kind, name, body, checksum) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, name) DO UPDATE SET body = ?3, checksum = ?4",
            params![kind.word(), name, body, checksum],
        )?;
        Ok(())
    }

    /// Returns a body, or `None` if there is none. One that cannot be read is put aside and counts as none, but a
    /// policy: without it, inputs would be read that it forbids.
    pub(crate) fn item(&self, kind: ItemKind, name: &str) -> Result<Option<Value>, Error> {
        let connection = self.lock();
        let sql = format!("SELECT {} FROM kept WHERE kind = ?1 AND name = ?2", Place::Items.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        let read = |row: &Row<'_>| opened_as(Place::Items, row);
        let found = statement.query_row(params![kind.word(), name], read).optional()?;
        match (found, kind) {
            (Some(found), ItemKind::Policy) => sifted_one(&connection, found).map(Some),
            (Some(found), _) => Ok(sifted(&connection, vec![found]).pop()),
            (None, ItemKind::Policy) => {
                let name = stored_name(kind, name);
                match Self::reason_put_aside(&connection, Place::Items, &name)? {
                    Some(reason) => Err(Error::record_is_put_aside(&Place::Items.thing(&name), &reason)),
                    None => Ok(None),
                }
            }
            (None, _) => Ok(None),
        }
    }

    /// Removes a body, even one that was put aside. Returns false if there is none.
    pub(crate) fn remove_item(&self, kind: ItemKind, name: &str) -> Result<bool, Error> {
        let connection = self.lock();
        let removed = connection
            .execute("DELETE FROM kept WHERE kind = ?1 AND name = ?2", params![kind.word(), name])?;
        let aside = Self::forget_put_aside(&connection, Place::Items, &stored_name(kind, name))?;
        Ok(removed > 0 || aside)
    }
}

fn stored_name(kind: ItemKind, name: &str) -> String {
    format!("{}/{name}", kind.word())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::database::sample_database;

    #[test]
    fn bodies_are_stored_replaced_and_removed() {
        let (_folder, database) = sample_database();
        assert_eq!(database.item(ItemKind::Tags, "a").unwrap(), None);
        database.put_item(ItemKind::Tags, "a", &json!({"k": "v"})).unwrap();
        database.put_item(ItemKind::Tags, "a", &json!({"k": "w"})).unwrap();
        assert_eq!(database.item(ItemKind::Tags, "a").unwrap(), Some(json!({"k": "w"})));
        assert_eq!(database.item(ItemKind::Share, "a").unwrap(), None);
        assert!(
            database.remove_item(ItemKind::Tags, "a").unwrap()
                && !database.remove_item(ItemKind::Tags, "a").unwrap()
        );
    }
}
