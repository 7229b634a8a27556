//! H.264 settings of a rendition: in an output's `H264Settings`, out what the encoder must do, in the codec's own words.
//! Never an ffmpeg flag.

use abanico_media::{FrameRate, Rational, Size};
use abanico_model::generated::{H264QvbrSettings, H264Settings};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setting::{text, whole};

/// Settings of one H.264 encode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct H264Encode {
    /// How bits are spent.
    pub rate_control: RateControl,
    /// Size of the decoder's buffer model in bits, above zero.
    pub buffer_bits: u64,
    /// How much work each frame gets.
    pub speed: SpeedPreset,
    /// Profile.
    pub profile: H264Profile,
    /// Level; none lets the encoder choose the lowest that fits.
    pub level: Option<H264Level>,
    /// Group of pictures.
    pub gop: Gop,
    /// B-frames between references, 0 to 7.
    pub b_frames: u8,
    /// Whether B-frames may be references.
    pub b_references: bool,
    /// Reference frames, 1 to 6; none leaves it to the encoder.
    pub references: Option<u8>,
    /// Entropy coder.
    pub entropy: EntropyCoder,
}

/// How bits are spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateControl {
    /// As even as the buffer allows.
    Constant {
        /// Bits a second.
        bit_rate_bps: u64,
    },
    /// An average with a ceiling.
    Average {
        /// Mean bits a second.
        bit_rate_bps: u64,
        /// Most bits a second over a buffer's length.
        max_bit_rate_bps: u64,
    },
    /// Constant quality with a ceiling.
    Quality {
        /// libx264's rate factor in tenths: 180 is `-crf 18.0`.
        rate_factor_tenths: u32,
        /// Most bits a second over a buffer's length.
        max_bit_rate_bps: u64,
    },
}

impl RateControl {
    /// The highest sustained bit rate.
    pub fn ceiling_bps(self) -> u64 {
        match self {
            Self::Constant { bit_rate_bps } => bit_rate_bps,
            Self::Average { max_bit_rate_bps, .. } | Self::Quality { max_bit_rate_bps, .. } => {
                max_bit_rate_bps
            }
        }
    }
}

/// How much work each frame gets, from least to most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedPreset {
    /// libx264's `veryfast`, for `SINGLE_PASS`.
    VeryFast,
    /// libx264's `fast`, for `SINGLE_PASS_HQ`.
    Fast,
    /// libx264's `medium`, for `MULTI_PASS_HQ`.
    Medium,
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

/// Group of pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gop {
    /// Most frames from one IDR to the next, at least 1.
    pub frames: u32,
    /// Fewest frames from one IDR to the next.
    pub min_frames: u32,
    /// Whether a scene cut may start a group early.
    pub scene_cuts: bool,
}

/// Entropy coder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyCoder {
    /// Context-adaptive arithmetic coding.
    Cabac,
    /// Context-adaptive variable-length coding.
    Cavlc,
}

/// Lines from which a picture counts as high definition when the quality is left to us.
const HD_LINES: u32 = 700;

impl H264Encode {
    /// Translates the wire's settings for a rendition of this rate and frame; `pointer` leads to the settings.
    pub(crate) fn from_settings(
        settings: &H264Settings,
        rate: FrameRate,
        frame: Size,
        pointer: &str,
    ) -> Result<Self, Error> {
        let rate_control = rate_control(settings, frame, pointer)?;
        let profile = match text(&settings.codec_profile) {
            Some("BASELINE") => H264Profile::Baseline,
            None | Some("MAIN") => H264Profile::Main,
            Some("HIGH") => H264Profile::High,
            Some(other) => {
                let why = format!("profile {other} is not made here: use BASELINE, MAIN or HIGH");
                return Err(Error::setting(&format!("{pointer}/codecProfile"), &why));
            }
        };
        let is_baseline = profile == H264Profile::Baseline;
        let cavlc = is_baseline || text(&settings.entropy_encoding) == Some("CAVLC");
        let b_frames = settings.number_b_frames_between_reference_frames.unwrap_or(3).clamp(0, 7);
        Ok(Self {
            rate_control,
            buffer_bits: whole(settings.hrd_buffer_size).unwrap_or(2 * rate_control.ceiling_bps()),
            speed: match text(&settings.quality_tuning_level) {
                Some("SINGLE_PASS") => SpeedPreset::VeryFast,
                Some("MULTI_PASS_HQ") => SpeedPreset::Medium,
                _ => SpeedPreset::Fast,
            },
            profile,
            level: text(&settings.codec_level).and_then(H264Level::from_wire),
            gop: Gop::from_settings(settings, rate),
            b_frames: if is_baseline { 0 } else { u8::try_from(b_frames).unwrap_or(3) },
            b_references: text(&settings.gop_b_reference) != Some("DISABLED"),
            references: whole(settings.number_reference_frames).and_then(|count| u8::try_from(count).ok()),
            entropy: if cavlc { EntropyCoder::Cavlc } else { EntropyCoder::Cabac },
        })
    }
}

impl H264Level {
    /// Reads `LEVEL_3_1`; nothing for `AUTO`.
    fn from_wire(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("LEVEL_")?.split('_');
        let major: u8 = parts.next()?.parse().ok()?;
        let minor: u8 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        Some(Self(major * 10 + minor))
    }
}

impl Gop {
    /// Two seconds unless the settings say otherwise.
    fn from_settings(settings: &H264Settings, rate: FrameRate) -> Self {
        let size = settings.gop_size.filter(|size| *size > 0.0);
        let frames = match (text(&settings.gop_size_units), size) {
            (Some("SECONDS"), Some(seconds)) => frames_in_seconds(seconds, rate),
            (None | Some("FRAMES"), Some(frames)) => frames.round().min(f64::from(u32::MAX)) as u32,
            _ => frames_in_seconds(2.0, rate),
        };
        let frames = frames.max(1);
        // A scene cut right after an IDR would spend a second one within half a second.
        let half_second = frames_in_seconds(0.5, rate);
        let min_frames = whole(settings.min_i_interval)
            .filter(|count| *count > 0)
            .map_or(half_second, |count| u32::try_from(count).unwrap_or(u32::MAX));
        Self {
            frames,
            min_frames: min_frames.clamp(1, frames),
            scene_cuts: text(&settings.scene_change_detect) != Some("DISABLED"),
        }
    }
}

/// The wire has a GOP's seconds as a decimal; milliseconds are exact enough to round to a frame.
fn frames_in_seconds(seconds: f64, rate: FrameRate) -> u32 {
    rate.frames_in(abanico_media::ExactTime::from_millis((seconds * 1000.0).round() as i64))
}

fn rate_control(settings: &H264Settings, frame: Size, pointer: &str) -> Result<RateControl, Error> {
    let bit_rate = whole(settings.bitrate);
    let max_bit_rate = whole(settings.max_bitrate);
    let missing = |member: &str, mode: &str| {
        Error::setting(pointer, &format!("{member} is required when rateControlMode is {mode}"))
    };
    match text(&settings.rate_control_mode) {
        Some("QVBR") => Ok(RateControl::Quality {
            rate_factor_tenths: rate_factor_tenths(settings.qvbr_settings.as_ref(), frame),
            max_bit_rate_bps: max_bit_rate.ok_or_else(|| missing("maxBitrate", "QVBR"))?,
        }),
        Some("VBR") => {
            let bit_rate_bps = bit_rate.ok_or_else(|| missing("bitrate", "VBR"))?;
            let max_bit_rate_bps = max_bit_rate.unwrap_or(bit_rate_bps + bit_rate_bps / 2).max(bit_rate_bps);
            Ok(RateControl::Average { bit_rate_bps, max_bit_rate_bps })
        }
        _ => Ok(RateControl::Constant { bit_rate_bps: bit_rate.ok_or_else(|| missing("bitrate", "CBR"))? }),
    }
}

/// Quality level 1 to 10 with its thirds becomes libx264's rate factor, 2.4 apart: 7 is 23.2, 9 is 18.4.
///
/// Without a level, 8 for high definition and 7 below: what MediaConvert's guide advises for large and small screens.
fn rate_factor_tenths(settings: Option<&H264QvbrSettings>, frame: Size) -> u32 {
    let automatic = if frame.width.min(frame.height) >= HD_LINES { 8 } else { 7 };
    let level = settings.and_then(|qvbr| qvbr.qvbr_quality_level).unwrap_or(automatic).clamp(1, 10);
    let fine = settings.and_then(|qvbr| qvbr.qvbr_quality_level_fine_tune).unwrap_or(0.0).clamp(0.0, 1.0);
    let thirds = Rational::from(level * 3) + Rational::from((fine * 3.0).round() as i64);
    let tenths = Rational::from(400) - thirds * Rational::from(8);
    u32::try_from(tenths.round()).unwrap_or(0)
}
