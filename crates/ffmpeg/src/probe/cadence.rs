//! Finds the first and the last time of a track and its typical frame distance, from presentation times in file
//! order.
//!
//! Memory stays bounded: a small window puts the times in order, and a table counts their distances.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Number of times held to put them in order; no codec reorders by more than 32 frames.
const WINDOW: usize = 64;
/// Maximum number of different distances to count. If a track has more, its typical distance is among these.
const MOST_DISTANCES: usize = 1 << 16;

/// Collects the presentation times of one track, in ticks.
#[derive(Debug, Default)]
pub(crate) struct Cadence {
    window: BinaryHeap<Reverse<i64>>,
    first: Option<i64>,
    last: Option<i64>,
    distances: BTreeMap<i64, u64>,
}

impl Cadence {
    /// Adds the next presentation time in file order.
    pub fn push(&mut self, pts: i64) {
        self.window.push(Reverse(pts));
        if self.window.len() > WINDOW {
            self.settle_one();
        }
    }

    /// Puts the remaining times in order. Call it once, at the end.
    pub fn finish(mut self) -> Rhythm {
        while !self.window.is_empty() {
            self.settle_one();
        }
        Rhythm { first: self.first, last: self.last, distances: self.distances }
    }

    fn settle_one(&mut self) {
        let Some(Reverse(pts)) = self.window.pop() else { return };
        if let Some(last) = self.last {
            let distance = pts.saturating_sub(last);
            if distance > 0
                && (self.distances.len() < MOST_DISTANCES || self.distances.contains_key(&distance))
            {
                *self.distances.entry(distance).or_default() += 1;
            }
        }
        self.first = Some(self.first.map_or(pts, |first| first.min(pts)));
        self.last = Some(self.last.map_or(pts, |last| last.max(pts)));
    }
}

/// The timing of a track.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// Earliest presentation time.
    pub first: Option<i64>,
    /// Latest presentation time.
    pub last: Option<i64>,
    distances: BTreeMap<i64, u64>,
}

/// The typical distance between frames, as a sum and a count, so that rounded ticks even out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Typical {
    /// Sum of the distances near the median, in ticks; above zero.
    pub sum: i64,
    /// Number of those distances; above zero.
    pub count: i64,
}

impl Rhythm {
    /// Returns the mean of all distances within half of the median, or `None` if there are fewer than two
    /// different times.
    pub fn typical(&self) -> Option<Typical> {
        let median = self.median()?;
        let near = self.distances.iter().filter(|(distance, _)| 2 * (**distance - median).abs() <= median);
        let (mut sum, mut count) = (0_i64, 0_i64);
        for (distance, times) in near {
            let times = i64::try_from(*times).unwrap_or(i64::MAX);
            sum = sum.saturating_add(distance.saturating_mul(times));
            count = count.saturating_add(times);
        }
        Some(Typical { sum, count })
    }

    /// Returns the smallest and the largest distance.
    pub fn extremes(&self) -> Option<(i64, i64)> {
        Some((*self.distances.first_key_value()?.0, *self.distances.last_key_value()?.0))
    }

    /// Returns the number of distances counted.
    pub fn count(&self) -> i64 {
        i64::try_from(self.distances.values().sum::<u64>()).unwrap_or(i64::MAX)
    }

    /// Returns whether more than one in a hundred distances are far from the median: shorter than half of it, or longer
    /// than one and a half times.
    pub fn is_jittery(&self) -> bool {
        let near = self.typical().map_or(0, |typical| typical.count);
        (self.count() - near).saturating_mul(100) > self.count()
    }

    fn median(&self) -> Option<i64> {
        let total: u64 = self.distances.values().sum();
        let mut seen = 0;
        self.distances.iter().find_map(|(distance, times)| {
            seen += times;
            (2 * seen >= total).then_some(*distance)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(times: impl IntoIterator<Item = i64>) -> Rhythm {
        let mut cadence = Cadence::default();
        times.into_iter().for_each(|pts| cadence.push(pts));
        cadence.finish()
    }

    #[test]
    fn reordered_frames_are_put_in_order() {
        let rhythm = rhythm([0, 4, 2, 1, 3, 8, 6, 5, 7]);
        assert_eq!((rhythm.first, rhythm.last, rhythm.extremes()), (Some(0), Some(8), Some((1, 1))));
    }

    #[test]
    fn rounded_milliseconds_even_out() {
        let thirtieths = (0..31).map(|frame| (frame * 1000 + 15) / 30);
        assert_eq!(rhythm(thirtieths).typical(), Some(Typical { sum: 1000, count: 30 }));
    }

    #[test]
    fn hole_is_not_a_typical_distance() {
        let holed = (0..100).map(|frame| frame * 40).chain((150..200).map(|frame| frame * 40));
        let rhythm = rhythm(holed);
        assert_eq!(rhythm.typical(), Some(Typical { sum: 148 * 40, count: 148 }));
        assert_eq!(rhythm.extremes(), Some((40, 51 * 40)));
    }

    #[test]
    fn few_gaps_are_no_jitter() {
        let lost = (0..500).filter(|packet| packet % 125 != 60).map(|packet| packet * 20);
        assert!(!rhythm(lost).is_jittery());
        let live = (0..500).map(|packet| packet * 20 + if packet % 10 == 0 { 15 } else { 0 });
        assert!(rhythm(live).is_jittery());
        assert!(!rhythm([]).is_jittery() && !rhythm([5]).is_jittery());
    }

    #[test]
    fn memory_is_bounded_for_any_length() {
        let mut cadence = Cadence::default();
        let mut time = 0;
        for step in 0..200_000 {
            time += 1 + step % 100_000;
            cadence.push(time);
        }
        assert!(cadence.window.len() <= WINDOW && cadence.distances.len() <= MOST_DISTANCES);
    }

    #[test]
    fn single_frame_has_no_distance() {
        let single = rhythm([7]);
        assert_eq!((single.first, single.last, single.typical()), (Some(7), Some(7), None));
        assert_eq!(rhythm([]).first, None);
    }
}
