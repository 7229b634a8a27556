//! Has the tasks of jobs done by many machines. Preparing and publishing stay with this machine, which has the places
//! of inputs and outputs; what lies between is work for whoever is there.
//!
//! [`Fleet`] is the port to the system that hands tasks out. It has a state machine of its own, of the same kind and fed
//! with the same events, so that the tasks go on while this process is away.

mod lateness;
mod on_fleet;
mod put_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use abanico_artifacts::{ArtifactKey, ObjectArtifacts};
use abanico_plan::TaskId;
use abanico_store::{ObjectStore, ObjectUrl, delete_all_below};
use abanico_tasks::{Failure, MeasuredOutput};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::jobs::ids::JobId;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Waiting;

pub(crate) use on_fleet::OnFleet;

/// Why a fleet did not answer. Everything is tried again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct FleetError(pub String);

/// The tasks of a job, for a fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetWork {
    /// The job.
    pub job: JobId,
    /// Key of the job's assignments, which are in the job's artifacts.
    pub assignments: ArtifactKey,
    /// The tasks, in the order of their assignments.
    pub tasks: Vec<Waiting>,
    /// Version of ffmpeg that the tasks are for.
    pub ffmpeg_version: String,
    /// ARN of the job's queue.
    pub queue: String,
    /// Priority of the job in its queue, -50 to 50; higher goes first.
    pub priority: i32,
}

/// What happened to a task on a fleet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetReport {
    /// It is done, and its artifact is stored.
    Done {
        /// The task.
        task: TaskId,
        /// CPU time of its child processes, in milliseconds.
        cpu_ms: u64,
        /// How long it ran, in milliseconds.
        ran_ms: u64,
        /// What its verification measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<MeasuredOutput>,
        /// The worker that did it.
        worker: String,
    },
    /// An attempt at it failed.
    Failed {
        /// The task.
        task: TaskId,
        /// Number of the attempt.
        attempt: u32,
        /// Why it failed.
        failure: Failure,
        /// The worker that tried it.
        worker: String,
    },
}

/// A task that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunningTask {
    /// Frames that it has delivered.
    pub frames: u64,
    /// How long it has run.
    pub ran: Duration,
    /// The worker that does it.
    pub worker: String,
}

/// How far a fleet has come with a job.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetNews {
    /// What happened after the reports that the asker knows, in order; not always everything at once.
    pub reports: Vec<FleetReport>,
    /// The tasks that run. Of two attempts at a task, the one that is farther.
    pub running: BTreeMap<TaskId, RunningTask>,
    /// Whether nothing more will happen.
    pub has_ended: bool,
    /// Whether somebody has cancelled the work at the fleet.
    pub is_cancelled: bool,
}

/// Hands tasks out to machines.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Begins the tasks of a job. If they have begun before, with the same assignments, they go on; work with other
    /// assignments is ended first.
    ///
    /// # Errors
    /// Fails if the fleet does not answer.
    async fn begin(&self, work: &FleetWork) -> Result<(), FleetError>;

    /// Returns what happened to a job's tasks after the first `known` reports. Returns `None` if the fleet does not know the
    /// job.
    ///
    /// # Errors
    /// Fails if the fleet does not answer.
    async fn news(&self, job: &JobId, known: usize) -> Result<Option<FleetNews>, FleetError>;

    /// Has a second worker begin a task that runs too long, beside the one that `running` tells of. The first of the two to
    /// succeed counts.
    ///
    /// # Errors
    /// Fails if the fleet does not answer.
    async fn double(&self, job: &JobId, task: &TaskId, running: &RunningTask) -> Result<(), FleetError>;

    /// Ends all work for a job. Returns whether nothing of it runs any more: repeat it until then. Succeeds if there is
    /// none.
    ///
    /// # Errors
    /// Fails if the fleet does not answer.
    async fn end(&self, job: &JobId) -> Result<bool, FleetError>;
}

/// A fleet, and where its artifacts are.
#[derive(Clone)]
pub struct FleetOptions {
    /// The fleet.
    pub fleet: Arc<dyn Fleet>,
    /// Where artifacts are kept.
    pub store: Arc<dyn ObjectStore>,
    /// Folder of all artifacts in it; its URL ends with `/`. Each job has a folder below it, with its id as the name.
    pub folder: ObjectUrl,
    /// Encoders that long inputs are cut for, at least 1.
    pub encoders: u32,
    /// Tells by its name whether the workers reach a bucket. What they do not reach is copied to the artifacts.
    pub is_reached: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl std::fmt::Debug for FleetOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("FleetOptions");
        shown.field("folder", &self.folder).field("encoders", &self.encoders).finish_non_exhaustive()
    }
}

/// Returns the folder of a job's artifacts below the folder of all.
///
/// # Errors
/// Fails if the URL of the folder cannot have folders below it.
pub fn artifacts_of(folder: &ObjectUrl, job: &str) -> Result<ObjectUrl, FleetError> {
    let url = format!("{folder}{job}/");
    url.parse().map_err(|error| FleetError(format!("`{url}` is no folder of artifacts: {error}")))
}

impl FleetOptions {
    /// Returns the artifacts of a job.
    fn artifacts(&self, job: &JobId) -> Result<ObjectArtifacts, FleetError> {
        let opened = ObjectArtifacts::new(self.store.clone(), artifacts_of(&self.folder, job.as_str())?);
        opened.map_err(|error| FleetError(error.to_string()))
    }

    /// Returns the jobs that have artifacts. Besides those in progress, these are jobs for which a worker that was cut off
    /// has stored something after their end.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(crate) async fn jobs_with_artifacts(&self) -> Result<BTreeSet<JobId>, FleetError> {
        let (mut jobs, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.store.list(&self.folder, after.as_ref(), 1).await;
            let page = page.map_err(|error| FleetError(abanico_process::with_causes(&error)))?;
            let Some(first) = page.objects.first().map(|object| object.meta.url.to_string()) else {
                return Ok(jobs);
            };
            let name = first.strip_prefix(&self.folder.to_string()).unwrap_or_default();
            let Some((job, _)) = name.split_once('/') else { return Ok(jobs) };
            jobs.insert(JobId::new(job));
            // The character after `/`, so the rest of this job's folder is passed over.
            let next = format!("{}{job}0", self.folder);
            after = Some(next.parse().map_err(|error| FleetError(format!("`{next}`: {error}")))?);
        }
    }

    /// Ends what the fleet still does for a job that has ended, and removes its artifacts. Returns whether nothing is left.
    pub(crate) async fn leave(&self, record: &JobRecord) -> bool {
        let job = &record.id;
        let left = async {
            if !self.fleet.end(job).await? {
                return Ok(false);
            }
            let folder = artifacts_of(&self.folder, job.as_str())?;
            let deleted = delete_all_below(self.store.as_ref(), &folder).await;
            deleted.map(|_| true).map_err(|error| FleetError(abanico_process::with_causes(&error)))
        };
        match left.await {
            Ok(is_over) => is_over,
            Err(error) => {
                tracing::warn!(job.id = %job, %error, "cannot clear a job away from the fleet: trying again");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use abanico_store::FolderBucket;

    use super::*;

    /// Does nothing.
    struct Nobody;

    #[async_trait]
    impl Fleet for Nobody {
        async fn begin(&self, _: &FleetWork) -> Result<(), FleetError> {
            Ok(())
        }

        async fn news(&self, _: &JobId, _: usize) -> Result<Option<FleetNews>, FleetError> {
            Ok(None)
        }

        async fn double(&self, _: &JobId, _: &TaskId, _: &RunningTask) -> Result<(), FleetError> {
            Ok(())
        }

        async fn end(&self, _: &JobId) -> Result<bool, FleetError> {
            Ok(true)
        }
    }

    #[tokio::test]
    async fn artifacts_of_an_ended_job_are_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        let store = Arc::new(FolderBucket::new(folder.path()).unwrap());
        let options = FleetOptions {
            fleet: Arc::new(Nobody),
            store: store.clone(),
            folder: "s3://b/jobs/".parse().unwrap(),
            encoders: 1,
            is_reached: Arc::new(|_| true),
        };
        assert!(options.jobs_with_artifacts().await.unwrap().is_empty());
        for key in ["1-a/x/1", "1-a/x/2", "1-a/y", "1-b/x", "2-a/x", "loose"] {
            let url = format!("s3://b/jobs/{key}").parse().unwrap();
            store.create(&url, "x".into()).await.unwrap();
        }
        let found = options.jobs_with_artifacts().await.unwrap();
        assert_eq!(found, ["1-a", "1-b", "2-a"].map(JobId::new).into());
        let record = crate::records::database::sample_record("1-a", 1);
        assert!(options.leave(&record).await);
        assert_eq!(options.jobs_with_artifacts().await.unwrap(), ["1-b", "2-a"].map(JobId::new).into());
    }
}
