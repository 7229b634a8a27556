//! The command that shows the frames of an excerpt: once as the source has them, once as the renditions have them. The
//! frames are small, grey and uncoded, so that whoever compares them sees faults of decoding and of counting, but not
//! what encoding costs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_media::{ExactTime, Rational, Size};
use abanico_plan::Excerpt;

use super::{Args, EncodedFrom, clip_input, drawn_images};
use crate::filter_graph::video_graph;
use crate::overlays::overlay_images;

/// Size of the shown frames. Each has one byte per pixel, row by row.
pub const SHOWN_PICTURE: Size = Size { width: 64, height: 36 };

/// Returns the names of the files with the frames of a rendition: of the source, and of what was made.
pub fn excerpt_files(rendition: u32) -> [String; 2] {
    ["source", "made"].map(|kind| format!("excerpt-{rendition}-{kind}.gray"))
}

/// Files that hold stretches of a rendition, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeFiles {
    /// Index of the rendition.
    pub rendition: u32,
    /// Number of the first file's first frame in the film, from 0.
    pub first_frame: u64,
    /// The files, at least one: those of the chunks before and after a joint, or that of a whole film.
    pub files: Vec<PathBuf>,
}

/// Shows the frames of an excerpt from the source and from the finished files `made`. Writes the files named by
/// [`excerpt_files`] into `folder`.
pub fn show_excerpt(
    excerpt: &Excerpt,
    from: EncodedFrom<'_>,
    made: &[MadeFiles],
    folder: &Path,
) -> Vec<OsString> {
    let encode = &excerpt.encode;
    let mut args = Args::of_foreign_files();
    args.all(["-filter_complex_threads", "1"]);
    for clip in &encode.clips {
        // As many as in the encode: with other threads, decoders may conceal damage in another way.
        if let Some(threads) = encode.threads {
            args.pair("-threads", threads.to_string());
        }
        clip_input(&mut args, clip, from.inputs);
    }
    drawn_images(&mut args, encode, from.images);
    let images = encode.encoded().map(|(_, one)| overlay_images(&one.overlays).count()).sum::<usize>();
    let places = encode.branches.iter().zip(&excerpt.places);
    let shown: Vec<_> = places
        .flat_map(|(branch, place)| branch.renditions.iter().map(move |one| (branch, place, one)))
        .filter_map(|(branch, place, one)| {
            let made = made.iter().find(|made| made.rendition == one.index && !one.only_scaled)?;
            Some((branch, place, made))
        })
        .collect();
    for (branch, place, made) in &shown {
        let first = place.first.saturating_sub(made.first_frame);
        for (number, file) in made.files.iter().enumerate() {
            args.all(["-threads", "1"]);
            if first > 0 && number == 0 {
                // Half a frame early, so that rounding cannot lose the first one.
                let frame = branch.rate.frame_duration().seconds();
                let half = ExactTime::from_seconds(frame * Rational::new(1, 2));
                args.pair("-ss", (ExactTime::of_frames(first, branch.rate) - half).decimal());
            }
            // An encode of a turned film may still have the film's matrix. Packaging removes it.
            args.all(["-noautorotate"]).path(Some("-i"), file);
        }
    }
    let small = format!("scale={}:{}:flags=area,format=gray", SHOWN_PICTURE.width, SHOWN_PICTURE.height);
    let mut graph = video_graph(encode, from.captions);
    let mut input = encode.clips.len() + images;
    for (_, _, made) in &shown {
        let index = made.rendition;
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
    for (branch, _, made) in &shown {
        for (kind, file) in ["source", "made"].iter().zip(excerpt_files(made.rendition)) {
            args.pair("-map", format!("[{kind}{}]", made.rendition));
            args.pair("-frames:v", branch.frames.to_string());
            args.all(["-fps_mode", "passthrough", "-c:v", "rawvideo"]);
            args.output("rawvideo", &folder.join(file));
        }
    }
    args.finish()
}
