//! Encodes video with ffmpeg: all renditions of an input or a chunk in one process with one decode.

use std::path::{Path, PathBuf};
use std::time::Duration;

use abanico_ffmpeg::{Finished, command};
use abanico_plan::{Joint, Pass, TaskId, VideoEncode};

use super::budgets::with_budgets;
use super::encoding::Encoding;
use super::excerpts::Broken;
use super::starts::{BrokenStart, broken_starts};
use crate::failure::{self, Compared, Failure};
use crate::files::folders::TaskFolders;
use crate::kept::reuse::Keys;
use crate::machine::workbench::Workbench;

/// File in the folder of a chunk that says how it was encoded. Whoever joins the chunks reads it.
const ENCODE_FILE: &str = "encode.json";

/// Resources used by an encode that is taken from an earlier job.
const NOTHING_USED: Finished = Finished { wall: Duration::ZERO, user_cpu_ms: 0, system_cpu_ms: 0 };

/// Encodes all video renditions of an input or a chunk.
pub(crate) async fn encode(
    bench: &Workbench,
    task: &TaskId,
    encode: &VideoEncode,
) -> Result<Finished, Failure> {
    let mut own = with_budgets(bench, encode)?;
    match encode_into(bench, task, task.as_str(), &own).await {
        Err(Unfit::Starts(broken)) if read_farther_back(bench, &mut own, &broken) => {}
        ended => return fit(bench, ended),
    }
    let again = encode_into(bench, task, task.as_str(), &own).await;
    fit(bench, again)
}

/// Changes an encode to read the clips that begin wrong from farther back: decoding may not start where the source says
/// it may. Returns whether that changed anything.
fn read_farther_back(bench: &Workbench, encode: &mut VideoEncode, broken: &[BrokenStart]) -> bool {
    let mut is_changed = false;
    for BrokenStart { clip: number, broken: Broken { rendition, time, fault, .. } } in broken {
        let Some(clip) = encode.clips.get_mut(*number) else { continue };
        let Some(seek) = clip.farther_back() else { continue };
        clip.seek = seek;
        is_changed = true;
        tracing::warn!(
            job.id = %bench.name, number, rendition, time = %time, fault = %fault,
            "a clip does not show what its source shows: encoding again, with the source read from farther back"
        );
    }
    is_changed
}

fn fit(bench: &Workbench, ended: Result<Finished, Unfit>) -> Result<Finished, Failure> {
    ended.map_err(|unfit| match unfit {
        Unfit::Failed(failure) => failure,
        Unfit::Starts(broken) => {
            let worst = broken.iter().find(|start| start.broken.fault.is_certain()).or(broken.first());
            worst.map_or_else(
                || failure::broken("an encode without a fault was not used"),
                |start| {
                    let Broken { time, fault, .. } = start.broken;
                    failure::from_comparison(&bench.subject, Compared::Start, time, &fault.to_string())
                },
            )
        }
    })
}

/// Does an encode for a task, with the files in the folder of this name. Renditions that are kept from earlier encodes are
/// linked into place before it waits for its turn.
async fn encode_into(
    bench: &Workbench,
    task: &TaskId,
    name: &str,
    encode: &VideoEncode,
) -> Result<Finished, Unfit> {
    let keys = Keys::of(bench, encode).await?;
    let folder = bench.begin(name)?;
    let missing = keys.missing(bench, encode, &folder).await?;
    let finished = if missing.is_empty() {
        tracing::info!(%task, "reusing an encode made before with the same input and settings");
        NOTHING_USED
    } else {
        let wanted = encode.threads.unwrap_or(bench.machine.cores).min(bench.machine.cores);
        let turn = bench.capacity.encoders(wanted, encode.chunk.unwrap_or(0));
        let _turn = tokio::select! {
            turn = turn => turn?,
            // Other jobs may use the processors for hours, so a cancellation must end the wait.
            () = bench.cancel.cancelled() => return Err(failure::broken("a cancelled encode continued").into()),
        };
        bench.sink.begins(task, &missing);
        let encoding = Encoding { bench, task, encode, folder: &folder };
        let finished = encoding.run(&missing).await;
        finished.inspect_err(|_| bench.folders.discard_attempt(name, bench.attempt.is_second()))?
    };
    // What is kept was compared when it was made.
    let comparing_ms =
        if missing.is_empty() { 0 } else { compare_starts(bench, name, encode, &folder, finished).await? };
    let finished = Finished { user_cpu_ms: finished.user_cpu_ms + comparing_ms, ..finished };
    describe(encode, &folder)?;
    if let Err(failure) = bench.complete(name).await {
        bench.sink.lost(finished.cpu_ms());
        return Err(failure.into());
    }
    bench.sink.delivered(task, encode.most_frames());
    keys.keep(bench, encode, &bench.folders.task(name), &missing).await;
    Ok(finished)
}

/// Compares the starts of a film that was encoded as a whole with the source, or that of its first chunk. The others are
/// compared where they meet the chunk before them. Returns the CPU time of child processes in milliseconds. If it fails, the files are gone.
async fn compare_starts(
    bench: &Workbench,
    name: &str,
    encode: &VideoEncode,
    folder: &Path,
    finished: Finished,
) -> Result<u64, Unfit> {
    if !encode.begins_film() || is_analysis(encode) {
        return Ok(0);
    }
    let (unfit, comparing_ms) = match broken_starts(bench, encode, folder).await {
        Ok((broken, cpu_ms)) if broken.is_empty() => return Ok(cpu_ms),
        Ok((broken, cpu_ms)) => (Unfit::Starts(broken), cpu_ms),
        Err(failure) => (Unfit::Failed(failure), 0),
    };
    bench.sink.lost(finished.cpu_ms() + comparing_ms);
    bench.folders.discard_attempt(name, bench.attempt.is_second());
    Err(unfit)
}

/// Why an encode is not used.
enum Unfit {
    /// It failed.
    Failed(Failure),
    /// It succeeded, but these clips do not begin as their source does.
    Starts(Vec<BrokenStart>),
}

impl From<Failure> for Unfit {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Returns whether an encode makes no video that is used.
fn is_analysis(encode: &VideoEncode) -> bool {
    encode.renditions().any(|(_, one)| matches!(one.pass, Pass::First | Pass::Sample(_)))
}

/// Writes into the folder of a chunk how it was encoded.
fn describe(encode: &VideoEncode, folder: &Path) -> Result<(), Failure> {
    if encode.chunk.is_none() || is_analysis(encode) {
        return Ok(());
    }
    let text = serde_json::to_vec(encode).map_err(|error| failure::broken(&error.to_string()))?;
    std::fs::write(folder.join(ENCODE_FILE), text)
        .map_err(|error| failure::from_disk("write how a chunk was encoded", &error))
}

/// Returns how a chunk was encoded.
pub(super) fn described(bench: &Workbench, chunk: u32) -> Result<VideoEncode, Failure> {
    described_in(&bench.folders, chunk)
}

/// Like [`described`], from the folders of tasks.
pub(super) fn described_in(folders: &TaskFolders, chunk: u32) -> Result<VideoEncode, Failure> {
    let file = folders.task(TaskId::chunk(chunk).as_str()).join(ENCODE_FILE);
    let read = || Ok(serde_json::from_slice(&std::fs::read(file)?)?);
    read().map_err(|error: std::io::Error| failure::from_disk("read how a chunk was encoded", &error))
}

/// A rendition of a chunk to encode again.
#[derive(Clone, Copy)]
pub(super) struct Again<'a> {
    /// The task that needs it.
    pub task: &'a TaskId,
    /// Number of the chunk.
    pub chunk: u32,
    /// Index of the rendition.
    pub rendition: u32,
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    /// Fullness of the decoder's buffer where the chunk begins, in percent.
    pub fill_percent: u8,
    /// Whether its source is read from farther back.
    pub farther_back: Option<Joint>,
}

/// Encodes one rendition of a chunk again, with the measured fullness of the decoder's buffer at its start. Returns its
/// file and the CPU time of child processes in milliseconds.
pub(super) async fn encode_again(bench: &Workbench, again: Again<'_>) -> Result<(PathBuf, u64), Failure> {
    let encode = described(bench, again.chunk)?;
    let encode = again.farther_back.map_or_else(|| encode.clone(), |joint| joint.farther_back(&encode));
    let mut own = encode.only(&[again.rendition]);
    for rendition in own.branches.iter_mut().flat_map(|branch| &mut branch.renditions) {
        rendition.coding.buffer_fill_percent = Some(again.fill_percent);
    }
    let name = format!("chunk-{:04}-{}-again-{}", again.chunk, again.rendition, again.attempt);
    let finished = fit(bench, encode_into(bench, again.task, &name, &own).await)?;
    let file = bench.folders.task(&name).join(command::video_file_name(again.rendition));
    Ok((file, finished.cpu_ms()))
}

/// Encodes one rendition of a chunk again, with the source read from farther back. Returns its file and the CPU time of
/// child processes in milliseconds.
pub(super) async fn encode_farther_back(
    bench: &Workbench,
    task: &TaskId,
    chunk: u32,
    rendition: u32,
    joint: Joint,
) -> Result<(PathBuf, u64), Failure> {
    let own = joint.farther_back(&described(bench, chunk)?).only(&[rendition]);
    let name = format!("chunk-{chunk:04}-{rendition}-farther-back");
    let finished = fit(bench, encode_into(bench, task, &name, &own).await)?;
    Ok((bench.folders.task(&name).join(command::video_file_name(rendition)), finished.cpu_ms()))
}
