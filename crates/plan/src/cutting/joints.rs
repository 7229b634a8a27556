//! The frames of a film that are compared with its source: those around the joint of two chunks, and the first ones of
//! each clip. Takes the encode that made them, and returns the encode of only these frames. It encodes nothing.

use abanico_media::ExactTime;
use serde::{Deserialize, Serialize};

use crate::cutting::chunks::FrameRun;
use crate::video::{RateBranch, VideoEncode};

/// Frames before a joint that are compared with the source.
const FRAMES_BEFORE: u64 = 4;
/// Frames from a joint or a start on that are compared with the source. A picture that lacks the ones it refers to
/// shows it at once, or after some frames if it is refreshed bit by bit.
const FRAMES_AFTER: u64 = 12;

/// Some frames of a film, to be compared with the source.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// The encode of only these frames.
    pub encode: VideoEncode,
    /// Where they are in the film, for each branch of the encode.
    pub places: Vec<ExcerptPlace>,
}

/// Where an excerpt is in the film, at the frame rate of one branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExcerptPlace {
    /// Index of its first frame in the film, from 0.
    pub first: u64,
    /// How many of its frames are made from what comes before the joint.
    pub before: u64,
}

impl Excerpt {
    /// Returns the excerpt of only these renditions, with those that they are scaled from.
    #[must_use]
    pub fn only(&self, renditions: &[u32]) -> Self {
        let has_some =
            |branch: &RateBranch| branch.renditions.iter().any(|one| renditions.contains(&one.index));
        let places = self.encode.branches.iter().zip(&self.places);
        let places = places.filter(|(branch, _)| has_some(branch)).map(|(_, place)| *place);
        Self { encode: self.encode.only(renditions), places: places.collect() }
    }

    /// Returns the first frames of clip `number` of a film that is encoded as a whole: up to twelve. `None` if they are
    /// not to be compared.
    ///
    /// Overlays are drawn by the time in the whole film, so renditions with overlays are in the excerpt of the first
    /// clip only.
    pub fn of_clip(film: &VideoEncode, number: usize) -> Option<Self> {
        let plain = |film: &VideoEncode| {
            let plain = film.encoded().filter(|(_, one)| one.overlays.is_empty());
            plain.map(|(_, one)| one.index).collect::<Vec<u32>>()
        };
        let mut encode = if number == 0 { film.clone() } else { film.only(&plain(film)) };
        let mut clip = encode.clips.get(number)?.clone();
        clip.seek = clip.compared_from?;
        encode.clips = vec![clip];
        let mut places = Vec::with_capacity(encode.branches.len());
        for branch in &mut encode.branches {
            let of_clip = *branch.clip_frames.get(number)?;
            places.push(ExcerptPlace { first: branch.clip_frames[..number].iter().sum(), before: 0 });
            branch.frames = of_clip.min(FRAMES_AFTER);
            branch.clip_frames = vec![branch.frames];
            for rendition in &mut branch.renditions {
                rendition.pictures = vec![*rendition.pictures.get(number)?];
            }
        }
        (!places.is_empty()).then_some(Self { encode, places })
    }
}

/// The joint of a chunk with the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joint {
    /// Where reading of the source begins to show the joint as the whole film does: earlier than for the chunk. From
    /// the start of the file, as for [`crate::SourceVideo::seek`].
    pub seek: ExactTime,
}

impl Joint {
    /// Returns the frames around the start of `chunk`: up to four before it and twelve after. Their first frame is the
    /// `first` of each branch's [`FrameRun`].
    pub fn around(&self, chunk: &VideoEncode) -> Excerpt {
        let mut encode = self.farther_back(chunk);
        let mut places = Vec::with_capacity(encode.branches.len());
        for branch in &mut encode.branches {
            let run = branch.run.unwrap_or(FrameRun { first: 0, lead: 0 });
            let before = run.first.min(FRAMES_BEFORE);
            let first = run.first - before;
            places.push(ExcerptPlace { first, before });
            branch.run = Some(FrameRun { first, lead: run.lead.min(first) });
            branch.frames = before + branch.frames.min(FRAMES_AFTER);
            branch.clip_frames = vec![branch.frames];
        }
        Excerpt { encode, places }
    }

    /// Like [`Self::around`], with no more frames before the joint than the chunk before it has.
    pub fn between(&self, before: &VideoEncode, chunk: &VideoEncode) -> Excerpt {
        let mut excerpt = self.around(chunk);
        let branches = excerpt.encode.branches.iter_mut().zip(&mut excerpt.places);
        for ((branch, place), before) in branches.zip(&before.branches) {
            let surplus = place.before.saturating_sub(before.frames);
            place.before -= surplus;
            place.first += surplus;
            if let Some(run) = &mut branch.run {
                run.first += surplus;
            }
            branch.frames -= surplus;
            branch.clip_frames = vec![branch.frames];
        }
        excerpt
    }

    /// Returns the encode of `chunk` with its source read from farther back.
    pub fn farther_back(&self, chunk: &VideoEncode) -> VideoEncode {
        let mut own = chunk.clone();
        own.clips.iter_mut().for_each(|clip| clip.seek = self.seek);
        own
    }
}
