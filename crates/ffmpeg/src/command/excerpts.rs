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

/// Shows the frames of an excerpt from the source and from the finished files `made`, each with the index of its
/// rendition. Writes the files named by [`excerpt_files`] into `folder`.
pub fn show_excerpt(
    excerpt: &Excerpt,
    from: EncodedFrom<'_>,
    made: &[(u32, PathBuf)],
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
            let (_, file) = made.iter().find(|(index, _)| *index == one.index && !one.only_scaled)?;
            Some((branch, place, one.index, file))
        })
        .collect();
    for (branch, place, _, file) in &shown {
        args.all(["-threads", "1"]);
        if place.first > 0 {
            // Half a frame early, so that rounding cannot lose the first one.
            let frame = branch.rate.frame_duration().seconds();
            let half = ExactTime::from_seconds(frame * Rational::new(1, 2));
            args.pair("-ss", (ExactTime::of_frames(place.first, branch.rate) - half).decimal());
        }
        // An encode of a turned film may still have the film's matrix. Packaging removes it.
        args.all(["-noautorotate"]).path(Some("-i"), file);
    }
    let small = format!("scale={}:{}:flags=area,format=gray", SHOWN_PICTURE.width, SHOWN_PICTURE.height);
    let mut graph = video_graph(encode, from.captions);
    for (number, (_, _, index, _)) in shown.iter().enumerate() {
        let input = encode.clips.len() + images + number;
        graph.push_str(&format!(";[v{index}]{small}[source{index}];[{input}:v:0]{small}[made{index}]"));
    }
    args.pair("-filter_complex", graph);
    for (branch, _, index, _) in &shown {
        for (kind, file) in ["source", "made"].iter().zip(excerpt_files(*index)) {
            args.pair("-map", format!("[{kind}{index}]"));
            args.pair("-frames:v", branch.frames.to_string());
            args.all(["-fps_mode", "passthrough", "-c:v", "rawvideo"]);
            args.output("rawvideo", &folder.join(file));
        }
    }
    args.finish()
}
