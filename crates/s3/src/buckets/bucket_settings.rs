//! What is set about a bucket besides its CORS and notification rules: tags, a policy, public-access blocks, a
//! lifecycle and the like. It keeps a copy in memory, so that requests for objects need not ask the index.
//!
//! It decides nothing: what the settings mean is in their own files.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::buckets::access_block::AccessBlock;
use crate::buckets::bucket_rules::Rules;
use crate::buckets::lifecycle::Lifecycle;
use crate::buckets::policy::Policy;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::index::record::{from_text, to_text};

/// The settings of a bucket, as the index stores them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_block: Option<AccessBlock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Whether the ownership controls, which every new bucket has, were deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_no_ownership_controls: bool,
    /// Whether a client has suspended versions, of which there are none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_suspended_versions: bool,
}

/// The settings of all buckets that have some.
#[derive(Default)]
pub(crate) struct KnownSettings(RwLock<BTreeMap<String, Arc<Settings>>>);

impl KnownSettings {
    /// Reads the settings of all buckets. What cannot be read counts as not set, which opens nothing and deletes nothing.
    pub(crate) fn read(&self, index: &Index) -> Result<()> {
        // Held while the index is read: of two changes at once, the one that reads later also stays.
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let rows: Vec<(String, rusqlite::Result<Option<String>>)> = index.read_now(|reader| {
            let sql = "SELECT name, settings, settings_sum FROM buckets WHERE settings IS NOT NULL";
            let mut statement = reader.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let bucket: String = row.get(0)?;
                let text = Rules::Settings.read(&bucket, row, 1);
                Ok((bucket, text))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        let mut known = BTreeMap::new();
        for (bucket, text) in rows {
            match text.and_then(|text| from_text::<Settings>(&text.unwrap_or_default())) {
                Ok(settings) => drop(known.insert(bucket, Arc::new(settings))),
                Err(error) => tracing::warn!(
                    bucket,
                    error = &error as &dyn std::error::Error,
                    "cannot read what is set about a bucket: its policy and its lifecycle have no effect"
                ),
            }
        }
        *all = known;
        Ok(())
    }

    /// Returns the settings of a bucket, if it has some.
    pub(crate) fn of(&self, bucket: &str) -> Option<Arc<Settings>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
    }

    /// Returns all settings.
    pub(crate) fn all(&self) -> BTreeMap<String, Arc<Settings>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the settings of a bucket. Fails if it does not exist.
pub(crate) fn stored(connection: &Connection, bucket: &str) -> Result<Settings> {
    let text = Rules::Settings.of(connection, bucket)?.ok_or_else(|| Error::no_such_bucket(bucket))?;
    Ok(text.map(|text| from_text(&text)).transpose()?.unwrap_or_default())
}

/// Writes the settings of a bucket, in place of what there is.
pub(crate) fn write(connection: &Connection, bucket: &str, settings: &Settings) -> Result<()> {
    let text = (*settings != Settings::default()).then(|| to_text(settings));
    Rules::Settings.write(connection, bucket, text.as_deref())
}

impl LocalS3 {
    /// Returns the settings of a bucket. Fails if it does not exist.
    pub(crate) async fn settings(&self, bucket: String) -> Result<Settings> {
        self.inner.index.read(move |reader| stored(reader, &bucket)).await
    }

    /// Changes the settings of a bucket in one transaction. Fails if it does not exist, and if `change` does.
    pub(crate) async fn set(
        &self,
        bucket: String,
        change: impl FnOnce(&mut Settings) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let write = self.change_buckets(move |transaction| {
            let mut settings = stored(transaction, &bucket)?;
            change(&mut settings)?;
            write(transaction, &bucket, &settings)
        });
        write.await
    }
}
