//! Frame rates as exact fractions above zero, and the customary rate nearest to a measured one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ExactTime, Rational};

/// Rates that cameras and standards use. A measured rate within 0.2 % of one of them is taken to be that rate.
const CUSTOMARY: [(i64, i64); 12] = [
    (12, 1),
    (25, 2),
    (15, 1),
    (24000, 1001),
    (24, 1),
    (25, 1),
    (30000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60000, 1001),
    (60, 1),
];

/// A constant frame rate in frames per second, above zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameRate(Rational);

impl FrameRate {
    /// Makes a rate of `num/den` frames per second; `None` unless that is above zero.
    pub fn new(num: i64, den: i64) -> Option<Self> {
        Rational::checked(num, den).and_then(Self::from_rational)
    }

    /// Makes a rate of `per_second` frames per second; `None` unless that is above zero.
    pub fn from_rational(per_second: Rational) -> Option<Self> {
        (per_second > Rational::ZERO).then_some(Self(per_second))
    }

    /// Returns the frames per second.
    pub fn per_second(self) -> Rational {
        self.0
    }

    /// Returns the duration of one frame.
    pub fn frame_duration(self) -> ExactTime {
        ExactTime::from_seconds(Rational::ONE / self.0)
    }

    /// Returns the nearest customary rate if it is within 0.2 %, otherwise this rate. (23.976 and 24 are 0.1 %
    /// apart, so both can match; the nearer wins.)
    ///
    /// ```
    /// use abanico_media::FrameRate;
    /// let measured = FrameRate::new(2997, 100).unwrap();
    /// assert_eq!(measured.customary(), FrameRate::new(30000, 1001).unwrap());
    /// ```
    pub fn customary(self) -> Self {
        let off = |rate: &Rational| (*rate - self.0).abs() / self.0;
        CUSTOMARY
            .iter()
            .map(|&(num, den)| Rational::new(num, den))
            .min_by_key(off)
            .filter(|rate| off(rate) <= Rational::new(2, 1000))
            .map_or(self, Self)
    }

    /// Returns all customary rates, from the lowest to the highest.
    pub fn all_customary() -> impl Iterator<Item = Self> {
        CUSTOMARY.iter().map(|&(num, den)| Self(Rational::new(num, den)))
    }

    /// Returns the number of frames in `time`, rounded, at least 1. For GOP lengths given in seconds.
    pub fn frames_in(self, time: ExactTime) -> u32 {
        u32::try_from(time.frames(self)).unwrap_or(u32::MAX).max(1)
    }
}

impl fmt::Display for FrameRate {
    /// `25` or `30000/1001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.den() == 1 { write!(f, "{}", self.0.num()) } else { write!(f, "{}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_customary_rate_wins() {
        let cases = [
            ((2397, 100), "24000/1001"),
            ((24, 1), "24"),
            ((25, 2), "25/2"),
            ((2999, 100), "30"),
            ((6006, 100), "60"),
        ];
        for ((num, den), expected) in cases {
            assert_eq!(FrameRate::new(num, den).unwrap().customary().to_string(), expected);
        }
    }

    #[test]
    fn uncustomary_rate_is_kept() {
        assert_eq!(FrameRate::new(1051, 100).unwrap().customary().to_string(), "1051/100");
        assert_eq!(FrameRate::new(1, 1).unwrap().customary().to_string(), "1");
    }

    #[test]
    fn zero_and_negative_rates_are_refused() {
        assert_eq!((FrameRate::new(0, 1), FrameRate::new(-25, 1), FrameRate::new(25, 0)), (None, None, None));
    }

    #[test]
    fn frames_in_counts_a_two_second_gop() {
        let two = ExactTime::from_millis(2000);
        assert_eq!(FrameRate::new(24000, 1001).unwrap().frames_in(two), 48);
        assert_eq!(FrameRate::new(1, 10).unwrap().frames_in(two), 1);
    }
}
