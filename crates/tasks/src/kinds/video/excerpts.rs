//! Shows the frames of an excerpt of a film as the source has them and as the renditions have them, and returns what is
//! wrong with each rendition. Changes no file.

use std::path::{Path, PathBuf};

use abanico_ffmpeg::command::{self, EncodedFrom, MadeFiles};
use abanico_media::ExactTime;
use abanico_plan::{Excerpt, VideoEncode};
use serde::{Deserialize, Serialize};

use super::encoding::caption_scripts;
use super::likeness::{Fault, faults, most_cells_off};
use crate::failure::{self, Failure};
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// A rendition that does not show what the source shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Broken {
    /// Index of the rendition.
    pub rendition: u32,
    /// Whether what comes before the joint is wrong.
    pub is_before: bool,
    /// The time of the joint or the start in the film.
    pub time: ExactTime,
    /// What is wrong.
    pub fault: Fault,
}

/// Returns the finished files of an encode's renditions in `folder`.
pub(super) fn made_files(encode: &VideoEncode, folder: &Path) -> Vec<MadeFiles> {
    let made = encode.encoded().map(|(branch, rendition)| MadeFiles {
        rendition: rendition.index,
        first_frame: branch.run.map_or(0, |run| run.first),
        files: vec![folder.join(command::video_file_name(rendition.index))],
    });
    made.collect()
}

/// Compares an excerpt of the files `made` with the source, in a folder named `name`. Returns the broken renditions, and
/// the CPU time of child processes in milliseconds.
pub(super) async fn compare(
    bench: &Workbench,
    name: &str,
    excerpt: &Excerpt,
    made: &[MadeFiles],
) -> Result<(Vec<Broken>, u64), Failure> {
    let _permit = bench.capacity.light().await?;
    let encode = &excerpt.encode;
    let folder = bench.begin(name)?;
    let (inputs, captions, images) = (bench.inputs(), caption_scripts(bench, encode), bench.images());
    let from = EncodedFrom { inputs: &inputs, captions: &captions, images: &images, analysis: None };
    let args = command::show_excerpt(excerpt, from, made, &folder);
    let files = made.iter().flat_map(|made| made.files.clone());
    let read: Vec<PathBuf> = inputs.iter().chain(&captions).chain(&images).cloned().chain(files).collect();
    let outputs = Outputs { folder: &folder, bounds: bounds::of_video(encode) };
    let finished = ffmpeg(bench, "comparing the video with the source", args, &read, outputs, None).await;
    let broken = finished.as_ref().map_or(Ok(Vec::new()), |_| compared(name, excerpt, &folder));
    bench.folders.discard(name);
    let finished = finished?;
    Ok((broken?, finished.cpu_ms()))
}

fn compared(name: &str, excerpt: &Excerpt, folder: &Path) -> Result<Vec<Broken>, Failure> {
    let mut broken = Vec::new();
    for (branch, place) in excerpt.encode.branches.iter().zip(&excerpt.places) {
        for rendition in branch.renditions.iter().filter(|one| !one.only_scaled) {
            let read = |file: String| {
                let frames = std::fs::read(folder.join(file));
                frames.map_err(|error| failure::from_disk("read the frames to compare", &error))
            };
            let [source, made] = command::excerpt_files(rendition.index).map(read);
            let (source, made) = (source?, made?);
            let cells = most_cells_off(&source, &made);
            tracing::debug!(folder = name, rendition = rendition.index, cells, "compared with the source");
            let before = usize::try_from(place.before).unwrap_or(0);
            for (is_before, fault) in faults(&source, &made, before) {
                let time = ExactTime::of_frames(place.first + place.before, branch.rate);
                broken.push(Broken { rendition: rendition.index, is_before, time, fault });
            }
        }
    }
    Ok(broken)
}
