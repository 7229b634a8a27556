//! Where two chunks of a film meet. Takes the encode of the second chunk, and returns the encode of the few frames
//! around the joint, or of the whole chunk, with the source read from farther back. It encodes nothing.

use abanico_media::ExactTime;
use serde::{Deserialize, Serialize};

use crate::chunks::FrameRun;
use crate::video::VideoEncode;

/// Frames before a joint that are compared with the source.
const FRAMES_BEFORE: u64 = 4;
/// Frames from a joint on that are compared with the source. A picture that lacks the ones it refers to shows it at
/// once, or after some frames if it is refreshed bit by bit.
const FRAMES_AFTER: u64 = 12;

/// The joint of a chunk with the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joint {
    /// Where reading of the source begins to show the joint as the whole film does: earlier than for the chunk. From
    /// the start of the file, as for [`crate::SourceVideo::seek`].
    pub seek: ExactTime,
}

impl Joint {
    /// Returns an encode of the frames around the start of `chunk`: up to four before it and twelve after. Their first
    /// frame is the `first` of each branch's [`FrameRun`].
    pub fn around(&self, chunk: &VideoEncode) -> VideoEncode {
        let mut around = self.farther_back(chunk);
        for branch in &mut around.branches {
            let run = branch.run.unwrap_or(FrameRun { first: 0, lead: 0 });
            let before = run.first.min(FRAMES_BEFORE);
            let first = run.first - before;
            branch.run = Some(FrameRun { first, lead: run.lead.min(first) });
            branch.frames = before + branch.frames.min(FRAMES_AFTER);
            branch.clip_frames = vec![branch.frames];
        }
        around
    }

    /// Like [`Self::around`], with no more frames before the joint than the chunk before it has.
    pub fn between(&self, before: &VideoEncode, chunk: &VideoEncode) -> VideoEncode {
        let mut around = self.around(chunk);
        for ((branch, own), before) in around.branches.iter_mut().zip(&chunk.branches).zip(&before.branches) {
            let (Some(run), Some(own)) = (&mut branch.run, own.run) else { continue };
            let surplus = (own.first - run.first).saturating_sub(before.frames);
            run.first += surplus;
            branch.frames -= surplus;
            branch.clip_frames = vec![branch.frames];
        }
        around
    }

    /// Returns the encode of `chunk` with its source read from farther back.
    pub fn farther_back(&self, chunk: &VideoEncode) -> VideoEncode {
        let mut own = chunk.clone();
        own.clips.iter_mut().for_each(|clip| clip.seek = self.seek);
        own
    }
}
