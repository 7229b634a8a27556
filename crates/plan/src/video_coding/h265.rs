//! Reads the settings that only H.265 has: profile and tier, level, name of its sample entry.

use abanico_model::generated::VideoCodecSettings;
use serde::{Deserialize, Serialize};

use super::shared::{SharedSettings, from_itu_codec};
use crate::Error;
use crate::setting::text;

/// Settings that only H.265 has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct H265Settings {
    /// Whether the high tier's bit rates are allowed.
    pub high_tier: bool,
    /// Level; `None` lets the encoder choose the lowest that fits.
    pub level: Option<H265Level>,
    /// Whether B-frames may be references.
    pub b_references: bool,
    /// Whether parameter sets may also be in the stream (`hev1`), rather than only in the sample entry
    /// (`hvc1`).
    pub in_band_parameters: bool,
}

/// H.265 level in tenths: 51 is level 5.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct H265Level(pub u8);

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    settings.h265_settings.as_ref().map(|settings| from_itu_codec!(settings, "h265Settings"))
}

/// Reads the settings that only H.265 has, and the bit depth.
pub(super) fn own(settings: &VideoCodecSettings, pointer: &str) -> Result<(H265Settings, u8), Error> {
    let settings = settings.h265_settings.as_ref();
    let profile = settings.and_then(|settings| text(&settings.codec_profile)).unwrap_or("MAIN_MAIN");
    let (bit_depth, high_tier) = match profile {
        "MAIN_MAIN" => (8, false),
        "MAIN_HIGH" => (8, true),
        "MAIN10_MAIN" => (10, false),
        "MAIN10_HIGH" => (10, true),
        other => {
            let why = format!("profile {other} is not supported: use MAIN_… or MAIN10_…");
            return Err(Error::setting(&format!("{pointer}/codecProfile"), &why));
        }
    };
    let level = settings.and_then(|settings| text(&settings.codec_level)).and_then(super::h264::tenths);
    let packaging = settings.and_then(|settings| text(&settings.write_mp4_packaging_type));
    let own = H265Settings {
        high_tier,
        level: level.map(H265Level),
        b_references: settings.and_then(|settings| text(&settings.gop_b_reference)) != Some("DISABLED"),
        in_band_parameters: packaging == Some("HEV1"),
    };
    Ok((own, bit_depth))
}
