//! Copies objects between our store and that of the other service, one after the other. A copy that is interrupted is made
//! again.

use std::path::PathBuf;
use std::sync::Arc;

use abanico_store::{NewFile, ObjectAttributes, ObjectStore, ObjectUrl};

use super::elsewhere::Mirror;
use super::request::{bucket_and_key, destinations, moved};
use crate::failure::{self, codes};
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Failure;
use crate::site::publish::stage;

impl Mirror {
    /// Copies the inputs to the other service, which reads web inputs itself.
    pub(super) async fn copy_inputs(&self) -> Result<(), Failure> {
        for url in self.context.input_urls.iter().filter(|url| !abanico_store::is_web_url(url)) {
            let there = parsed(&moved(url, &self.forwarding.buckets))?;
            let file = self.fetched(&self.context.workshop.store, &parsed(url)?).await?;
            let published = self.forwarding.store.publish(&file, &there, &ObjectAttributes::default()).await;
            published.map_err(|error| failure::from_store(&error))?;
        }
        Ok(())
    }

    /// Copies an output from there to its destination here, where it stays invisible until all are there.
    pub(super) async fn copy_here(&self, from: &ObjectUrl, to: ObjectUrl) -> Result<(), Failure> {
        let source = self.fetched(&self.forwarding.store, from).await?;
        let attributes = ObjectAttributes::default();
        stage(&self.context, &[NewFile { source, url: to, attributes, turn: 0 }]).await
    }

    /// Returns everything below the destinations there, and its URL here.
    pub(super) async fn outputs_there(
        &self,
        record: &JobRecord,
    ) -> Result<Vec<(ObjectUrl, ObjectUrl)>, Failure> {
        let mut all = Vec::new();
        for ours in destinations(&record.submission.settings) {
            let there = moved(&ours, &self.forwarding.buckets);
            let (Some((bucket, prefix)), Some((our_bucket, _))) =
                (bucket_and_key(&there), bucket_and_key(&ours))
            else {
                continue;
            };
            // A doubled dollar sign stands for one.
            let keys = self.forwarding.jobs.keys(bucket, &prefix.replace("$$", "$")).await;
            let keys = keys.map_err(|error| {
                let message = format!("cannot copy `{there}`: {}", error.message);
                Failure::new(codes::UNKNOWN, message, error.is_retryable)
            })?;
            let here = |key: String| (ObjectUrl::s3(bucket, key.as_str()), ObjectUrl::s3(our_bucket, key));
            all.extend(keys.into_iter().map(here));
        }
        Ok(all)
    }

    /// Fetches one object. The next one takes its place.
    async fn fetched(&self, store: &Arc<dyn ObjectStore>, from: &ObjectUrl) -> Result<PathBuf, Failure> {
        let file = self.context.work.input(0);
        let folder = self.context.work.root();
        std::fs::create_dir_all(folder)
            .map_err(|error| failure::from_disk("create the work folder", &error))?;
        // An interrupted copy may have left half a file.
        let _ = std::fs::remove_file(&file);
        tokio::select! {
            fetched = store.fetch(from, &file) => fetched.map_err(|error| failure::from_store(&error))?,
            () = self.context.cancel.cancelled() => {
                return Err(failure::broken("copying continued after it was cancelled"));
            }
        };
        Ok(file)
    }
}

fn parsed(url: &str) -> Result<ObjectUrl, Failure> {
    url.parse().map_err(|error| failure::from_url(codes::NOT_READABLE, &error))
}
