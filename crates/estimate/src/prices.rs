//! The list of prices: in TOML, out rates with their sources. The one that is built in is `prices.toml`; users may bring
//! their own.

use std::collections::BTreeMap;

use abanico_media::Rational;
use abanico_plan::{Pass, SpeedPreset};
use serde::Deserialize;

use crate::Error;
use crate::usd::{decimal, maybe_decimal};

/// All prices.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Month or day that the prices are of.
    pub date: String,
    /// Multipliers of MediaConvert's normalised minutes, the same everywhere.
    pub multipliers: Multipliers,
    /// Prices by region.
    pub regions: BTreeMap<String, RegionPrices>,
    /// CPU that abanico's own encoders take.
    pub speed: Speed,
}

/// Multipliers of normalised minutes; what is absent is not known.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multipliers {
    /// Where they are from.
    pub source: String,
    /// By class of size: `SD`, `HD`, `4K`.
    pub size: BTreeMap<String, u32>,
    /// By class of frame rate: `<=30`, `<=60`, `<=120`.
    pub rate: BTreeMap<String, u32>,
}

/// Prices of one region, in dollars.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionPrices {
    /// Where MediaConvert's are from.
    pub mediaconvert_source: String,
    /// A normalised minute of the basic tier.
    #[serde(deserialize_with = "decimal")]
    pub basic_minute: Rational,
    /// A normalised minute of the professional tier with H.264, if known.
    #[serde(default, deserialize_with = "maybe_decimal")]
    pub professional_avc_minute: Option<Rational>,
    /// Where Lambda's are from.
    pub lambda_source: String,
    /// A gigabyte of memory for a second, on x86.
    #[serde(deserialize_with = "decimal")]
    pub lambda_gb_second: Rational,
    /// A million invocations.
    #[serde(deserialize_with = "decimal")]
    pub lambda_million_requests: Rational,
}

/// CPU that encoding takes, as `bench/encode_speed.py` measures it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Machine, clip, version and day.
    pub source: String,
    /// CPU seconds to decode a thousand million pixels of H.264.
    #[serde(deserialize_with = "decimal")]
    pub decode_cpu_seconds_per_gigapixel: Rational,
    /// CPU seconds to encode a thousand million pixels in one pass, by speed step: `very_fast`, `fast`, `medium`.
    #[serde(deserialize_with = "steps")]
    pub encode_cpu_seconds_per_gigapixel: BTreeMap<String, Rational>,
    /// The same of a first pass, of its own smaller pixels; where it was not measured, an encode's at `very_fast` is taken.
    #[serde(default, deserialize_with = "maybe_decimal")]
    pub first_pass_cpu_seconds_per_gigapixel: Option<Rational>,
    /// The same of an encode that reads a first pass and so does not look ahead, by speed step; where a step was not measured,
    /// an encode's in one pass is taken.
    #[serde(default, deserialize_with = "steps")]
    pub second_pass_cpu_seconds_per_gigapixel: BTreeMap<String, Rational>,
}

impl Speed {
    /// CPU seconds to encode a thousand million pixels in a pass of this kind; none when that was not measured.
    pub(crate) fn encode(&self, step: SpeedPreset, pass: Pass) -> Option<Rational> {
        let name = match step {
            SpeedPreset::VeryFast => "very_fast",
            SpeedPreset::Fast => "fast",
            SpeedPreset::Medium => "medium",
        };
        let measured = match pass {
            Pass::Only | Pass::Levelled(_) => None,
            // A sample is encoded as a first pass is.
            Pass::First | Pass::Sample(_) => self.first_pass_cpu_seconds_per_gigapixel,
            Pass::Second(_) => self.second_pass_cpu_seconds_per_gigapixel.get(name).copied(),
        };
        measured.or_else(|| self.encode_cpu_seconds_per_gigapixel.get(name).copied())
    }
}

fn steps<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Rational>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(name, text): (String, String)| {
        let number = crate::usd::parse_decimal(&text);
        let number =
            number.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no decimal number")))?;
        Ok((name, number))
    };
    texts.into_iter().map(read).collect()
}

impl Prices {
    /// The built-in list.
    pub fn built_in() -> Self {
        toml::from_str(include_str!("../prices.toml"))
            .expect("the embedded prices are valid, a test reads them")
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`Error::Prices`] that says what is wrong where.
    pub fn parse(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::Prices(error.to_string()))
    }

    /// Prices of a region.
    ///
    /// # Errors
    /// [`Error::Region`] that lists the regions there are.
    pub fn region(&self, region: &str) -> Result<&RegionPrices, Error> {
        self.regions.get(region).ok_or_else(|| Error::Region {
            region: region.to_owned(),
            known: self.regions.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_built_in_list_whole_and_says_its_sources() {
        let prices = Prices::built_in();
        let region = prices.region("us-east-1").unwrap();
        assert_eq!(region.basic_minute, Rational::new(75, 10_000));
        assert!(!region.mediaconvert_source.is_empty() && !prices.multipliers.source.is_empty());
        for step in [SpeedPreset::VeryFast, SpeedPreset::Fast, SpeedPreset::Medium] {
            for pass in [Pass::Only, Pass::First, Pass::Second(0)] {
                assert!(prices.speed.encode(step, pass).is_some(), "{step:?} {pass:?}");
            }
        }
    }

    #[test]
    fn has_each_kind_of_pass_its_own_rate_where_it_was_measured() {
        let mut speed = Prices::built_in().speed;
        let one_pass = speed.encode_cpu_seconds_per_gigapixel.clone();
        speed.first_pass_cpu_seconds_per_gigapixel = Some(Rational::from(5));
        speed.second_pass_cpu_seconds_per_gigapixel = [("fast".to_owned(), Rational::from(7))].into();
        assert_eq!(speed.encode(SpeedPreset::VeryFast, Pass::First), Some(Rational::from(5)));
        assert_eq!(speed.encode(SpeedPreset::Fast, Pass::Second(0)), Some(Rational::from(7)));
        assert_eq!(speed.encode(SpeedPreset::Fast, Pass::Only), one_pass.get("fast").copied());
        assert_eq!(speed.encode(SpeedPreset::Medium, Pass::Second(0)), one_pass.get("medium").copied());
        speed.first_pass_cpu_seconds_per_gigapixel = None;
        assert_eq!(speed.encode(SpeedPreset::VeryFast, Pass::First), one_pass.get("very_fast").copied());
    }

    #[test]
    fn does_an_unknown_region_list_the_known() {
        let error = Prices::built_in().region("mars-1").unwrap_err();
        assert!(error.to_string().contains("us-east-1"), "{error}");
    }

    #[test]
    fn is_a_wrong_list_told_with_its_place() {
        let error = Prices::parse("date = 5").unwrap_err();
        assert!(error.to_string().contains("date"), "{error}");
    }
}
