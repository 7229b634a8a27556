//! Compares the frames around each joint of two chunks, and those at the film's start, with the source, which is read
//! from farther back for that than the chunk was. Takes the stitched files, and returns every joint whose frames are
//! missing, moved, or show something else.

use std::path::{Path, PathBuf};

use abanico_ffmpeg::command;
use abanico_plan::{Joint, SourceVideo, VideoStitch};
use tokio::task::JoinSet;

use super::encode::described;
use super::excerpts::{Broken, compare};
use crate::failure::{self, Failure};
use crate::workbench::Workbench;

/// A joint that does not show what the source shows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct BrokenJoint {
    /// Number of the chunk that does not fit. The first chunk's joint is the film's start.
    pub chunk: u32,
    /// What is wrong.
    pub broken: Broken,
    /// From where that chunk's source is read if it is encoded again; `None` if that cannot help.
    pub again: Option<Joint>,
}

/// Compares all joints of the files in `folder` with the source, some at a time. Returns the broken ones by chunk and
/// rendition, and the CPU time of child processes in milliseconds.
pub(super) async fn broken_joints(
    bench: &Workbench,
    video: &VideoStitch,
    folder: &Path,
) -> Result<(Vec<BrokenJoint>, u64), Failure> {
    let made =
        video.renditions.iter().map(|one| (one.index, folder.join(command::video_file_name(one.index))));
    let made: Vec<(u32, PathBuf)> = made.collect();
    let first = described(bench, 0)?;
    // Nothing comes before the first chunk, unless the film is cut from a longer one.
    let before_first = first.clips.first().and_then(SourceVideo::farther_back).map(|seek| Joint { seek });
    let start = Joint::of_start(&first).map(|start| (0, start));
    let joints: Vec<(u32, Joint)> =
        start.into_iter().chain((1..).zip(video.joints.iter().copied())).collect();
    let (mut looks, mut broken, mut cpu_ms) = (JoinSet::new(), Vec::new(), 0);
    let mut note = |number: u32, found: Vec<Broken>| {
        broken.extend(found.into_iter().map(|found| {
            let chunk = number - u32::from(found.is_before);
            let own = joints.iter().find(|(number, _)| *number == chunk).map(|(_, joint)| *joint);
            BrokenJoint { chunk, broken: found, again: if chunk == 0 { before_first } else { own } }
        }));
    };
    for (number, joint) in &joints {
        let excerpt = joint.around(&described(bench, *number)?);
        if looks.len() >= bench.machine.cores as usize {
            let (number, found, took_ms) = next(&mut looks).await?;
            note(number, found);
            cpu_ms += took_ms;
        }
        let (bench, made, number) = (bench.clone(), made.clone(), *number);
        looks.spawn(async move {
            let (found, took_ms) = compare(&bench, &format!("joint-{number:04}"), &excerpt, &made).await?;
            Ok((number, found, took_ms))
        });
    }
    while !looks.is_empty() {
        let (number, found, took_ms) = next(&mut looks).await?;
        note(number, found);
        cpu_ms += took_ms;
    }
    broken.sort_by_key(|joint: &BrokenJoint| (joint.chunk, joint.broken.rendition));
    Ok((broken, cpu_ms))
}

/// The number of a chunk, the renditions that are broken at its joint, and the CPU time of child processes in
/// milliseconds.
type Look = (u32, Vec<Broken>, u64);

async fn next(looks: &mut JoinSet<Result<Look, Failure>>) -> Result<Look, Failure> {
    match looks.join_next().await {
        Some(look) => look.map_err(|_| failure::broken("the look at a joint ended early"))?,
        None => Err(failure::broken("there is no look at a joint to wait for")),
    }
}
