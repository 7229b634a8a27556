//! Images of a film: in an output's `FrameCaptureSettings` and the source, out which frames become JPEG files.
//!
//! The first frame is one of them, then one every denominator/numerator seconds: the first frame at or after each of these
//! moments. Numbers begin at 0 and have seven digits, as MediaConvert's have.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use abanico_model::generated::{FrameCaptureSettings, VideoDescription};
use serde::{Deserialize, Serialize};

use crate::setting::whole;
use crate::{Error, Picture, SourceVideo};

/// Images a second, most images and quality where the job names none (AWS's service model and guide): one a second, ten
/// million, 80.
const RATE: (i64, i64) = (1, 1);
const MOST_CAPTURES: u64 = 10_000_000;
const QUALITY: u8 = 80;

/// One output of images.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameCapture {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// What is decoded, clip after clip.
    pub clips: Vec<SourceVideo>,
    /// Frames a second of the clips where several are put in a row, and how many frames each has.
    pub row: Option<(FrameRate, Vec<u64>)>,
    /// Images a second.
    pub rate: FrameRate,
    /// Number of images, at least 1.
    pub captures: u64,
    /// What becomes of the picture of each clip.
    pub pictures: Vec<Picture>,
    /// Size of the images.
    pub frame: Size,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Whole URLs of the images up to where the number follows.
    pub url_base: String,
}

impl FrameCapture {
    /// The URL of image `index`, counted from 0.
    pub fn url(&self, index: u64) -> String {
        format!("{}.{index:07}.jpg", self.url_base)
    }
}

/// What an output's settings ask for: rate, number of images and quality.
pub(crate) struct Wanted {
    pub rate: FrameRate,
    pub captures: u64,
    pub quality: u8,
}

/// The settings of an output whose codec is `FRAME_CAPTURE`; none for other codecs.
pub(crate) fn settings(description: &VideoDescription) -> Option<FrameCaptureSettings> {
    let codec = description.codec_settings.as_ref()?;
    let is_capture = codec.codec.as_ref().is_some_and(|codec| codec.as_ref() == "FRAME_CAPTURE");
    is_capture.then(|| codec.frame_capture_settings.clone().unwrap_or_default())
}

/// Reads the settings for a source.
pub(crate) fn wanted(
    settings: &FrameCaptureSettings,
    (length, source_rate): (ExactTime, FrameRate),
    pointer: &str,
) -> Result<Wanted, Error> {
    let part = |member: Option<i64>, default: i64| member.filter(|number| *number > 0).unwrap_or(default);
    let (numerator, denominator) =
        (part(settings.framerate_numerator, RATE.0), part(settings.framerate_denominator, RATE.1));
    let rate = FrameRate::new(numerator, denominator)
        .ok_or_else(|| Error::setting(pointer, "framerateNumerator and framerateDenominator make no rate"))?;
    let most = whole(settings.max_captures).filter(|most| *most > 0).unwrap_or(MOST_CAPTURES);
    let quality = settings.quality.and_then(|quality| u8::try_from(quality).ok()).unwrap_or(QUALITY);
    Ok(Wanted {
        rate,
        captures: captures(length, source_rate, rate).min(most),
        quality: quality.clamp(1, 100),
    })
}

/// Moments that have a frame at or after them.
fn captures(length: ExactTime, source_rate: FrameRate, rate: FrameRate) -> u64 {
    let last_frame = length - source_rate.frame_duration();
    let last_frame = last_frame.max(ExactTime::ZERO).seconds();
    u64::try_from((last_frame * rate.per_second()).floor()).unwrap_or(0) + 1
}

/// JPEG quality in percent as the quantiser that ffmpeg's encoder takes, from 2 (best) to 31.
pub fn quantiser(quality: u8) -> u8 {
    let steps = Rational::new(i64::from(100 - quality.min(100)) * 29, 99);
    2 + u8::try_from(steps.round()).unwrap_or(29).min(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_quality_monotonic_and_within_the_encoders_range() {
        let steps: Vec<u8> = (1..=100).map(quantiser).collect();
        assert!(steps.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!((steps[0], steps[99]), (31, 2));
    }
}
