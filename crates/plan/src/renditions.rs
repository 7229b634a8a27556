//! What each output's picture becomes: in an output's video description and the source, out rate, sizes and encoder
//! settings. Never the order or the cascade of scaling: `planner` decides that for all renditions together.

use abanico_media::{ExactTime, FrameRate, Size, VideoTrack};
use abanico_model::generated::{H264Settings, VideoDescription};

use crate::scaling::{Fitted, Scaling, fit};
use crate::setting::{text, whole};
use crate::{Error, H264Encode};

/// One output's picture, before renditions are numbered and put in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    /// Constant output rate.
    pub rate: FrameRate,
    /// Picture and frame size.
    pub fitted: Fitted,
    /// Distance of the key frames that segments need.
    pub key_frame_every: Option<ExactTime>,
    /// Encoder settings.
    pub encode: H264Encode,
}

/// Decides about one output; `source` stands upright as the job wants it, `size` overrides the box of the description.
pub(crate) fn decide(
    description: &VideoDescription,
    source: &VideoTrack,
    size: Option<Size>,
    pointer: &str,
) -> Result<Decision, Error> {
    let settings = h264_settings(description, pointer)?;
    let pointer = format!("{pointer}/codecSettings/h264Settings");
    let rate = frame_rate(settings, source, &pointer)?;
    square_pixels(settings, &pointer)?;
    let fitted =
        size.map_or_else(|| fitted(description, source), |size| Fitted { picture: size, frame: size });
    let encode = H264Encode::from_settings(settings, rate, fitted.frame, &pointer)?;
    Ok(Decision { rate, fitted, key_frame_every: None, encode })
}

/// Sizes of an output's picture and frame.
pub(crate) fn fitted(description: &VideoDescription, source: &VideoTrack) -> Fitted {
    fit(scaling(description), side(description.width), side(description.height), source.display_size())
}

/// Frames of a group of pictures where the job fixes them.
pub(crate) fn fixed_gop(description: &VideoDescription, decision: &Decision) -> Option<u64> {
    let h264 = description.codec_settings.as_ref().and_then(|codec| codec.h264_settings.as_ref())?;
    let is_fixed = text(&h264.gop_size_units) != Some("AUTO") && h264.gop_size.is_some_and(|size| size > 0.0);
    is_fixed.then(|| decision.encode.gop.frames.into())
}

/// The box of an output that names both its sides.
pub(crate) fn bounds(description: &VideoDescription) -> Option<Size> {
    Some(Size::new(side(description.width)?, side(description.height)?))
}

fn side(member: Option<i64>) -> Option<u32> {
    whole(member).and_then(|pixels| u32::try_from(pixels).ok()).filter(|pixels| *pixels > 0)
}

fn scaling(description: &VideoDescription) -> Scaling {
    match text(&description.scaling_behavior) {
        Some("FIT") => Scaling::Fit,
        Some("FIT_NO_UPSCALE") => Scaling::FitNoUpscale,
        Some("FILL") => Scaling::Fill,
        Some("STRETCH_TO_OUTPUT") => Scaling::Stretch,
        _ => Scaling::Pad,
    }
}

fn h264_settings<'a>(description: &'a VideoDescription, pointer: &str) -> Result<&'a H264Settings, Error> {
    let codec = description.codec_settings.as_ref();
    codec.and_then(|codec| codec.h264_settings.as_ref()).ok_or_else(|| {
        let named = codec.and_then(|codec| text(&codec.codec)).unwrap_or("no codec");
        let why = format!("{named} without h264Settings is not made here yet: use H_264 with h264Settings");
        Error::setting(&format!("{pointer}/codecSettings"), &why)
    })
}

/// Outputs have square pixels: a job that specifies others is refused rather than answered with another picture.
fn square_pixels(settings: &H264Settings, pointer: &str) -> Result<(), Error> {
    let is_specified = text(&settings.par_control) == Some("SPECIFIED");
    if is_specified && settings.par_numerator.unwrap_or(1) != settings.par_denominator.unwrap_or(1) {
        return Err(Error::setting(
            pointer,
            "parNumerator and parDenominator must be equal: pixels are square here",
        ));
    }
    Ok(())
}

fn frame_rate(settings: &H264Settings, source: &VideoTrack, pointer: &str) -> Result<FrameRate, Error> {
    if text(&settings.framerate_control) != Some("SPECIFIED") {
        return Ok(source.frame_rate);
    }
    settings
        .framerate_numerator
        .zip(settings.framerate_denominator)
        .and_then(|(num, den)| FrameRate::new(num, den))
        .ok_or_else(|| {
            Error::setting(
                pointer,
                "framerateControl SPECIFIED needs framerateNumerator and framerateDenominator above zero",
            )
        })
}
