//! Reads the settings that only H.264 has: profile, level, entropy coder, B-frames as references.

use abanico_model::generated::{
    H264CodecProfile, H264EntropyEncoding, H264GopBReference, VideoCodecSettings,
};
use serde::{Deserialize, Serialize};

use super::shared::{SharedSettings, from_itu_codec};
use crate::Error;
use crate::setting::{list, text};

/// Settings that only H.264 has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct H264Settings {
    /// Profile.
    pub profile: H264Profile,
    /// Level; `None` lets the encoder choose the lowest that fits.
    pub level: Option<H264Level>,
    /// Whether B-frames may be references.
    pub b_references: bool,
    /// Entropy coder.
    pub entropy: EntropyCoder,
}

/// H.264 profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum H264Profile {
    /// Baseline: no B-frames, no CABAC.
    Baseline,
    /// Main.
    Main,
    /// High.
    High,
}

/// H.264 level in tenths: 40 is level 4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct H264Level(pub u8);

/// Entropy coder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyCoder {
    /// Context-adaptive binary arithmetic coding.
    Cabac,
    /// Context-adaptive variable-length coding.
    Cavlc,
}

/// AWS's enums for H.264, under the names that [`from_itu_codec`] uses.
mod wire {
    pub use abanico_model::generated::{
        H264FramerateControl as FramerateControl, H264GopSizeUnits as GopSizeUnits,
        H264InterlaceMode as InterlaceMode, H264ParControl as ParControl,
        H264QualityTuningLevel as QualityTuningLevel, H264RateControlMode as RateControlMode,
        H264SceneChangeDetect as SceneChangeDetect,
    };
}

/// The profiles that are made.
const PROFILES: [H264CodecProfile; 3] =
    [H264CodecProfile::Baseline, H264CodecProfile::Main, H264CodecProfile::High];

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    settings.h264_settings.as_ref().map(|settings| from_itu_codec!(settings, "h264Settings", wire))
}

pub(super) fn own(settings: &VideoCodecSettings, pointer: &str) -> Result<H264Settings, Error> {
    let settings = settings.h264_settings.as_ref();
    let profile = match settings.and_then(|settings| settings.codec_profile.as_ref()) {
        Some(H264CodecProfile::Baseline) => H264Profile::Baseline,
        None | Some(H264CodecProfile::Main) => H264Profile::Main,
        Some(H264CodecProfile::High) => H264Profile::High,
        Some(other) => {
            let why = format!("profile {other} is not supported, only [{}]", list(&PROFILES));
            return Err(Error::setting(&format!("{pointer}/codecProfile"), &why));
        }
    };
    let is_cavlc =
        settings.is_some_and(|settings| settings.entropy_encoding == Some(H264EntropyEncoding::Cavlc));
    Ok(H264Settings {
        profile,
        level: settings.and_then(|settings| text(&settings.codec_level)).and_then(tenths).map(H264Level),
        b_references: settings
            .is_none_or(|settings| settings.gop_b_reference != Some(H264GopBReference::Disabled)),
        entropy: if is_cavlc || profile == H264Profile::Baseline {
            EntropyCoder::Cavlc
        } else {
            EntropyCoder::Cabac
        },
    })
}

/// Reads `LEVEL_3_1` as 31; `None` for `AUTO`.
pub(super) fn tenths(text: &str) -> Option<u8> {
    let mut parts = text.strip_prefix("LEVEL_")?.split('_');
    let major: u8 = parts.next()?.parse().ok()?;
    let minor: u8 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    Some(major * 10 + minor)
}
