//! `abanico workers`: lists the workers of a fleet, what each does, and how fast it is.

use std::process::ExitCode;

use abanico_ffmpeg::capabilities;
use abanico_fleet::{Doing, Roster, roster};
use serde_json::json;

use super::{connecting, not_connected};
use crate::arguments::fleet::Workers;
use crate::commands::local::toolbox;
use crate::config::SandboxMode;
use crate::output;

/// Runs the command.
pub async fn run(arguments: Workers) -> anyhow::Result<ExitCode> {
    let version = match arguments.ffmpeg_version {
        Some(version) => version,
        None => capabilities(&toolbox(SandboxMode::default())?.tools).await?.version,
    };
    let found = roster(&connecting(&arguments.reach)?, &arguments.reach.queue_prefix, &version).await;
    let found = found.map_err(|error| not_connected(&error))?;
    match arguments.json {
        true => output::json(&as_json(&found))?,
        false => show(&found),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(roster: &Roster) -> serde_json::Value {
    let task = |doing: &Doing| {
        json!({
            "job": doing.job, "task": doing.task, "frames": doing.frames, "runMs": millis(doing.ran),
            "framesPerSecond": frames_per_second(doing),
        })
    };
    let workers = roster.workers.iter().map(|(name, engaged)| {
        let tasks: Vec<_> = engaged.tasks.iter().map(task).collect();
        json!({"name": name, "lastAskedMs": engaged.asked.map(millis), "tasks": tasks})
    });
    json!({"queue": roster.queue, "backlog": roster.backlog, "workers": workers.collect::<Vec<_>>()})
}

fn show(roster: &Roster) {
    if roster.workers.is_empty() {
        output::note(format!("no worker takes tasks from {}: start one with `abanico worker`", roster.queue));
    }
    for (name, engaged) in &roster.workers {
        let asked = engaged.asked.map_or_else(
            || "has not asked for tasks for some minutes".to_owned(),
            |asked| format!("asked for tasks {} s ago", asked.as_secs()),
        );
        output::line(format!("{name}  {asked}"));
        for doing in &engaged.tasks {
            output::line(format!(
                "    {}  {}  {} frames, {} frames/s, {} s",
                doing.job,
                doing.task,
                doing.frames,
                frames_per_second(doing),
                doing.ran.as_secs()
            ));
        }
    }
    output::note(format!("{} tasks wait for a worker", roster.backlog));
}

fn frames_per_second(doing: &Doing) -> u64 {
    doing.frames * 1000 / millis(doing.ran).max(1)
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
