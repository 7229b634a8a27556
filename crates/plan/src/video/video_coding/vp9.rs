//! Reads the settings of VP9 in the shape that all codecs share. The rate control is always VBR, because AWS
//! has no other.

use abanico_model::generated::{
    VideoCodecSettings, Vp9FramerateControl, Vp9ParControl, Vp9QualityTuningLevel,
};

use super::SpeedPreset;
use super::shared::{RateMode, SharedSettings};
use crate::setting::whole;

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    let settings = settings.vp9_settings.as_ref()?;
    Some(SharedSettings {
        member: "vp9Settings",
        rate_mode: RateMode::Variable,
        bit_rate_bps: whole(settings.bitrate),
        max_bit_rate_bps: whole(settings.max_bitrate),
        buffer_bits: whole(settings.hrd_buffer_size),
        speed: match &settings.quality_tuning_level {
            Some(Vp9QualityTuningLevel::MultiPassHq) => SpeedPreset::Medium,
            None | Some(Vp9QualityTuningLevel::MultiPass | Vp9QualityTuningLevel::Other(_)) => {
                SpeedPreset::Fast
            }
        },
        gop_size: settings.gop_size,
        frame_rate: (settings.framerate_control == Some(Vp9FramerateControl::Specified))
            .then_some((settings.framerate_numerator, settings.framerate_denominator)),
        pixel_aspect: (settings.par_control == Some(Vp9ParControl::Specified))
            .then_some((settings.par_numerator.unwrap_or(1), settings.par_denominator.unwrap_or(1))),
        ..SharedSettings::default()
    })
}
