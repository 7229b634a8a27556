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

/// Files that hold stretches of a rendition, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeFiles {
    /// Index of the rendition.
    pub rendition: u32,
    /// Number of the first file's first frame in the film, from 0.
    pub first_frame: u64,
    /// The files, at least one: those of the chunks before and after a joint, or of a whole film.
    pub files: Vec<PathBuf>,
}

/// Shows the frames of `around` ([`abanico_plan::Joint::between`]) from the source and from the files `made`. Writes the
/// files named by [`joint_files`] into `folder`.
pub fn show_joint(
    around: &VideoEncode,
    inputs: &[PathBuf],
    made: &[MadeFiles],
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
            let files = made.iter().find(|made| made.rendition == rendition.index)?;
            Some((branch, rendition, files))
        })
        .collect();
    for (branch, _, made) in &shown {
        let first = branch.run.map_or(0, |run| run.first).saturating_sub(made.first_frame);
        for (number, file) in made.files.iter().enumerate() {
            args.all(["-threads", "1"]);
            if first > 0 && number == 0 {
                // Half a frame early, so that rounding cannot lose the first one.
                let frame = branch.rate.frame_duration().seconds();
                let half = ExactTime::from_seconds(frame * Rational::new(1, 2));
                args.pair("-ss", (ExactTime::of_frames(first, branch.rate) - half).decimal());
            }
            args.path(Some("-i"), file);
        }
    }
    let small = format!("scale={}:{}:flags=area,format=gray", JOINT_PICTURE.width, JOINT_PICTURE.height);
    let mut graph = video_graph(around, &[]);
    let mut input = around.clips.len();
    for (_, rendition, made) in &shown {
        let index = rendition.index;
        graph.push_str(&format!(";[v{index}]{small}[source{index}]"));
        let parts: Vec<String> =
            (0..made.files.len()).map(|number| format!("[part{index}-{number}]")).collect();
        for part in &parts {
            graph.push_str(&format!(";[{input}:v:0]{small}{part}"));
            input += 1;
        }
        graph.push_str(&format!(";{}concat=n={}[made{index}]", parts.concat(), parts.len()));
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
