//! Reads the settings of VP9 in the shape that all codecs share. The rate control is always VBR, because AWS
//! has no other.

use abanico_model::generated::VideoCodecSettings;

use super::SpeedPreset;
use super::shared::SharedSettings;
use crate::setting::{text, whole};

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    let settings = settings.vp9_settings.as_ref()?;
    Some(SharedSettings {
        member: "vp9Settings",
        rate_control_mode: Some("VBR".to_owned()),
        bit_rate_bps: whole(settings.bitrate),
        max_bit_rate_bps: whole(settings.max_bitrate),
        buffer_bits: whole(settings.hrd_buffer_size),
        speed: match text(&settings.quality_tuning_level) {
            Some("MULTI_PASS_HQ") => SpeedPreset::Medium,
            _ => SpeedPreset::Fast,
        },
        gop_size: settings.gop_size,
        frame_rate: (text(&settings.framerate_control) == Some("SPECIFIED"))
            .then_some((settings.framerate_numerator, settings.framerate_denominator)),
        pixel_aspect: (text(&settings.par_control) == Some("SPECIFIED"))
            .then_some((settings.par_numerator.unwrap_or(1), settings.par_denominator.unwrap_or(1))),
        ..SharedSettings::default()
    })
}
