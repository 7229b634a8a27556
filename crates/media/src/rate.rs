//! Frame rates: in a fraction, out frames a second that are above zero, and the nearest customary rate. Never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ExactTime, Rational};

/// Rates that cameras and standards use; a measured rate within 0.2 % of one of them is taken as that one.
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

/// A constant frame rate in frames a second, above zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameRate(Rational);

impl FrameRate {
    /// Makes `num/den` frames a second, or nothing when that is not above zero.
    pub fn new(num: i64, den: i64) -> Option<Self> {
        Rational::checked(num, den).and_then(Self::from_rational)
    }

    /// Takes a fraction as frames a second, or nothing when it is not above zero.
    pub fn from_rational(per_second: Rational) -> Option<Self> {
        (per_second > Rational::ZERO).then_some(Self(per_second))
    }

    /// Frames a second.
    pub fn per_second(self) -> Rational {
        self.0
    }

    /// How long one frame lasts.
    pub fn frame_duration(self) -> ExactTime {
        ExactTime::from_seconds(Rational::ONE / self.0)
    }

    /// The customary rate within 0.2 % of this one (23.976 and 24 lie 0.1 % apart: the nearer wins), else this one.
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

    /// Frames in a run of `time`, rounded, at least 1: for GOP lengths that are given in seconds.
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
    fn does_the_nearer_customary_rate_win() {
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
    fn is_an_uncustomary_rate_left_alone() {
        assert_eq!(FrameRate::new(1051, 100).unwrap().customary().to_string(), "1051/100");
        assert_eq!(FrameRate::new(1, 1).unwrap().customary().to_string(), "1");
    }

    #[test]
    fn are_rates_that_stand_still_refused() {
        assert_eq!((FrameRate::new(0, 1), FrameRate::new(-25, 1), FrameRate::new(25, 0)), (None, None, None));
    }

    #[test]
    fn does_a_gop_of_two_seconds_count_frames() {
        let two = ExactTime::from_millis(2000);
        assert_eq!(FrameRate::new(24000, 1001).unwrap().frames_in(two), 48);
        assert_eq!(FrameRate::new(1, 10).unwrap().frames_in(two), 1);
    }
}
