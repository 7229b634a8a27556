//! `abanico demo`: shows the whole pipeline once, from an upload to playable renditions in a folder.
//!
//! It serves S3, the trigger and the API on loopback, uploads a video through the S3 API, follows the job that the
//! upload starts, and downloads what the job made. Finished encodes are kept in the folder, so that a second run with
//! the same video takes seconds. It never needs an AWS account, and leaves no server and no upload behind.

mod clip;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use abanico_engine::{Engine, JobId, JobRecord, ListFilter, Stage};
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};
use anyhow::Context;

use super::local::{cores, interrupted};
use super::plan::planned;
use super::serve::{Running, start};
use crate::arguments::{Chunks, Demo, JobChoice};
use crate::config::Config;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::progress::{Show, follow};

/// How long the upload's event may take to start a job.
const TRIGGER_LIMIT: Duration = Duration::from_secs(30);
/// Folder of finished encodes in the demo's folder.
const KEPT_ENCODES: &str = ".kept-encodes";

/// Runs the demo.
pub async fn run(arguments: Demo) -> anyhow::Result<ExitCode> {
    let video = arguments.video.as_deref().map(existing).transpose()?;
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the folder `{}`", out.display()))?;
    let demo = async {
        let video = match video {
            Some(video) => video,
            None => clip::made(out).await?,
        };
        check(&video).await?;
        pipeline(&arguments, &video).await
    };
    tokio::select! {
        done = demo => done,
        error = interrupted() => Err(error),
    }
}

fn existing(video: &Path) -> anyhow::Result<PathBuf> {
    if video.is_file() {
        return Ok(video.to_owned());
    }
    let message = format!("cannot find the video `{}`", video.display());
    Err(Hinted::new(WRONG_USAGE, message, "check the path, or leave it out to use a generated clip").into())
}

/// Plans the job before anything is served, so that a file that cannot be transcoded is refused at once.
async fn check(video: &Path) -> anyhow::Result<()> {
    let choice = JobChoice { preset: Vec::new(), job: None, chunks: Chunks::Auto };
    let Err(error) = planned(video, &choice, cores()).await else { return Ok(()) };
    let message = format!("`{}` cannot be transcoded", video.display());
    Err(error.context(Hinted::new(
        WORK_FAILED,
        message,
        "try another video; `abanico probe FILE` shows what is in one",
    )))
}

/// Serves, uploads, follows the job, downloads its outputs and stops serving.
async fn pipeline(arguments: &Demo, video: &Path) -> anyhow::Result<ExitCode> {
    let out = &arguments.out;
    // On the same file system as the kept encodes, so that encodes can be moved there without a copy.
    let temporary = tempfile::Builder::new().prefix(".work-").tempdir_in(out);
    let temporary = temporary.with_context(|| format!("cannot write into the folder `{}`", out.display()))?;
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned()),
        kept_encodes: Some(out.join(KEPT_ENCODES)),
        ..Config::default()
    };
    let running = start(&config).await?;
    let shown = show(&running, video, out).await;
    running.stop(Duration::ZERO).await;
    report::print(&shown?, out);
    if let Some(folder) = &arguments.data {
        output::note(format!("the server's data is kept in `{}`", folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads the video, follows its job and downloads the outputs.
async fn show(running: &Running, video: &Path, out: &Path) -> anyhow::Result<report::Report> {
    let url = format!("http://{}", running.address);
    output::note(format!("serving S3, the upload trigger and the MediaConvert API on {url}"));
    let name = video.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = ObjectUrl::s3("uploads", name.clone());
    let remote = RemoteS3::new(RemoteOptions {
        endpoint: Some(url),
        region: Some("us-east-1".to_owned()),
        allow_http: true,
        keys: Some((running.keys.access_key_id.clone(), running.keys.secret_access_key.clone())),
        session_token: None,
    });
    let uploaded =
        remote.publish(video, &target, &ObjectAttributes::default()).await.context("the upload failed")?;
    output::note(format!("uploaded {} to {target} through the S3 API", output::bytes(uploaded.size_bytes)));
    let id = triggered_job(&running.engine).await?;
    output::note(format!("the upload's event started job {id}"));
    let record = follow(&running.engine, &id, &name, Show::People).await?;
    if record.stage() != Stage::Complete {
        let failure = record.machine.failure();
        let (code, why) = failure.map_or((0, ""), |failure| (failure.code, failure.message.as_str()));
        let message = format!("the job failed with {code}: {why}");
        return Err(Hinted::new(WORK_FAILED, message, "try another video").into());
    }
    record.messages().for_each(|message| output::note(format!("note: {message}")));
    download(&remote, &record, out).await
}

/// Waits for the job that the upload's event starts.
async fn triggered_job(engine: &Engine) -> anyhow::Result<JobId> {
    let mut changes = engine.changes();
    let wait = async {
        loop {
            let newest = ListFilter { newest_first: true, ..ListFilter::default() };
            if let Some(record) = engine.list(newest, 1).await?.pop() {
                return Ok::<_, anyhow::Error>(record.id);
            }
            changes.changed().await?;
        }
    };
    let error = || Hinted::new(WORK_FAILED, "the upload did not start a job", "the log above says why");
    tokio::time::timeout(TRIGGER_LIMIT, wait).await.map_err(|_| error())?
}

/// Fetches every output through the S3 API; a file appears in the folder only once it is whole.
async fn download(remote: &RemoteS3, record: &JobRecord, out: &Path) -> anyhow::Result<report::Report> {
    let mut files = Vec::new();
    // `fetch` creates its file, and refuses one that exists.
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(out)?;
    for made in &record.outputs {
        let url: ObjectUrl = made.url.parse()?;
        let name = made.url.rsplit('/').next().unwrap_or(&made.url).to_owned();
        let file = partial.path().join(&name);
        remote.fetch(&url, &file).await.with_context(|| format!("cannot download {url}"))?;
        std::fs::rename(&file, out.join(&name)).with_context(|| format!("cannot write `{name}`"))?;
        files.push(report::File::of(name, made, record)?);
    }
    let times = record.times;
    let took_ms = times.finished_ms.zip(times.started_ms).map_or(0, |(end, start)| end - start);
    Ok(report::Report { files, took_ms })
}
