//! Decides which frames of a film become JPEG files, by an output's `FrameCaptureSettings`.
//!
//! The first frame is captured, then one every denominator/numerator seconds: the first frame at or after
//! each of these times. Numbers in file names begin at 0 and have seven digits, as in MediaConvert.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use abanico_model::generated::{FrameCaptureSettings, VideoCodec as WireCodec, VideoDescription};
use serde::{Deserialize, Serialize};

use crate::setting::whole;
use crate::{Error, Picture, SourceVideo};

/// Default images per second, number of images and quality (AWS's service model and guide).
const RATE: (i64, i64) = (1, 1);
const MOST_CAPTURES: u64 = 10_000_000;
const QUALITY: u8 = 80;

/// An output of images.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameCapture {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// The clips to decode, in order.
    pub clips: Vec<SourceVideo>,
    /// Frame rate at which several clips are joined, and the number of frames of each; `None` for a single
    /// clip.
    pub row: Option<(FrameRate, Vec<u64>)>,
    /// Images per second.
    pub rate: FrameRate,
    /// Number of images, at least 1.
    pub captures: u64,
    /// How the picture of each clip is placed.
    pub pictures: Vec<Picture>,
    /// Size of the images.
    pub frame: Size,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Full URL of the images up to their number.
    pub url_base: String,
}

impl FrameCapture {
    /// Returns the URL of image `index`, counted from 0.
    pub fn url(&self, index: u64) -> String {
        format!("{}.{index:07}.jpg", self.url_base)
    }
}

/// Rate, number of images and quality that an output's settings ask for.
pub(crate) struct Wanted {
    pub rate: FrameRate,
    pub captures: u64,
    pub quality: u8,
}

/// Returns the settings of an output whose codec is `FRAME_CAPTURE`; `None` for other codecs.
pub(crate) fn settings(description: &VideoDescription) -> Option<FrameCaptureSettings> {
    let codec = description.codec_settings.as_ref()?;
    let is_capture = codec.codec == Some(WireCodec::FrameCapture);
    is_capture.then(|| codec.frame_capture_settings.clone().unwrap_or_default())
}

/// Reads the settings for a source of this length and frame rate.
pub(crate) fn wanted(
    settings: &FrameCaptureSettings,
    length: ExactTime,
    source_rate: FrameRate,
    pointer: &str,
) -> Result<Wanted, Error> {
    let part = |member: Option<i64>, default: i64| member.filter(|number| *number > 0).unwrap_or(default);
    let (numerator, denominator) =
        (part(settings.framerate_numerator, RATE.0), part(settings.framerate_denominator, RATE.1));
    let rate = FrameRate::new(numerator, denominator).ok_or_else(|| {
        Error::setting(pointer, "framerateNumerator and framerateDenominator do not form a valid rate")
    })?;
    let most = whole(settings.max_captures).filter(|most| *most > 0).unwrap_or(MOST_CAPTURES);
    let quality = settings.quality.and_then(|quality| u8::try_from(quality).ok()).unwrap_or(QUALITY);
    Ok(Wanted {
        rate,
        captures: captures(length, source_rate, rate).min(most),
        quality: quality.clamp(1, 100),
    })
}

/// Returns the number of capture times that have a frame at or after them.
fn captures(length: ExactTime, source_rate: FrameRate, rate: FrameRate) -> u64 {
    let last_frame = length - source_rate.frame_duration();
    let last_frame = last_frame.max(ExactTime::ZERO).seconds();
    u64::try_from((last_frame * rate.per_second()).floor()).unwrap_or(0) + 1
}

/// Converts a JPEG quality in percent to the quantiser of ffmpeg's encoder, from 2 (best) to 31.
pub fn quantiser(quality: u8) -> u8 {
    let steps = Rational::new(i64::from(100 - quality.min(100)) * 29, 99);
    2 + u8::try_from(steps.round()).unwrap_or(29).min(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiser_is_monotonic_and_in_range() {
        let steps: Vec<u8> = (1..=100).map(quantiser).collect();
        assert!(steps.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!((steps[0], steps[99]), (31, 2));
    }
}
