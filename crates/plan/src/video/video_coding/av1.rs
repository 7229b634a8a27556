//! Reads the settings of AV1 in the shape that all codecs share, and its bit depth. It sets no number of
//! B-frames, because the encoder places references by itself.

use abanico_model::generated::{Av1BitDepth, Av1FramerateControl, VideoCodecSettings};

use super::shared::{RateMode, SharedSettings};
use crate::setting::whole;

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    let settings = settings.av1_settings.as_ref()?;
    let qvbr = settings.qvbr_settings.as_ref();
    Some(SharedSettings {
        member: "av1Settings",
        // AWS's model has no other mode.
        rate_mode: RateMode::Quality,
        max_bit_rate_bps: whole(settings.max_bitrate),
        quality_level: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level),
        quality_fine_tune: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level_fine_tune),
        gop_size: settings.gop_size,
        frame_rate: (settings.framerate_control == Some(Av1FramerateControl::Specified))
            .then_some((settings.framerate_numerator, settings.framerate_denominator)),
        ..SharedSettings::default()
    })
}

pub(super) fn bit_depth(settings: &VideoCodecSettings) -> u8 {
    match settings.av1_settings.as_ref().and_then(|settings| settings.bit_depth.as_ref()) {
        Some(Av1BitDepth::Bit10) => 10,
        None | Some(Av1BitDepth::Bit8 | Av1BitDepth::Other(_)) => 8,
    }
}
