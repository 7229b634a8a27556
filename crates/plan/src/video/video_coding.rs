//! Translates the codec settings of a video description into what the encoder must do, without ffmpeg flags.
//! This file has the parts that all codecs share; each codec's settings are in a separate file.

use abanico_media::{ExactTime, FieldOrder, FrameRate, Rational, Size, StaticHdr};
use abanico_model::generated::{VideoCodec as WireCodec, VideoCodecSettings};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setting::list;

mod av1;
mod h264;
mod h265;
mod shared;
mod vp9;

pub use self::h264::{EntropyCoder, H264Level, H264Profile, H264Settings};
pub use self::h265::{H265Level, H265Settings};
pub(crate) use self::shared::SharedSettings;

/// A video codec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// H.264 (AVC).
    H264,
    /// H.265 (HEVC).
    H265,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

impl VideoCodec {
    /// All codecs.
    const ALL: [Self; 4] = [Self::H264, Self::H265, Self::Vp9, Self::Av1];

    /// Returns the codec in AWS's model.
    pub fn wire(self) -> WireCodec {
        match self {
            Self::H264 => WireCodec::H264,
            Self::H265 => WireCodec::H265,
            Self::Vp9 => WireCodec::Vp9,
            Self::Av1 => WireCodec::Av1,
        }
    }

    /// Returns ffprobe's name of the codec.
    pub fn probed_name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    /// Returns whether MPEG-2 transport streams support it.
    pub(crate) fn goes_in_transport_streams(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }

    /// Returns ffmpeg's name of the encoder.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::H265 => "libx265",
            Self::Vp9 => "libvpx-vp9",
            Self::Av1 => "libsvtav1",
        }
    }
}

/// Settings of one video encode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoCoding {
    /// The codec and its own settings.
    pub codec: CodecSettings,
    /// How bits are spent.
    pub rate_control: RateControl,
    /// Size of the decoder's buffer model in bits, above zero.
    pub buffer_bits: u64,
    /// Initial fill of that buffer, 0 to 100 %; `None` leaves it to the encoder.
    pub buffer_fill_percent: Option<u8>,
    /// How much work is spent on each frame.
    pub speed: SpeedPreset,
    /// Group of pictures.
    pub gop: Gop,
    /// B-frames between references, 0 to 15.
    pub b_frames: u8,
    /// Reference frames, 1 to 6; `None` leaves it to the encoder.
    pub references: Option<u8>,
    /// Bits per sample: 8 or 10.
    pub bit_depth: u8,
    /// Whether an analysis shows where bits are needed.
    #[serde(default)]
    pub is_analysed: bool,
    /// Runs of frames, in order, that get more or fewer bits than the rate control would give them. Empty in
    /// a plan; the engine fills them in from measured samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Zone>,
    /// Field order of interlaced frames, or progressive.
    pub fields: FieldOrder,
    /// The source's static HDR metadata, if its high dynamic range is kept.
    pub static_hdr: StaticHdr,
}

/// A codec and its own settings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodecSettings {
    /// H.264.
    H264(H264Settings),
    /// H.265.
    H265(H265Settings),
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

impl VideoCoding {
    /// Returns the codec.
    pub fn codec(&self) -> VideoCodec {
        match self.codec {
            CodecSettings::H264(_) => VideoCodec::H264,
            CodecSettings::H265(_) => VideoCodec::H265,
            CodecSettings::Vp9 => VideoCodec::Vp9,
            CodecSettings::Av1 => VideoCodec::Av1,
        }
    }

    /// Returns ffprobe's name of the pixel format.
    pub fn pixel_format(&self) -> &'static str {
        if self.bit_depth > 8 { "yuv420p10le" } else { "yuv420p" }
    }

    /// Reads an output's settings for a rendition of this frame rate and size. `pointer` is the JSON pointer
    /// to the codec settings.
    pub(crate) fn from_settings(
        settings: &VideoCodecSettings,
        shared: &SharedSettings,
        rate: FrameRate,
        frame: Size,
        pointer: &str,
    ) -> Result<Self, Error> {
        let codec = codec(settings, pointer)?;
        let at = format!("{pointer}/{}", shared.member);
        let (own, bit_depth) = match codec {
            VideoCodec::H264 => (CodecSettings::H264(h264::own(settings, &at)?), 8),
            VideoCodec::H265 => {
                let (own, bit_depth) = h265::own(settings, &at)?;
                (CodecSettings::H265(own), bit_depth)
            }
            VideoCodec::Vp9 => (CodecSettings::Vp9, 8),
            VideoCodec::Av1 => (CodecSettings::Av1, av1::bit_depth(settings)),
        };
        let rate_control = shared.rate_control(codec, frame, &at)?;
        let is_baseline = matches!(&own, CodecSettings::H264(own) if own.profile == H264Profile::Baseline);
        let b_frames = if is_baseline { 0 } else { shared.b_frames.unwrap_or(3).clamp(0, 15) };
        // Baseline has no weighted prediction, which both passes must share.
        let has_passes = codec == VideoCodec::H264 && !is_baseline;
        let has_zones = matches!(codec, VideoCodec::H264 | VideoCodec::H265);
        let is_levelled = has_zones && matches!(rate_control, RateControl::Quality { .. });
        let is_analysed = shared.high_quality && (has_passes || is_levelled);
        if matches!(rate_control, RateControl::Quality { max_mean_bps: Some(_), .. })
            && !(has_passes && is_analysed)
        {
            return Err(Error::setting(
                &format!("{at}/qvbrSettings/maxAverageBitrate"),
                "maxAverageBitrate needs a first pass, which only H_264 has, with codecProfile MAIN or HIGH and \
                 qualityTuningLevel SINGLE_PASS_HQ or MULTI_PASS_HQ: remove it to limit the rate by maxBitrate alone",
            ));
        }
        Ok(Self {
            codec: own,
            rate_control,
            buffer_bits: shared.buffer_bits.unwrap_or(2 * rate_control.ceiling_bps()),
            buffer_fill_percent: shared.buffer_fill_percent,
            speed: shared.speed,
            gop: shared.gop(rate),
            b_frames: u8::try_from(b_frames).unwrap_or(3),
            references: shared.references,
            bit_depth,
            is_analysed,
            zones: Vec::new(),
            fields: FieldOrder::Progressive,
            static_hdr: StaticHdr::default(),
        })
    }
}

/// Returns the codec of an output's settings.
///
/// # Errors
/// Fails if it is not supported.
pub(crate) fn codec(settings: &VideoCodecSettings, pointer: &str) -> Result<VideoCodec, Error> {
    let known = match &settings.codec {
        None if settings.h264_settings.is_some() => Some(VideoCodec::H264),
        named => VideoCodec::ALL.into_iter().find(|codec| Some(codec.wire()) == *named),
    };
    known.ok_or_else(|| {
        let named = settings.codec.as_ref().map_or("a missing codec", WireCodec::text);
        let all = list(VideoCodec::ALL.map(VideoCodec::wire));
        let why = format!("{named} is not supported, only [{all}]");
        Error::setting(&format!("{pointer}/codec"), &why)
    })
}

/// How bits are spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateControl {
    /// Constant bit rate, as even as the buffer allows.
    Constant {
        /// Bits per second.
        bit_rate_bps: u64,
    },
    /// Average bit rate with a ceiling.
    Average {
        /// Average bits per second.
        bit_rate_bps: u64,
        /// Most bits per second over the length of the buffer.
        max_bit_rate_bps: u64,
    },
    /// Constant quality with a ceiling.
    Quality {
        /// The encoder's rate factor in tenths: 180 is `-crf 18.0`.
        rate_factor_tenths: u32,
        /// Most bits per second over the length of the buffer.
        max_bit_rate_bps: u64,
        /// Most bits per second as the average of the whole film, if that is limited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_mean_bps: Option<u64>,
    },
}

/// A run of frames of one encode that gets more or fewer bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Zone {
    /// First frame, counted from 0.
    pub first: u64,
    /// Last frame.
    pub last: u64,
    /// Bits in thousandths of the normal amount: 1000 changes nothing.
    pub bits_permille: u32,
}

impl RateControl {
    /// Returns the highest sustained bit rate.
    pub fn ceiling_bps(self) -> u64 {
        match self {
            Self::Constant { bit_rate_bps } => bit_rate_bps,
            Self::Average { max_bit_rate_bps, .. } | Self::Quality { max_bit_rate_bps, .. } => {
                max_bit_rate_bps
            }
        }
    }
}

/// How much work is spent on each frame, from least to most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedPreset {
    /// For `SINGLE_PASS`: libx264's and libx265's `veryfast`.
    VeryFast,
    /// For `SINGLE_PASS_HQ`, the default: libx264's `faster` with a quicker search, and libx265's `fast`.
    #[default]
    Fast,
    /// For `MULTI_PASS_HQ`: libx264's and libx265's `medium`.
    Medium,
}

/// Group of pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gop {
    /// Most frames between two IDR frames, at least 1.
    pub frames: u32,
    /// Fewest frames between two IDR frames.
    pub min_frames: u32,
    /// Whether a scene cut may start a group early.
    pub scene_cuts: bool,
    /// Whether the job fixes the length of the group.
    #[serde(default)]
    pub is_fixed: bool,
}

/// Lines from which a picture counts as high definition if the job gives no quality level.
const HD_LINES: u32 = 700;

/// Converts a quality level from 1 to 10, with its thirds, to a rate factor.
///
/// libx264 gets 40 − 2.4 × level: 7 is 23.2, 9 is 18.4. libx265 gets four more for similar quality, because
/// its default is 28 where libx264's is 23. SVT-AV1's scale up to 63 stretches libx264's by one and a half,
/// with 35 in place of 23. The default level is 8 for high definition and 7 below, as MediaConvert's guide
/// advises for large and small screens.
fn rate_factor_tenths(codec: VideoCodec, level: Option<i64>, fine: Option<f64>, frame: Size) -> u32 {
    let automatic = if frame.width.min(frame.height) >= HD_LINES { 8 } else { 7 };
    let level = level.unwrap_or(automatic).clamp(1, 10);
    let fine = fine.unwrap_or(0.0).clamp(0.0, 1.0);
    let thirds = Rational::from(level * 3) + Rational::from((fine * 3.0).round() as i64);
    let tenths = Rational::from(400) - thirds * Rational::from(8);
    let tenths = match codec {
        VideoCodec::H264 => tenths,
        VideoCodec::H265 => tenths + Rational::from(40),
        // Both scales end at 63.
        VideoCodec::Av1 | VideoCodec::Vp9 => {
            let stretched = (tenths - Rational::from(230)) * Rational::new(3, 2) + Rational::from(350);
            Rational::from((stretched.round() / 10).clamp(1, 63) * 10)
        }
    };
    u32::try_from(tenths.round()).unwrap_or(0)
}

/// Converts seconds to frames. AWS has seconds as a decimal; rounding them to a millisecond is exact enough
/// to find the frame.
fn frames_in_seconds(seconds: f64, rate: FrameRate) -> u32 {
    rate.frames_in(ExactTime::from_millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests;
