//! Exact fractions of two integers, reduced, with a positive denominator.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A reduced fraction of two 64-bit integers; the denominator is at least 1. A result that does not fit into
/// 64 bits is rounded.
///
/// `Display`, `FromStr` and serde use the form `num/den` (`30000/1001`).
///
/// ```
/// use abanico_media::Rational;
/// let half: Rational = "2/4".parse()?;
/// assert_eq!(half, Rational::new(1, 2));
/// assert_eq!((half + Rational::from(1)).to_string(), "3/2");
/// # Ok::<(), abanico_media::ParseRationalError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rational {
    num: i64,
    den: i64,
}

/// The text is neither `num/den` nor an integer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fraction such as `30000/1001`")]
pub struct ParseRationalError(String);

impl Rational {
    /// Zero.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// One.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// Makes `num/den`, reduced.
    ///
    /// # Panics
    /// Panics if `den` is zero; use [`Rational::checked`] for numbers from outside.
    pub fn new(num: i64, den: i64) -> Self {
        Self::reduce(num.into(), den.into())
    }

    /// Makes `num/den`, reduced; `None` if `den` is zero.
    pub fn checked(num: i64, den: i64) -> Option<Self> {
        (den != 0).then(|| Self::new(num, den))
    }

    /// Returns the numerator of the reduced fraction.
    pub fn num(self) -> i64 {
        self.num
    }

    /// Returns the denominator of the reduced fraction, at least 1.
    pub fn den(self) -> i64 {
        self.den
    }

    /// Returns the inverse; `None` for zero.
    pub fn inverse(self) -> Option<Self> {
        Self::checked(self.den, self.num)
    }

    /// Returns the nearest integer; halves round away from zero.
    pub fn round(self) -> i64 {
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        let doubled = 2 * num.abs() + den;
        let magnitude = doubled.div_euclid(2 * den);
        let rounded = if num < 0 { -magnitude } else { magnitude };
        i64::try_from(rounded).unwrap_or(if num < 0 { i64::MIN } else { i64::MAX })
    }

    /// Returns the largest integer that is not above this fraction.
    pub fn floor(self) -> i64 {
        self.num.div_euclid(self.den)
    }

    /// Returns the smallest integer that is not below this fraction.
    pub fn ceil(self) -> i64 {
        -(-self).floor()
    }

    /// Returns the absolute value.
    pub fn abs(self) -> Self {
        Self { num: self.num.abs(), den: self.den }
    }

    /// Returns an approximation, for text that needs a decimal number. Do not compute times with it.
    pub fn approximate(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// Reduces the fraction and fits it into 64 bits. If it does not fit, numerator and denominator both lose
    /// their lowest bits.
    fn reduce(num: i128, den: i128) -> Self {
        assert!(den != 0, "a fraction needs a denominator other than zero");
        let sign = if den < 0 { -1 } else { 1 };
        let divisor = i128::try_from(gcd(num.unsigned_abs(), den.unsigned_abs())).unwrap_or(1).max(1);
        let (mut num, mut den) = (sign * num / divisor, sign * den / divisor);
        loop {
            match (i64::try_from(num), i64::try_from(den)) {
                (Ok(num), Ok(den)) => return Self { num, den },
                _ => (num, den) = (num / 2, (den / 2).max(1)),
            }
        }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl From<i64> for Rational {
    fn from(value: i64) -> Self {
        Self { num: value, den: 1 }
    }
}

impl From<i32> for Rational {
    fn from(value: i32) -> Self {
        Self { num: value.into(), den: 1 }
    }
}

impl From<u32> for Rational {
    fn from(value: u32) -> Self {
        Self { num: value.into(), den: 1 }
    }
}

impl Add for Rational {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (a, b, c, d) = (self.num as i128, self.den as i128, other.num as i128, other.den as i128);
        Self::reduce(a * d + c * b, b * d)
    }
}

impl Sub for Rational {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Rational {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self::reduce(self.num as i128 * other.num as i128, self.den as i128 * other.den as i128)
    }
}

impl Div for Rational {
    type Output = Self;
    /// # Panics
    /// Panics if the divisor is zero.
    fn div(self, other: Self) -> Self {
        Self::reduce(self.num as i128 * other.den as i128, self.den as i128 * other.num as i128)
    }
}

impl Neg for Rational {
    type Output = Self;
    fn neg(self) -> Self {
        Self { num: -self.num, den: self.den }
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.num as i128 * other.den as i128).cmp(&(other.num as i128 * self.den as i128))
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl fmt::Debug for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Rational {
    type Err = ParseRationalError;
    /// Parses `num/den`, `num:den` (ffprobe's ratios) or an integer.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseRationalError(text.to_owned());
        let (num, den) = text.split_once(['/', ':']).unwrap_or((text, "1"));
        let (num, den) = (num.trim().parse().map_err(|_| wrong())?, den.trim().parse().map_err(|_| wrong())?);
        Self::checked(num, den).ok_or_else(wrong)
    }
}

impl From<Rational> for String {
    fn from(value: Rational) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for Rational {
    type Error = ParseRationalError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_reduced_with_positive_denominator() {
        assert_eq!(Rational::new(48, -2), Rational::from(-24));
        assert_eq!(Rational::new(60000, 2002).to_string(), "30000/1001");
        assert_eq!(Rational::checked(1, 0), None);
    }

    #[test]
    fn rounds_to_the_nearest_integer() {
        let cases = [(1, 2, 1), (-1, 2, -1), (3, 2, 2), (149, 100, 1), (-149, 100, -1), (7, 1, 7), (0, 5, 0)];
        for (num, den, expected) in cases {
            assert_eq!(Rational::new(num, den).round(), expected, "{num}/{den}");
        }
        assert_eq!((Rational::new(-1, 3).floor(), Rational::new(-1, 3).ceil()), (-1, 0));
    }

    #[test]
    fn arithmetic_is_exact() {
        let frame = Rational::new(1001, 30000);
        let hour = (0..108_000).fold(Rational::ZERO, |sum, _| sum + frame);
        assert_eq!(hour, Rational::new(1001 * 108_000, 30000));
        assert_eq!(frame * Rational::new(30000, 1001), Rational::ONE);
        assert!(Rational::new(24000, 1001) < Rational::from(24));
    }

    #[test]
    fn overflowing_product_stays_close() {
        let big = Rational::new(i64::MAX, 3) * Rational::new(7, 1_000_003);
        let expected = i64::MAX as f64 / 3.0 * 7.0 / 1_000_003.0;
        assert!((big.approximate() / expected - 1.0).abs() < 1e-6, "{big}");
    }

    #[test]
    fn text_round_trips() {
        for text in ["30000/1001", "0/1", "-7/3"] {
            assert_eq!(text.parse::<Rational>().unwrap().to_string(), text);
        }
        assert_eq!("16:9".parse::<Rational>().unwrap(), Rational::new(16, 9));
        for text in ["", "a/b", "1/0", "1.5"] {
            assert!(text.parse::<Rational>().is_err(), "{text}");
        }
    }
}
