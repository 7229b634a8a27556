//! Reads the settings that several codecs share into one shape. It sets no defaults of encoders; they are set
//! where the shape becomes a [`super::VideoCoding`].

use abanico_media::{FieldOrder, FrameRate, Rational, Size, VideoTrack};
use abanico_model::generated::VideoCodecSettings;

use super::{
    CodecSettings, Gop, H264Profile, RateControl, SpeedPreset, VideoCodec, av1, frames_in_seconds, h264,
    h265, rate_factor_tenths, vp9,
};
use crate::Error;

/// Settings that several codecs share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedSettings {
    /// Name of the member that holds the settings.
    pub member: &'static str,
    /// `CBR`, `VBR` or `QVBR`.
    pub rate_control_mode: Option<String>,
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
    /// `FRAMES`, `SECONDS` or `AUTO`.
    pub gop_size_units: Option<String>,
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
    /// Interlacing, such as `TOP_FIELD`; `None` is progressive.
    pub interlace_mode: Option<String>,
}

/// Reads the members that H.264 and H.265 share.
macro_rules! from_itu_codec {
    ($settings:expr, $member:literal) => {{
        let settings = $settings;
        let qvbr = settings.qvbr_settings.as_ref();
        let text = |value: Option<&str>| value.map(str::to_owned);
        $crate::video_coding::shared::SharedSettings {
            member: $member,
            rate_control_mode: text($crate::setting::text(&settings.rate_control_mode)),
            bit_rate_bps: $crate::setting::whole(settings.bitrate),
            max_bit_rate_bps: $crate::setting::whole(settings.max_bitrate),
            quality_level: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level),
            quality_fine_tune: qvbr.and_then(|qvbr| qvbr.qvbr_quality_level_fine_tune),
            max_mean_bps: qvbr.and_then(|qvbr| $crate::setting::whole(qvbr.max_average_bitrate)),
            buffer_bits: $crate::setting::whole(settings.hrd_buffer_size),
            buffer_fill_percent: settings
                .hrd_buffer_initial_fill_percentage
                .and_then(|percent| u8::try_from(percent).ok()),
            speed: match $crate::setting::text(&settings.quality_tuning_level) {
                Some("SINGLE_PASS") => $crate::SpeedPreset::VeryFast,
                Some("MULTI_PASS_HQ") => $crate::SpeedPreset::Medium,
                _ => $crate::SpeedPreset::Fast,
            },
            high_quality: $crate::setting::text(&settings.quality_tuning_level) != Some("SINGLE_PASS"),
            gop_size: settings.gop_size,
            gop_size_units: text($crate::setting::text(&settings.gop_size_units)),
            min_i_interval: $crate::setting::whole(settings.min_i_interval),
            no_scene_cuts: $crate::setting::text(&settings.scene_change_detect) == Some("DISABLED"),
            b_frames: settings.number_b_frames_between_reference_frames,
            references: $crate::setting::whole(settings.number_reference_frames)
                .and_then(|count| u8::try_from(count).ok()),
            frame_rate: ($crate::setting::text(&settings.framerate_control) == Some("SPECIFIED"))
                .then_some((settings.framerate_numerator, settings.framerate_denominator)),
            pixel_aspect: ($crate::setting::text(&settings.par_control) == Some("SPECIFIED"))
                .then_some((settings.par_numerator.unwrap_or(1), settings.par_denominator.unwrap_or(1))),
            interlace_mode: text($crate::setting::text(&settings.interlace_mode)),
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
        (codec, frame): (&CodecSettings, Size),
        pointer: &str,
    ) -> Result<FieldOrder, Error> {
        let followed = |otherwise| if source == FieldOrder::Progressive { otherwise } else { source };
        let fields = match self.interlace_mode.as_deref() {
            Some("TOP_FIELD") => FieldOrder::TopFirst,
            Some("BOTTOM_FIELD") => FieldOrder::BottomFirst,
            Some("FOLLOW_TOP_FIELD") => followed(FieldOrder::TopFirst),
            Some("FOLLOW_BOTTOM_FIELD") => followed(FieldOrder::BottomFirst),
            _ => return Ok(FieldOrder::Progressive),
        };
        let refuse =
            |why: &str| Err(Error::setting(&format!("{pointer}/{}/interlaceMode", self.member), why));
        match codec {
            CodecSettings::H264(own) if own.profile != H264Profile::Baseline => {}
            CodecSettings::H264(_) => return refuse("interlaced video needs codecProfile MAIN or HIGH"),
            _ => return refuse("interlaced video is supported in H_264 only"),
        }
        if frame.height % 4 != 0 {
            let why =
                format!("interlaced video needs a height that is a multiple of 4, not {}", frame.height);
            return refuse(&why);
        }
        Ok(fields)
    }

    /// Returns the group of pictures; its default length is two seconds.
    pub(super) fn gop(&self, rate: FrameRate) -> Gop {
        let size = self.gop_size.filter(|size| *size > 0.0);
        let fixed = match (self.gop_size_units.as_deref(), size) {
            (Some("SECONDS"), Some(seconds)) => Some(frames_in_seconds(seconds, rate)),
            (None | Some("FRAMES"), Some(frames)) => Some(frames.round().min(f64::from(u32::MAX)) as u32),
            _ => None,
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
        match self.rate_control_mode.as_deref() {
            Some("QVBR") => Ok(RateControl::Quality {
                rate_factor_tenths: rate_factor_tenths(
                    codec,
                    self.quality_level,
                    self.quality_fine_tune,
                    frame,
                ),
                max_bit_rate_bps: self.max_bit_rate_bps.ok_or_else(|| missing("maxBitrate", "QVBR"))?,
                max_mean_bps: self.max_mean_bps,
            }),
            Some("VBR") => {
                let bit_rate_bps = self.bit_rate_bps.ok_or_else(|| missing("bitrate", "VBR"))?;
                let most = self.max_bit_rate_bps.unwrap_or(bit_rate_bps + bit_rate_bps / 2);
                Ok(RateControl::Average { bit_rate_bps, max_bit_rate_bps: most.max(bit_rate_bps) })
            }
            _ => Ok(RateControl::Constant {
                bit_rate_bps: self.bit_rate_bps.ok_or_else(|| missing("bitrate", "CBR"))?,
            }),
        }
    }
}
