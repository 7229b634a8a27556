//! Runs ffmpeg for a task, in its cage, and accepts what it leaves: plain files of its own within the task's bounds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use abanico_ffmpeg::{Finished, RunErrorKind};
use abanico_plan::TaskId;

use crate::failure::{self, Failure};
use crate::machine::made_files::{self, SetAside};
use crate::machine::sandboxing::Bounds;
use crate::machine::workbench::Workbench;

/// An encode whose frames count towards the job's progress.
#[derive(Clone, Copy)]
pub(crate) struct Metered<'a> {
    /// The task that it is done for.
    pub task: &'a TaskId,
    /// Largest number of frames that an attempt at the task has delivered.
    pub furthest: &'a AtomicU64,
}

/// Where ffmpeg writes, and what it may use up for that.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// The only folder that it may write to.
    pub folder: &'a Path,
    /// What it may use up.
    pub bounds: Bounds,
}

/// Runs ffmpeg. If it is metered, its frames count towards the job's progress. Succeeds only if all it leaves are plain
/// files within the bound; no process is left that could change them later.
pub(crate) async fn ffmpeg(
    bench: &Workbench,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    outputs: Outputs<'_>,
    metered: Option<Metered<'_>>,
) -> Result<Finished, Failure> {
    let aside =
        SetAside::from(outputs.folder).map_err(|error| failure::from_disk("set files aside", &error))?;
    let finished = run_ffmpeg(bench, what, args, inputs, outputs, metered).await;
    let (folder, most_bytes) = (outputs.folder.to_owned(), outputs.bounds.bytes);
    let succeeded = finished.is_ok();
    let accepted = tokio::task::spawn_blocking(move || {
        let fault = if succeeded { made_files::fault(&folder, most_bytes)? } else { None };
        if !succeeded || fault.is_some() {
            made_files::remove_odd(&folder)?;
        }
        let back = aside.put_back();
        // What is in the way of a file is a fault too, and the better explanation.
        if fault.is_some() { Ok(fault) } else { back.map(|()| None) }
    });
    let accepted = accepted.await.map_err(|_| failure::broken("the check of the outputs ended early"))?;
    let finished = finished?;
    match accepted.map_err(|error| failure::from_disk("check the outputs", &error))? {
        None => Ok(finished),
        Some(fault) => {
            bench.sink.lost(finished.cpu_ms());
            tracing::warn!(fault, "{what} left files that are not accepted");
            Err(failure::from_outputs(what, &bench.subject, &fault))
        }
    }
}

async fn run_ffmpeg(
    bench: &Workbench,
    what: &str,
    args: Vec<OsString>,
    inputs: &[PathBuf],
    outputs: Outputs<'_>,
    metered: Option<Metered<'_>>,
) -> Result<Finished, Failure> {
    let Outputs { folder, bounds } = outputs;
    let ffmpeg = bench.machine.tools.ffmpeg();
    let invocation = bench.machine.sandboxing.invocation(ffmpeg, args, inputs, folder, bounds);
    let mut report = |progress: abanico_ffmpeg::Progress| {
        if let Some(Metered { task, furthest }) = metered {
            let before = furthest.fetch_max(progress.frames, Ordering::Relaxed);
            bench.sink.delivered(task, before.max(progress.frames));
        }
    };
    abanico_ffmpeg::run(&invocation, &mut report, &bench.cancel).await.map_err(|error| {
        bench.sink.lost(error.cpu_ms());
        if error.kind() != RunErrorKind::Cancelled {
            tracing::warn!(details = error.details(), "{what} failed");
        }
        failure::from_run(what, &bench.subject, bench.folders.root(), &error)
    })
}
