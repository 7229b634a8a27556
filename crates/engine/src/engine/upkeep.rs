//! Keeps an engine going in spite of what is wrong: drives a job again that could not be stored, checks the stored
//! records, keeps the files of jobs that cannot be read, and tells all of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::database::{Database, Place, PutAside};
use crate::error::{Error, ErrorKind};
use crate::failure::with_causes;
use crate::job::{JobId, JobRecord, Progress};
use crate::results::free_bytes;
use crate::work_folder::WorkFolder;

/// Pauses between two attempts to go on with a job that could not be stored.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The disk counts as nearly full if it has fewer bytes free.
const LOW_DISK_BYTES: u64 = 64 << 20;

/// What is wrong although the engine runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Troubles {
    /// Records that cannot be read.
    pub put_aside: Vec<PutAside>,
    /// What is wrong with databases' files.
    pub damage: Vec<String>,
    /// Bytes that are free on the disk of the engine's folder, if they are few.
    pub low_disk_bytes: Option<u64>,
}

impl Engine {
    /// Removes the work folders of jobs that have ended or were never stored.
    pub(super) fn remove_left_over_work(&self, works: &std::path::Path) -> Result<(), Error> {
        let entries =
            std::fs::read_dir(works).map_err(|error| Error::storage("list the work folder", error))?;
        for entry in entries.flatten() {
            let id = JobId::new(entry.file_name().to_string_lossy());
            // Only a job that is over needs its files no more; one that cannot be read is not over.
            let is_over = match self.shared.database.get(&id) {
                Ok(record) => record.stage().is_final(),
                Err(error) if error.kind() == ErrorKind::NotFound => true,
                Err(error) => {
                    tracing::warn!(job.id = %id, %error, "keeping the work folder of a job that cannot be read");
                    false
                }
            };
            if is_over && let Err(error) = WorkFolder::of(works, &id).remove() {
                tracing::warn!(job.id = %id, %error, "cannot remove a left-over work folder");
            }
        }
        Ok(())
    }

    /// Drives a job until it has ended or the process stops. If it cannot be stored, most likely because others have
    /// filled the disk, it is read again and goes on when that may help.
    pub(super) async fn run_to_the_end(
        &self,
        mut record: JobRecord,
        cancel: &CancellationToken,
        progress: &Arc<Mutex<Progress>>,
    ) {
        let id = record.id.clone();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.run(record, cancel.clone(), progress.clone()).await {
            let cause = with_causes(&error);
            tracing::error!(job.id = %id, error = cause, wait_ms = pause.as_millis(), "cannot continue a job: trying again");
            record = loop {
                tokio::select! {
                    () = self.shared.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                match self.get(&id).await {
                    Ok(record) if record.stage().is_final() => return,
                    Ok(record) => break record,
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PutAside) => {
                        tracing::error!(job.id = %id, %error, "cannot continue a job");
                        return;
                    }
                    Err(error) => tracing::error!(job.id = %id, %error, "cannot read a job: trying again"),
                }
            };
        }
    }

    /// Reads every stored record once in the background, so that those that cannot be read are known soon after a
    /// start and not when somebody asks for them.
    pub(super) async fn inspect(&self) {
        for place in Place::ALL {
            let mut after = i64::MIN;
            loop {
                if self.shared.stop.is_cancelled() || self.shared.tracker.is_closed() {
                    return;
                }
                match self.database(move |database| database.inspect(place, after)).await {
                    Ok(Some(last)) => after = last,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(table = place.table(), %error, "cannot check the stored records");
                        break;
                    }
                }
                // Leaves the database to others in between.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Returns what is wrong although the engine runs.
    ///
    /// # Errors
    /// Fails if the job database cannot be read.
    pub async fn troubles(&self) -> Result<Troubles, Error> {
        let put_aside = self.database(Database::put_aside).await?;
        let free_bytes = free_bytes(&self.shared.options.folder).ok();
        Ok(Troubles {
            put_aside,
            damage: self.shared.database.damage().into_iter().collect(),
            low_disk_bytes: free_bytes.filter(|free_bytes| *free_bytes < LOW_DISK_BYTES),
        })
    }
}
