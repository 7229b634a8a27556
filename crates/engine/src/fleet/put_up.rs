//! Puts up a prepared job for a fleet: stores the assignments of its tasks and what they read, and notes in the job's work
//! folder where its artifacts are.

use std::collections::BTreeMap;
use std::path::Path;

use abanico_artifacts::{ArtifactKey, ArtifactStore};
use abanico_plan::{Artifact, Plan, TaskId};
use abanico_store::ObjectUrl;
use abanico_tasks::{
    Assignment, FetchedArtifact, SourceFile, assignments, key_of_fetched, store_assignments, store_fetched,
};
use serde::{Deserialize, Serialize};

use super::FleetOptions;
use crate::failure;
use crate::jobs::job_machine::Failure;
use crate::site::context::JobContext;
use crate::site::work_folder::WorkFolder;

/// Name of the note in the work folder.
const NOTE: &str = "fleet.json";

/// Where the artifacts of a job are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PutUp {
    /// Key of the job's assignments.
    pub assignments: ArtifactKey,
    /// Keys of the artifacts with files for the user, by their tasks.
    pub packaged: BTreeMap<TaskId, ArtifactKey>,
}

impl PutUp {
    /// Stores everything that the tasks of a plan need. `sources` tells of each input where it is.
    pub async fn new(
        context: &JobContext,
        options: &FleetOptions,
        plan: &Plan,
        sources: &[Option<SourceFile>],
    ) -> Result<Self, Failure> {
        let store = options.artifacts(context.work.job()).map_err(|error| failure::broken(&error.0))?;
        let fetched = fetched(context, options, &store, plan, sources).await?;
        let subject = context.input_urls.first().map_or("", String::as_str);
        let version = &context.workshop.machine.ffmpeg_version;
        let assigned = assignments(&plan.tasks, &fetched, (subject, version))?;
        let scratch = tempfile::Builder::new().prefix("assignments-").tempdir_in(context.work.root());
        let scratch = scratch.map_err(|error| failure::from_disk("create a folder", &error))?;
        let key = store_assignments(&store, &assigned, scratch.path()).await?;
        let put_up = Self { assignments: key, packaged: packaged(&assigned) };
        put_up.note(&context.work).map_err(|error| failure::from_disk("note where artifacts are", &error))?;
        Ok(put_up)
    }

    /// Reads the note of a job; `None` if there is none that can be read.
    pub fn noted(work: &WorkFolder) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(work.root().join(NOTE)).ok()?).ok()
    }

    fn note(&self, work: &WorkFolder) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(work.root())?;
        serde_json::to_writer(file.as_file_mut(), self)?;
        file.as_file().sync_all()?;
        file.persist(work.root().join(NOTE)).map(drop).map_err(|error| error.error)
    }
}

fn packaged(assigned: &[Assignment]) -> BTreeMap<TaskId, ArtifactKey> {
    let packaging = assigned.iter().filter(|one| one.task.kind.is_packaging());
    packaging.map(|one| (one.task.id.clone(), one.makes)).collect()
}

/// Returns where tasks find what was fetched, after storing what they could not reach otherwise.
async fn fetched(
    context: &JobContext,
    options: &FleetOptions,
    store: &dyn ArtifactStore,
    plan: &Plan,
    sources: &[Option<SourceFile>],
) -> Result<BTreeMap<Artifact, FetchedArtifact>, Failure> {
    let mut fetched = BTreeMap::new();
    let inputs = context.input_files();
    for ((index, file), source) in (0..).zip(&inputs).zip(sources) {
        let stored = match source.clone().filter(|source| is_reached(options, source)) {
            Some(source) => {
                let key = key_of_fetched(file).await?;
                FetchedArtifact { key, extension: None, source: Some(source) }
            }
            None => store_fetched(store, file, None).await?,
        };
        fetched.insert(Artifact::Input(index), stored);
    }
    for index in 0..plan.caption_files.len() {
        let stored = store_fetched(store, &context.work.caption_file(index), None).await?;
        fetched.insert(Artifact::CaptionFile(number(index)), stored);
    }
    for (index, url) in plan.images.iter().enumerate() {
        let path = context.work.image(index, url);
        let stored = store_fetched(store, &path, extension(&path)).await?;
        fetched.insert(Artifact::Image(number(index)), stored);
    }
    Ok(fetched)
}

fn is_reached(options: &FleetOptions, source: &SourceFile) -> bool {
    match source.url.parse() {
        Ok(ObjectUrl::S3 { bucket, .. }) => (options.is_reached)(&bucket),
        _ => false,
    }
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().into_owned())
}

/// No job names as many files as this has numbers.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
