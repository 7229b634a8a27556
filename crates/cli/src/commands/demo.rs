//! `abanico demo`: shows the whole pipeline once, from an upload to playable renditions in a folder.
//!
//! It serves S3, the trigger and the API on loopback, uploads a video through the S3 API, follows the job that the
//! upload starts, and downloads what the job made. Finished encodes are kept in the folder, so that a second run with
//! the same video takes seconds. It never needs an AWS account, and leaves no server and no upload behind.

mod clip;
mod report;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use abanico_engine::{Engine, JobId, JobRecord, ListFilter, Stage};
use abanico_process::WorkPlace;
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::local::{cores, interrupted, work_folder};
use super::plan::planned;
use super::serve::{Running, start};
use crate::arguments::{Chunks, Demo, JobChoice};
use crate::config::Config;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::progress::{Show, follow};
use crate::signals::{Ending, Signals};

/// How long the upload's event may take to start a job.
const TRIGGER_LIMIT: Duration = Duration::from_secs(30);
/// Folder of finished encodes in the demo's folder.
const KEPT_ENCODES: &str = ".kept-encodes";

/// Runs the demo.
pub async fn run(arguments: Demo) -> anyhow::Result<ExitCode> {
    let video = arguments.video.as_deref().map(existing).transpose()?;
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the folder `{}`", out.display()))?;
    let mut signals = Signals::listen()?;
    // In the folder, so that encodes can be moved to the kept ones, and the clip into place, without a copy.
    let work = work_folder(WorkPlace { folder: out, prefix: ".work-", suffix: "" })?;
    let prepared = prepared(&arguments, video, work.path(), &mut signals).await?;
    let (running, video) = match prepared {
        Ok(prepared) => prepared,
        Err(ending) => return Err(interrupted(ending, Some(work), kept(&arguments))),
    };
    let shown = tokio::select! {
        shown = show(&running, &video, out, work.path()) => Ok(shown),
        ending = signals.first() => Err(ending),
    };
    running.stop(Duration::ZERO).await;
    match shown {
        Ok(report) => report::print(&report?, out),
        Err(ending) => return Err(interrupted(ending, Some(work), kept(&arguments))),
    }
    if let Some(folder) = &arguments.data {
        output::note(format!("the server's data is kept in `{}`", folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the clip if there is no video, checks it, and starts to serve. The inner error is the signal that came first.
async fn prepared(
    arguments: &Demo,
    video: Option<PathBuf>,
    work: &Path,
    signals: &mut Signals,
) -> anyhow::Result<Result<(Running, PathBuf), Ending>> {
    let cancel = CancellationToken::new();
    let preparation = async {
        let video = match video {
            Some(video) => video,
            None => clip::made(&arguments.out, work, &cancel).await?,
        };
        tokio::select! {
            checked = check(&video) => checked?,
            () = cancel.cancelled() => anyhow::bail!("cancelled"),
        }
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: arguments.data.clone().unwrap_or_else(|| work.join("data")),
            kept_encodes: Some(arguments.out.join(KEPT_ENCODES)),
            ..Config::default()
        };
        anyhow::Ok((start(&config).await?, video))
    };
    let mut preparation = pin!(preparation);
    tokio::select! {
        prepared = &mut preparation => prepared.map(Ok),
        ending = signals.first() => {
            // The clip's ffmpeg ends before its folder is removed.
            cancel.cancel();
            if let Ok((running, _)) = preparation.await {
                running.stop(Duration::ZERO).await;
            }
            Ok(Err(ending))
        }
    }
}

/// Says what an interrupted demo leaves in its folder.
fn kept(arguments: &Demo) -> String {
    let out = arguments.out.display();
    let data = arguments.data.iter().map(|data| format!("; the server's data is in `{}`", data.display()));
    let is_left = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let is_empty = || std::fs::read_dir(entry.path()).is_ok_and(|mut encodes| encodes.next().is_none());
        !name.to_string_lossy().starts_with(".work-") && (name != KEPT_ENCODES || !is_empty())
    };
    let has_any =
        std::fs::read_dir(&arguments.out).into_iter().flatten().flatten().any(|entry| is_left(&entry));
    let words =
        if has_any { format!("kept finished ones in {out}/") } else { "none was finished".to_owned() };
    words + &data.collect::<String>()
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

/// Uploads the video, follows its job and downloads the outputs.
async fn show(running: &Running, video: &Path, out: &Path, work: &Path) -> anyhow::Result<report::Report> {
    let url = format!("http://{}", running.address);
    output::note(format!("serving S3, the trigger and the MediaConvert API on {url}"));
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
    download(&remote, &record, out, work).await
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
async fn download(
    remote: &RemoteS3,
    record: &JobRecord,
    out: &Path,
    work: &Path,
) -> anyhow::Result<report::Report> {
    let mut files = Vec::new();
    // `fetch` creates its file, and refuses one that exists.
    let partial = work.join("downloads");
    std::fs::create_dir(&partial).with_context(|| format!("cannot create `{}`", partial.display()))?;
    for made in &record.outputs {
        let url: ObjectUrl = made.url.parse()?;
        let name = made.url.rsplit('/').next().unwrap_or(&made.url).to_owned();
        let file = partial.join(&name);
        remote.fetch(&url, &file).await.with_context(|| format!("cannot download {url}"))?;
        std::fs::rename(&file, out.join(&name)).with_context(|| format!("cannot write `{name}`"))?;
        files.push(report::File::of(name, made, record)?);
    }
    let times = record.times;
    let took_ms = times.finished_ms.zip(times.started_ms).map_or(0, |(end, start)| end - start);
    Ok(report::Report { files, took_ms })
}
