//! Compares the first frames of each clip of a film that was encoded as a whole with the source. Encoders and decoders
//! can fail at a start as they can at a joint of two chunks.

use std::path::Path;

use abanico_plan::{Excerpt, VideoEncode};

use super::excerpts::{Broken, compare, made_files};
use crate::failure::Failure;
use crate::machine::workbench::Workbench;

/// A clip whose first frames do not show what its source shows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct BrokenStart {
    /// Number of the clip, from 0.
    pub clip: usize,
    /// What is wrong.
    pub broken: Broken,
}

/// Compares the starts of all clips in the files of an encode in `folder`. Returns the broken ones that cannot be
/// accepted, and the CPU time of child processes in milliseconds. Small differences are accepted if the source cannot be
/// read from farther back: an encoder without bits smears.
pub(super) async fn broken_starts(
    bench: &Workbench,
    encode: &VideoEncode,
    folder: &Path,
) -> Result<(Vec<BrokenStart>, u64), Failure> {
    let made = made_files(encode, folder);
    let (mut starts, mut cpu_ms) = (Vec::new(), 0);
    for (clip, source) in encode.clips.iter().enumerate() {
        let Some(excerpt) = Excerpt::of_clip(encode, clip) else { continue };
        let (broken, took_ms) = compare(bench, &format!("start-{clip:04}"), &excerpt, &made).await?;
        cpu_ms += took_ms;
        let is_unacceptable = |broken: &Broken| broken.fault.is_certain() || source.farther_back().is_some();
        starts.extend(broken.into_iter().filter(is_unacceptable).map(|broken| BrokenStart { clip, broken }));
    }
    Ok((starts, cpu_ms))
}
