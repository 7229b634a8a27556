//! Codecs of pictures: in a video description's codec settings, out what the encoder must do, in the codecs' own words.
//! Never an ffmpeg flag. What all codecs share stands here, what each has alone in its own file.

use abanico_media::{ExactTime, FieldOrder, FrameRate, Rational, Size, StaticHdr};
use abanico_model::generated::VideoCodecSettings;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setting::text;

mod av1;
mod h264;
mod h265;
mod shared;
mod vp9;

pub use self::h264::{EntropyCoder, H264Level, H264Profile, H264Settings};
pub use self::h265::{H265Level, H265Settings};
pub(crate) use self::shared::SharedSettings;

/// A codec of moving pictures.
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
    /// The codec as AWS's model names it.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::H264 => "H_264",
            Self::H265 => "H_265",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
        }
    }

    /// The codec as ffprobe names it.
    pub fn probed_name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    /// Whether MPEG-2 transport streams carry it.
    pub(crate) fn goes_in_transport_streams(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }

    /// ffmpeg's name of the encoder.
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
    /// What the codec has alone.
    pub codec: CodecSettings,
    /// How bits are spent.
    pub rate_control: RateControl,
    /// Size of the decoder's buffer model in bits, above zero.
    pub buffer_bits: u64,
    /// How full that buffer is at the start, 0 to 100 %; none leaves it to the encoder.
    pub buffer_fill_percent: Option<u8>,
    /// How much work each frame gets.
    pub speed: SpeedPreset,
    /// Group of pictures.
    pub gop: Gop,
    /// B-frames between references, 0 to 15.
    pub b_frames: u8,
    /// Reference frames, 1 to 6; none leaves it to the encoder.
    pub references: Option<u8>,
    /// Bits of a sample: 8 or 10.
    pub bit_depth: u8,
    /// Whether an analysis tells where bits are needed.
    #[serde(default)]
    pub is_analysed: bool,
    /// Runs of frames, in order, that get more or fewer bits than the rate control would give them. Plans have none: they
    /// follow from what samples measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Zone>,
    /// How frames are made of fields; progressive makes none.
    pub fields: FieldOrder,
    /// What the film says of its high dynamic range, where that is kept.
    pub static_hdr: StaticHdr,
}

/// What one codec has alone.
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
    /// The codec.
    pub fn codec(&self) -> VideoCodec {
        match self.codec {
            CodecSettings::H264(_) => VideoCodec::H264,
            CodecSettings::H265(_) => VideoCodec::H265,
            CodecSettings::Vp9 => VideoCodec::Vp9,
            CodecSettings::Av1 => VideoCodec::Av1,
        }
    }

    /// ffprobe's name of the pixel format.
    pub fn pixel_format(&self) -> &'static str {
        if self.bit_depth > 8 { "yuv420p10le" } else { "yuv420p" }
    }

    /// Translates an output's settings for a rendition of this rate and frame; `pointer` leads to the codec settings.
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
        // Baseline has no weights, which both passes share.
        let has_passes = codec == VideoCodec::H264 && !is_baseline;
        let has_zones = matches!(codec, VideoCodec::H264 | VideoCodec::H265);
        let is_levelled = has_zones && matches!(rate_control, RateControl::Quality { .. });
        let is_analysed = shared.high_quality && (has_passes || is_levelled);
        if matches!(rate_control, RateControl::Quality { max_mean_bps: Some(_), .. })
            && !(has_passes && is_analysed)
        {
            return Err(Error::setting(
                &format!("{at}/qvbrSettings/maxAverageBitrate"),
                "a highest average needs a first pass, which H_264 alone has, with codecProfile MAIN or HIGH and \
                 qualityTuningLevel SINGLE_PASS_HQ or MULTI_PASS_HQ: leave it out, and maxBitrate is the limit",
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

/// The codec that an output's settings ask for.
///
/// # Errors
/// When it is not made here.
pub(crate) fn codec(settings: &VideoCodecSettings, pointer: &str) -> Result<VideoCodec, Error> {
    match text(&settings.codec) {
        Some("H_264") => Ok(VideoCodec::H264),
        Some("H_265") => Ok(VideoCodec::H265),
        Some("VP9") => Ok(VideoCodec::Vp9),
        Some("AV1") => Ok(VideoCodec::Av1),
        None if settings.h264_settings.is_some() => Ok(VideoCodec::H264),
        other => {
            let why =
                format!("{} is not made here: use H_264, H_265, VP9 or AV1", other.unwrap_or("no codec"));
            Err(Error::setting(&format!("{pointer}/codec"), &why))
        }
    }
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
        /// The encoder's rate factor in tenths: 180 is `-crf 18.0`.
        rate_factor_tenths: u32,
        /// Most bits a second over a buffer's length.
        max_bit_rate_bps: u64,
        /// Most bits a second as the mean of the whole film, if that is limited.
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
    /// Bits in thousandths of what they were: 1000 changes nothing.
    pub bits_permille: u32,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedPreset {
    /// For `SINGLE_PASS`: libx264's and libx265's `veryfast`.
    VeryFast,
    /// For `SINGLE_PASS_HQ`, and where the job says nothing: libx264's `faster` with a quicker search, and libx265's `fast`.
    #[default]
    Fast,
    /// For `MULTI_PASS_HQ`: libx264's and libx265's `medium`.
    Medium,
}

/// Group of pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gop {
    /// Most frames from one IDR to the next, at least 1.
    pub frames: u32,
    /// Fewest frames from one IDR to the next.
    pub min_frames: u32,
    /// Whether a scene cut may start a group early.
    pub scene_cuts: bool,
    /// Whether the job fixes the length, rather than leaving it to us.
    #[serde(default)]
    pub is_fixed: bool,
}

/// Lines from which a picture counts as high definition when the quality is left to us.
const HD_LINES: u32 = 700;

/// Quality level 1 to 10 with its thirds becomes a rate factor.
///
/// For libx264 40 − 2.4 × level: 7 is 23.2, 9 is 18.4. libx265 needs four more for alike pictures, its default being 28
/// where libx264's is 23; SVT-AV1's scale of 63 stretches it by one and a half around 35 for 23. Without a level, 8 for
/// high definition and 7 below: what MediaConvert's guide advises for large and small screens.
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

/// The wire has a GOP's seconds as a decimal; milliseconds are exact enough to round to a frame.
fn frames_in_seconds(seconds: f64, rate: FrameRate) -> u32 {
    rate.frames_in(ExactTime::from_millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests;
