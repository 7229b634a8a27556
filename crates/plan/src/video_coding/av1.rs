//! Reads the settings of AV1 in the shape that all codecs share, and its bit depth. It sets no number of
//! B-frames, because the encoder places references by itself.

use abanico_model::generated::{Av1Settings, VideoCodecSettings};

use super::shared::SharedSettings;
use crate::setting::{text, whole};

pub(super) fn shared(settings: &VideoCodecSettings) -> Option<SharedSettings> {
    let settings = settings.av1_settings.as_ref()?;
    let qvbr = settings.qvbr_settings.as_ref();
    Some(SharedSettings {
        member: "av1Settings",
        // AWS's model has QVBR and, more recently, CBR.
        rate_control_mode: Some(text(&settings.rate_control_mode).unwrap_or("QVBR").to_owned()),
        bit_rate_bps: bit_rate(settings),
        max_bit_rate_bps: whole(settings.max_bitrate),
        quality_level: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level),
        quality_fine_tune: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level_fine_tune),
        gop_size: settings.gop_size,
        frame_rate: (text(&settings.framerate_control) == Some("SPECIFIED"))
            .then_some((settings.framerate_numerator, settings.framerate_denominator)),
        ..SharedSettings::default()
    })
}

/// Returns the bit rate for CBR. AWS's model has only `maxBitrate` for AV1.
fn bit_rate(settings: &Av1Settings) -> Option<u64> {
    whole(settings.max_bitrate)
}

pub(super) fn bit_depth(settings: &VideoCodecSettings) -> u8 {
    let named = settings.av1_settings.as_ref().and_then(|settings| text(&settings.bit_depth));
    if named == Some("BIT_10") { 10 } else { 8 }
}
