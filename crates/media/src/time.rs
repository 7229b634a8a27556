//! Exact time as a fraction of seconds, made from ticks, frames or milliseconds. Never a float.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

use crate::{FrameRate, Rational};

/// A point in time or a duration, in exact seconds.
///
/// ```
/// use abanico_media::{ExactTime, Rational};
/// let pts = ExactTime::from_ticks(131_310, Rational::new(1, 90_000));
/// assert_eq!(pts.to_string(), "1.459");
/// assert_eq!((pts + ExactTime::from_millis(41)).millis(), 1500);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExactTime(Rational);

impl Default for ExactTime {
    /// Time zero.
    fn default() -> Self {
        Self::ZERO
    }
}

impl ExactTime {
    /// Time zero.
    pub const ZERO: Self = Self(Rational::ZERO);

    /// Makes a time from seconds.
    pub fn from_seconds(seconds: Rational) -> Self {
        Self(seconds)
    }

    /// Makes a time from `ticks`; `base` is the length of a tick in seconds.
    pub fn from_ticks(ticks: i64, base: Rational) -> Self {
        Self(Rational::from(ticks) * base)
    }

    /// Makes a time from milliseconds.
    pub fn from_millis(millis: i64) -> Self {
        Self(Rational::new(millis, 1000))
    }

    /// Returns the start of frame number `frames`, counted from zero, at a constant `rate`.
    pub fn of_frames(frames: u64, rate: FrameRate) -> Self {
        Self(Rational::from(i64::try_from(frames).unwrap_or(i64::MAX)) / rate.per_second())
    }

    /// Returns the exact seconds.
    pub fn seconds(self) -> Rational {
        self.0
    }

    /// Returns the nearest whole number of milliseconds.
    pub fn millis(self) -> i64 {
        (self.0 * Rational::from(1000)).round()
    }

    /// Returns the nearest whole number of microseconds, the unit of ffmpeg's own clock.
    pub fn micros(self) -> i64 {
        (self.0 * Rational::from(1_000_000)).round()
    }

    /// Returns the nearest number of frames that last this long at `rate`; 0 for a negative time.
    pub fn frames(self, rate: FrameRate) -> u64 {
        u64::try_from((self.0 * rate.per_second()).round()).unwrap_or(0)
    }

    /// Returns the absolute difference from another time.
    pub fn distance(self, other: Self) -> Self {
        Self((self.0 - other.0).abs())
    }

    /// Returns the seconds with six decimals, in the format of ffmpeg's options.
    pub fn decimal(self) -> String {
        let micros = self.micros();
        let sign = if micros < 0 { "-" } else { "" };
        format!("{sign}{}.{:06}", micros.abs() / 1_000_000, micros.abs() % 1_000_000)
    }
}

impl fmt::Display for ExactTime {
    /// Writes seconds with three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.millis();
        let sign = if millis < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:03}", millis.abs() / 1000, millis.abs() % 1000)
    }
}

impl Add for ExactTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for ExactTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_frames_agree_exactly() {
        let ntsc = FrameRate::new(30000, 1001).unwrap();
        let ticks = ExactTime::from_ticks(3003 * 300, Rational::new(1, 90_000));
        assert_eq!(ticks, ExactTime::of_frames(300, ntsc));
        assert_eq!(ticks.frames(ntsc), 300);
        assert_eq!(ExactTime::from_millis(-5).frames(ntsc), 0);
    }

    #[test]
    fn text_is_rounded_to_its_unit() {
        let third = ExactTime::from_seconds(Rational::new(-1, 3));
        assert_eq!((third.to_string().as_str(), third.decimal().as_str()), ("-0.333", "-0.333333"));
        assert_eq!(ExactTime::from_millis(62_300).decimal(), "62.300000");
    }

    #[test]
    fn distance_is_symmetric() {
        let (a, b) = (ExactTime::from_millis(10), ExactTime::from_millis(35));
        assert_eq!(a.distance(b), b.distance(a));
        assert_eq!(a.distance(b).millis(), 25);
    }
}
