//! `abanico worker`: tests this machine, says what it can do, and does tasks of a fleet until it is told to stop.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abanico_ffmpeg::capabilities;
use abanico_fleet::{Worker, WorkerOptions};
use abanico_store::{ObjectUrl, RemoteOptions, RemoteS3};
use abanico_tasks::Machine;
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{connecting, not_connected};
use crate::arguments::fleet;
use crate::commands::local::{Toolbox, cores, toolbox};
use crate::failure::{Hinted, MISSING_HERE, WRONG_USAGE};
use crate::output;
use crate::signals::Signals;

/// Encoders whose presence is told.
const ENCODERS: [&str; 5] = ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "aac"];

/// Runs the command.
pub async fn run(arguments: fleet::Worker) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let place = Place::parse(&arguments.artifacts)?;
    let Toolbox { tools, sandboxing, weaknesses } = toolbox(arguments.sandbox)?;
    for weakness in weaknesses {
        tracing::warn!("{weakness}");
    }
    let able = capabilities(&tools).await?;
    let known: Vec<&str> = ENCODERS.into_iter().filter(|name| able.has_encoder(name)).collect();
    let processors = arguments.cores.map_or_else(cores, u32::from);
    let slots = arguments.slots.map_or(processors as usize, usize::from);
    let folder = match arguments.folder.clone() {
        Some(folder) => {
            let made = std::fs::create_dir_all(&folder);
            made.with_context(|| format!("cannot create `{}`", folder.display()))?;
            folder
        }
        None => own_folder(std::env::temp_dir().join("abanico-worker"))?,
    };
    let machine =
        Machine { ffmpeg_version: able.version.clone(), tools, sandboxing, cores: processors, results: None };
    let options = WorkerOptions {
        connecting: connecting(&arguments.reach)?,
        queue_prefix: arguments.reach.queue_prefix.clone(),
        name: arguments.name.clone().unwrap_or_else(own_name),
        store: Arc::new(RemoteS3::new(place.options)),
        artifacts: place.folder,
        machine: Arc::new(machine),
        slots,
        grace: Duration::from_secs(arguments.grace_seconds),
        folder: folder.canonicalize()?,
    };
    let name = options.name.clone();
    let stop = CancellationToken::new();
    let worker = Worker::new(options, &stop).await.map_err(|error| not_connected(&error))?;
    output::note(format!("{name}: {slots} tasks at once on {processors} processors"));
    output::note(format!("ffmpeg {} with {}", able.version, known.join(", ")));
    match worker.fault().await {
        None => output::note("the test of this machine passed"),
        Some(fault) => {
            let hint = "mend that, then start the worker again";
            return Err(Hinted::new(MISSING_HERE, fault, hint).into());
        }
    }
    if arguments.check {
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{name} takes tasks from {}", worker.queue()));
    let mut run = std::pin::pin!(worker.run(&stop));
    tokio::select! {
        () = &mut run => return Ok(ExitCode::SUCCESS),
        _ = signals.first() => {}
    }
    output::note(format!(
        "stopping: running tasks have {} s to end, then other workers get them; once more ends them at once",
        arguments.grace_seconds
    ));
    stop.cancel();
    tokio::select! {
        () = &mut run => Ok(ExitCode::SUCCESS),
        ending = signals.first() => Err(ending.error("running tasks were ended; other workers get them")),
    }
}

/// Creates a folder that only this user can enter, and returns it. The system's folder for temporary files is everybody's,
/// so somebody else may have made one with this name.
fn own_folder(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("cannot create `{}`", folder.display()))?;
    let found = folder.symlink_metadata()?;
    if found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() {
        return Ok(folder);
    }
    let message = format!("`{}` is not this user's own folder", folder.display());
    Err(Hinted::new(WRONG_USAGE, message, "choose another one with --folder").into())
}

/// Where the artifacts are.
struct Place {
    options: RemoteOptions,
    folder: ObjectUrl,
}

impl Place {
    /// Reads `http://host:port/bucket/prefix/` or `s3://bucket/prefix/`. Without a prefix, it is `jobs/`.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || {
            let hint = "write it like http://HOST:4566/abanico-artifacts/jobs/ or s3://BUCKET/jobs/";
            Hinted::new(WRONG_USAGE, format!("`{text}` is no folder of artifacts"), hint)
        };
        let (options, rest) = match text.split_once("://") {
            Some(("s3", rest)) => (RemoteOptions::default(), rest),
            Some((scheme @ ("http" | "https"), rest)) => {
                let (host, rest) = rest.split_once('/').ok_or_else(wrong)?;
                let endpoint = Some(format!("{scheme}://{host}"));
                (RemoteOptions { endpoint, allow_http: scheme == "http", ..RemoteOptions::default() }, rest)
            }
            _ => return Err(wrong().into()),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { "jobs" } else { prefix };
        if bucket.is_empty() {
            return Err(wrong().into());
        }
        Ok(Self { options, folder: ObjectUrl::s3(bucket, format!("{prefix}/")) })
    }
}

/// Returns a name that tells where the worker is.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("worker");
    format!("{host}/{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_this_users_own() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("deep/work");
        own_folder(own.clone()).unwrap();
        own_folder(own.clone()).unwrap();
        assert_eq!(own.metadata().unwrap().mode() & 0o777, 0o700);
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let error = own_folder(link).unwrap_err().to_string();
        assert!(error.contains("not this user's own folder"), "{error}");
    }

    #[test]
    fn artifacts_are_at_an_endpoint_or_at_amazon() {
        let own = Place::parse("http://127.0.0.1:4566/abanico-artifacts").unwrap();
        assert_eq!(own.folder.to_string(), "s3://abanico-artifacts/jobs/");
        assert_eq!(own.options.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        assert!(own.options.allow_http);
        let tls = Place::parse("https://s3.example/b/some/where/").unwrap();
        assert_eq!((tls.folder.to_string().as_str(), tls.options.allow_http), ("s3://b/some/where/", false));
        let amazon = Place::parse("s3://b/x").unwrap();
        assert_eq!((amazon.folder.to_string().as_str(), amazon.options.endpoint), ("s3://b/x/", None));
        for wrong in ["", "b/x", "http://host", "s3:///x", "ftp://h/b"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
