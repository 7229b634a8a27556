//! Amounts of money in whole millionths of a dollar, parsed from decimal text without going through floats.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use abanico_media::Rational;
use serde::{Deserialize, Deserializer, Serialize};

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

impl MicroUsd {
    /// Rounds a number of millionths up, so that the estimate is never too low.
    pub(crate) fn rounded_up(micros: Rational) -> Self {
        Self(micros.ceil())
    }

    /// Multiplies the amount by `count`; saturates on overflow.
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

impl Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for MicroUsd {
    /// Writes dollars with two decimals from one dollar on, and with six below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000_000 {
            let cents = (self.0 + 5000) / 10_000;
            return write!(f, "{}.{:02} USD", cents / 100, cents % 100);
        }
        write!(f, "{}.{:06} USD", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Parses a decimal such as `0.0000166667` into an exact fraction.
pub(crate) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rational, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_decimal(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a decimal number")))
}

/// Like [`decimal`], for an optional field.
pub(crate) fn maybe_decimal<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Rational>, D::Error> {
    decimal(deserializer).map(Some)
}

pub(crate) fn parse_decimal(text: &str) -> Option<Rational> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    is_number.then(|| digits.parse().ok()).flatten().and_then(|number| Rational::checked(number, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(parse_decimal("0.0000166667"), Rational::checked(166_667, 10_000_000_000));
        assert_eq!(parse_decimal("3"), Some(Rational::from(3)));
        for wrong in ["", ".", "-1", "1e3", "0.1.2"] {
            assert_eq!(parse_decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn small_amounts_show_millionths() {
        assert_eq!(MicroUsd(1250).to_string(), "0.001250 USD");
        assert_eq!(MicroUsd(12_345_678).to_string(), "12.35 USD");
        assert_eq!(MicroUsd::rounded_up(Rational::new(1, 3)), MicroUsd(1));
    }
}
