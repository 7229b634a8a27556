//! Compares the frames around a joint of two chunks with the source, which is read from farther back for that than the
//! chunk was. Changes no chunk.

use std::path::PathBuf;

use abanico_ffmpeg::command::{self, MadeFiles};
use abanico_plan::{ChunkJoint, Joint, TaskId, VideoEncode};
use serde::{Deserialize, Serialize};

use super::encode::described;
use super::excerpts::{Broken, compare};
use crate::failure::{self, Failure};
use crate::machine::workbench::Workbench;

/// File with what a look at a joint has found.
const JOINT_FILE: &str = "joint.json";

/// A joint that does not show what the source shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct BrokenJoint {
    /// Number of the chunk that does not fit.
    pub chunk: u32,
    /// What is wrong. Before the joint it is the chunk's end.
    pub broken: Broken,
}

/// What a look at a joint has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Looked {
    /// From where the source was read.
    pub joint: Joint,
    /// What is wrong, by chunk and rendition.
    pub broken: Vec<BrokenJoint>,
}

impl Looked {
    /// Reads what the task for the joint of this chunk with the one before it has found.
    pub fn read(bench: &Workbench, chunk: u32) -> Result<Self, Failure> {
        let read = || {
            Ok(serde_json::from_slice(&std::fs::read(bench.made(&TaskId::joint(chunk)).join(JOINT_FILE))?)?)
        };
        read()
            .map_err(|error: std::io::Error| failure::from_disk("read what a look at a joint found", &error))
    }
}

/// Compares a joint with the source. Returns the CPU time of child processes in milliseconds.
pub(crate) async fn compare_joint(
    bench: &Workbench,
    task: &TaskId,
    ChunkJoint { chunk, joint }: ChunkJoint,
) -> Result<u64, Failure> {
    let seam = Seam::of(bench, chunk, joint)?;
    let made: Vec<u32> = seam.after.encoded().map(|(_, rendition)| rendition.index).collect();
    let made: Vec<MadeFiles> = made
        .into_iter()
        .map(|index| {
            let name = command::video_file_name(index);
            let file = |number: u32| bench.made(&TaskId::chunk(number)).join(&name);
            seam.made(index, file(chunk - 1), file(chunk))
        })
        .collect();
    let (broken, cpu_ms) = seam.look(bench, &format!("{task}-look"), &made).await?;
    let folder = bench.begin(task.as_str())?;
    let text = serde_json::to_vec(&Looked { joint, broken });
    let text = text.map_err(|error| failure::broken(&error.to_string()))?;
    let written = std::fs::write(folder.join(JOINT_FILE), text);
    written.map_err(|error| failure::from_disk("write what a look at a joint found", &error))?;
    bench.complete(task.as_str()).await?;
    Ok(cpu_ms)
}

/// Where two chunks meet.
pub(super) struct Seam {
    /// Number of the second chunk.
    number: u32,
    joint: Joint,
    before: VideoEncode,
    after: VideoEncode,
}

impl Seam {
    /// Returns the seam of a chunk, which is not the first, with the one before it.
    pub fn of(bench: &Workbench, number: u32, joint: Joint) -> Result<Self, Failure> {
        let first = || failure::broken("the first chunk has no joint");
        let before = described(bench, number.checked_sub(1).ok_or_else(first)?)?;
        Ok(Self { number, joint, before, after: described(bench, number)? })
    }

    /// Returns the files of a rendition that meet here.
    pub fn made(&self, rendition: u32, before: PathBuf, after: PathBuf) -> MadeFiles {
        let own = self.before.encoded().find(|(_, one)| one.index == rendition);
        let first_frame = own.and_then(|(branch, _)| branch.run).map_or(0, |run| run.first);
        MadeFiles { rendition, first_frame, files: vec![before, after] }
    }

    /// Compares the files with the source, in a folder of this name. Returns what is broken by chunk and rendition, and the
    /// CPU time of child processes in milliseconds.
    pub async fn look(
        &self,
        bench: &Workbench,
        name: &str,
        made: &[MadeFiles],
    ) -> Result<(Vec<BrokenJoint>, u64), Failure> {
        let own: Vec<u32> = made.iter().map(|made| made.rendition).collect();
        let excerpt = self.joint.between(&self.before, &self.after).only(&own);
        let (found, cpu_ms) = compare(bench, name, &excerpt, made).await?;
        let of_chunk =
            |broken: Broken| BrokenJoint { chunk: self.number - u32::from(broken.is_before), broken };
        let mut broken: Vec<BrokenJoint> = found.into_iter().map(of_chunk).collect();
        broken.sort_by_key(|joint| (joint.chunk, joint.broken.rendition));
        Ok((broken, cpu_ms))
    }
}
