//! Reads the list of prices and their sources from TOML. The built-in list is `prices.toml`; users may pass their own.

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
    /// Date of the prices, as free text.
    pub date: String,
    /// Multipliers for MediaConvert's normalised minutes, the same in all regions.
    pub multipliers: Multipliers,
    /// Prices by region.
    pub regions: BTreeMap<String, RegionPrices>,
    /// CPU time that abanico's own encoders need.
    pub speed: Speed,
}

/// Multipliers for normalised minutes. If one is absent, it is not known.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multipliers {
    /// Source of the multipliers.
    pub source: String,
    /// By size class: `SD`, `HD`, `4K`.
    pub size: BTreeMap<String, u32>,
    /// By rate class: `<=30`, `<=60`, `<=120`.
    pub rate: BTreeMap<String, u32>,
}

/// Prices of one region, in dollars.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionPrices {
    /// Source of MediaConvert's prices.
    pub mediaconvert_source: String,
    /// Price of a normalised minute in the basic tier.
    #[serde(deserialize_with = "decimal")]
    pub basic_minute: Rational,
    /// Price of a normalised minute of H.264 in the professional tier, if known.
    #[serde(default, deserialize_with = "maybe_decimal")]
    pub professional_avc_minute: Option<Rational>,
    /// Source of Lambda's prices.
    pub lambda_source: String,
    /// Price of a gigabyte of memory for one second, on x86.
    #[serde(deserialize_with = "decimal")]
    pub lambda_gb_second: Rational,
    /// Price of a million invocations.
    #[serde(deserialize_with = "decimal")]
    pub lambda_million_requests: Rational,
}

/// CPU time for decoding and encoding, as measured by `bench/encode_speed.py`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Machine, ffmpeg version, clip and day of the measurement.
    pub source: String,
    /// CPU seconds to decode a gigapixel (10⁹ pixels) of H.264.
    #[serde(deserialize_with = "decimal")]
    pub decode_cpu_seconds_per_gigapixel: Rational,
    /// CPU seconds to encode a gigapixel in a single pass, by speed preset: `very_fast`, `fast`, `medium`.
    #[serde(deserialize_with = "steps")]
    pub encode_cpu_seconds_per_gigapixel: BTreeMap<String, Rational>,
    /// CPU seconds per gigapixel of a first pass, counted at its own smaller frame size. If it was not measured, the
    /// single-pass figure for the preset is used.
    #[serde(default, deserialize_with = "maybe_decimal")]
    pub first_pass_cpu_seconds_per_gigapixel: Option<Rational>,
    /// CPU seconds per gigapixel of a second pass, by speed preset. A second pass reads the first pass's statistics and so
    /// does not look ahead. If a preset was not measured, its single-pass figure is used.
    #[serde(default, deserialize_with = "steps")]
    pub second_pass_cpu_seconds_per_gigapixel: BTreeMap<String, Rational>,
}

impl Speed {
    /// Returns the CPU seconds to encode a gigapixel in the given pass; `None` if that was not measured.
    pub(crate) fn encode(&self, step: SpeedPreset, pass: Pass) -> Option<Rational> {
        let name = match step {
            SpeedPreset::VeryFast => "very_fast",
            SpeedPreset::Fast => "fast",
            SpeedPreset::Medium => "medium",
        };
        let measured = match pass {
            Pass::Only | Pass::Levelled(_) => None,
            // A sample is encoded in the same way as a first pass.
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
            number.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a decimal number")))?;
        Ok((name, number))
    };
    texts.into_iter().map(read).collect()
}

impl Prices {
    /// Returns the built-in list.
    pub fn built_in() -> Self {
        toml::from_str(include_str!("../prices.toml"))
            .expect("the embedded prices are valid: a test reads them")
    }

    /// Parses a list of prices from TOML.
    ///
    /// # Errors
    /// Returns [`Error::Prices`], which says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::Prices(error.to_string()))
    }

    /// Returns the prices of a region.
    ///
    /// # Errors
    /// Returns [`Error::Region`], which lists the known regions, if the list has no prices for `region`.
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
    fn built_in_list_is_complete_and_names_sources() {
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
    fn unmeasured_pass_uses_single_pass_rate() {
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
    fn unknown_region_error_lists_known_regions() {
        let error = Prices::built_in().region("mars-1").unwrap_err();
        assert!(error.to_string().contains("us-east-1"), "{error}");
    }

    #[test]
    fn parse_error_names_the_field() {
        let error = Prices::parse("date = 5").unwrap_err();
        assert!(error.to_string().contains("date"), "{error}");
    }
}
