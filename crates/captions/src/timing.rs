//! Retimes caption tracks with exact arithmetic: shifts, scales, clips and joins them.

use std::collections::HashMap;

use abanico_media::{ExactTime, Rational};

use crate::cue::farthest;
use crate::{CaptionTrack, Cue};

/// A time range of a source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Clip {
    /// Start on the source's clock.
    pub start: ExactTime,
    /// Length; a negative length counts as zero.
    pub length: ExactTime,
}

impl Clip {
    /// Clamps the clip to the times that a cue can have, and its length to at least zero.
    fn bounded(&self) -> Self {
        let farthest = farthest();
        let start = self.start.clamp(ExactTime::ZERO - farthest, farthest);
        Self { start, length: self.length.clamp(ExactTime::ZERO, farthest) }
    }

    fn end(&self) -> ExactTime {
        self.start + self.length
    }
}

/// Shifts every cue by `delta`, earlier if it is negative. Cues that end up before zero stay in the track; the
/// writers leave them out.
pub fn shift(track: &CaptionTrack, delta: ExactTime) -> CaptionTrack {
    map_times(track, |time| time + delta)
}

/// Multiplies all times by `factor`. For captions made for 25 frames per second and shown with the same frames
/// at 24000/1001, the factor is 25 / (24000/1001). If the factor is not above zero, all cues are dropped.
///
/// ```
/// use abanico_captions::{CaptionTrack, Cue, scale};
/// use abanico_media::{ExactTime, Rational};
/// let at = ExactTime::from_millis;
/// let track = CaptionTrack::new(vec![Cue::plain(at(24_000), at(48_000), "a")]);
/// let scaled = scale(&track, Rational::from(25) / Rational::new(24_000, 1001));
/// assert_eq!(scaled.cues()[0].start, at(25_025));
/// ```
pub fn scale(track: &CaptionTrack, factor: Rational) -> CaptionTrack {
    map_times(track, |time| ExactTime::from_seconds(time.seconds() * factor))
}

fn map_times(track: &CaptionTrack, time: impl Fn(ExactTime) -> ExactTime) -> CaptionTrack {
    let moved = |cue: &Cue| Cue { start: time(cue.start), end: time(cue.end), ..cue.clone() };
    CaptionTrack::new(track.cues().iter().map(moved).collect()).with_dropped(track.dropped())
}

/// Cuts a track to clips and puts them on the clock of an output in which the clips follow each other from
/// zero. Cues are cut at the edges of clips, and cues outside are left out. If a clip starts in the source
/// where the previous one ends, a cue across that edge stays one cue. If a clip occurs twice, so do its cues.
pub fn clip(track: &CaptionTrack, clips: &[Clip]) -> CaptionTrack {
    let mut pieces: Vec<Cue> = Vec::new();
    // For each cue of the source, the index of its last piece.
    let mut last_piece: Vec<Option<usize>> = vec![None; track.cues().len()];
    let mut out = ExactTime::ZERO;
    for clip in clips.iter().map(Clip::bounded) {
        for (cue, last) in track.cues().iter().zip(&mut last_piece) {
            let (start, end) = (cue.start.max(clip.start), cue.end.min(clip.end()));
            if start >= end {
                continue;
            }
            let (start, end) = (start - clip.start + out, end - clip.start + out);
            match last.and_then(|at| pieces.get_mut(at)).filter(|piece| piece.end == start) {
                Some(piece) if cue.start < clip.start => piece.end = end,
                _ => {
                    *last = Some(pieces.len());
                    pieces.push(Cue { start, end, ..cue.clone() });
                }
            }
        }
        out = out + clip.length;
    }
    CaptionTrack::new(pieces).with_dropped(track.dropped())
}

/// Joins tracks into one, each shifted by its offset.
pub fn join(tracks: Vec<(CaptionTrack, ExactTime)>) -> CaptionTrack {
    let dropped = tracks.iter().map(|(track, _)| track.dropped()).sum();
    let moved = tracks.iter().flat_map(|(track, offset)| {
        track.cues().iter().map(|cue| Cue {
            start: cue.start + *offset,
            end: cue.end + *offset,
            ..cue.clone()
        })
    });
    CaptionTrack::new(moved.collect()).with_dropped(dropped)
}

/// Merges cues with the same start and end into one, with the lines of all in order and the placement of the
/// first. For players that show one cue at a time.
pub fn merge_simultaneous(track: &CaptionTrack) -> CaptionTrack {
    let mut merged: Vec<Cue> = Vec::with_capacity(track.cues().len());
    let mut index_of: HashMap<(ExactTime, ExactTime), usize> = HashMap::new();
    for cue in track.cues() {
        let index = *index_of.entry((cue.start, cue.end)).or_insert(merged.len());
        match merged.get_mut(index) {
            Some(same) => same.lines.extend(cue.lines.iter().cloned()),
            None => merged.push(cue.clone()),
        }
    }
    CaptionTrack::new(merged).with_dropped(track.dropped())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_tracks::{TextOf, track};

    fn at(millis: i64) -> ExactTime {
        ExactTime::from_millis(millis)
    }

    fn track_of(cues: &[(i64, i64, &str)]) -> CaptionTrack {
        CaptionTrack::new(
            cues.iter().map(|&(start, end, text)| Cue::plain(at(start), at(end), text)).collect(),
        )
    }

    fn clip_of(start: i64, length: i64) -> Clip {
        Clip { start: at(start), length: at(length) }
    }

    #[test]
    fn opposite_shift_restores_the_track() {
        let track = track_of(&[(0, 1000, "a"), (5000, 6000, "b")]);
        let earlier = shift(&track, at(-3000));
        assert_eq!(earlier, track_of(&[(-3000, -2000, "a"), (2000, 3000, "b")]));
        assert_eq!(shift(&earlier, at(3000)), track);
    }

    #[test]
    fn scaling_is_exact() {
        let third = Rational::new(1, 3);
        let scaled = scale(&track_of(&[(1000, 2000, "a")]), third);
        assert_eq!(scaled.cues()[0].start.seconds(), third);
        for factor in [Rational::ZERO, Rational::from(-1)] {
            let none = scale(&track_of(&[(1000, 2000, "a")]), factor);
            assert_eq!((none.is_empty(), none.dropped()), (true, 1));
        }
    }

    #[test]
    fn cues_are_cut_at_clip_edges() {
        let track =
            track_of(&[(0, 2000, "before"), (4000, 6000, "into"), (7000, 8000, "in"), (9000, 12_000, "out")]);
        assert_eq!(
            clip(&track, &[clip_of(5000, 5000)]),
            track_of(&[(0, 1000, "into"), (2000, 3000, "in"), (4000, 5000, "out")])
        );
        assert_eq!(clip(&track, &[clip_of(2000, 2000), clip_of(5000, -1)]), CaptionTrack::default());
    }

    #[test]
    fn clips_follow_each_other_in_the_output() {
        let track = track_of(&[(1000, 3000, "a"), (8000, 12_000, "b")]);
        let clips = [clip_of(10_000, 4000), clip_of(0, 2000), clip_of(0, 2000)];
        assert_eq!(clip(&track, &clips), track_of(&[(0, 2000, "b"), (5000, 6000, "a"), (7000, 8000, "a")]));
    }

    #[test]
    fn cue_across_seamless_clips_stays_one() {
        let track = track_of(&[(1000, 9000, "long"), (4000, 6000, "short")]);
        let clips = [clip_of(2000, 3000), clip_of(5000, 2000), clip_of(7000, 1000)];
        assert_eq!(clip(&track, &clips), track_of(&[(0, 6000, "long"), (2000, 4000, "short")]));
        // When the same clip occurs twice, the cue begins again, because the clip begins where the cue does.
        let twice = [clip_of(1000, 8000), clip_of(1000, 8000)];
        assert_eq!(
            clip(&track_of(&[(1000, 9000, "long")]), &twice),
            track_of(&[(0, 8000, "long"), (8000, 16_000, "long")])
        );
    }

    #[test]
    fn cues_with_equal_times_are_merged() {
        let track = track_of(&[
            (0, 1000, "a"),
            (0, 2000, "other end"),
            (0, 1000, "b\nc"),
            (500, 1000, "other start"),
            (500, 1000, "d"),
        ]);
        assert_eq!(
            merge_simultaneous(&track),
            track_of(&[(0, 1000, "a\nb\nc"), (0, 2000, "other end"), (500, 1000, "other start\nd")])
        );
        assert!(merge_simultaneous(&CaptionTrack::default()).is_empty());
    }

    #[test]
    fn tracks_are_joined_at_their_offsets() {
        let joined =
            join(vec![(track_of(&[(0, 1000, "b")]), at(5000)), (track_of(&[(0, 1000, "a")]), at(0))]);
        assert_eq!(joined, track_of(&[(0, 1000, "a"), (5000, 6000, "b")]));
    }

    proptest! {
        #[test]
        fn seamless_clips_change_nothing(track in track(TextOf::SubRip), cuts in prop::collection::vec(1..200_000_000_i64, 0..6)) {
            let mut borders = cuts;
            borders.extend([0, track.end().millis() + 1]);
            borders.sort_unstable();
            let clips: Vec<_> = borders.windows(2).map(|pair| clip_of(pair[0], pair[1] - pair[0])).collect();
            prop_assert_eq!(clip(&track, &clips), track);
        }

        #[test]
        fn clipped_cues_stay_within_the_clip(track in track(TextOf::SubRip), start in 0..500_000_000_i64, length in 0..500_000_000_i64) {
            let cut = clip(&track, &[clip_of(start, length)]);
            for cue in cut.cues() {
                prop_assert!(at(0) <= cue.start && cue.end <= at(length));
            }
            let inside = track.cues().iter().filter(|cue| cue.start < at(start + length) && cue.end > at(start));
            prop_assert_eq!(cut.cues().len(), if length > 0 { inside.count() } else { 0 });
        }

        #[test]
        fn no_time_panics(
            track in track(TextOf::SubRip),
            num in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
            den in prop_oneof![1..i64::MAX, Just(1)],
        ) {
            let time = ExactTime::from_seconds(Rational::new(num, den));
            shift(&track, time);
            scale(&track, time.seconds());
            clip(&track, &[Clip { start: time, length: time }, Clip { start: at(0), length: time }]);
            join(vec![(track, time)]);
        }
    }
}
