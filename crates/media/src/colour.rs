//! Colour as streams describe it: in ffprobe's names (ITU-T H.273), out dynamic range and what to signal.
//! Never a pixel.

use serde::{Deserialize, Serialize};

/// How code values fill the range of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourRange {
    /// 16 to 235 of 8 bits, also called `tv`; what is assumed when a stream says nothing.
    #[default]
    Limited,
    /// 0 to 255 of 8 bits, also called `pc` or full.
    Full,
}

/// The family of the transfer function.
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

/// Colours and brightness of the screen on which a picture was made (SMPTE ST 2086). Coordinates are in units of 1/50,000,
/// luminance in units of 1/10,000 cd/m².
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct MasteringDisplay {
    /// Red, x and y.
    pub red: (u32, u32),
    /// Green, x and y.
    pub green: (u32, u32),
    /// Blue, x and y.
    pub blue: (u32, u32),
    /// White, x and y.
    pub white: (u32, u32),
    /// Of the brightest picture.
    pub max_luminance: u32,
    /// Of the darkest picture.
    pub min_luminance: u32,
}

/// How bright a film gets (CTA-861.3), in cd/m².
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ContentLight {
    /// Its brightest pixel.
    pub max: u32,
    /// Its brightest frame on average.
    pub max_frame_average: u32,
}

/// What a film says of its high dynamic range once for all frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct StaticHdr {
    /// The screen, if told.
    pub mastering: Option<MasteringDisplay>,
    /// The light, if told.
    pub light: Option<ContentLight>,
}

/// Colour description of a video track, in the names that ffprobe prints; none where the stream says nothing.
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
    /// What the film says of its high dynamic range.
    #[serde(default)]
    pub static_hdr: StaticHdr,
}

impl Colour {
    /// What the transfer characteristics say about the dynamic range.
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
    fn does_the_transfer_decide_the_dynamic_range() {
        let of = |transfer: Option<&str>| {
            Colour { transfer: transfer.map(str::to_owned), ..Colour::default() }.dynamic_range()
        };
        assert_eq!(of(Some("smpte2084")), DynamicRange::Pq);
        assert_eq!(of(Some("arib-std-b67")), DynamicRange::Hlg);
        assert_eq!(of(Some("bt709")), DynamicRange::Sdr);
        assert_eq!(of(None), DynamicRange::Sdr);
    }
}
