//! Plans an output of images: when they are captured, their size and their names. Every image is a frame of
//! the source.

use abanico_media::{FieldOrder, Rational};
use abanico_model::generated::{FrameCaptureSettings, VideoDescription};

use super::outputs::OutputPlace;
use super::{Draft, GroupSettings, Packaging, count};
use crate::packaging::format_identifiers::{NameFacts, OutputNameFacts, expand};
use crate::video::{frame_capture, renditions};
use crate::{Error, FrameCapture, PlannedFacts, PlannedOutput, PlannedVideo};

impl Draft<'_> {
    /// Plans an output of images. A job also needs an output with video or audio.
    pub(super) fn add_images(
        &mut self,
        group: usize,
        place: OutputPlace<'_>,
        description: &VideoDescription,
        settings: &GroupSettings<'_>,
        capture: &FrameCaptureSettings,
    ) -> Result<(), Error> {
        let OutputPlace { number, output, pointer } = place;
        let GroupSettings::File(names) = settings else {
            return Err(Error::setting(pointer, "FRAME_CAPTURE is supported in file groups only"));
        };
        let rate = self.first_track()?.frame_rate;
        let wanted = frame_capture::wanted(capture, self.length(), rate, pointer)?;
        let (pictures, frame) = renditions::pictures(
            description,
            &self.sources()?,
            None,
            Rational::ONE,
            &format!("{pointer}/videoDescription"),
        )?;
        let facts = OutputNameFacts {
            width: Some(frame.width.into()),
            height: Some(frame.height.into()),
            extension: "jpg".to_owned(),
            ..OutputNameFacts::default()
        };
        let named = NameFacts { output: Some(facts), ..self.names.clone() };
        let modifier = expand(output.name_modifier.as_deref().unwrap_or_default(), &named);
        let made = FrameCapture {
            output: count(self.outputs.len()),
            clips: self.source_videos()?,
            row: (self.clips.len() > 1).then(|| (rate, self.clip_frames(rate))),
            rate: wanted.rate,
            captures: wanted.captures,
            pictures,
            frame,
            quality: wanted.quality,
            url_base: format!("{}{modifier}", names.base()),
        };
        let video = PlannedVideo {
            codec: "mjpeg".to_owned(),
            pixel_format: "yuvj420p".to_owned(),
            size: frame,
            sample_aspect: Rational::ONE,
            fields: FieldOrder::Progressive,
            rate: wanted.rate,
            frames: wanted.captures,
            bit_rate_bps: 0,
            // JPEG files do not say which matrix they have: it is always that of BT.601.
            colour: None,
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url: made.url(wanted.captures - 1),
            name_modifier: modifier,
            content_type: "image/jpeg".to_owned(),
            facts: PlannedFacts { video: Some(video), audio: Vec::new(), fast_start: false },
        };
        self.push(planned, Packaging::Images(Box::new(made)), pointer)
    }
}
