//! The command that shows the frames around a joint of two chunks: once as the source has them, once as the renditions
//! have them. The frames are small, grey and uncoded, so that whoever compares them sees faults of decoding and of
//! counting, but not what encoding costs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_media::{ExactTime, Rational, Size};
use abanico_plan::VideoEncode;

use super::{Args, clip_input};
use crate::filter_graph::video_graph;

/// Size of the shown frames. Each has one byte per pixel, row by row.
pub const JOINT_PICTURE: Size = Size { width: 64, height: 36 };

/// Returns the names of the files with the frames of a rendition: of the source, and of what was made.
pub fn joint_files(rendition: u32) -> [String; 2] {
    ["source", "made"].map(|kind| format!("joint-{rendition}-{kind}.gray"))
}

/// Shows the frames of `around` ([`abanico_plan::Joint::around`]) from the source and from the stitched files `made`,
/// each with the index of its rendition. Writes the files named by [`joint_files`] into `folder`.
pub fn show_joint(
    around: &VideoEncode,
    inputs: &[PathBuf],
    made: &[(u32, PathBuf)],
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    args.all(["-filter_complex_threads", "1"]);
    for clip in &around.clips {
        args.all(["-threads", "1"]);
        clip_input(&mut args, clip, inputs);
    }
    let shown: Vec<_> = around
        .encoded()
        .filter_map(|(branch, rendition)| {
            let (_, file) = made.iter().find(|(index, _)| *index == rendition.index)?;
            Some((branch, rendition, file))
        })
        .collect();
    for (branch, _, file) in &shown {
        args.all(["-threads", "1"]);
        let first = branch.run.map_or(0, |run| run.first);
        if first > 0 {
            // Half a frame early, so that rounding cannot lose the first one.
            let frame = branch.rate.frame_duration().seconds();
            let half = ExactTime::from_seconds(frame * Rational::new(1, 2));
            args.pair("-ss", (ExactTime::of_frames(first, branch.rate) - half).decimal());
        }
        args.path(Some("-i"), file);
    }
    let small = format!("scale={}:{}:flags=area,format=gray", JOINT_PICTURE.width, JOINT_PICTURE.height);
    let mut graph = video_graph(around, &[]);
    for (place, (_, rendition, _)) in shown.iter().enumerate() {
        let (index, input) = (rendition.index, around.clips.len() + place);
        graph.push_str(&format!(";[v{index}]{small}[source{index}];[{input}:v:0]{small}[made{index}]"));
    }
    args.pair("-filter_complex", graph);
    for (branch, rendition, _) in &shown {
        for (kind, file) in ["source", "made"].iter().zip(joint_files(rendition.index)) {
            args.pair("-map", format!("[{kind}{}]", rendition.index));
            args.pair("-frames:v", branch.frames.to_string());
            args.all(["-fps_mode", "passthrough", "-c:v", "rawvideo"]);
            args.output("rawvideo", &folder.join(file));
        }
    }
    args.finish()
}
