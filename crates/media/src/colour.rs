//! Colour metadata of video streams, in ffprobe's names (ITU-T H.273), and the dynamic range that it implies.

use serde::{Deserialize, Serialize};

/// How code values are spread over the numeric range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourRange {
    /// 16 to 235 in 8 bits, also called `tv`. Assumed when the stream does not say.
    #[default]
    Limited,
    /// 0 to 255 in 8 bits, also called `pc` or full.
    Full,
}

/// Dynamic range, as the transfer function determines it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DynamicRange {
    /// Standard dynamic range.
    Sdr,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

/// Primaries and luminance of the mastering display (SMPTE ST 2086). Coordinates are in units of 1/50,000,
/// luminance in units of 1/10,000 cd/m².
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct MasteringDisplay {
    /// Red primary, x and y.
    pub red: (u32, u32),
    /// Green primary, x and y.
    pub green: (u32, u32),
    /// Blue primary, x and y.
    pub blue: (u32, u32),
    /// White point, x and y.
    pub white: (u32, u32),
    /// Maximum luminance.
    pub max_luminance: u32,
    /// Minimum luminance.
    pub min_luminance: u32,
}

/// Content light levels (CTA-861.3), in cd/m².
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ContentLight {
    /// Brightest pixel (MaxCLL).
    pub max: u32,
    /// Highest frame average (MaxFALL).
    pub max_frame_average: u32,
}

/// HDR metadata that applies to the whole stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct StaticHdr {
    /// The mastering display, if known.
    pub mastering: Option<MasteringDisplay>,
    /// The content light levels, if known.
    pub light: Option<ContentLight>,
}

/// Colour description of a video track, in the names that ffprobe prints; `None` where the stream does not say.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Colour {
    /// Colour primaries, such as `bt709`.
    pub primaries: Option<String>,
    /// Transfer characteristics, such as `smpte2084`.
    pub transfer: Option<String>,
    /// Matrix coefficients, such as `bt2020nc`.
    pub matrix: Option<String>,
    /// Range of the code values.
    pub range: ColourRange,
    /// Static HDR metadata.
    #[serde(default)]
    pub static_hdr: StaticHdr,
}

impl Colour {
    /// Returns the dynamic range that the transfer characteristics imply; SDR unless they are PQ or HLG.
    pub fn dynamic_range(&self) -> DynamicRange {
        match self.transfer.as_deref() {
            Some("smpte2084") => DynamicRange::Pq,
            Some("arib-std-b67") => DynamicRange::Hlg,
            _ => DynamicRange::Sdr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_determines_dynamic_range() {
        let of = |transfer: Option<&str>| {
            Colour { transfer: transfer.map(str::to_owned), ..Colour::default() }.dynamic_range()
        };
        assert_eq!(of(Some("smpte2084")), DynamicRange::Pq);
        assert_eq!(of(Some("arib-std-b67")), DynamicRange::Hlg);
        assert_eq!(of(Some("bt709")), DynamicRange::Sdr);
        assert_eq!(of(None), DynamicRange::Sdr);
    }
}
