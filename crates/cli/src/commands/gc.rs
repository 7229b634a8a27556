//! `abanico gc`: says what takes room in a data folder, and frees what nobody needs if asked.
//!
//! It asks the server that has the data folder open, or else opens the folder itself. It never removes an object, or
//! anything of a job that has not ended.

mod leftovers;

use std::path::Path;
use std::process::ExitCode;

use abanico_engine::{EngineStorage, free_stopped};
use abanico_s3::{ErrorKind, LocalS3, Options};
use abanico_server::{Freed, RoomUse, free_objects, room_uses};
use anyhow::Context;
use serde_json::{Value, json};

use crate::arguments::Gc;
use crate::config::Config;
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;
use crate::running_server::RunningServer;

/// What the command found and did.
struct Report {
    room: Vec<RoomUse>,
    freed: Option<Freed>,
}

/// Runs the command.
pub async fn run(arguments: Gc) -> anyhow::Result<ExitCode> {
    let data = &arguments.data;
    if !data.join("s3").is_dir() {
        let message = format!("`{}` is not a data folder of abanico", data.display());
        let hint = "give the data folder of `abanico serve` with --data";
        return Err(Hinted::new(WRONG_USAGE, message, hint).into());
    }
    let config = Config::load(arguments.config.as_deref())?;
    let options = Options {
        // Opening the folder empties the quarantine of what is older.
        quarantine_days: if arguments.free { config.quarantine_days } else { u32::MAX },
        upload_days: config.retention.upload_days,
        ..Options::default()
    };
    let (folder, free) = (data.join("s3"), arguments.free);
    let opened = tokio::task::spawn_blocking(move || LocalS3::open(&folder, options)).await?;
    let mut report = match opened {
        Ok(s3) => of_stopped(&s3, &config, data, free).await?,
        Err(error) if error.kind() == ErrorKind::InUse => of_running(&RunningServer::of(data)?, free).await?,
        Err(error) => return Err(anyhow::Error::new(error).context("the data folder cannot be opened")),
    };
    let mut kept_files = Vec::new();
    for place in &arguments.outputs {
        let found = leftovers::of(place)
            .with_context(|| format!("cannot look at the folder of outputs `{}`", place.display()))?;
        if arguments.free {
            found.free()?;
        }
        let found = if arguments.free { leftovers::of(place)? } else { found };
        report.room.push(found.row(place));
        kept_files.extend(found.kept);
    }
    print(&report, &arguments, data)?;
    for file in kept_files {
        output::note(format!(
            "`{}` is what a killed `abanico transcode` was replacing: look at it, then rename or delete it",
            file.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_stopped(s3: &LocalS3, config: &Config, data: &Path, free: bool) -> anyhow::Result<Report> {
    let engine = data.join("engine");
    let kept = engine.join("results");
    if !engine.join("jobs.sqlite").exists() {
        let objects = s3.storage_use_with(config.quarantine_days).await?;
        let room = room_uses(Some(&objects), &EngineStorage::default(), false);
        return Ok(Report { room, freed: None });
    }
    let mut freed = None;
    if free {
        let uploads = free_objects(s3).await?;
        let (engine, kept, retention) = (engine.clone(), kept.clone(), config.retention.of_engine());
        let expired = tokio::task::spawn_blocking(move || free_stopped(&engine, &kept, retention)).await??;
        freed = Some(Freed {
            jobs: expired.jobs,
            events: expired.events,
            uploads,
            kept_encode_bytes: expired.encode_bytes,
        });
    }
    let objects = s3.storage_use_with(config.quarantine_days).await?;
    let engine = tokio::task::spawn_blocking(move || EngineStorage::of(&engine, &kept)).await??;
    Ok(Report { room: room_uses(Some(&objects), &engine, false), freed })
}

async fn of_running(server: &RunningServer, free: bool) -> anyhow::Result<Report> {
    let mut answer = match free {
        true => server.post("/_abanico/storage/free").await?,
        false => server.get("/_abanico/storage").await?,
    };
    let mut part = |name: &str| answer.get_mut(name).map(Value::take).unwrap_or_default();
    let (room, freed) = (part("room"), part("freed"));
    let strange = "the server's answer is not what it should be: is it of another version?";
    let room = serde_json::from_value(room).context(strange)?;
    let freed = if free { Some(serde_json::from_value(freed).context(strange)?) } else { None };
    Ok(Report { room, freed })
}

fn print(report: &Report, arguments: &Gc, data: &Path) -> anyhow::Result<()> {
    let stats = nix::sys::statvfs::statvfs(data)?;
    let size = stats.fragment_size();
    let (free_bytes, all_bytes) = (stats.blocks_available() * size, stats.blocks() * size);
    if arguments.json {
        return output::json(&json!({
            "room": report.room,
            "freed": report.freed,
            "disk": {"freeBytes": free_bytes, "bytes": all_bytes},
        }));
    }
    let rows: Vec<Vec<String>> = report
        .room
        .iter()
        .map(|row| {
            let size = |bytes: u64| if bytes == 0 { String::new() } else { output::bytes(bytes) };
            vec![row.what.clone(), row.count.to_string(), size(row.bytes), size(row.freeable_bytes)]
        })
        .collect();
    output::table(&["what", "count", "size", "can be freed"], &rows).iter().for_each(output::line);
    output::line(format!(
        "\n{} of {} on this disk are free",
        output::bytes(free_bytes),
        output::bytes(all_bytes)
    ));
    match report.freed {
        Some(Freed { jobs, events, uploads, kept_encode_bytes }) => output::note(format!(
            "freed: {jobs} finished jobs, {events} events, {uploads} incomplete uploads, {} of kept encodes",
            output::bytes(kept_encode_bytes)
        )),
        None => output::note("nothing was changed; run it again with --free to free what can be freed"),
    }
    Ok(())
}
