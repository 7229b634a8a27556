//! Colour metadata of video streams, in ffprobe's names (ITU-T H.273), and the dynamic range that it implies.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Size;

/// Width and height from which a picture without a description counts as high definition.
const HD: Size = Size::new(1280, 577);

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

    /// BT.709 throughout, in limited range.
    pub fn bt709() -> Self {
        let bt709 = || Some("bt709".to_owned());
        Self { primaries: bt709(), transfer: bt709(), matrix: bt709(), ..Self::default() }
    }

    /// Returns this description with a value in every place. What the stream does not say is what players take it
    /// to be: BT.2020 for a high dynamic range or BT.2020 primaries, otherwise BT.709 for a picture of at least 1280
    /// pixels or more than 576 lines, and BT.601 for a smaller one. RGB has no matrix of its own; it gets the one
    /// that it is best converted with.
    #[must_use]
    pub fn completed(&self, size: Size, pixel_format: &str) -> Self {
        let is_rgb = is_rgb(pixel_format) || self.matrix.as_deref() == Some("gbr");
        let told = self.matrix.as_deref().filter(|_| !is_rgb);
        let matrix = told.unwrap_or_else(|| self.likely_matrix(size));
        let (primaries, transfer) = match matrix {
            _ if is_rgb && matrix != "bt2020nc" => ("bt709", "bt709"),
            "bt2020nc" | "bt2020c" => ("bt2020", "bt2020-10"),
            "bt470bg" => ("bt470bg", "smpte170m"),
            // With 576 lines, the European variant of BT.601.
            "smpte170m" if size.height == 576 => ("bt470bg", "smpte170m"),
            "smpte170m" => ("smpte170m", "smpte170m"),
            "smpte240m" => ("smpte240m", "smpte240m"),
            _ => ("bt709", "bt709"),
        };
        let or =
            |told: &Option<String>, likely: &str| Some(told.clone().unwrap_or_else(|| likely.to_owned()));
        Self {
            primaries: or(&self.primaries, primaries),
            transfer: or(&self.transfer, transfer),
            matrix: Some(matrix.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the matrix of a picture of this size that does not say which it has.
    fn likely_matrix(&self, size: Size) -> &'static str {
        let is_wide_gamut =
            self.dynamic_range() != DynamicRange::Sdr || self.primaries.as_deref() == Some("bt2020");
        match size.width >= HD.width || size.height >= HD.height {
            _ if is_wide_gamut => "bt2020nc",
            true => "bt709",
            false => "smpte170m",
        }
    }

    /// Returns the description of a finished stream that is made from one with this description: limited range, and
    /// a matrix that every codec can name. `size` is the size of the source.
    #[must_use]
    pub fn delivered(&self, size: Size) -> Self {
        let is_rare = self.matrix.as_deref() == Some("fcc");
        let matrix = if is_rare { Some(self.likely_matrix(size).to_owned()) } else { self.matrix.clone() };
        Self { matrix, range: ColourRange::Limited, static_hdr: StaticHdr::default(), ..self.clone() }
    }
}

/// Returns whether ffprobe's name of a pixel format is that of an RGB format.
fn is_rgb(pixel_format: &str) -> bool {
    let begins = ["rgb", "bgr", "gbr", "pal", "argb", "abgr", "0rgb", "0bgr"];
    begins.iter().any(|rgb| pixel_format.starts_with(rgb))
}

impl fmt::Display for Colour {
    /// Writes primaries, transfer characteristics, matrix coefficients and range, such as `bt709/bt709/bt709 limited`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
        let range = if self.range == ColourRange::Full { "full" } else { "limited" };
        let (primaries, transfer) = (name(&self.primaries), name(&self.transfer));
        write!(f, "{primaries}/{transfer}/{} {range}", name(&self.matrix))
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

    fn completed(colour: &Colour, width: u32, height: u32, pixel_format: &str) -> String {
        colour.completed(Size::new(width, height), pixel_format).to_string()
    }

    #[test]
    fn size_decides_what_is_not_said() {
        let silent = Colour::default();
        for (width, height) in [(1280, 720), (1280, 544), (720, 1280), (1920, 1080), (1024, 768)] {
            assert_eq!(completed(&silent, width, height, "yuv420p"), "bt709/bt709/bt709 limited");
        }
        for (width, height) in [(640, 480), (720, 480), (854, 480), (320, 180)] {
            assert_eq!(completed(&silent, width, height, "yuv420p"), "smpte170m/smpte170m/smpte170m limited");
        }
        assert_eq!(completed(&silent, 720, 576, "yuv420p"), "bt470bg/smpte170m/smpte170m limited");
    }

    #[test]
    fn what_is_said_stays() {
        let said = |matrix: &str| Colour { matrix: Some(matrix.to_owned()), ..Colour::default() };
        assert_eq!(completed(&said("bt709"), 320, 180, "yuv420p"), "bt709/bt709/bt709 limited");
        assert_eq!(
            completed(&said("smpte170m"), 1920, 1080, "yuv420p"),
            "smpte170m/smpte170m/smpte170m limited"
        );
        assert_eq!(
            completed(&said("bt2020nc"), 320, 180, "yuv420p10le"),
            "bt2020/bt2020-10/bt2020nc limited"
        );
        assert_eq!(completed(&said("ycgco"), 320, 180, "yuv444p"), "bt709/bt709/ycgco limited");
        let half = Colour { primaries: Some("bt470bg".into()), ..said("bt709") };
        assert_eq!(completed(&half, 320, 180, "yuv420p"), "bt470bg/bt709/bt709 limited");
        let pq = Colour { transfer: Some("smpte2084".into()), ..Colour::default() };
        assert_eq!(completed(&pq, 320, 180, "yuv420p10le"), "bt2020/smpte2084/bt2020nc limited");
    }

    #[test]
    fn rgb_gets_the_matrix_of_its_size() {
        let rgb = Colour { matrix: Some("gbr".into()), range: ColourRange::Full, ..Colour::default() };
        assert_eq!(completed(&rgb, 1280, 720, "gbrp"), "bt709/bt709/bt709 full");
        assert_eq!(completed(&rgb, 640, 360, "gbrp"), "bt709/bt709/smpte170m full");
        assert_eq!(completed(&Colour::default(), 640, 360, "rgb24"), "bt709/bt709/smpte170m limited");
    }

    #[test]
    fn delivered_colours_have_limited_range_and_a_common_matrix() {
        let old = Colour { matrix: Some("fcc".into()), range: ColourRange::Full, ..Colour::default() };
        let (size, small) = (Size::new(1280, 720), Size::new(640, 480));
        assert_eq!(old.completed(size, "yuv420p").delivered(size).to_string(), "bt709/bt709/bt709 limited");
        assert_eq!(
            old.completed(small, "yuv420p").delivered(small).to_string(),
            "bt709/bt709/smpte170m limited"
        );
    }
}
