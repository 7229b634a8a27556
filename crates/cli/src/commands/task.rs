//! The hidden command `abanico __task`: plans a job and stores what its tasks read, does one task from nothing but its
//! assignment, and takes an artifact out of its store. It keeps no state between two calls; the artifact store does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use abanico_artifacts::{ArtifactKey, ArtifactStore, LocalArtifacts, ObjectArtifacts, WholeSources};
use abanico_ffmpeg::capabilities;
use abanico_model::parse;
use abanico_plan::{Artifact, Chunking, PlanRequest, TaskId};
use abanico_store::{ObjectMeta, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};
use abanico_tasks::{
    Assignment, Failure, FetchedArtifact, Machine, Site, SourceFile, SourceReader, TaskSink, WholeMachine,
    assignments, key_of_fetched, store_fetched,
};
use anyhow::Context;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::local::{Toolbox, cores, toolbox};
use crate::arguments::{TaskCommand, TaskRun};
use crate::config::SandboxMode;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::signals::Signals;

/// Runs the command.
pub async fn run(arguments: TaskRun) -> anyhow::Result<ExitCode> {
    let store = artifacts(&arguments.artifacts)?;
    match arguments.command {
        TaskCommand::Plan { job, folder, encoders, store_inputs } => {
            let keeping = if store_inputs { Keeping::Artifacts } else { Keeping::Sources };
            output::json(&planned(store.as_ref(), &job, &folder, encoders, keeping).await?)?;
        }
        TaskCommand::Run { folder, sources } => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the assignment from stdin")?;
            let assignment = serde_json::from_str(&text).context("stdin has no assignment")?;
            let whole = sources.map(|sources| {
                let opened = WholeSources::open(&sources);
                opened.with_context(|| format!("cannot use `{}`", sources.display()))
            });
            output::json(&done(store.as_ref(), whole.transpose()?.as_ref(), &assignment, &folder).await?)?;
        }
        TaskCommand::Take { key, folder } => {
            let key: ArtifactKey = key.parse()?;
            let manifest = store.get(&key, &folder).await?;
            manifest.ok_or_else(|| wrong(&format!("there is no artifact `{key}`"), "do its task first"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn wrong(message: &str, hint: &str) -> anyhow::Error {
    Hinted::new(WRONG_USAGE, message, hint).into()
}

fn failed(failure: Failure) -> anyhow::Error {
    let hint = if failure.is_retryable { "try again" } else { "correct what the message names" };
    Hinted::new(WORK_FAILED, failure.message, hint).into()
}

/// Opens the store at a folder or an `s3://bucket/prefix/` URL.
fn artifacts(place: &str) -> anyhow::Result<Box<dyn ArtifactStore>> {
    if !place.starts_with("s3://") {
        return Ok(Box::new(LocalArtifacts::open(Path::new(place))?));
    }
    let store = Arc::new(RemoteS3::new(RemoteOptions::default()));
    Ok(Box::new(ObjectArtifacts::new(store, place.parse()?)?))
}

/// Fetches and probes the inputs of a job, plans it, stores what its tasks read, and returns their assignments.
async fn planned(
    store: &dyn ArtifactStore,
    job: &Path,
    folder: &Path,
    encoders: u32,
    keeping: Keeping,
) -> anyhow::Result<Vec<Assignment>> {
    let toolbox = toolbox(SandboxMode::default())?;
    let text = std::fs::read(job).with_context(|| format!("cannot read `{}`", job.display()))?;
    let settings: Value = serde_json::from_slice(&text).context("the job is no JSON")?;
    let settings = parse::job_settings(settings)?;
    let urls = settings.inputs.iter().flatten().map(|input| input.file_input.clone().unwrap_or_default());
    let urls: Vec<String> = urls.collect();
    let (mut fetched, mut infos) = (BTreeMap::new(), Vec::new());
    for (index, url) in (0..).zip(&urls) {
        let (file, object) = fetch(url, folder, &format!("input-{index}")).await?;
        let info = abanico_ffmpeg::probe(&toolbox.tools, &file, &CancellationToken::new()).await;
        let info = info.with_context(|| format!("cannot read `{url}`"))?;
        let source = SourceFile::of(&object, info.clock_start).filter(|_| keeping == Keeping::Sources);
        let input = match source {
            Some(source) => {
                let key = key_of_fetched(&file).await.map_err(failed)?;
                FetchedArtifact { key, extension: None, source: Some(source) }
            }
            None => store_fetched(store, &file, None).await.map_err(failed)?,
        };
        infos.push(info);
        fetched.insert(Artifact::Input(index), input);
    }
    let capabilities = capabilities(&toolbox.tools).await?;
    let request = PlanRequest {
        settings: &settings,
        user_metadata: &BTreeMap::new(),
        inputs: &infos,
        capabilities: &capabilities,
        started_epoch_ms: 0,
        chunking: Chunking::For(encoders),
    };
    let plan = abanico_plan::plan(request)
        .map_err(|error| wrong(&error.to_string(), "correct the setting that the message names"))?;
    for (index, file) in (0..).zip(&plan.caption_files) {
        let (path, _) = fetch(&file.url, folder, &format!("caption-file-{index}")).await?;
        let stored = store_fetched(store, &path, None).await.map_err(failed)?;
        fetched.insert(Artifact::CaptionFile(index), stored);
    }
    for (index, url) in (0..).zip(&plan.images) {
        let (path, _) = fetch(url, folder, &format!("image-{index}")).await?;
        let stored = store_fetched(store, &path, Some(extension(url))).await.map_err(failed)?;
        fetched.insert(Artifact::Image(index), stored);
    }
    check_that_all_is_there(&plan.tasks.iter().flat_map(|task| task.reads.clone()).collect(), &fetched)?;
    let subject = urls.first().map_or("", String::as_str);
    assignments(&plan.tasks, &fetched, (subject, &capabilities.version)).map_err(failed)
}

fn check_that_all_is_there(
    reads: &BTreeSet<Artifact>,
    fetched: &BTreeMap<Artifact, FetchedArtifact>,
) -> anyhow::Result<()> {
    let is_known =
        |artifact: &&Artifact| matches!(artifact, Artifact::Made(_)) || fetched.contains_key(artifact);
    match reads.iter().find(|artifact| !is_known(artifact)) {
        None => Ok(()),
        Some(artifact) => Err(wrong(&format!("{artifact:?} was not fetched"), "report this as a bug")),
    }
}

/// Returns the extension of an image's URL, which alone says what it is.
fn extension(url: &str) -> String {
    let known =
        ["bmp", "tga"].into_iter().find(|known| url.to_ascii_lowercase().ends_with(&format!(".{known}")));
    known.unwrap_or("png").to_owned()
}

async fn fetch(url: &str, folder: &Path, name: &str) -> anyhow::Result<(PathBuf, ObjectMeta)> {
    let path = folder.join(name);
    let url: ObjectUrl = url.parse()?;
    let object = RemoteS3::new(RemoteOptions::default()).fetch(&url, &path).await?;
    Ok((path, object))
}

/// Where tasks find the inputs of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// Where the job found them.
    Sources,
    /// In the artifact store.
    Artifacts,
}

/// Ignores what a task reports while it runs.
struct Nobody;

impl TaskSink for Nobody {
    fn begins(&self, task: &TaskId, _renditions: &[u32]) {
        tracing::debug!(%task, "an encode begins");
    }

    fn delivered(&self, task: &TaskId, frames: u64) {
        tracing::debug!(%task, frames_done = frames, "a task has delivered frames");
    }

    fn lost(&self, cpu_ms: u64) {
        tracing::debug!(cpu_ms, "processor time was used for nothing");
    }
}

/// Does one task in `folder`, which must be empty.
async fn done(
    store: &dyn ArtifactStore,
    whole: Option<&WholeSources>,
    assignment: &Assignment,
    folder: &Path,
) -> anyhow::Result<abanico_tasks::TaskOutcome> {
    let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty {
        return Err(wrong(&format!("`{}` is no empty folder", folder.display()), "make a new one"));
    }
    let Toolbox { tools, sandboxing, .. } = toolbox(SandboxMode::default())?;
    let machine = Machine {
        ffmpeg_version: capabilities(&tools).await?.version,
        tools,
        sandboxing,
        cores: cores(),
        results: None,
    };
    let mut signals = Signals::listen()?;
    let cancel = CancellationToken::new();
    let objects = RemoteS3::new(RemoteOptions::default());
    let site = Site {
        store,
        sources: SourceReader { store: &objects, whole },
        machine: Arc::new(machine),
        capacity: Arc::new(WholeMachine),
        folder,
        sink: Arc::new(Nobody),
        cancel: cancel.clone(),
    };
    let mut work = std::pin::pin!(site.perform(assignment));
    tokio::select! {
        outcome = &mut work => outcome.map_err(failed),
        ending = signals.first() => {
            cancel.cancel();
            // The task kills its child processes before it ends.
            let _ = work.await;
            Err(ending.error("the task was not done"))
        }
    }
}
