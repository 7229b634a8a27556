//! Bounds what clients can make the engine keep and read at once: the size of the user's resources, the number of
//! queries over jobs, and the size of a page of jobs.

use abanico_model::arn::ResourceKind;
use rusqlite::params;

use crate::error::Error;
use crate::jobs::job::JobRecord;
use crate::records::database::{Database, ListFilter};

/// Most queries over jobs that are kept. The oldest ones are forgotten.
const MOST_QUERIES: u32 = 1000;

/// How much is stored of one kind of resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Number of resources.
    pub count: u64,
    /// Size of all bodies in bytes.
    pub bytes: u64,
}

impl Database {
    /// Returns how much is stored of a kind of resource.
    pub(crate) fn stored_resources(&self, kind: ResourceKind) -> Result<Stored, Error> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT COUNT(*), COALESCE(SUM(OCTET_LENGTH(body)), 0) FROM resources WHERE kind = ?1",
        )?;
        let (count, bytes) = statement
            .query_row([kind.segment()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        Ok(Stored { count: u64::try_from(count).unwrap_or(0), bytes: u64::try_from(bytes).unwrap_or(0) })
    }

    /// Forgets all but the newest queries over jobs. Their ids begin with the time.
    pub(crate) fn forget_old_queries(&self) -> Result<(), Error> {
        self.lock().execute(
            "DELETE FROM kept WHERE kind = 'jobsQueries' AND name <= (
                 SELECT name FROM kept WHERE kind = 'jobsQueries' ORDER BY name DESC LIMIT 1 OFFSET ?1
             )",
            params![MOST_QUERIES],
        )?;
        Ok(())
    }
}

/// Lists jobs until there are `limit` or their settings take more than `most_bytes`. Reads one job at a time, so that
/// large ones are never in memory together.
pub(crate) fn list_within(
    database: &Database,
    mut filter: ListFilter,
    limit: usize,
    most_bytes: usize,
) -> Result<(Vec<JobRecord>, bool), Error> {
    let (mut records, mut bytes): (Vec<JobRecord>, usize) = (Vec::new(), 0);
    while let Some(record) = database.list(&filter, 1)?.pop() {
        let submission = &record.submission;
        bytes += submission.settings.to_string().len() + submission.request.to_string().len();
        if records.len() == limit || (bytes > most_bytes && !records.is_empty()) {
            return Ok((records, true));
        }
        filter.after = Some((record.times.submitted_ms, record.id.clone()));
        records.push(record);
    }
    Ok((records, false))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::database::{sample_database, sample_record};
    use crate::records::items::ItemKind;
    use crate::records::resources::Resource;

    #[test]
    fn stored_bytes_are_summed_by_kind() {
        let (_folder, database) = sample_database();
        let preset = |name: &str| Resource {
            kind: ResourceKind::Preset,
            name: name.to_owned(),
            body: json!({"n": "ü"}),
            created_ms: 1,
            updated_ms: 1,
        };
        for name in ["a", "b"] {
            database.insert_resource(&preset(name)).unwrap();
        }
        assert_eq!(database.stored_resources(ResourceKind::Preset).unwrap(), Stored { count: 2, bytes: 20 });
        assert_eq!(database.stored_resources(ResourceKind::Queue).unwrap(), Stored { count: 0, bytes: 0 });
    }

    #[test]
    fn page_ends_before_it_is_too_large() {
        let (_folder, database) = sample_database();
        for (index, letters) in [10, 600, 600, 5000, 10].into_iter().enumerate() {
            let mut record = sample_record(&format!("{index}"), i64::try_from(index).unwrap());
            record.submission.settings = json!({"x": "x".repeat(letters)});
            database.insert(&record, &[], 0).unwrap();
        }
        let (mut filter, mut pages) = (ListFilter::default(), Vec::new());
        loop {
            let (page, has_more) = list_within(&database, filter.clone(), 2, 1000).unwrap();
            let last = page.last().unwrap();
            filter.after = Some((last.times.submitted_ms, last.id.clone()));
            pages.push(page.len());
            if !has_more {
                break;
            }
        }
        assert_eq!(pages, [2, 1, 1, 1], "two by number, a large one alone, and the rest by size");
        assert!(list_within(&database, filter, 2, 1000).unwrap().0.is_empty());
    }

    #[test]
    fn only_new_queries_are_kept() {
        let (_folder, database) = sample_database();
        for number in 0..MOST_QUERIES + 5 {
            database.put_item(ItemKind::JobsQuery, &format!("{number:05}"), &json!({})).unwrap();
        }
        database.put_item(ItemKind::Tags, "0", &json!({})).unwrap();
        database.forget_old_queries().unwrap();
        let is_kept = |kind, name: &str| database.item(kind, name).unwrap().is_some();
        assert!(!is_kept(ItemKind::JobsQuery, "00004") && is_kept(ItemKind::JobsQuery, "00005"));
        assert!(is_kept(ItemKind::Tags, "0"));
    }
}
