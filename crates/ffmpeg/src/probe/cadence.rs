//! Finds the first and the last time of a track, its typical frame distance and how its frames fall on the ticks of a
//! constant rate, from presentation times in file order.
//!
//! Memory stays bounded: a small window puts the times in order, a table counts their distances, and only so many
//! distances are kept one by one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use abanico_media::Rational;

/// Number of times held to put them in order; no codec reorders by more than 32 frames.
const WINDOW: usize = 64;
/// Maximum number of different distances to count. If a track has more, its typical distance is among these.
const MOST_DISTANCES: usize = 1 << 16;
/// Most distances to keep one by one: two hours at 30 frames a second. They take 1 MiB.
const MOST_KEPT: usize = 1 << 18;

/// Collects the presentation times of one track, in ticks.
#[derive(Debug, Default)]
pub(crate) struct Cadence {
    window: BinaryHeap<Reverse<i64>>,
    first: Option<i64>,
    last: Option<i64>,
    distances: BTreeMap<i64, u64>,
    keeps: bool,
    kept: Vec<u32>,
}

impl Cadence {
    /// Makes a cadence that also keeps the distances in order, for [`Rhythm::on_ticks`].
    pub fn of_pictures() -> Self {
        Self { keeps: true, ..Self::default() }
    }

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
        Rhythm { first: self.first, last: self.last, distances: self.distances, kept: self.kept }
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
            if self.keeps && self.kept.len() < MOST_KEPT {
                self.kept.push(u32::try_from(distance.max(0)).unwrap_or(u32::MAX));
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
    kept: Vec<u32>,
}

/// What becomes of frames when each moves to the nearest tick of a constant rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct OnTicks {
    /// When tick 0 is, in sixteenths of a tick after the first frame; the first frame is always on tick 0.
    pub phase: i8,
    /// Frames that share their tick with the next one, which alone is shown.
    pub lost: i64,
    /// Ticks without a frame of their own, which show the one before.
    pub repeated: i64,
    /// Number of ticks from the first frame to the last, both included.
    pub ticks: i64,
    /// How unevenly frames move: the variance of their ways times their number, in millionths of a squared tick.
    pub unevenness: i64,
}

/// The first and the last phase at which the first frame stays on tick 0.
pub(crate) const PHASES: std::ops::RangeInclusive<i8> = -7..=7;

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

    /// Returns whether all distances are equal. Rounded times may make them differ by up to `rounding` units.
    pub fn is_steady(&self, rounding: i64) -> bool {
        self.extremes().is_none_or(|(smallest, largest)| largest - smallest <= rounding)
    }

    /// Returns whether nine of ten distances are equal, up to `rounding`: a constant rate with holes.
    pub fn is_mostly_steady(&self, rounding: i64) -> bool {
        let Some(median) = self.median() else { return false };
        let near = self.distances.range(median - rounding..=median + rounding).map(|(_, times)| times);
        10 * near.sum::<u64>() >= 9 * self.distances.values().sum::<u64>()
    }

    /// Returns the coarsest grid that the times lie on, up to `rounding`: the sum of all distances, and the number of grid
    /// steps in it. One distance in fifty may be off. `None` if there is no grid whose step fits into the shortest
    /// distance one to four times.
    pub fn grid(&self, rounding: i64) -> Option<Typical> {
        let shortest =
            *self.distances.iter().find(|(distance, times)| **distance > rounding && **times > 1)?.0;
        let total = self.count();
        (1..=4).find_map(|parts| {
            // The shortest distance may be rounded too: the others make the step exact, from the next longer on.
            let (mut sum, mut steps, mut on_grid) = (0_i64, 0_i64, 0_i64);
            for (distance, times) in &self.distances {
                let times = i64::try_from(*times).unwrap_or(i64::MAX);
                let (known, of_known) = if steps > 0 { (sum, steps) } else { (shortest, parts) };
                let (distance, known, of_known) =
                    (i128::from(*distance), i128::from(known), i128::from(of_known));
                let places = (2 * distance * of_known + known) / (2 * known);
                let off = (distance * of_known - places * known).abs();
                let Ok(places) = i64::try_from(places) else { continue };
                if places == 0 || off > i128::from(rounding) * of_known {
                    continue;
                }
                on_grid = on_grid.saturating_add(times);
                sum = sum.saturating_add(i64::try_from(distance).unwrap_or(i64::MAX).saturating_mul(times));
                steps = steps.saturating_add(places.saturating_mul(times));
            }
            (50 * (total - on_grid) <= total).then_some(Typical { sum, count: steps })
        })
    }

    /// Moves each frame to the nearest tick, `length` units after the one before, as ffmpeg's filter `fps` does.
    /// `None` if the distances were not kept.
    pub fn on_ticks(&self, length: Rational, phase: i8) -> Option<OnTicks> {
        if self.kept.is_empty() {
            return None;
        }
        let (num, den) = (i128::from(length.num()), i128::from(length.den()));
        let place = |time: i128| 16 * time * den - i128::from(phase) * num;
        let nearest = |place: i128| (place + 8 * num).div_euclid(16 * num);
        let permille = |place: i128, tick: i128| (place - tick * 16 * num) * 1000 / (16 * num);
        let (mut time, mut tick, mut found) = (0_i128, 0_i128, OnTicks { phase, ..OnTicks::default() });
        let first = permille(place(0), 0);
        let (mut sum, mut squares) = (first, first * first);
        for distance in &self.kept {
            time += i128::from(*distance);
            let place = place(time);
            let next = nearest(place);
            let off = permille(place, next);
            (sum, squares) = (sum + off, squares + off * off);
            match i64::try_from(next - tick).unwrap_or(i64::MAX) {
                0 => found.lost += 1,
                moved => found.repeated = found.repeated.saturating_add(moved - 1),
            }
            tick = next;
        }
        let count = i128::try_from(self.kept.len() + 1).unwrap_or(i128::MAX);
        found.ticks = i64::try_from(tick).unwrap_or(i64::MAX - 1) + 1;
        found.unevenness = i64::try_from(squares - sum * sum / count).unwrap_or(i64::MAX);
        Some(found)
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
        let mut cadence = Cadence::of_pictures();
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
        let mut cadence = Cadence::of_pictures();
        let mut time = 0;
        for step in 0..300_000 {
            time += 1 + step % 100_000;
            cadence.push(time);
        }
        assert!(cadence.window.len() <= WINDOW && cadence.distances.len() <= MOST_DISTANCES);
        assert_eq!(cadence.kept.len(), MOST_KEPT);
    }

    #[test]
    fn frames_are_lost_and_repeated_on_ticks() {
        let at = |times: &[i64], phase: i8| {
            let found = rhythm(times.iter().copied()).on_ticks(Rational::from(40), phase).unwrap();
            (found.lost, found.repeated, found.ticks)
        };
        assert_eq!(at(&[7, 47, 87, 127], 0), (0, 0, 4));
        assert_eq!(at(&[7, 66, 68, 127], 0), (0, 0, 4), "less than half a tick early or late");
        assert_eq!(at(&[0, 5, 40, 160], 0), (1, 2, 5));
        assert_eq!(at(&[0, 20, 40], 0), (1, 0, 2), "half a tick rounds up, onto the next frame");
        let early = [0, 58, 98, 120];
        assert_eq!((at(&early, 0), at(&early, 7)), ((0, 0, 4), (0, 0, 4)));
        let very_early = [0, 62, 102, 142];
        assert_eq!((at(&very_early, 0), at(&very_early, 7)), ((0, 1, 5), (0, 0, 4)));
        let exact = rhythm([0, 40, 80]).on_ticks(Rational::from(40), 5).unwrap();
        assert_eq!((exact.phase, exact.unevenness), (5, 0));
        let mut unkept = Cadence::default();
        (0..3).for_each(|pts| unkept.push(pts));
        assert_eq!(unkept.finish().on_ticks(Rational::ONE, 0), None);
    }

    #[test]
    fn steadiness_allows_rounding_and_holes() {
        let thirtieths: Vec<i64> = (0..31).map(|frame| (frame * 1000 + 15) / 30).collect();
        assert!(rhythm(thirtieths.iter().copied()).is_steady(2));
        let holed = || (0..20).chain(25..40).map(|frame| frame * 40);
        assert!(!rhythm(holed()).is_steady(2) && rhythm(holed()).is_mostly_steady(2));
        let uneven = || (0..40).map(|frame| frame * 40 + 9 * (frame % 2));
        assert!(!rhythm(uneven()).is_mostly_steady(2) && rhythm(uneven()).is_steady(20));
    }

    #[test]
    fn times_with_holes_lie_on_a_grid() {
        let grid = |times: Vec<i64>, rounding: i64| {
            rhythm(times).grid(rounding).map(|found| (found.sum, found.count))
        };
        let holes = |places: &[i64], step: i64| places.iter().map(|place| place * step).collect::<Vec<_>>();
        assert_eq!(grid(holes(&[0, 1, 3, 4, 7, 9, 10, 14], 100), 2), Some((1400, 14)));
        assert_eq!(
            grid(holes(&[0, 2, 5, 7, 10, 13, 15], 100), 2),
            Some((1500, 15)),
            "no frame follows the next"
        );
        let rounded = [0, 1, 3, 4, 7, 9, 10, 14].map(|place: i64| (place * 1000 + 3) / 7);
        assert_eq!(grid(rounded.to_vec(), 2), Some((2000, 14)));
        let uneven = (0..100).map(|frame| frame * 100 + frame * frame * 37 % 41).collect();
        assert_eq!(grid(uneven, 2), None);
        assert_eq!(grid(vec![0, 40], 2), None, "one distance is no grid");
    }

    #[test]
    fn single_frame_has_no_distance() {
        let single = rhythm([7]);
        assert_eq!((single.first, single.last, single.typical()), (Some(7), Some(7), None));
        assert_eq!(rhythm([]).first, None);
    }
}
