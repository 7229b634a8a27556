//! The file beside the blobs that lists the buckets with their rules, so that a rebuilt index has them again.
//!
//! It is written before the transaction that changes a bucket commits.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::blobs::label::{seal, unseal};
use crate::buckets::bucket_rules::Rules;
use crate::error::Result;
use crate::index::record::to_text;
use crate::index::{Index, blocking};

/// A bucket as the index stores it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SavedBucket {
    pub name: String,
    pub created_ms: i64,
    pub cors: Option<String>,
    pub notifications: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

/// Returns the path of the file below the endpoint's folder.
pub(crate) fn path(root: &Path) -> PathBuf {
    root.join("blobs").join("buckets")
}

impl SavedBucket {
    fn rules(&self, rules: Rules) -> Option<&str> {
        let text = match rules {
            Rules::Cors => &self.cors,
            Rules::Notifications => &self.notifications,
            Rules::Settings => &self.settings,
        };
        text.as_deref()
    }

    fn rules_mut(&mut self, rules: Rules) -> &mut Option<String> {
        match rules {
            Rules::Cors => &mut self.cors,
            Rules::Notifications => &mut self.notifications,
            Rules::Settings => &mut self.settings,
        }
    }
}

/// The buckets of an index.
#[derive(Default)]
pub(crate) struct Listed {
    /// All buckets, without the rules that are damaged.
    pub buckets: Vec<SavedBucket>,
    /// Which rules of which buckets are not what was written.
    pub damaged: Vec<(String, Rules)>,
}

impl Listed {
    /// Returns the buckets, with the saved rules in the place of those that are damaged.
    pub(crate) fn mended(mut self, saved: &[SavedBucket]) -> Vec<SavedBucket> {
        for (name, rules) in &self.damaged {
            let saved = saved.iter().find(|bucket| bucket.name == *name);
            let text = saved.and_then(|bucket| bucket.rules(*rules)).map(str::to_owned);
            if let Some(bucket) = self.buckets.iter_mut().find(|bucket| bucket.name == *name) {
                *bucket.rules_mut(*rules) = text;
            }
        }
        self.buckets
    }
}

/// Reads the buckets of an index.
pub(crate) fn of_index(connection: &Connection) -> Result<Listed> {
    // A backup may be of a folder that an older version used last.
    let mut is_known = connection.prepare("SELECT 1 FROM pragma_table_info('buckets') WHERE name = ?1")?;
    let mut columns = vec!["name".to_owned(), "created_ms".to_owned()];
    for rules in Rules::ALL {
        for column in [rules.column().to_owned(), format!("{}_sum", rules.column())] {
            columns.push(if is_known.exists([&column])? { column } else { "NULL".to_owned() });
        }
    }
    let sql = format!("SELECT {} FROM buckets ORDER BY name", columns.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut listed = Listed::default();
    while let Some(row) = rows.next()? {
        let (name, created_ms): (String, i64) = (row.get(0)?, row.get(1)?);
        let mut bucket = SavedBucket { name, created_ms, cors: None, notifications: None, settings: None };
        for (place, rules) in Rules::ALL.into_iter().enumerate() {
            match rules.read(&bucket.name, row, 2 + 2 * place) {
                Ok(text) => *bucket.rules_mut(rules) = text,
                Err(_) => listed.damaged.push((bucket.name.clone(), rules)),
            }
        }
        listed.buckets.push(bucket);
    }
    Ok(listed)
}

/// Writes a bucket into an index, in place of an existing one.
pub(crate) fn insert(connection: &Connection, bucket: &SavedBucket) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO buckets (name, created_ms) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![bucket.name, bucket.created_ms])?;
    Rules::ALL.into_iter().try_for_each(|rules| rules.write(connection, &bucket.name, bucket.rules(rules)))
}

/// Reads the file. Returns `None` if it does not exist or is damaged.
pub(crate) fn read(root: &Path) -> io::Result<Option<Vec<SavedBucket>>> {
    match std::fs::read(path(root)) {
        Ok(bytes) => Ok(unseal(&bytes).and_then(|text| serde_json::from_str(text).ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the buckets of the index to the file, durably, unless it has them already.
pub(crate) fn save(connection: &Connection, root: &Path) -> Result<()> {
    let listed = of_index(connection)?;
    // What is damaged in the index may still be whole here.
    let saved = if listed.damaged.is_empty() { None } else { read(root)? };
    let content = seal(&to_text(&listed.mended(&saved.unwrap_or_default())));
    let path = path(root);
    if std::fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(path.parent().unwrap_or(root))?.sync_all()?;
    Ok(())
}

/// Tells which buckets differ between the index and the file. A crash may leave the file ahead of the index; damage may
/// change either.
pub(crate) fn tell_differences(index: &Index, root: &Path) -> Result<()> {
    let Some(saved) = read(root)? else { return Ok(()) };
    let known = index.read_now(of_index)?.buckets;
    let differs = |one: &[SavedBucket], other: &[SavedBucket]| -> Vec<String> {
        one.iter().filter(|bucket| !other.contains(bucket)).map(|bucket| bucket.name.clone()).collect()
    };
    let mut names = differs(&known, &saved);
    names.extend(differs(&saved, &known));
    names.sort();
    names.dedup();
    if !names.is_empty() {
        let buckets = names.join(", ");
        tracing::warn!(
            buckets,
            "the index and `blobs/buckets` differ about buckets or their rules; the index counts"
        );
    }
    Ok(())
}

impl LocalS3 {
    /// Runs a transaction that changes buckets, and keeps the file in step with it.
    pub(crate) async fn change_buckets(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            s3.inner.index.write_now(|transaction| {
                work(transaction)?;
                save(transaction, s3.inner.blobs.root())
            })?;
            s3.inner.settings.read(&s3.inner.index)
        });
        run.await
    }
}
