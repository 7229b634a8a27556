//! The judge step: says which chunks of which renditions must be encoded again, from the looks at their joints and from
//! the sizes of their frames. It encodes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use abanico_ffmpeg::command;
use abanico_plan::{BufferedRendition, ChunkJudgement, Joint, TaskId};
use serde::{Deserialize, Serialize};

use super::buffers::{buffer_of, from_chunks, read_track, run_through};
use super::excerpts::Broken;
use super::joints::{BrokenJoint, Looked};
use crate::failure::{self, Failure};
use crate::files::folders::TaskFolders;
use crate::machine::workbench::Workbench;

/// File with the verdict.
const VERDICT_FILE: &str = "verdict.json";

/// What must be encoded again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// Each chunk's joint with the one before it, by the chunk's number.
    pub joints: BTreeMap<u32, Joint>,
    /// Chunks that must be encoded again with their source read from farther back.
    pub farther_back: BTreeSet<u32>,
    /// Renditions of which some chunk must be encoded again.
    pub renditions: BTreeSet<u32>,
}

impl Verdict {
    /// Reads the verdict on the chunks of a film.
    pub fn read(bench: &Workbench) -> Result<Self, Failure> {
        Self::read_in(&bench.folders)
    }

    /// Like [`Self::read`], from the folders of tasks.
    pub fn read_in(folders: &TaskFolders) -> Result<Self, Failure> {
        let file = folders.task(TaskId::judgement().as_str()).join(VERDICT_FILE);
        let read = || Ok(serde_json::from_slice(&std::fs::read(file)?)?);
        read().map_err(|error: io::Error| failure::from_disk("read the verdict on the chunks", &error))
    }
}

/// Judges the chunks.
pub(crate) async fn judge_chunks(
    bench: &Workbench,
    task: &TaskId,
    judged: &ChunkJudgement,
) -> Result<(), Failure> {
    let looks: Vec<Looked> =
        (1..judged.chunks).map(|chunk| Looked::read(bench, chunk)).collect::<Result<_, Failure>>()?;
    let joints: BTreeMap<u32, Joint> =
        (1..).zip(&looks).map(|(chunk, looked)| (chunk, looked.joint)).collect();
    let mut farther_back = BTreeSet::new();
    for BrokenJoint { chunk, broken: Broken { rendition, time, fault, .. } } in
        looks.iter().flat_map(|looked| &looked.broken)
    {
        // The first chunk has no joint before it: it is read from the start.
        if joints.contains_key(chunk) && farther_back.insert(*chunk) {
            tracing::warn!(
                job.id = %bench.name, number = chunk, rendition, time = %time, fault = %fault,
                "a chunk does not show what its source shows: encoding it again, with the source read from farther back"
            );
        }
    }
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let files = |rendition: &BufferedRendition| -> Vec<PathBuf> {
        let name = command::video_file_name(rendition.index);
        (0..judged.chunks).map(|number| bench.made(&TaskId::chunk(number)).join(&name)).collect()
    };
    let filed: Vec<(BufferedRendition, Vec<PathBuf>)> =
        judged.renditions.iter().map(|rendition| (*rendition, files(rendition))).collect();
    let all_again = !farther_back.is_empty();
    let judging = tokio::task::spawn_blocking(move || -> io::Result<BTreeSet<u32>> {
        let mut renditions = BTreeSet::new();
        for (rendition, files) in filed {
            if all_again || empties_buffer(&rendition, &files)? {
                renditions.insert(rendition.index);
            }
        }
        Ok(renditions)
    });
    let renditions = judging.await.map_err(|_| failure::broken("judging the chunks ended early"))?;
    let renditions = renditions.map_err(from_chunks)?;
    let verdict = serde_json::to_vec(&Verdict { joints, farther_back, renditions });
    let verdict = verdict.map_err(|error| failure::broken(&error.to_string()))?;
    let written = std::fs::write(folder.join(VERDICT_FILE), verdict);
    written.map_err(|error| failure::from_disk("write the verdict on the chunks", &error))?;
    bench.complete(task.as_str()).await
}

/// Returns whether a chunk of a rendition empties the decoder's buffer. The first chunk does not count: it would in an
/// encode of the whole input, too.
fn empties_buffer(rendition: &BufferedRendition, files: &[PathBuf]) -> io::Result<bool> {
    if !rendition.keeps_buffer {
        return Ok(false);
    }
    let mut buffer = buffer_of(rendition);
    for (number, file) in files.iter().enumerate() {
        let (after, lowest_bits) = run_through(buffer, &read_track(file)?);
        if lowest_bits < 0 && number > 0 {
            return Ok(true);
        }
        buffer = after;
    }
    Ok(false)
}
