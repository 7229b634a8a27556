//! Keeps an engine going in spite of what is wrong: drives a job again that could not be stored, finishes publications
//! of ended jobs, checks the stored records, keeps the files of jobs that cannot be read, and tells all of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abanico_tasks::results::free_bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::driver::conclude;
use crate::engine::DoneBy;
use crate::error::{Error, ErrorKind};
use crate::forwarding::cancel_there;
use crate::jobs::ids::JobId;
use crate::jobs::job::{JobRecord, Progress};
use crate::records::database::{Database, Place, PutAside};
use crate::site::work_folder::WorkFolder;
use abanico_process::with_causes;

/// Pauses between two attempts to go on with a job that could not be stored.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long the engine's start waits for the publications of ended jobs to be finished.
const CONCLUDING_AT_START: Duration = Duration::from_secs(10);
/// How often it tries again afterwards.
const CONCLUDING_PAUSE: Duration = Duration::from_secs(60);

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
    /// Claims again the destinations at which an earlier process was publishing.
    pub(super) fn claim_again(&self, works: &std::path::Path) -> Result<(), Error> {
        for id in left_over(works)? {
            match WorkFolder::of(works, &id).claim() {
                Ok(urls) if !urls.is_empty() => {
                    self.shared.workshop.claims.try_claim(&id, &urls);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(job.id = %id, %error, "cannot read what a job was publishing"),
            }
        }
        Ok(())
    }

    pub(super) async fn conclude_every_minute(&self) {
        loop {
            tokio::select! {
                () = self.conclude_after_a_pause() => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    async fn conclude_after_a_pause(&self) {
        tokio::time::sleep(CONCLUDING_PAUSE).await;
        self.conclude_left_over().await;
        self.clear_fleet().await;
    }

    /// Removes what workers that were cut off have stored for jobs after these had ended. Artifacts of jobs that nobody
    /// knows here stay: they may be another server's.
    async fn clear_fleet(&self) {
        let DoneBy::Fleet(fleet) = &self.shared.done_by else { return };
        let jobs = match fleet.jobs_with_artifacts().await {
            Ok(jobs) => jobs,
            Err(error) => return tracing::warn!(%error, "cannot look for artifacts of ended jobs"),
        };
        for id in jobs {
            if self.is_active(&id) {
                continue;
            }
            if let Ok(record) = self.get(&id).await
                && record.stage().is_final()
            {
                fleet.leave(&record).await;
            }
        }
    }

    /// Finishes what it can before jobs start. A service that is away must not keep the engine from starting.
    pub(super) async fn conclude_at_start(&self) {
        if tokio::time::timeout(CONCLUDING_AT_START, self.conclude_left_over()).await.is_err() {
            tracing::warn!("cannot finish publications of ended jobs yet: trying again");
        }
    }

    /// Finishes what jobs left that have ended or were never stored: settles or takes back their outputs as their
    /// records say, and removes their work folders.
    pub(crate) async fn conclude_left_over(&self) {
        let works = self.shared.options.folder.join("work");
        let mut ids = left_over(&works).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for what ended jobs left");
            BTreeSet::new()
        });
        match self.shared.workshop.store.open_publications().await {
            Ok(open) => ids.extend(open.into_iter().map(JobId::new)),
            Err(error) => tracing::warn!(%error, "cannot look for publications of ended jobs"),
        }
        for id in ids {
            if !self.active().contains_key(&id) {
                self.conclude_one(&id, &works).await;
            }
        }
    }

    async fn conclude_one(&self, id: &JobId, works: &std::path::Path) {
        let work = WorkFolder::of(works, id);
        let is_concluded = match self.get(id).await {
            Ok(record) if record.stage().is_final() => {
                let is_told = match &self.shared.done_by {
                    DoneBy::ThisMachine => true,
                    DoneBy::OtherService(forwarding) => cancel_there(forwarding, &record).await,
                    DoneBy::Fleet(fleet) => fleet.leave(&record).await,
                };
                is_told && conclude(&self.context(&record, Vec::new(), Value::Null), &record).await
            }
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Nobody knows how the job ended: what is visible stays, and nothing of anybody's is deleted.
                let publication = abanico_store::Publication::new(id.as_str(), work.publication());
                self.shared.workshop.claims.release(id);
                self.shared.workshop.store.settle(&publication).await.is_ok()
            }
            Err(error) => {
                tracing::error!(job.id = %id, %error, "cannot read a job: its files stay");
                false
            }
        };
        if is_concluded && let Err(error) = work.remove() {
            tracing::warn!(job.id = %id, %error, "cannot remove a left-over work folder");
        }
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

/// Returns the jobs that have a work folder.
fn left_over(works: &std::path::Path) -> Result<BTreeSet<JobId>, Error> {
    let entries = std::fs::read_dir(works).map_err(|error| Error::storage("list the work folder", error))?;
    Ok(entries.flatten().map(|entry| JobId::new(entry.file_name().to_string_lossy())).collect())
}
