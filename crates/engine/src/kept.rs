//! Stores small items that users keep and jobs only read: tags, the policy on inputs, certificates, shares and job
//! queries. Bodies are stored durably in wire form and are not checked here.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::database::{Database, unreadable};
use crate::error::Error;

/// Kind of a stored item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
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

impl Kept {
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
    pub(crate) fn keep(&self, kind: Kept, name: &str, body: &Value) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO kept (kind, name, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind, name) DO UPDATE SET body = ?3",
            params![kind.word(), name, body.to_string()],
        )?;
        Ok(())
    }

    /// Returns a body, or `None` if there is none.
    pub(crate) fn kept(&self, kind: Kept, name: &str) -> Result<Option<Value>, Error> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT body FROM kept WHERE kind = ?1 AND name = ?2")?;
        let body = statement.query_row(params![kind.word(), name], |row| {
            serde_json::from_str(&row.get::<_, String>(0)?).map_err(unreadable)
        });
        Ok(body.optional()?)
    }

    /// Removes a body. Returns false if there is none.
    pub(crate) fn forget(&self, kind: Kept, name: &str) -> Result<bool, Error> {
        let removed = self
            .lock()
            .execute("DELETE FROM kept WHERE kind = ?1 AND name = ?2", params![kind.word(), name])?;
        Ok(removed > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_stored_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("jobs.sqlite")).unwrap();
        assert_eq!(database.kept(Kept::Tags, "a").unwrap(), None);
        database.keep(Kept::Tags, "a", &json!({"k": "v"})).unwrap();
        database.keep(Kept::Tags, "a", &json!({"k": "w"})).unwrap();
        assert_eq!(database.kept(Kept::Tags, "a").unwrap(), Some(json!({"k": "w"})));
        assert_eq!(database.kept(Kept::Share, "a").unwrap(), None);
        assert!(database.forget(Kept::Tags, "a").unwrap() && !database.forget(Kept::Tags, "a").unwrap());
    }
}
