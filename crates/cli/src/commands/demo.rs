//! `abanico demo`: in a video or nothing, out the whole way once: serve, upload, transcode, a table of what was made.
//! Never a trace left, unless `--data` says where; never an AWS account.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use abanico_engine::{Engine, JobId, JobRecord, ListFilter, Stage};
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};
use anyhow::Context;

use super::local::toolbox;
use super::serve::{Running, start};
use crate::arguments::Demo;
use crate::config::Config;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::progress::{Show, follow};

/// How long the upload's event may take to become a job.
const TRIGGER_LIMIT: Duration = Duration::from_secs(30);

/// Shows the whole way.
pub async fn run(arguments: Demo) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new().prefix("abanico-demo-").tempdir()?;
    let data = arguments.data.clone().unwrap_or_else(|| temporary.path().join("data"));
    let video = match arguments.video {
        Some(video) if video.is_file() => video,
        Some(video) => {
            let message = format!("cannot find `{}`", video.display());
            return Err(
                Hinted::new(WRONG_USAGE, message, "give a video file, or none to have a clip made").into()
            );
        }
        None => made_clip(temporary.path()).await?,
    };
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), data, ..Config::default() };
    let running = start(&config).await?;
    let shown = tokio::select! {
        shown = show(&running, &video) => shown,
        _ = tokio::signal::ctrl_c() => Err(Hinted::new(crate::failure::INTERRUPTED, "interrupted", "nothing was left behind").into()),
    };
    running.stop(Duration::ZERO).await;
    shown?;
    if let Some(folder) = &arguments.data {
        output::note(format!("data and outputs are kept in `{}`", folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Uploads, follows the job, prints its outputs.
async fn show(running: &Running, video: &Path) -> anyhow::Result<()> {
    let url = format!("http://{}", running.address);
    output::note(format!("serving S3, trigger and MediaConvert on {url}"));
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
        return Err(Hinted::new(
            WORK_FAILED,
            format!("the job failed with {code}: {why}"),
            "try another video",
        )
        .into());
    }
    record.messages().for_each(|message| output::note(format!("note: {message}")));
    for line in table(&remote, &record).await? {
        output::line(line);
    }
    Ok(())
}

/// The job that the upload's event makes.
async fn triggered_job(engine: &Engine) -> anyhow::Result<JobId> {
    let mut changes = engine.changes();
    let wait = async {
        loop {
            if let Some(record) =
                engine.list(ListFilter { newest_first: true, ..ListFilter::default() }, 1).await?.pop()
            {
                return Ok::<_, anyhow::Error>(record.id);
            }
            changes.changed().await?;
        }
    };
    tokio::time::timeout(TRIGGER_LIMIT, wait)
        .await
        .map_err(|_| Hinted::new(WORK_FAILED, "the upload did not become a job", "the log above says why"))?
}

/// Sizes come from the S3 API: what is listed can really be fetched there.
async fn table(remote: &RemoteS3, record: &JobRecord) -> anyhow::Result<Vec<String>> {
    let took_ms = record.times.finished_ms.zip(record.times.started_ms).map_or(0, |(end, start)| end - start);
    let mut rows = Vec::new();
    for made in &record.outputs {
        let planned = record.plan.as_ref().and_then(|plan| plan.outputs.get(made.output as usize));
        let codecs = planned.map_or(String::new(), |planned| {
            let video = planned.facts.video.iter().map(|video| video.codec.as_str());
            let sounds = planned.facts.audio.iter().map(|audio| audio.codec.as_str());
            video.chain(sounds).collect::<Vec<_>>().join(" + ")
        });
        let stored = remote.stat(&made.url.parse()?).await?;
        rows.push(vec![
            made.url.clone(),
            codecs,
            format!("{}x{}", made.width, made.height),
            format!("{} kb/s", made.video_bit_rate_bps / 1000),
            format!("{}.{:03} s", made.duration_ms / 1000, made.duration_ms % 1000),
            output::bytes(stored.size_bytes),
            format!("{}.{} s", took_ms / 1000, took_ms % 1000 / 100),
        ]);
    }
    Ok(output::table(&["output", "codecs", "size", "bit rate", "duration", "bytes", "job took"], &rows))
}

/// A clip of ten seconds whose picture moves everywhere and whose sound changes.
async fn made_clip(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("demo clip.mp4");
    // Computed small and enlarged: the zoom into the fractal moves everywhere, and making it takes a second or two.
    let picture = "mandelbrot=size=640x360:rate=30:end_scale=0.02:end_pts=300,scale=1920:1080,format=yuv420p";
    let sound = "aevalsrc='0.3*sin(2*PI*(220+110*floor(t))*t)|0.3*sin(2*PI*(330+110*floor(t))*t)':s=48000";
    let made = tokio::process::Command::new(toolbox(false)?.tools.ffmpeg())
        .args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            picture,
            "-f",
            "lavfi",
            "-i",
            sound,
        ])
        .args([
            "-t",
            "10",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-crf",
            "20",
            "-c:a",
            "aac",
            "-shortest",
        ])
        .arg(&path)
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start ffmpeg to make a clip")?;
    if made.status.success() {
        Ok(path)
    } else {
        let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        Err(Hinted::new(WORK_FAILED, format!("no clip could be made: {why}"), "give a video of your own")
            .into())
    }
}
