//! Reads the settings that several codecs share into one shape. It sets no defaults of encoders; they are set
//! where the shape becomes a [`super::VideoCoding`].

use abanico_media::{FieldOrder, FrameRate, Rational, Size, VideoTrack};
use abanico_model::generated::VideoCodecSettings;

use super::{
    CodecSettings, Gop, H264Profile, RateControl, SpeedPreset, VideoCodec, av1, frames_in_seconds, h264,
    h265, rate_factor_tenths, vp9,
};
use crate::Error;

/// How the bit rate is controlled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum RateMode {
    /// `CBR`.
    #[default]
    Constant,
    /// `VBR`.
    Variable,
    /// `QVBR`.
    Quality,
}

/// What the length of a group of pictures is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum GopUnits {
    /// Frames.
    #[default]
    Frames,
    /// Seconds.
    Seconds,
    /// The encoder's choice.
    Auto,
}

/// What the fields of the output follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Interlacing {
    /// Whole frames.
    #[default]
    Progressive,
    /// This field order.
    Always(FieldOrder),
    /// The source's field order, or this one if the source is progressive.
    Followed(FieldOrder),
}

/// Settings that several codecs share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedSettings {
    /// Name of the member that holds the settings.
    pub member: &'static str,
    /// How the bit rate is controlled.
    pub rate_mode: RateMode,
    /// Bits per second.
    pub bit_rate_bps: Option<u64>,
    /// Most bits per second.
    pub max_bit_rate_bps: Option<u64>,
    /// Quality level, 1 to 10.
    pub quality_level: Option<i64>,
    /// Fraction of a quality level.
    pub quality_fine_tune: Option<f64>,
    /// Most bits per second as the average of a film with a quality level.
    pub max_mean_bps: Option<u64>,
    /// Size of the decoder's buffer in bits.
    pub buffer_bits: Option<u64>,
    /// Initial fill of the buffer in percent.
    pub buffer_fill_percent: Option<u8>,
    /// How much work is spent on each frame.
    pub speed: SpeedPreset,
    /// Whether the job asks for more than `SINGLE_PASS`.
    pub high_quality: bool,
    /// Length of a group of pictures, in the units below.
    pub gop_size: Option<f64>,
    /// Units of that length.
    pub gop_units: GopUnits,
    /// Fewest frames of a group of pictures.
    pub min_i_interval: Option<u64>,
    /// Whether scene cuts do not start a group.
    pub no_scene_cuts: bool,
    /// B-frames between references.
    pub b_frames: Option<i64>,
    /// Reference frames.
    pub references: Option<u8>,
    /// Numerator and denominator of the frame rate, if the job specifies it.
    pub frame_rate: Option<(Option<i64>, Option<i64>)>,
    /// Pixel aspect ratio, if the job specifies it.
    pub pixel_aspect: Option<(i64, i64)>,
    /// Interlacing.
    pub interlacing: Interlacing,
}

/// Reads the members that H.264 and H.265 share. `$wire` is a module with AWS's enums for the codec.
macro_rules! from_itu_codec {
    ($settings:expr, $member:literal, $wire:ident) => {{
        use abanico_media::FieldOrder;
        use $crate::SpeedPreset;
        use $crate::setting::whole;
        use $crate::video::video_coding::shared::{GopUnits, Interlacing, RateMode, SharedSettings};

        let settings = $settings;
        let qvbr = settings.qvbr_settings.as_ref();
        SharedSettings {
            member: $member,
            rate_mode: match &settings.rate_control_mode {
                Some($wire::RateControlMode::Qvbr) => RateMode::Quality,
                Some($wire::RateControlMode::Vbr) => RateMode::Variable,
                None | Some($wire::RateControlMode::Cbr | $wire::RateControlMode::Other(_)) => {
                    RateMode::Constant
                }
            },
            bit_rate_bps: whole(settings.bitrate),
            max_bit_rate_bps: whole(settings.max_bitrate),
            quality_level: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level),
            quality_fine_tune: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level_fine_tune),
            max_mean_bps: qvbr.and_then(|qvbr| whole(qvbr.max_average_bitrate)),
            buffer_bits: whole(settings.hrd_buffer_size),
            buffer_fill_percent: settings
                .hrd_buffer_initial_fill_percentage
                .and_then(|percent| u8::try_from(percent).ok()),
            speed: match &settings.quality_tuning_level {
                Some($wire::QualityTuningLevel::SinglePass) => SpeedPreset::VeryFast,
                Some($wire::QualityTuningLevel::MultiPassHq) => SpeedPreset::Medium,
                None
                | Some($wire::QualityTuningLevel::SinglePassHq | $wire::QualityTuningLevel::Other(_)) => {
                    SpeedPreset::Fast
                }
            },
            high_quality: settings.quality_tuning_level != Some($wire::QualityTuningLevel::SinglePass),
            gop_size: settings.gop_size,
            gop_units: match &settings.gop_size_units {
                None | Some($wire::GopSizeUnits::Frames) => GopUnits::Frames,
                Some($wire::GopSizeUnits::Seconds) => GopUnits::Seconds,
                Some($wire::GopSizeUnits::Auto | $wire::GopSizeUnits::Other(_)) => GopUnits::Auto,
            },
            min_i_interval: whole(settings.min_i_interval),
            no_scene_cuts: settings.scene_change_detect == Some($wire::SceneChangeDetect::Disabled),
            b_frames: settings.number_b_frames_between_reference_frames,
            references: whole(settings.number_reference_frames).and_then(|count| u8::try_from(count).ok()),
            frame_rate: (settings.framerate_control == Some($wire::FramerateControl::Specified))
                .then_some((settings.framerate_numerator, settings.framerate_denominator)),
            pixel_aspect: (settings.par_control == Some($wire::ParControl::Specified))
                .then_some((settings.par_numerator.unwrap_or(1), settings.par_denominator.unwrap_or(1))),
            interlacing: match &settings.interlace_mode {
                None | Some($wire::InterlaceMode::Progressive | $wire::InterlaceMode::Other(_)) => {
                    Interlacing::Progressive
                }
                Some($wire::InterlaceMode::TopField) => Interlacing::Always(FieldOrder::TopFirst),
                Some($wire::InterlaceMode::BottomField) => Interlacing::Always(FieldOrder::BottomFirst),
                Some($wire::InterlaceMode::FollowTopField) => Interlacing::Followed(FieldOrder::TopFirst),
                Some($wire::InterlaceMode::FollowBottomField) => {
                    Interlacing::Followed(FieldOrder::BottomFirst)
                }
            },
        }
    }};
}
pub(super) use from_itu_codec;

impl SharedSettings {
    /// Reads the settings of the codec that an output names.
    ///
    /// # Errors
    /// Fails if they are missing or the codec is not supported.
    pub fn read(settings: &VideoCodecSettings, pointer: &str) -> Result<Self, Error> {
        let (read, member) = match super::codec(settings, pointer)? {
            VideoCodec::H264 => (h264::shared(settings), "h264Settings"),
            VideoCodec::H265 => (h265::shared(settings), "h265Settings"),
            VideoCodec::Vp9 => (vp9::shared(settings), "vp9Settings"),
            VideoCodec::Av1 => (av1::shared(settings), "av1Settings"),
        };
        read.ok_or_else(|| Error::setting(pointer, &format!("{member} is a required property")))
    }

    /// Returns the output's frame rate: the job's, otherwise the source's.
    ///
    /// # Errors
    /// Fails if the job gives only a numerator or only a denominator, or one that is not above zero.
    pub fn rate(&self, source: &VideoTrack, pointer: &str) -> Result<FrameRate, Error> {
        let Some((numerator, denominator)) = self.frame_rate else { return Ok(source.frame_rate) };
        numerator.zip(denominator).and_then(|(num, den)| FrameRate::new(num, den)).ok_or_else(|| {
            Error::setting(
                &format!("{pointer}/{}", self.member),
                "framerateControl SPECIFIED needs framerateNumerator and framerateDenominator above zero",
            )
        })
    }

    /// Returns the pixel aspect ratio of the output. Square by default, whatever the source's is.
    ///
    /// # Errors
    /// Fails if it is not positive, or beyond 4:1 or 1:4.
    pub fn pixel_aspect(&self, pointer: &str) -> Result<Rational, Error> {
        let Some((num, den)) = self.pixel_aspect else { return Ok(Rational::ONE) };
        let refuse = |why| Err(Error::setting(&format!("{pointer}/{}", self.member), why));
        if num <= 0 || den <= 0 {
            return refuse("parNumerator and parDenominator must be above zero");
        }
        let aspect = Rational::new(num, den);
        if aspect > Rational::from(4) || aspect < Rational::new(1, 4) {
            return refuse(
                "parNumerator and parDenominator: a pixel is at most four times as wide as high, or four times as high as wide",
            );
        }
        Ok(aspect)
    }

    /// Returns the field order of the output. `source` is the field order of the first input.
    ///
    /// # Errors
    /// Fails if the codec or the frame's height does not support interlaced video.
    pub fn fields(
        &self,
        source: FieldOrder,
        codec: &CodecSettings,
        frame: Size,
        pointer: &str,
    ) -> Result<FieldOrder, Error> {
        let fields = match self.interlacing {
            Interlacing::Progressive => return Ok(FieldOrder::Progressive),
            Interlacing::Always(order) => order,
            Interlacing::Followed(otherwise) if source == FieldOrder::Progressive => otherwise,
            Interlacing::Followed(_) => source,
        };
        let refuse =
            |why: &str| Err(Error::setting(&format!("{pointer}/{}/interlaceMode", self.member), why));
        match codec {
            CodecSettings::H264(own) if own.profile != H264Profile::Baseline => {}
            CodecSettings::H264(_) => return refuse("interlaced video needs codecProfile MAIN or HIGH"),
            _ => return refuse("interlaced video is supported in H_264 only"),
        }
        if !frame.height.is_multiple_of(4) {
            let why =
                format!("interlaced video needs a height that is a multiple of 4, not {}", frame.height);
            return refuse(&why);
        }
        Ok(fields)
    }

    /// Returns the group of pictures; its default length is two seconds.
    pub(super) fn gop(&self, rate: FrameRate) -> Gop {
        let size = self.gop_size.filter(|size| *size > 0.0);
        let fixed = match (self.gop_units, size) {
            (GopUnits::Seconds, Some(seconds)) => Some(frames_in_seconds(seconds, rate)),
            (GopUnits::Frames, Some(frames)) => Some(frames.round().min(f64::from(u32::MAX)) as u32),
            (GopUnits::Auto, _) | (_, None) => None,
        };
        let frames = fixed.unwrap_or_else(|| frames_in_seconds(2.0, rate)).max(1);
        // Without a minimum, a scene cut just after an IDR frame would start another one within half a
        // second.
        let half_second = frames_in_seconds(0.5, rate);
        let min_frames = self
            .min_i_interval
            .filter(|count| *count > 0)
            .map_or(half_second, |count| u32::try_from(count).unwrap_or(u32::MAX));
        Gop {
            frames,
            min_frames: min_frames.clamp(1, frames),
            scene_cuts: !self.no_scene_cuts,
            is_fixed: fixed.is_some(),
        }
    }

    pub(super) fn rate_control(
        &self,
        codec: VideoCodec,
        frame: Size,
        pointer: &str,
    ) -> Result<RateControl, Error> {
        let missing = |member: &str, mode: &str| {
            Error::setting(pointer, &format!("{member} is required when rateControlMode is {mode}"))
        };
        match self.rate_mode {
            RateMode::Quality => Ok(RateControl::Quality {
                rate_factor_tenths: rate_factor_tenths(
                    codec,
                    self.quality_level,
                    self.quality_fine_tune,
                    frame,
                ),
                max_bit_rate_bps: self.max_bit_rate_bps.ok_or_else(|| missing("maxBitrate", "QVBR"))?,
                max_mean_bps: self.max_mean_bps,
            }),
            RateMode::Variable => {
                let bit_rate_bps = self.bit_rate_bps.ok_or_else(|| missing("bitrate", "VBR"))?;
                let most = self.max_bit_rate_bps.unwrap_or(bit_rate_bps + bit_rate_bps / 2);
                Ok(RateControl::Average { bit_rate_bps, max_bit_rate_bps: most.max(bit_rate_bps) })
            }
            RateMode::Constant => Ok(RateControl::Constant {
                bit_rate_bps: self.bit_rate_bps.ok_or_else(|| missing("bitrate", "CBR"))?,
            }),
        }
    }
}
