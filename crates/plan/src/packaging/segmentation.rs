//! Cuts a stream into segments: computes the first frame of each from a rule, a frame rate and a frame count.
//! Every frame is in exactly one segment, and no segment is empty.

use abanico_media::{ExactTime, FrameRate, Rational};
use serde::{Deserialize, Serialize};

/// How long segments should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentRule {
    /// Wanted length, above zero.
    pub length: ExactTime,
    /// Frames between key frames, if the job fixes them. Segments are then rounded up to whole groups. `None`
    /// allows a key frame at the start of every segment.
    pub gop_frames: Option<u64>,
    /// A shorter last segment is joined to the one before it; zero joins none.
    pub min_final_length: ExactTime,
}

impl SegmentRule {
    /// Returns a rule without fixed groups and without a shortest last segment.
    pub fn of_length(length: ExactTime) -> Self {
        Self { length, gop_frames: None, min_final_length: ExactTime::ZERO }
    }

    /// Returns the length of segments at `rate`: the wanted length, but at least a frame, rounded up to whole
    /// groups of pictures.
    pub fn length_at(&self, rate: FrameRate) -> ExactTime {
        let length = self.length.max(rate.frame_duration());
        let Some(gop) = self.gop_frames.filter(|frames| *frames > 0) else { return length };
        let gop = ExactTime::of_frames(gop, rate).seconds();
        let groups = (length.seconds() / gop).ceil().max(1);
        ExactTime::from_seconds(gop * Rational::from(groups))
    }
}

/// The segments of one stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segmentation {
    rate: FrameRate,
    frames: u64,
    starts: Vec<u64>,
}

impl Segmentation {
    /// Cuts `frames` frames, at least one, at `rate`. Segment `k` begins with the first frame at or after `k`
    /// segment lengths, so streams of different rates are cut at the same times.
    pub fn cut(rule: &SegmentRule, rate: FrameRate, frames: u64) -> Self {
        let step = rule.length_at(rate).seconds() * rate.per_second();
        let frames = frames.max(1);
        let mut starts: Vec<u64> = (0..)
            .map(|index: i64| u64::try_from((step * Rational::from(index)).ceil()).unwrap_or(u64::MAX))
            .take_while(|start| *start < frames)
            .collect();
        let last = starts.last().copied().unwrap_or(0);
        let last_length = ExactTime::of_frames(frames - last, rate);
        if starts.len() > 1 && last_length < rule.min_final_length {
            starts.pop();
        }
        Self { rate, frames, starts }
    }

    /// Returns the first frame of every segment, ascending from 0.
    pub fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// Returns the number of segments, at least 1.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the length of every segment, in order. Their sum is exactly the length of the stream.
    pub fn durations(&self) -> Vec<ExactTime> {
        let ends = self.starts.iter().skip(1).chain([&self.frames]);
        self.starts
            .iter()
            .zip(ends)
            .map(|(start, end)| ExactTime::of_frames(end - start, self.rate))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(num: i64, den: i64) -> FrameRate {
        FrameRate::new(num, den).unwrap()
    }

    fn seconds(whole: i64) -> ExactTime {
        ExactTime::from_millis(whole * 1000)
    }

    #[test]
    fn segments_begin_at_or_after_their_time() {
        let rule = SegmentRule::of_length(seconds(6));
        let cut = Segmentation::cut(&rule, rate(24000, 1001), 500);
        // 6 s are 143.86 frames of 1001/24000 s.
        assert_eq!(cut.starts(), [0, 144, 288, 432]);
        assert_eq!(cut.durations()[0].decimal(), "6.006000");
        assert_eq!(cut.durations()[3], ExactTime::of_frames(68, rate(24000, 1001)));
    }

    #[test]
    fn fixed_groups_are_never_split() {
        let rule = SegmentRule { gop_frames: Some(90), ..SegmentRule::of_length(seconds(10)) };
        let cut = Segmentation::cut(&rule, rate(30, 1), 1000);
        assert_eq!(cut.starts(), [0, 360, 720]);
    }

    #[test]
    fn short_last_segments_are_joined() {
        let rule = SegmentRule { min_final_length: seconds(2), ..SegmentRule::of_length(seconds(4)) };
        assert_eq!(Segmentation::cut(&rule, rate(25, 1), 249).starts(), [0, 100]);
        assert_eq!(Segmentation::cut(&rule, rate(25, 1), 250).starts(), [0, 100, 200]);
        assert_eq!(Segmentation::cut(&rule, rate(25, 1), 10).starts(), [0]);
    }

    #[test]
    fn segments_have_at_least_one_frame() {
        let cut = Segmentation::cut(&SegmentRule::of_length(seconds(1)), rate(1, 4), 3);
        assert_eq!(cut.starts(), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn segments_tile_the_stream(
            num in 1_i64..=120_000, den in prop::sample::select(vec![1_i64, 1001]),
            length_ms in 1500_i64..20_000, frames in 1_u64..20_000, gop in prop::option::of(1_u64..300),
        ) {
            prop_assume!(num / den >= 1 && num / den <= 120);
            let rule = SegmentRule { gop_frames: gop, ..SegmentRule::of_length(ExactTime::from_millis(length_ms)) };
            let cut = Segmentation::cut(&rule, rate(num, den), frames);
            let total = cut.durations().into_iter().fold(ExactTime::ZERO, |sum, one| sum + one);
            prop_assert_eq!(total, ExactTime::of_frames(frames, rate(num, den)));
            prop_assert!(cut.starts().windows(2).all(|pair| pair[0] < pair[1]));
            if let Some(gop) = gop {
                prop_assert!(cut.starts().iter().all(|start| start % gop == 0));
            }
        }
    }
}
