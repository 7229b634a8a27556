//! A task with everything that a machine needs to do it: takes an assignment, an artifact store and an empty folder, and
//! gives an artifact with the task's files. Whoever finds the artifact there already need not do the task.
//!
//! Bazel's Remote Execution API calls the same an action: it names what it reads by digest, and its result is found by
//! its own digest. Failures are not stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abanico_artifacts::{ArtifactKey, ArtifactStore, FileName, NamedFile};
use abanico_plan::{Artifact, PLAN_VERSION, Task, TaskId};
use abanico_process::with_causes;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::failure::{self, Failure, codes};
use crate::files::folders::TaskFolders;
use crate::files::source_files::{SourceFile, SourceReader};
use crate::kinds::video;
use crate::machine::attempt::Attempt;
use crate::machine::capacity::Capacity;
use crate::machine::workbench::{Machine, TaskSink, Workbench};
use crate::run::{TaskOutcome, run};

/// Name of the only file of an artifact that was fetched: an input, a caption file or an image.
const FETCHED: &str = "file";
/// Extensions that images may have.
const IMAGES: [&str; 3] = ["png", "bmp", "tga"];
/// Largest index of a fetched file; AWS allows 150 inputs.
const MOST_INDEX: u32 = 10_000;
/// Name of the file in a task's artifact with its [`TaskOutcome`].
const OUTCOME: &str = "outcome.json";

/// Something that a task reads, and where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// What it is for the task.
    pub artifact: Artifact,
    /// Key of the artifact.
    pub key: ArtifactKey,
    /// Extension that the file must have on the machine, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// Where an input is that need not be in the artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFile>,
}

impl Reading {
    /// Returns what of it determines the results: its bytes, and not where they are.
    fn content(&self) -> Self {
        Self { source: None, ..self.clone() }
    }
}

/// A task and all that it needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// [`PLAN_VERSION`] of the program that planned it.
    pub version: u32,
    /// Version of ffmpeg that the results are for. Encodes of several versions are not joined.
    pub ffmpeg_version: String,
    /// URL of the job's first input, which failures name.
    pub subject: String,
    /// The task.
    pub task: Task,
    /// Everything that it reads.
    pub reads: Vec<Reading>,
    /// Key of the artifact that it makes.
    pub makes: ArtifactKey,
}

/// A file that was fetched for a job, and that tasks find in the artifact store or at its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedArtifact {
    /// Key of the artifact: the hash of the file's bytes.
    pub key: ArtifactKey,
    /// Extension that the file must have, for images.
    pub extension: Option<String>,
    /// Where it is, if it is no artifact.
    pub source: Option<SourceFile>,
}

/// Everything that determines what a task makes.
#[derive(Serialize)]
struct Origin<'a> {
    version: u32,
    ffmpeg_version: &'a str,
    task: &'a Task,
    reads: Vec<Reading>,
}

/// Returns an assignment for each task of a plan. `fetched` has the inputs, caption files and images that they read.
///
/// # Errors
/// Fails if a task reads something that was not fetched and that no earlier task makes.
pub fn assignments(
    tasks: &[Task],
    fetched: &BTreeMap<Artifact, FetchedArtifact>,
    (subject, ffmpeg_version): (&str, &str),
) -> Result<Vec<Assignment>, Failure> {
    let mut made: BTreeMap<&TaskId, ArtifactKey> = BTreeMap::new();
    let mut assigned = Vec::with_capacity(tasks.len());
    for task in tasks {
        let reading = |artifact: &Artifact| {
            let found = match artifact {
                Artifact::Made(task) => {
                    let key = made.get(task).copied();
                    key.map(|key| FetchedArtifact { key, extension: None, source: None })
                }
                other => fetched.get(other).cloned(),
            };
            let found = found.ok_or_else(|| failure::broken("a task reads what nobody has"))?;
            let FetchedArtifact { key, extension, source } = found;
            Ok(Reading { artifact: artifact.clone(), key, extension, source })
        };
        let reads: Vec<Reading> = task.reads.iter().map(reading).collect::<Result<_, Failure>>()?;
        let contents = reads.iter().map(Reading::content).collect();
        let origin = Origin { version: PLAN_VERSION, ffmpeg_version, task, reads: contents };
        let origin = serde_json::to_vec(&origin).map_err(|error| failure::broken(&error.to_string()))?;
        let makes = ArtifactKey::of(&origin);
        made.insert(&task.id, makes);
        assigned.push(Assignment {
            version: PLAN_VERSION,
            ffmpeg_version: ffmpeg_version.to_owned(),
            subject: subject.to_owned(),
            task: task.clone(),
            reads,
            makes,
        });
    }
    Ok(assigned)
}

/// Returns the key of a file's artifact: the hash of its bytes.
///
/// # Errors
/// Fails if the file cannot be read.
pub async fn key_of_fetched(path: &Path) -> Result<ArtifactKey, Failure> {
    let file = path.to_owned();
    let hash = tokio::task::spawn_blocking(move || crate::files::sums::hash_of(&file)).await;
    let hash = hash.map_err(|_| failure::broken("hashing a fetched file ended early"))?;
    let hash = hash.map_err(|error| failure::from_disk("read a fetched file", &error))?;
    hash.parse().map_err(|_| failure::broken("a hash that is none"))
}

/// Stores a fetched file as an artifact, whose key is the hash of its bytes.
///
/// # Errors
/// Fails if the file cannot be read or stored.
pub async fn store_fetched(
    store: &dyn ArtifactStore,
    path: &Path,
    extension: Option<String>,
) -> Result<FetchedArtifact, Failure> {
    let key = key_of_fetched(path).await?;
    store.put(&key, &[named(FETCHED, path.to_owned())?]).await.map_err(|error| from_artifacts(&error))?;
    Ok(FetchedArtifact { key, extension, source: None })
}

/// Where assignments are done.
#[derive(Clone)]
pub struct Site<'a> {
    /// Where artifacts are.
    pub store: &'a dyn ArtifactStore,
    /// Reads the inputs that are no artifacts.
    pub sources: SourceReader<'a>,
    /// The machine.
    pub machine: Arc<Machine>,
    /// Gives the task its turns on the machine.
    pub capacity: Arc<dyn Capacity>,
    /// An empty folder for this assignment alone.
    pub folder: &'a Path,
    /// Whom the task reports to.
    pub sink: Arc<dyn TaskSink>,
    /// Ends the task.
    pub cancel: CancellationToken,
}

impl Site<'_> {
    /// Does an assignment, unless its artifact is there already. Once this returns, the artifact is stored.
    ///
    /// # Errors
    /// Fails as the task does, if something that it reads is not in the store, if the assignment is for another version
    /// of this program or of ffmpeg, or if the store fails.
    pub async fn perform(&self, assignment: &Assignment) -> Result<TaskOutcome, Failure> {
        self.refuse_other_versions(assignment)?;
        refuse_odd_reads(assignment)?;
        if let Some(known) = self.known_outcome(&assignment.makes).await? {
            tracing::info!(task = %assignment.task.id, "the artifact of a task is there already");
            return Ok(known);
        }
        let folders = TaskFolders::below(self.folder.to_owned());
        let files = self.read_all(&folders, assignment).await?;
        let bench = Workbench {
            machine: self.machine.clone(),
            capacity: self.capacity.clone(),
            attempt: Attempt::default(),
            name: assignment.makes.to_string(),
            subject: assignment.subject.clone(),
            folders: folders.clone(),
            files: Arc::new(files),
            input_hashes: Arc::default(),
            sink: self.sink.clone(),
            cancel: self.cancel.clone(),
        };
        let outcome = run(&assignment.task, &bench).await?;
        self.store_made(&folders, assignment, &outcome).await?;
        Ok(outcome)
    }

    fn refuse_other_versions(&self, assignment: &Assignment) -> Result<(), Failure> {
        let (wanted, own) = (&assignment.ffmpeg_version, &self.machine.ffmpeg_version);
        if assignment.version == PLAN_VERSION && wanted == own {
            return Ok(());
        }
        let message = format!(
            "this machine has ffmpeg {own} and plans of version {PLAN_VERSION}, but the task is for ffmpeg {wanted} and \
             version {}: give it to a machine with the same versions",
            assignment.version
        );
        Err(Failure::new(codes::UNKNOWN, message, false))
    }

    /// Returns the outcome of a task whose artifact is stored.
    async fn known_outcome(&self, key: &ArtifactKey) -> Result<Option<TaskOutcome>, Failure> {
        let path = self.folder.join("known-outcome.json");
        let placed = self.store.place(key, &[named(OUTCOME, path.clone())?]).await;
        if placed.map_err(|error| from_artifacts(&error))?.is_none() {
            return Ok(None);
        }
        let read = || Ok(serde_json::from_slice(&std::fs::read(&path)?)?);
        let outcome =
            read().map_err(|error: std::io::Error| failure::from_disk("read an outcome", &error))?;
        std::fs::remove_file(&path).map_err(|error| failure::from_disk("remove an outcome", &error))?;
        Ok(Some(outcome))
    }

    /// Puts everything that the task reads in its place. Returns the paths of fetched files.
    async fn read_all(
        &self,
        folders: &TaskFolders,
        assignment: &Assignment,
    ) -> Result<BTreeMap<Artifact, PathBuf>, Failure> {
        let mut files = BTreeMap::new();
        let decides = video::decided_by(&assignment.task.kind).map(Artifact::Made);
        // What other tasks made comes first: it says which part of an input is read.
        let mut readings: Vec<&Reading> = assignment.reads.iter().collect();
        readings.sort_by_key(|reading| {
            let is_made = matches!(reading.artifact, Artifact::Made(_));
            (decides.as_ref() != Some(&reading.artifact), !is_made)
        });
        for reading in readings {
            match &reading.source {
                Some(source) => {
                    let Artifact::Input(index) = reading.artifact else {
                        return Err(failure::broken("something else than an input is read at its source"));
                    };
                    let path = self.folder.join(format!("input-{index}"));
                    let run = video::read_of(&assignment.task.kind, index, source.clock_start, folders)?;
                    self.sources.read(source, run, &path).await?;
                    files.insert(reading.artifact.clone(), path);
                }
                None => {
                    if let Some(path) = self.read(folders, reading).await? {
                        files.insert(reading.artifact.clone(), path);
                    }
                }
            }
            if decides.as_ref() == Some(&reading.artifact)
                && !video::has_work(&assignment.task.kind, folders)?
            {
                tracing::debug!(task = %assignment.task.id, "a task has nothing to do, so nothing more is fetched");
                break;
            }
        }
        Ok(files)
    }

    /// Puts an artifact in its place. Returns the path of a fetched file.
    async fn read(&self, folders: &TaskFolders, reading: &Reading) -> Result<Option<PathBuf>, Failure> {
        let disk =
            |error: std::io::Error| failure::from_disk("create a folder for what a task reads", &error);
        let extension = reading.extension.as_ref().map(|own| format!(".{own}")).unwrap_or_default();
        let name = match &reading.artifact {
            Artifact::Made(task) => {
                place_made(self.store, folders, task, &reading.key).await?;
                return Ok(None);
            }
            Artifact::Input(index) => format!("input-{index}"),
            Artifact::CaptionFile(index) => format!("caption-file-{index}"),
            Artifact::Image(index) => format!("image-{index}{extension}"),
        };
        std::fs::create_dir_all(self.folder).map_err(disk)?;
        let path = self.folder.join(name);
        let placed = self.store.place(&reading.key, &[named(FETCHED, path.clone())?]).await;
        placed.map_err(|error| from_artifacts(&error))?.ok_or_else(|| missing(&reading.key))?;
        Ok(Some(path))
    }

    /// Stores everything that the task made, and its outcome.
    async fn store_made(
        &self,
        folders: &TaskFolders,
        assignment: &Assignment,
        outcome: &TaskOutcome,
    ) -> Result<(), Failure> {
        let disk = |error: std::io::Error| failure::from_disk("store what a task made", &error);
        let text = serde_json::to_vec(outcome).map_err(|error| failure::broken(&error.to_string()))?;
        let told = self.folder.join(OUTCOME);
        std::fs::write(&told, text).map_err(disk)?;
        let mut files = vec![named(OUTCOME, told)?];
        let folder = folders.task(assignment.task.id.as_str());
        // A verification makes no files.
        if folder.exists() {
            for entry in std::fs::read_dir(folder).map_err(disk)? {
                let entry = entry.map_err(disk)?;
                files.push(named(&entry.file_name().to_string_lossy(), entry.path())?);
            }
        }
        let stored = self.store.put(&assignment.makes, &files).await;
        stored.map(drop).map_err(|error| from_artifacts(&error))
    }
}

/// Refuses what an assignment from elsewhere must not have: extensions become parts of paths and tell ffmpeg what a file
/// is, and indices become places in lists.
fn refuse_odd_reads(assignment: &Assignment) -> Result<(), Failure> {
    for Reading { artifact, extension, source, .. } in &assignment.reads {
        if let Some(source) = source {
            source.refuse_odd()?;
        }
        if let Some(odd) = extension.as_ref().filter(|extension| !IMAGES.contains(&extension.as_str())) {
            let (odd, known) = (odd.escape_debug(), IMAGES.join(", "));
            let message = format!("`{odd}` is no extension of an image: use {known}");
            return Err(Failure::new(codes::UNKNOWN, message, false));
        }
        if let Artifact::Input(index) | Artifact::CaptionFile(index) | Artifact::Image(index) = artifact
            && *index > MOST_INDEX
        {
            let message = format!("a task reads file {index}, but no job has more than {MOST_INDEX}");
            return Err(Failure::new(codes::UNKNOWN, message, false));
        }
    }
    Ok(())
}

pub(crate) fn named(name: &str, path: PathBuf) -> Result<NamedFile, Failure> {
    let name = FileName::new(name).map_err(|error| failure::broken(&error.to_string()))?;
    Ok(NamedFile { name, path })
}

/// Places the files that a task made in the task's folder, which must not have files yet.
///
/// # Errors
/// Fails if the artifact is not in the store, or the store or the disk fails.
pub async fn place_made(
    store: &dyn ArtifactStore,
    folders: &TaskFolders,
    task: &TaskId,
    key: &ArtifactKey,
) -> Result<(), Failure> {
    let folder = folders.task(task.as_str());
    let created = std::fs::create_dir_all(&folder);
    created.map_err(|error| failure::from_disk("create a folder for what a task made", &error))?;
    let placed = store.get(key, &folder).await.map_err(|error| from_artifacts(&error))?;
    placed.map(drop).ok_or_else(|| missing(key))
}

fn missing(key: &ArtifactKey) -> Failure {
    let message = format!("the artifact `{key}` that the task reads is not in the store: make it first");
    Failure::new(codes::UNKNOWN, message, true)
}

/// Describes an error of the artifact store.
pub fn from_artifacts(error: &abanico_artifacts::Error) -> Failure {
    Failure::new(codes::UNKNOWN, with_causes(error), error.is_retryable())
}
