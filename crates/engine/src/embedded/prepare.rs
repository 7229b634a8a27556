//! The prepare step: fetches and probes a job's inputs, makes the plan, and fetches the caption files and images that
//! the plan needs. It says where each input is, for those who read it there. It fails on an input from a place that no back end serves.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abanico_media::MediaInfo;
use abanico_model::generated::JobSettings;
use abanico_plan::{Chunking, Plan, PlanRequest, plan};
use abanico_store::{FetchedFile, ObjectMeta, without_secrets};
use abanico_tasks::sums::hash_of;
use abanico_tasks::{SourceFile, Workbench, read_captions, unbroken};

use super::sink::JobSink;
use crate::executor::Prepared;
use crate::failure::{self, codes};
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Failure;
use crate::requests::destinations;
use crate::site::context::JobContext;
use crate::site::fetching::check_policy;

/// A prepared job.
pub(crate) struct Ready {
    /// What the driver stores of it.
    pub prepared: Prepared,
    /// For each input in the job's order, the object that its file is a copy of; `None` if there is none, or if the
    /// file was changed.
    pub sources: Vec<Option<SourceFile>>,
}

/// A fetched input.
struct Looked {
    file: PathBuf,
    info: MediaInfo,
    source: Option<SourceFile>,
}

/// Fetches, probes and plans.
pub(crate) async fn prepare(
    context: &JobContext,
    settings: &JobSettings,
    record: &JobRecord,
) -> Result<Ready, Failure> {
    for url in &context.input_urls {
        check_policy(&context.policy, url)?;
    }
    let files = context.input_files();
    let mut looked_at: Vec<Looked> = Vec::new();
    let (mut inputs, mut sources) = (Vec::with_capacity(files.len()), Vec::with_capacity(files.len()));
    for (url, file) in context.input_urls.iter().zip(&files) {
        if !looked_at.iter().any(|other| other.file == *file) {
            looked_at.push(looked(context, url, file).await?);
        }
        let Some(known) = looked_at.iter().find(|other| other.file == *file) else { continue };
        inputs.push(known.info.clone());
        sources.push(known.source.clone());
        let part = inputs.len() * 99 / files.len().max(1);
        context.update(|progress| progress.probing_percent = u8::try_from(part).unwrap_or(99));
    }
    let (inputs, plan) = planned(context, settings, record, inputs).await?;
    destinations::check_plan(&plan, &context.input_urls)?;
    for place in destinations::places(&plan) {
        context.workshop.store.check(&place).await.map_err(|error| failure::from_store(&error))?;
    }
    for (index, file) in plan.caption_files.iter().enumerate() {
        check_policy(&context.policy, &file.url)?;
        let path = context.work.caption_file(index);
        fetch(context, &file.url, &path).await?;
        // Reports an unreadable file before anything is encoded.
        read_captions(&path, file)?;
    }
    for (index, url) in plan.images.iter().enumerate() {
        check_policy(&context.policy, url)?;
        let path = context.work.image(index, url);
        fetch(context, url, &path).await?;
        check_image(&path, url)?;
    }
    note_inputs(context, &files, &plan).await?;
    context.update(|progress| progress.probing_percent = 100);
    Ok(Ready { prepared: Prepared { inputs, plan }, sources })
}

/// Fetches and probes an input.
async fn looked(context: &JobContext, url: &str, file: &Path) -> Result<Looked, Failure> {
    let fetched = fetch(context, url, file).await?;
    let found = probe(context, url, file).await?;
    let info = unbroken(&bench(context), url, file, found.clone()).await?;
    let object = url.parse().ok().filter(|_| info == found);
    let source = object.and_then(|url| {
        let FetchedFile { size_bytes, e_tag } = fetched;
        SourceFile::of(&ObjectMeta { url, size_bytes, e_tag }, info.clock_start)
    });
    Ok(Looked { file: file.to_owned(), info, source })
}

/// Returns what copies of inputs are made with, before there is a plan.
fn bench(context: &JobContext) -> Workbench {
    context.bench(None, Arc::new(JobSink::unmetered(context)))
}

/// Notes the hashes of all fetched files, so that a start after a crash knows whether they are still the same.
async fn note_inputs(context: &JobContext, files: &[PathBuf], plan: &Plan) -> Result<(), Failure> {
    let hashes = bench(context).input_hashes().await?.clone();
    let mut known: BTreeMap<PathBuf, String> = files.iter().cloned().zip(hashes.into_values()).collect();
    let captions = (0..plan.caption_files.len()).map(|index| context.work.caption_file(index));
    let images = plan.images.iter().enumerate().map(|(index, url)| context.work.image(index, url));
    let others: Vec<PathBuf> = captions.chain(images).collect();
    let work = context.work.clone();
    let noted = tokio::task::spawn_blocking(move || {
        for path in others {
            let hash = hash_of(&path)?;
            known.insert(path, hash);
        }
        work.note_inputs(&known)
    });
    let noted = noted.await.map_err(|_| failure::broken("hashing the inputs ended early"))?;
    noted.map_err(|error: std::io::Error| failure::from_disk("note what was fetched", &error))
}

/// Makes the plan on a thread for blocking work: one for many long inputs takes a while. Gives the inputs back.
async fn planned(
    context: &JobContext,
    settings: &JobSettings,
    record: &JobRecord,
    inputs: Vec<MediaInfo>,
) -> Result<(Vec<MediaInfo>, Plan), Failure> {
    let (workshop, settings) = (context.workshop.clone(), settings.clone());
    let user_metadata = record.submission.user_metadata.clone();
    let started_epoch_ms = record.times.started_ms.unwrap_or(record.times.submitted_ms);
    let made = tokio::task::spawn_blocking(move || {
        let request = PlanRequest {
            settings: &settings,
            user_metadata: &user_metadata,
            inputs: &inputs,
            capabilities: &workshop.capabilities,
            started_epoch_ms,
            chunking: if workshop.chunks { Chunking::For(workshop.encoders) } else { Chunking::Off },
        };
        plan(request).map(|plan| (inputs, plan))
    });
    let made = made.await.map_err(|_| failure::broken("planning ended without a plan"))?;
    made.map_err(|error| failure::from_plan(&error))
}

/// Refuses an image that is not what its extension says, before anything is encoded. TGA files have no signature at
/// their start.
fn check_image(path: &Path, url: &str) -> Result<(), Failure> {
    let disk = |error| failure::from_disk("read an image", &error);
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(disk)?;
    Read::take(file, 8).read_to_end(&mut start).map_err(disk)?;
    let wanted: &[u8] = match path.extension().and_then(|extension| extension.to_str()) {
        Some("bmp") => b"BM",
        Some("tga") => b"",
        _ => b"\x89PNG\r\n\x1a\n",
    };
    if start.starts_with(wanted) {
        return Ok(());
    }
    let url = without_secrets(url);
    let message = format!("the image `{url}` is not what its extension says: use a PNG, BMP or TGA file");
    Err(Failure::new(codes::NOT_READABLE, message, false))
}

/// Fetches the file again at every attempt, because an interrupted attempt may have left half a file.
async fn fetch(context: &JobContext, url: &str, destination: &Path) -> Result<FetchedFile, Failure> {
    let disk = |error| failure::from_disk("prepare the work folder", &error);
    if let Some(folder) = destination.parent() {
        std::fs::create_dir_all(folder).map_err(disk)?;
    }
    match std::fs::remove_file(destination) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    let fetched = context.workshop.fetch(url, destination);
    tokio::select! {
        fetched = fetched => fetched,
        () = context.cancel.cancelled() => Err(failure::broken("fetching continued after it was cancelled")),
    }
}

async fn probe(context: &JobContext, url: &str, file: &Path) -> Result<MediaInfo, Failure> {
    let _permit = context.workshop.turns.for_light_work().await?;
    let probed = abanico_ffmpeg::probe(&context.workshop.machine.tools, file, &context.cancel).await;
    probed.map_err(|error| failure::from_probe(url, &file.display().to_string(), &error))
}
