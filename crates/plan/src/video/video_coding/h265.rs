//! Reads the settings that only H.265 has: profile and tier, level, name of its sample entry.

use abanico_model::generated::{
    H265CodecProfile, H265GopBReference, H265WriteMp4PackagingType, VideoCodecSettings,
};
use serde::{Deserialize, Serialize};

use super::shared::{SharedSettings, from_itu_codec};
use crate::Error;
use crate::setting::{list, text};

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

/// AWS's enums for H.265, under the names that [`from_itu_codec`] uses.
mod wire {
    pub use abanico_model::generated::{
        H265FramerateControl as FramerateControl, H265GopSizeUnits as GopSizeUnits,
        H265InterlaceMode as InterlaceMode, H265ParControl as ParControl,
        H265QualityTuningLevel as QualityTuningLevel, H265RateControlMode as RateControlMode,
        H265SceneChangeDetect as SceneChangeDetect,
    };
}

/// The profiles that are made.
const PROFILES: [H265CodecProfile; 4] = [
    H265CodecProfile::MainMain,
    H265CodecProfile::MainHigh,
    H265CodecProfile::Main10Main,
    H265CodecProfile::Main10High,
];

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    settings.h265_settings.as_ref().map(|settings| from_itu_codec!(settings, "h265Settings", wire))
}

/// Reads the settings that only H.265 has, and the bit depth.
pub(super) fn own(settings: &VideoCodecSettings, pointer: &str) -> Result<(H265Settings, u8), Error> {
    let settings = settings.h265_settings.as_ref();
    let (bit_depth, high_tier) = match settings.and_then(|settings| settings.codec_profile.as_ref()) {
        None | Some(H265CodecProfile::MainMain) => (8, false),
        Some(H265CodecProfile::MainHigh) => (8, true),
        Some(H265CodecProfile::Main10Main) => (10, false),
        Some(H265CodecProfile::Main10High) => (10, true),
        Some(other) => {
            let why = format!("profile {other} is not supported, only [{}]", list(&PROFILES));
            return Err(Error::setting(&format!("{pointer}/codecProfile"), &why));
        }
    };
    let level = settings.and_then(|settings| text(&settings.codec_level)).and_then(super::h264::tenths);
    let own = H265Settings {
        high_tier,
        level: level.map(H265Level),
        b_references: settings
            .is_none_or(|settings| settings.gop_b_reference != Some(H265GopBReference::Disabled)),
        in_band_parameters: settings.is_some_and(|settings| {
            settings.write_mp4_packaging_type == Some(H265WriteMp4PackagingType::Hev1)
        }),
    };
    Ok((own, bit_depth))
}
