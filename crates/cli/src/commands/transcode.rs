//! `abanico transcode`: transcodes files into a folder or bucket with the same engine that the server uses.
//!
//! It never leaves a partial output or an ffmpeg process behind. If it is killed, the next run in the same place removes
//! its work folder.

mod names;
mod places;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abanico_engine::{Engine, EngineOptions, JobId, JobRecord, Stage};
use abanico_process::WorkFolder;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::json;

use super::local::{Toolbox, cores, interrupted, results, toolbox};
use crate::arguments::{Chunks, Transcode};
use crate::config::SandboxMode;
use crate::failure::{Hinted, WORK_FAILED};
use crate::progress::{Show, follow};
use crate::signals::Signals;
use crate::{job_request, output};

pub(crate) use self::places::WORK_PREFIX;
use self::places::{Places, trimmed};

/// How long a job may take to end once it is cancelled.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// Transcodes the inputs one after the other. If one fails, the others are still transcoded.
pub async fn run(arguments: Transcode) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let toolbox = toolbox(SandboxMode::default())?;
    let places = Places::new(&arguments)?;
    places.names.show();
    let mut followed = Followed::default();
    let engine = tokio::select! {
        engine = opened(&arguments, &places, &toolbox) => engine?,
        ending = signals.first() => return Err(interrupted(ending, None, followed.kept(&places))),
    };
    let (engine, work) = engine;
    let done = tokio::select! {
        done = transcode_all(&arguments, &places, &engine, &mut followed) => Ok(done),
        ending = signals.first() => Err(ending),
    };
    if let (Err(_), Some(job)) = (&done, &followed.job) {
        followed.is_cut_off = !called_off(&engine, job).await;
    }
    // Only a storage service that does not answer takes longer: ffmpeg is killed long before.
    followed.is_cut_off |= tokio::time::timeout(CANCEL_LIMIT, engine.shutdown(Duration::ZERO)).await.is_err();
    done.unwrap_or_else(|ending| Err(interrupted(ending, Some(work), followed.kept(&places))))
}

/// Opens an engine that works in a folder of its own, unless an output has a name that it must not have.
async fn opened(
    arguments: &Transcode,
    places: &Places,
    toolbox: &Toolbox,
) -> anyhow::Result<(Engine, WorkFolder)> {
    names::check(places, arguments, toolbox).await?;
    let work = places.work_folder()?;
    let options = EngineOptions {
        folder: work.path().to_owned(),
        cores: cores(),
        chunks: arguments.choice.chunks == Chunks::Auto,
        results: arguments.results.clone().map(|folder| results(folder, arguments.results_gib)),
        max_active_jobs: 1,
        sandboxing: toolbox.sandboxing.clone(),
        web: abanico_store::WebInputs::default(),
        room_patience: Duration::ZERO,
        retention: abanico_engine::Retention::default(),
    };
    let store = Arc::new(places.router(&work)?);
    Ok((Engine::open(options, store, toolbox.tools.clone()).await?, work))
}

/// What has become of the inputs so far.
#[derive(Default)]
struct Followed {
    /// The job that runs.
    job: Option<JobId>,
    /// How many outputs were finished.
    outputs: usize,
    /// Whether a job was still publishing when the program had to end.
    is_cut_off: bool,
}

impl Followed {
    /// Says what an interrupted command leaves.
    fn kept(&self, places: &Places) -> String {
        let place = match &places.out {
            Some(out) => format!("{}/", trimmed(out)),
            None => places.destination.clone(),
        };
        let outputs = match self.outputs {
            0 => "no output was finished".to_owned(),
            1 => format!("kept 1 finished output in {place}"),
            outputs => format!("kept {outputs} finished outputs in {place}"),
        };
        let others = if self.is_cut_off { format!("; others may be left in {place}") } else { String::new() };
        outputs + &others
    }
}

/// Cancels a job, which takes back what it has published so far, and waits for its end. Returns whether it ended in
/// time.
async fn called_off(engine: &Engine, job: &JobId) -> bool {
    let ended = async {
        let mut changes = engine.changes();
        // Fails if the job has just ended by itself.
        let _ = engine.cancel(job).await;
        while engine.get(job).await.is_ok_and(|record| !record.stage().is_final()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(CANCEL_LIMIT, ended).await.is_ok()
}

async fn transcode_all(
    arguments: &Transcode,
    places: &Places,
    engine: &Engine,
    followed: &mut Followed,
) -> anyhow::Result<ExitCode> {
    let show = if arguments.json { Show::Json } else { Show::People };
    let mut failed = 0_usize;
    for (index, name) in arguments.inputs.iter().enumerate() {
        let submission =
            job_request::submission(&arguments.choice, &places.inputs[index].url, &places.destination)?;
        let job = engine.create_job(submission).await?;
        followed.job = Some(job.id.clone());
        let record = follow(engine, &job.id, name, show).await?;
        followed.job = None;
        let is_complete = record.stage() == Stage::Complete;
        failed += usize::from(!is_complete);
        followed.outputs += if is_complete { record.outputs.len() } else { 0 };
        if arguments.json { print_json(places, name, &record)? } else { print_people(places, name, &record) }
    }
    if failed > 0 {
        let message = format!("{failed} of {} inputs could not be transcoded", arguments.inputs.len());
        return Err(
            Hinted::new(WORK_FAILED, message, "the messages above give the reason for each input").into()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_people(places: &Places, name: &str, record: &JobRecord) {
    for message in record.messages() {
        output::note(format!("{name}: {}", places.readable(message)));
    }
    if let Some(failure) = record.machine.failure() {
        output::note(format!("{name}: error {}: {}", failure.code, places.readable(&failure.message)));
        return;
    }
    for made in &record.outputs {
        let (place, size) = (places.readable(&made.url), output::bytes(made.size_bytes));
        // Audio outputs have no size or video bit rate.
        let picture = if made.width > 0 {
            format!("{}x{}  {size}  {} kb/s", made.width, made.height, made.video_bit_rate_bps / 1000)
        } else {
            format!("audio  {size}")
        };
        output::line(format!("{place}  {picture}"));
    }
}

fn print_json(places: &Places, name: &str, record: &JobRecord) -> anyhow::Result<()> {
    let messages: Vec<String> = record.messages().map(|message| places.readable(message)).collect();
    if let Some(failure) = record.machine.failure() {
        let message = places.readable(&failure.message);
        return output::json_line(
            &json!({"type": "failure", "input": name, "code": failure.code, "message": message}),
        );
    }
    for made in &record.outputs {
        output::json_line(&json!({
            "type": "output",
            "input": name,
            "path": places.readable(&made.url),
            "width": made.width,
            "height": made.height,
            "size_bytes": made.size_bytes,
            "duration_ms": made.duration_ms,
            "video_bit_rate_bps": made.video_bit_rate_bps,
        }))?;
    }
    let (started, finished) = (record.times.started_ms, record.times.finished_ms);
    let took_ms = finished.zip(started).map(|(finished, started)| finished - started);
    output::json_line(&json!({
        "type": "done", "input": name, "took_ms": took_ms, "ffmpeg_cpu_ms": record.child_cpu_ms, "own_cpu_ms": own_cpu_ms(),
        "messages": messages,
    }))
}

/// Returns the processor time that this process has used since it started, in milliseconds, without that of its child
/// processes. `None` if the system does not report it.
fn own_cpu_ms() -> Option<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some((usage.user_time() + usage.system_time()).num_milliseconds())
}
