//! Chunks: in the encode of a whole film and the places where its source can be entered, out the runs of frames that are
//! encoded apart, or why the film stays whole. Together the runs have every frame once.
//!
//! Never a cut that a group of pictures or a segment of the job does not allow.

use abanico_media::{ExactTime, FieldOrder, FrameRate, Rational, VideoTrack};
use serde::{Deserialize, Serialize};

use crate::{CodecSettings, NoiseReducer, Pass, RateBranch, RateControl, VideoEncode, VideoRendition};

/// Whether films are cut, and for how many encoders at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Chunking {
    /// Every film is encoded as a whole.
    #[default]
    Off,
    /// Films are cut for so many encoders at once, at least 1.
    For(u32),
}

/// The run of a film's frames that a chunk has, at the rate of one branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameRun {
    /// The film's frame with which it begins, from 0.
    pub first: u64,
    /// Frames before it that are decoded and thrown away: what filters with a memory need.
    pub lead: u64,
}

/// Chunks with one thread each that use more processors than one encode with many threads does.
const MORE_THAN_THREADS: i64 = 8;
/// Longest chunk: what a crash costs at most, for each encoder.
const MOST_SECONDS: i64 = 90;
/// Chunks of a film, at most and at least.
const MOST_CHUNKS: usize = 5000;
const LEAST_CHUNKS: i64 = 3;
/// Chunks that each encoder gets of a film that is short for so many encoders: all of one length, since a round that only some
/// take part in would leave the others idle.
const MOST_ROUNDS: i64 = 3;
/// Ticks of a source's clock that a frame is off by at most: frames between which a cut lies on a tick.
const MOST_FRAMES_BETWEEN_TICKS: i64 = 240;

/// Shortest chunk, in seconds, and into how many parts for each encoder what is left of a film is cut, so that the last chunks are
/// short and all encoders end at about the same time (guided self-scheduling).
///
/// The more encoders, the more of them wait for the last chunk. A short one has its price: 30 s of a drawn film at 720p, cut into
/// 15 instead of 4, lost 0.2, 0.3 and 0.6 of VMAF (720, 480 and 360 lines) at up to 1.4 % more bytes, and took 18 % more processor time.
/// Simulated for two hours, three parts are better than two with 32 encoders or more, and no better with eight.
fn shortest_and_parts(encoders: i64) -> (i64, i64) {
    match encoders {
        ..=4 => (6, 2),
        5..=64 => (3, 3),
        _ => (2, 3),
    }
}

/// Cuts an encode. None keeps the film whole: it is too short, or a sentence says why.
pub(crate) fn chunks(
    encode: &VideoEncode,
    source: &Entered<'_>,
    chunking: Chunking,
) -> Result<Vec<VideoEncode>, Option<&'static str>> {
    let Chunking::For(encoders) = chunking else { return Err(None) };
    let Some((clip, first)) = encode.clips.first().zip(encode.branches.first()) else { return Err(None) };
    let length = ExactTime::of_frames(first.frames, first.rate).seconds();
    let Some(lengths) = Lengths::of(length, encoders) else { return Err(None) };
    if let Some(why) = why_whole(encode, source) {
        return Err(Some(why));
    }
    let grid = Grid { encode, source, start: clip.start, least: lengths.least };
    let mut starts = vec![0];
    let mut at = 0;
    while starts.len() < MOST_CHUNKS {
        let left = ExactTime::of_frames(first.frames - at, first.rate).seconds();
        let Some(wanted) = lengths.next(left, starts.len()) else { break };
        let Some(next) = grid.cut_near(at, wanted) else { break };
        starts.push(next);
        at = next;
    }
    if starts.len() < 2 {
        return Err(Some("no frame of the source is where the job allows a cut"));
    }
    let ends = starts[1..].iter().copied().chain([first.frames]);
    Ok(starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(number, (from, to))| grid.chunk(number, *from, to))
        .collect())
}

/// How long chunks are to be.
struct Lengths {
    /// Seconds of the shortest.
    least: i64,
    how: How,
}

enum How {
    /// So many of the same length: each encoder gets as many as every other, at most [`MOST_ROUNDS`].
    Even(i64),
    /// Shorter and shorter: each is one of so many equal parts of what is left.
    Guided(i64),
}

impl Lengths {
    /// Lengths for a film of so many seconds; none when it is too short to gain from being cut.
    fn of(film: Rational, encoders: u32) -> Option<Self> {
        let encoders = i64::from(encoders.max(1));
        let (least, parts) = shortest_and_parts(encoders);
        let shortest = (film / Rational::from(least)).floor();
        let how = match shortest / encoders {
            0 if shortest < MORE_THAN_THREADS => return None,
            0 => How::Even(shortest),
            rounds @ 1..=MOST_ROUNDS => How::Even(encoders * rounds),
            _ => How::Guided(encoders * parts),
        };
        (shortest >= LEAST_CHUNKS).then_some(Self { least, how })
    }

    /// The length of the next chunk when so many seconds are left and `made` cuts, the film's start among them, are made. None
    /// leaves all that is left to one chunk.
    fn next(&self, left: Rational, made: usize) -> Option<Rational> {
        match self.how {
            How::Even(count) => {
                let more = count - i64::try_from(made).unwrap_or(i64::MAX);
                (more > 0).then(|| left / Rational::from(more + 1))
            }
            How::Guided(parts) => {
                let least = Rational::from(self.least);
                let wanted = left / Rational::from(parts);
                let wanted = wanted.max(least).min(Rational::from(MOST_SECONDS));
                (left >= wanted + least).then_some(wanted)
            }
        }
    }
}

/// Why a film cannot be encoded in chunks.
fn why_whole(encode: &VideoEncode, source: &Entered<'_>) -> Option<&'static str> {
    let renditions = || encode.renditions().map(|(_, rendition)| rendition);
    let is_apart = |rendition: &VideoRendition| match (rendition.pass, &rendition.coding.codec) {
        (Pass::Second(_), _) => true,
        (
            Pass::Only | Pass::Levelled(_),
            CodecSettings::H264(_) | CodecSettings::H265(_) | CodecSettings::Av1,
        ) => {
            matches!(rendition.coding.rate_control, RateControl::Quality { .. })
        }
        _ => false,
    };
    if encode.clips.len() > 1 {
        Some("it is joined of several clips")
    } else if !source.has_index {
        Some("its container has no index to enter it by")
    } else if renditions().any(|rendition| !rendition.overlays.is_empty()) {
        Some("something is drawn over the film by the film's own clock")
    } else if renditions().any(|one| matches!(one.noise_reducer, Some(NoiseReducer::Temporal(_)))) {
        Some("its noise is reduced by a filter that remembers all frames before")
    } else if renditions().any(|rendition| rendition.coding.fields != FieldOrder::Progressive) {
        Some("frames are made of fields")
    } else if !renditions().all(is_apart) {
        Some("a rendition has a mean bit rate and no first pass that says where bits are needed")
    } else {
        None
    }
}

/// A source that is entered where its frames allow.
pub(crate) struct Entered<'a> {
    /// Its picture.
    pub track: &'a VideoTrack,
    /// Whether a search in its file finds the point that was meant.
    pub has_index: bool,
    /// Where its file's clock starts.
    pub clock_start: ExactTime,
}

/// Where a film may be cut.
struct Grid<'a> {
    encode: &'a VideoEncode,
    source: &'a Entered<'a>,
    /// The clip's zero on the file's clock.
    start: ExactTime,
    /// Seconds of the shortest chunk that is wanted; one may be half as long.
    least: i64,
}

impl Grid<'_> {
    fn first_branch(&self) -> &RateBranch {
        &self.encode.branches[0]
    }

    /// The cut that is `wanted` seconds behind frame `at`, or as near as can be, within an eighth: at a frame with which the
    /// source can be entered, best at one that its encoder put out of turn, since that is where scenes change; else at any. Where
    /// the job allows none so near, the next behind.
    fn cut_near(&self, at: u64, wanted: Rational) -> Option<u64> {
        let branch = self.first_branch();
        let target = ExactTime::of_frames(at, branch.rate) + ExactTime::from_seconds(wanted);
        let leeway = (wanted / Rational::from(8)).max(Rational::new(1, 2));
        let least = Rational::new(self.least, 2);
        let may_be = |frame: u64| {
            let apart = frame > at && frame < branch.frames;
            let far_enough =
                |from: u64, to: u64| ExactTime::of_frames(to - from, branch.rate).seconds() >= least;
            apart && far_enough(at, frame) && far_enough(frame, branch.frames) && self.allows(frame)
        };
        let around = ExactTime::from_seconds(leeway);
        let (from, to) = (self.start + target - around, self.start + target + around);
        let entries = self.source.track.entry_points.between(from, to).filter_map(|(before, time)| {
            let frame = (time - self.start).frames(branch.rate);
            // A group's seconds count twice as much as those off the target.
            let off = (time - self.start).distance(target).seconds();
            may_be(frame).then(|| ((time - before).seconds() + off / Rational::from(2), frame))
        });
        if let Some((_, frame)) = entries.min() {
            return Some(frame);
        }
        let middle = target.frames(branch.rate);
        let reach = ExactTime::from_seconds(leeway).frames(branch.rate);
        let farthest = ExactTime::from_seconds(Rational::from(MOST_SECONDS)).frames(branch.rate);
        (0..=reach)
            .flat_map(|off| [middle.checked_add(off), middle.checked_sub(off)])
            .flatten()
            .chain(middle..=middle.saturating_add(farthest))
            .find(|frame| may_be(*frame))
    }

    /// Whether every branch has a frame of its own there, and every rendition may begin a group with it.
    fn allows(&self, frame: u64) -> bool {
        let time = ExactTime::of_frames(frame, self.first_branch().rate);
        self.encode.branches.iter().all(|branch| {
            let exact = time.seconds() * branch.rate.per_second();
            let own = time.frames(branch.rate);
            exact.den() == 1
                && own > 0
                && own < branch.frames
                && self.is_on_tick(own, branch.rate)
                && branch.renditions.iter().all(|rendition| begins_group(rendition, own, branch.rate))
        })
    }

    /// Where frames are chosen by their nearness to moments, those moments must not be shifted by a part of a tick: another
    /// frame could be chosen than in the whole film.
    fn is_on_tick(&self, frame: u64, rate: FrameRate) -> bool {
        let track = self.source.track;
        if track.frame_rate == rate && !track.variable_frame_rate {
            return true;
        }
        let ticks_a_frame = (track.entry_points.tick * rate.per_second()).inverse().unwrap_or(Rational::ONE);
        let between = ticks_a_frame.den();
        between <= MOST_FRAMES_BETWEEN_TICKS && frame.is_multiple_of(between.unsigned_abs())
    }

    /// The chunk of these frames of the first branch.
    fn chunk(&self, number: usize, from: u64, to: u64) -> VideoEncode {
        let first = self.first_branch();
        let (start, end) = (ExactTime::of_frames(from, first.rate), ExactTime::of_frames(to, first.rate));
        let is_last = to == first.frames;
        let has_memory = self.encode.clips.iter().any(|clip| clip.deinterlace != FieldOrder::Progressive);
        let mut chunk = self.encode.clone();
        chunk.chunk = u32::try_from(number).ok();
        for branch in &mut chunk.branches {
            let begins = start.frames(branch.rate);
            let ends = if is_last { branch.frames } else { end.frames(branch.rate) };
            let half_second = ExactTime::from_millis(500).frames(branch.rate);
            let lead = if has_memory { half_second.min(begins) } else { 0 };
            branch.run = Some(FrameRun { first: begins, lead });
            branch.frames = ends - begins;
            branch.clip_frames = vec![branch.frames];
        }
        let earliest = chunk.branches.iter().filter_map(|branch| {
            let run = branch.run?;
            Some(ExactTime::of_frames(run.first - run.lead, branch.rate))
        });
        let earliest = earliest.min().unwrap_or(ExactTime::ZERO);
        for clip in &mut chunk.clips {
            let entered = self.source.track.entry_points.at_or_before(clip.start + earliest);
            if let Some(time) = entered.filter(|_| earliest > ExactTime::ZERO) {
                clip.seek = clip.seek.max(time - self.source.clock_start);
            }
        }
        chunk
    }
}

/// Whether a rendition may begin a group with this frame: anywhere, unless the job fixes where groups or segments begin.
fn begins_group(rendition: &VideoRendition, frame: u64, rate: FrameRate) -> bool {
    if let Some(distance) = rendition.key_frame_every {
        let number = forced_before(distance, frame, rate);
        return first_at_or_after(distance, number, rate) == frame;
    }
    let gop = rendition.coding.gop;
    !gop.is_fixed || gop.scene_cuts || frame.is_multiple_of(u64::from(gop.frames.max(1)))
}

/// How many moments that force a key frame lie before `frame`: as many as key frames were forced by then.
pub fn forced_before(distance: ExactTime, frame: u64, rate: FrameRate) -> u64 {
    let exact = ExactTime::of_frames(frame, rate).seconds() / distance.seconds();
    u64::try_from(exact.ceil()).map_or(0, |next| {
        // The moment itself counts when its frame is a later one.
        (next.saturating_sub(1)..=next)
            .find(|number| first_at_or_after(distance, *number, rate) >= frame)
            .unwrap_or(next)
    })
}

/// The frame at which moment `number` forces a key frame.
fn first_at_or_after(distance: ExactTime, number: u64, rate: FrameRate) -> u64 {
    let moment = distance.seconds() * Rational::from(i64::try_from(number).unwrap_or(i64::MAX));
    u64::try_from((moment * rate.per_second()).ceil()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
