//! Small things that users keep and jobs only look at: tags, the policy on inputs, certificates, shares and job queries.
//! In a kind, a name and a body in wire form, out the same, durably. Never a judgement of a body.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::database::{Database, unreadable};
use crate::error::Error;

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Tags of a resource, by its ARN.
    Tags,
    /// The policy on inputs, by the empty name.
    Policy,
    /// A certificate that was associated, by its ARN.
    Certificate,
    /// A job that was shared for support, by its id.
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
    /// Stores a body in the place of the one that was there.
    pub(crate) fn keep(&self, kind: Kept, name: &str, body: &Value) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO kept (kind, name, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (kind, name) DO UPDATE SET body = ?3",
            params![kind.word(), name, body.to_string()],
        )?;
        Ok(())
    }

    /// Reads a body; none when there is none.
    pub(crate) fn kept(&self, kind: Kept, name: &str) -> Result<Option<Value>, Error> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT body FROM kept WHERE kind = ?1 AND name = ?2")?;
        let body = statement.query_row(params![kind.word(), name], |row| {
            serde_json::from_str(&row.get::<_, String>(0)?).map_err(unreadable)
        });
        Ok(body.optional()?)
    }

    /// Removes a body; false when there is none.
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
    fn is_a_body_kept_replaced_and_forgotten_within_its_kind() {
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
