//! Cuts a film into chunks that are encoded separately, preferably at frames where decoding of the source can
//! start. Takes the encode of the whole film and returns one encode per chunk, or the reason why the film
//! stays whole. Together the chunks have every frame once.
//!
//! A cut never breaks a group of pictures or a segment that the job fixes.

use abanico_media::{ExactTime, FieldOrder, FrameRate, Rational, VideoTrack};
use serde::{Deserialize, Serialize};

use crate::{CodecSettings, Joint, NoiseReducer, Pass, RateBranch, RateControl, VideoEncode, VideoRendition};

/// Whether films are cut into chunks, and for how many parallel encoders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Chunking {
    /// Every film is encoded as a whole.
    #[default]
    Off,
    /// Films are cut for this many parallel encoders, at least 1.
    For(u32),
}

/// The frames of a chunk, at the frame rate of one branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameRun {
    /// Index of its first frame in the film, from 0.
    pub first: u64,
    /// Frames before it that are decoded and thrown away, because filters with a memory need them.
    pub lead: u64,
}

/// From this number on, single-threaded chunks use more processors than one multi-threaded encode.
const MORE_THAN_THREADS: i64 = 8;
/// Longest chunk. A crash loses at most this much work of an encoder.
const MOST_SECONDS: i64 = 90;
/// Most and fewest chunks of a film.
const MOST_CHUNKS: usize = 5000;
const LEAST_CHUNKS: i64 = 3;
/// Maximum number of chunks per encoder for a film that is short for its number of encoders. Such chunks all
/// have the same length, because the other encoders would be idle in a round that needs only some of them.
const MOST_ROUNDS: i64 = 3;
/// A cut must lie on a tick of the source's clock. This is the most frames between two such cuts.
const MOST_FRAMES_BETWEEN_TICKS: i64 = 240;

/// How many entry points before that of its chunk a joint is read from. A film that refreshes its pictures bit by bit
/// has whole ones only after a full round, which ends at the next entry point at the latest; one more place covers an
/// entry point that is not one at all.
pub(crate) const PLACES_BEFORE_JOINT: usize = 2;

/// Returns the shortest chunk in seconds, and the number of parts per encoder into which the rest of a film
/// is cut. The last chunks are short, so that all encoders end at about the same time (guided
/// self-scheduling).
///
/// The more encoders there are, the more of them wait for the last chunk. But short chunks cost quality and
/// time: 30 s of an animated film at 720p, cut into 15 chunks instead of 4, lost 0.2, 0.3 and 0.6 VMAF (720,
/// 480 and 360 lines) at up to 1.4 % more bytes, and took 18 % more processor time. In a simulation of a
/// two-hour film, three parts are better than two from 32 encoders on, and no better with eight.
fn shortest_and_parts(encoders: i64) -> (i64, i64) {
    match encoders {
        ..=4 => (6, 2),
        5..=64 => (3, 3),
        _ => (2, 3),
    }
}

/// A film in chunks.
#[derive(Debug)]
pub(crate) struct Cut {
    /// One encode for each chunk.
    pub chunks: Vec<VideoEncode>,
    /// Each chunk's joint with the one before it, from the second chunk on.
    pub joints: Vec<Joint>,
}

/// Cuts an encode into chunks.
///
/// # Errors
/// Fails if the film must stay whole: with the reason, or with `None` if chunking is off or the film is too
/// short.
pub(crate) fn chunks(
    encode: &VideoEncode,
    source: &Entered<'_>,
    chunking: Chunking,
) -> Result<Cut, Option<&'static str>> {
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
        return Err(Some("the job allows no cut at any frame of the source"));
    }
    let ends = starts[1..].iter().copied().chain([first.frames]);
    let runs = starts.iter().zip(ends).enumerate();
    let chunks: Vec<VideoEncode> = runs.map(|(number, (from, to))| grid.chunk(number, *from, to)).collect();
    let joints = chunks[1..].iter().map(|chunk| grid.joint(chunk)).collect();
    Ok(Cut { chunks, joints })
}

/// The lengths that chunks should have.
struct Lengths {
    /// Length of the shortest chunk in seconds.
    least: i64,
    how: How,
}

enum How {
    /// This many chunks of equal length: the same number for every encoder, at most [`MOST_ROUNDS`].
    Even(i64),
    /// Ever shorter chunks: each is the rest of the film divided by this number.
    Guided(i64),
}

impl Lengths {
    /// Returns the lengths for a film of this many seconds; `None` if it is too short to gain from chunks.
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

    /// Returns the length of the next chunk, given the seconds left and the number of chunks started so far
    /// (`made`). `None` makes one chunk of all that is left.
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

/// Returns why a film cannot be encoded in chunks.
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
        Some("it consists of several clips")
    } else if !source.has_index {
        Some("its container has no index for seeking")
    } else if renditions().any(|rendition| !rendition.overlays.is_empty()) {
        Some("its overlays depend on the time in the whole film")
    } else if renditions().any(|one| matches!(one.noise_reducer, Some(NoiseReducer::Temporal(_)))) {
        Some("its noise reducer depends on all earlier frames")
    } else if renditions().any(|rendition| rendition.coding.fields != FieldOrder::Progressive) {
        Some("a rendition is interlaced")
    } else if !renditions().all(is_apart) {
        Some("a rendition has an average bit rate but no first pass to distribute its bits")
    } else {
        None
    }
}

/// A source, and what is needed to seek in it.
pub(crate) struct Entered<'a> {
    /// Its video track.
    pub track: &'a VideoTrack,
    /// Whether seeking in its file lands at the wanted time.
    pub has_index: bool,
    /// Start of its file's clock.
    pub clock_start: ExactTime,
}

/// The frames at which a film may be cut.
struct Grid<'a> {
    encode: &'a VideoEncode,
    source: &'a Entered<'a>,
    /// The clip's zero on the file's clock.
    start: ExactTime,
    /// Length of the shortest wanted chunk in seconds. A chunk may be half as long.
    least: i64,
}

impl Grid<'_> {
    fn first_branch(&self) -> &RateBranch {
        &self.encode.branches[0]
    }

    /// Returns the cut closest to `wanted` seconds after frame `at`, within an eighth of that length but at
    /// least half a second. It prefers a frame at which decoding can start, and among these a key frame that
    /// the source's encoder placed outside its regular interval, because that marks a scene change. Otherwise
    /// it takes any frame. If the job allows no cut within that range, it takes the next one after it.
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
            // A second since the previous key frame counts twice as much as a second off the target.
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

    /// Returns whether every branch has a frame at exactly this time, and every rendition may start a group
    /// with it.
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

    /// Returns whether the cut lies on a tick of the source's clock. At a changed or variable rate, frames
    /// are chosen as the nearest to given times. If these times were shifted by a fraction of a tick, a chunk
    /// could choose other frames than the whole film.
    fn is_on_tick(&self, frame: u64, rate: FrameRate) -> bool {
        let track = self.source.track;
        if track.frame_rate == rate && !track.variable_frame_rate {
            return true;
        }
        let ticks_a_frame = (track.entry_points.tick * rate.per_second()).inverse().unwrap_or(Rational::ONE);
        let between = ticks_a_frame.den();
        between <= MOST_FRAMES_BETWEEN_TICKS && frame.is_multiple_of(between.unsigned_abs())
    }

    /// Returns the chunk with these frames of the first branch.
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
        if let Some(seek) = self.seek(&chunk, 0) {
            chunk.clips.iter_mut().for_each(|clip| clip.seek = clip.seek.max(seek));
        }
        chunk
    }

    /// Returns where reading may begin for a chunk: at the entry point that lies `places` before the last one that is
    /// early enough. Returns `None` if reading must begin where it does for the whole film.
    fn seek(&self, chunk: &VideoEncode, places: usize) -> Option<ExactTime> {
        let earliest = chunk.branches.iter().filter_map(|branch| {
            let run = branch.run?;
            Some(ExactTime::of_frames(run.first - run.lead, branch.rate))
        });
        let earliest = earliest.min().filter(|earliest| *earliest > ExactTime::ZERO)?;
        let entered = self.source.track.entry_points.places_before(self.start + earliest, places)?;
        Some(entered - self.source.clock_start)
    }

    /// Returns the joint of a chunk with the one before it.
    fn joint(&self, chunk: &VideoEncode) -> Joint {
        let whole = self.encode.clips.first().map_or(ExactTime::ZERO, |clip| clip.seek);
        let around = Joint { seek: whole }.around(chunk);
        // Where each frame is an entry point, the frames before the joint lie farther back than its places.
        let seek = self.seek(&around.encode, 0).zip(self.seek(chunk, PLACES_BEFORE_JOINT));
        Joint { seek: seek.map_or(whole, |(nearest, farther)| nearest.min(farther).max(whole)) }
    }
}

/// Returns whether a rendition may start a group at this frame: anywhere, unless the job fixes where groups
/// or segments begin.
fn begins_group(rendition: &VideoRendition, frame: u64, rate: FrameRate) -> bool {
    if let Some(distance) = rendition.key_frame_every {
        let number = forced_before(distance, frame, rate);
        return first_at_or_after(distance, number, rate) == frame;
    }
    let gop = rendition.coding.gop;
    !gop.is_fixed || gop.scene_cuts || frame.is_multiple_of(u64::from(gop.frames.max(1)))
}

/// Returns the number of key frames that are forced before `frame`.
pub fn forced_before(distance: ExactTime, frame: u64, rate: FrameRate) -> u64 {
    let exact = ExactTime::of_frames(frame, rate).seconds() / distance.seconds();
    u64::try_from(exact.ceil()).map_or(0, |next| {
        // A time just before `frame` may force its key frame only at `frame`: it does not count.
        (next.saturating_sub(1)..=next)
            .find(|number| first_at_or_after(distance, *number, rate) >= frame)
            .unwrap_or(next)
    })
}

/// Returns the frame number of forced key frame `number`.
fn first_at_or_after(distance: ExactTime, number: u64, rate: FrameRate) -> u64 {
    let moment = distance.seconds() * Rational::from(i64::try_from(number).unwrap_or(i64::MAX));
    u64::try_from((moment * rate.per_second()).ceil()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
