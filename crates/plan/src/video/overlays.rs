//! Reads what is drawn over an output's video (images and timecodes) and how its colours are corrected. It
//! returns no ffmpeg filters.

use abanico_media::{ExactTime, FrameRate, Rational, Size, VideoTrack};
use abanico_model::generated::{
    ColorCorrector, ImageInserter, Input, InputTimecodeSource, InsertableImage, TimecodeBurnin,
    TimecodeBurninPosition, TimecodeConfig, TimecodeSource, VideoDescription,
};

use crate::cutting::clips::{Clip, first_frame};
use crate::cutting::timecode::{clock, frame_number};
use crate::setting::whole;
use crate::{ColourCorrection, Error, InsertedImage, Picture, TimecodeStamp};

/// Default opacity (AWS's service model).
const DEFAULT_OPACITY_PERCENT: i64 = 50;
/// Default height of burnt-in timecodes in pixels (AWS's console).
const DEFAULT_TIMECODE_PIXELS: u32 = 10;
/// The level that changes nothing (AWS's console).
const NEUTRAL: i64 = 50;
/// Frame rates, rounded to a whole number, that timecodes support.
const TIMECODE_RATES: [i64; 7] = [24, 25, 30, 48, 50, 60, 120];

/// The clock of an output's timecodes.
#[derive(Clone, Copy)]
pub(crate) struct OutputTimecode {
    rate: FrameRate,
    /// Frame number of the output's first frame.
    first: i64,
    /// Whether it is a drop-frame timecode.
    drops: bool,
    /// Whether it starts at the input's timecode.
    is_embedded: bool,
}

impl OutputTimecode {
    /// Returns the clock of an output at `rate`. The first clip's input and video track provide embedded
    /// timecodes.
    ///
    /// # Errors
    /// Fails if the job names an invalid start.
    pub fn of(
        config: Option<&TimecodeConfig>,
        input: &Input,
        track: Option<&VideoTrack>,
        clip: &Clip,
        rate: FrameRate,
    ) -> Result<Self, Error> {
        let pointer = "/timecodeConfig/start";
        let embedded = || {
            let own = input.timecode_source != Some(InputTimecodeSource::Zerobased);
            let specified = input
                .timecode_start
                .as_deref()
                .filter(|_| input.timecode_source == Some(InputTimecodeSource::Specifiedstart));
            specified.or_else(|| track.and_then(|track| track.timecode.as_deref()).filter(|_| own))
        };
        let (start, moved) = match config.and_then(|config| config.source.as_ref()) {
            Some(TimecodeSource::Zerobased) => (None, false),
            Some(TimecodeSource::Specifiedstart) => {
                let start = config.and_then(|config| config.start.as_deref());
                (Some(start.ok_or_else(|| Error::setting(pointer, "start is a required property"))?), false)
            }
            None | Some(TimecodeSource::Embedded | TimecodeSource::Other(_)) => (embedded(), true),
        };
        let first = match start {
            Some(start) => frame_number(start, rate).ok_or_else(|| Error::timecode(pointer, start))?,
            None => 0,
        };
        let into = track.map_or(ExactTime::ZERO, |track| clip.start - track.start);
        let into = if moved { i64::try_from(into.frames(rate)).unwrap_or(0) } else { 0 };
        let drops = start.is_some_and(|start| start.contains(';'));
        Ok(Self { rate, first: first + into, drops, is_embedded: moved })
    }

    /// Returns the time of a timecode, counted from the output's first frame.
    fn moment(&self, timecode: &str, pointer: &str) -> Result<ExactTime, Error> {
        let number = frame_number(timecode, self.rate).ok_or_else(|| Error::timecode(pointer, timecode))?;
        let frames = u64::try_from(number - self.first).map_err(|_| {
            let why = format!(
                "`{timecode}` is before the output's first frame, {}: set timecodeConfig to ZEROBASED to count from that frame",
                clock(self.first, self.rate)
            );
            Error::setting(pointer, &why).of_input_if(self.is_embedded)
        })?;
        Ok(ExactTime::of_frames(frames, self.rate))
    }
}

/// Returns the images of an output, lowest layer first. New URLs are added to `files`.
///
/// # Errors
/// Fails if an image has no position or no URL, or an invalid start time.
pub(crate) fn images(
    description: &VideoDescription,
    timecode: OutputTimecode,
    files: &mut Vec<String>,
    pointer: &str,
) -> Result<Vec<InsertedImage>, Error> {
    let preprocessors = description.video_preprocessors.as_ref();
    let inserter = preprocessors.and_then(|one| one.image_inserter.as_ref());
    inserted(inserter, timecode, files, &format!("{pointer}/videoPreprocessors/imageInserter"))
}

/// Where the picture of a clip is in an output's frame.
#[derive(Clone, Copy)]
pub(crate) struct ClipPicture<'a> {
    /// The clip and its input, with the input's index in the job.
    pub clip: (&'a Clip, &'a Input),
    /// The input's video track.
    pub track: &'a VideoTrack,
    /// When the clip begins in the output.
    pub begins: ExactTime,
    /// How the picture is placed in the frame.
    pub picture: &'a Picture,
    /// Size of the frame.
    pub frame: Size,
}

/// Returns the images of a clip's input, lowest layer first. They are moved and scaled with its picture, and shown
/// while the clip lasts. New URLs are added to `files`.
///
/// # Errors
/// As for [`images`].
pub(crate) fn input_images(
    of: ClipPicture<'_>,
    files: &mut Vec<String>,
) -> Result<Vec<InsertedImage>, Error> {
    let ClipPicture { clip: (clip, input), track, .. } = of;
    let pointer = format!("/inputs/{}/imageInserter", clip.input);
    let rate = track.frame_rate;
    let first = first_frame(input, Some(track), rate, &pointer)?;
    let timecode = OutputTimecode { rate, first, drops: false, is_embedded: true };
    let placed = inserted(input.image_inserter.as_ref(), timecode, files, &pointer)?;
    Ok(placed.into_iter().filter_map(|image| of.moved(image)).collect())
}

impl ClipPicture<'_> {
    /// Moves an image from its input's picture and clock to the output's frame and clock; `None` if the clip does not
    /// show it.
    fn moved(&self, image: InsertedImage) -> Option<InsertedImage> {
        let Picture { crop, size, at } = *self.picture;
        let shown = crop.map_or(self.track.display_size(), |crop| crop.size);
        let (left, top) = crop.map_or((0, 0), |crop| (crop.x, crop.y));
        let across = Rational::new(i64::from(size.width), i64::from(shown.width.max(1)));
        let down = Rational::new(i64::from(size.height), i64::from(shown.height.max(1)));
        let centred = |frame: u32, picture: u32| (i64::from(frame) - i64::from(picture)) / 2;
        let (x, y) = at.map_or(
            (centred(self.frame.width, size.width), centred(self.frame.height, size.height)),
            |(x, y)| (i64::from(x), i64::from(y)),
        );
        let place = |own: i32, cut: u32, factor: Rational, start: i64| {
            let moved = (Rational::from(i64::from(own) - i64::from(cut)) * factor).round() + start;
            i32::try_from(moved).unwrap_or(i32::MAX)
        };
        let scaled = |side: Option<u32>, factor: Rational| {
            side.and_then(|side| u32::try_from((Rational::from(side) * factor).round().max(1)).ok())
        };
        let (clip, _) = self.clip;
        let into = clip.start - self.track.start;
        let ends = image.duration.map(|duration| image.start + duration);
        let (from, until) = (image.start.max(into), into + clip.length);
        let last = ends.map_or(until, |ends| ends.min(until));
        let is_whole = ends.is_some_and(|ends| ends + image.fade_out <= until);
        (last > from).then(|| InsertedImage {
            x: place(image.x, left, across, x),
            y: place(image.y, top, down, y),
            scale: Some((across, down)),
            width: scaled(image.width, across),
            height: scaled(image.height, down),
            start: self.begins + (from - into),
            duration: Some(last - from),
            fade_in: if image.start < into { ExactTime::ZERO } else { image.fade_in },
            fade_out: if is_whole { image.fade_out } else { ExactTime::ZERO },
            ..image
        })
    }
}

fn inserted(
    inserter: Option<&ImageInserter>,
    timecode: OutputTimecode,
    files: &mut Vec<String>,
    pointer: &str,
) -> Result<Vec<InsertedImage>, Error> {
    let list = inserter.and_then(|inserter| inserter.insertable_images.as_ref());
    let mut made = Vec::new();
    for (index, wire) in list.into_iter().flatten().enumerate() {
        let at = format!("{pointer}/insertableImages/{index}");
        made.push((wire.layer.unwrap_or(0), image(wire, timecode, files, &at)?));
    }
    made.sort_by_key(|(layer, _)| *layer);
    Ok(made.into_iter().map(|(_, image)| image).collect())
}

fn image(
    wire: &InsertableImage,
    timecode: OutputTimecode,
    files: &mut Vec<String>,
    pointer: &str,
) -> Result<InsertedImage, Error> {
    let missing = |member: &str| Error::setting(pointer, &format!("{member} is a required property"));
    let url = wire.image_inserter_input.as_ref().ok_or_else(|| missing("imageInserterInput"))?;
    let place = |member: Option<i64>, name| {
        whole(member).and_then(|at| i32::try_from(at).ok()).ok_or_else(|| missing(name))
    };
    let side = |member: Option<i64>| {
        whole(member).and_then(|side| u32::try_from(side).ok()).filter(|side| *side > 0)
    };
    let millis = |member: Option<i64>| ExactTime::from_millis(member.unwrap_or(0).max(0));
    let start = wire.start_time.as_deref();
    let start = start.map(|start| timecode.moment(start, &format!("{pointer}/startTime"))).transpose()?;
    let file = files.iter().position(|other| other == url).unwrap_or(files.len());
    if file == files.len() {
        files.push(url.clone());
    }
    Ok(InsertedImage {
        file: u32::try_from(file).unwrap_or(u32::MAX),
        x: place(wire.image_x, "imageX")?,
        y: place(wire.image_y, "imageY")?,
        scale: None,
        width: side(wire.width),
        height: side(wire.height),
        opacity_percent: u8::try_from(wire.opacity.unwrap_or(DEFAULT_OPACITY_PERCENT).clamp(0, 100))
            .unwrap_or(100),
        start: start.unwrap_or(ExactTime::ZERO),
        duration: wire.duration.filter(|length| *length > 0).map(ExactTime::from_millis),
        fade_in: millis(wire.fade_in),
        fade_out: millis(wire.fade_out),
    })
}

/// Returns the timecode to draw into an output, if the job asks for one.
///
/// # Errors
/// Fails if timecodes do not support the output's frame rate.
pub(crate) fn timecode_stamp(
    description: &VideoDescription,
    timecode: OutputTimecode,
    pointer: &str,
) -> Result<Option<TimecodeStamp>, Error> {
    let wire = description.video_preprocessors.as_ref().and_then(|one| one.timecode_burnin.as_ref());
    let Some(wire) = wire else { return Ok(None) };
    let nominal = timecode.rate.per_second().round();
    let off = (timecode.rate.per_second() - Rational::from(nominal)).abs();
    if !TIMECODE_RATES.contains(&nominal) || off > Rational::new(1, 10) {
        let why =
            format!("timecodes need 24, 25, 30, 48, 50, 60 or 120 frames per second, not {}", timecode.rate);
        return Err(Error::setting(&format!("{pointer}/videoPreprocessors/timecodeBurnin"), &why).of_input());
    }
    Ok(Some(stamp(wire, timecode)))
}

fn stamp(wire: &TimecodeBurnin, timecode: OutputTimecode) -> TimecodeStamp {
    let (row, column) = match &wire.position {
        Some(TimecodeBurninPosition::TopLeft) => (0, 0),
        None | Some(TimecodeBurninPosition::TopCenter | TimecodeBurninPosition::Other(_)) => (0, 1),
        Some(TimecodeBurninPosition::TopRight) => (0, 2),
        Some(TimecodeBurninPosition::MiddleLeft) => (1, 0),
        Some(TimecodeBurninPosition::MiddleCenter) => (1, 1),
        Some(TimecodeBurninPosition::MiddleRight) => (1, 2),
        Some(TimecodeBurninPosition::BottomLeft) => (2, 0),
        Some(TimecodeBurninPosition::BottomCenter) => (2, 1),
        Some(TimecodeBurninPosition::BottomRight) => (2, 2),
    };
    TimecodeStamp {
        first_frame: clock(timecode.first, timecode.rate),
        drops: timecode.drops && timecode.rate.per_second().round() % 30 == 0,
        rate: timecode.rate,
        pixels: whole(wire.font_size)
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or(DEFAULT_TIMECODE_PIXELS),
        row,
        column,
        prefix: wire.prefix.clone().unwrap_or_default(),
    }
}

/// Returns the colour correction of an output; `None` if all levels are neutral.
pub(crate) fn colour_correction(description: &VideoDescription) -> Option<ColourCorrection> {
    let wire: &ColorCorrector = description.video_preprocessors.as_ref()?.color_corrector.as_ref()?;
    let level = |member: Option<i64>| u8::try_from(member.unwrap_or(NEUTRAL).clamp(1, 100)).unwrap_or(50);
    let made = ColourCorrection {
        brightness: level(wire.brightness),
        contrast: level(wire.contrast),
        saturation: level(wire.saturation),
        hue_degrees: i16::try_from(wire.hue.unwrap_or(0).clamp(-180, 180)).unwrap_or(0),
    };
    (made != ColourCorrection::NEUTRAL).then_some(made)
}

/// Checks that at least a part of an image is within the frame. The rest is cropped.
pub(crate) fn check_place(image: &InsertedImage, frame: Size, pointer: &str) -> Result<(), Error> {
    if i64::from(image.x) < i64::from(frame.width) && i64::from(image.y) < i64::from(frame.height) {
        return Ok(());
    }
    let why = format!("the image at {}, {} is outside of the {frame} frame", image.x, image.y);
    Err(Error::setting(&format!("{pointer}/videoPreprocessors/imageInserter"), &why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn description(preprocessors: Value) -> VideoDescription {
        serde_json::from_value(json!({"videoPreprocessors": preprocessors})).unwrap()
    }

    fn timecode(config: Value, input: Value, rate: (i64, i64)) -> Result<OutputTimecode, Error> {
        let config: TimecodeConfig = serde_json::from_value(config).unwrap();
        let input: Input = serde_json::from_value(input).unwrap();
        let clip = Clip {
            input: 0,
            start: ExactTime::ZERO,
            length: ExactTime::from_millis(9000),
            ends_with_input: true,
        };
        OutputTimecode::of(Some(&config), &input, None, &clip, FrameRate::new(rate.0, rate.1).unwrap())
    }

    fn zero() -> OutputTimecode {
        timecode(json!({"source": "ZEROBASED"}), json!({}), (25, 1)).unwrap()
    }

    #[test]
    fn images_are_sorted_by_layer_and_timed() {
        let one = json!({"imageInserterInput": "s3://b/a.png", "imageX": 10, "imageY": 20, "layer": 5,
            "startTime": "01:00:02:05", "duration": 3000, "fadeIn": 500, "fadeOut": 250, "opacity": 80});
        let two = json!({"imageInserterInput": "s3://b/a.png", "imageX": 0, "imageY": 0, "width": 64});
        let clock = timecode(json!({"source": "SPECIFIEDSTART", "start": "01:00:00:00"}), json!({}), (25, 1))
            .unwrap();
        let mut files = Vec::new();
        let wanted = description(json!({"imageInserter": {"insertableImages": [one, two]}}));
        let made = images(&wanted, clock, &mut files, "/v").unwrap();
        assert_eq!(files, ["s3://b/a.png"]);
        assert_eq!((made[0].width, made[0].opacity_percent, made[0].duration), (Some(64), 50, None));
        assert_eq!((made[1].start.millis(), made[1].opacity_percent), (2200, 80));
        assert_eq!((made[1].fade_in.millis(), made[1].fade_out.millis()), (500, 250));
        let early = images(
            &wanted,
            timecode(json!({"source": "SPECIFIEDSTART", "start": "02:00:00:00"}), json!({}), (25, 1))
                .unwrap(),
            &mut files,
            "/v",
        );
        assert!(early.unwrap_err().to_string().contains("before the output's first frame, 02:00:00:00"));
        assert!(check_place(&made[0], Size::new(640, 360), "/v").is_ok());
        assert!(check_place(&made[1], Size::new(10, 360), "/v").is_err());
    }

    #[test]
    fn images_without_position_are_refused() {
        let wanted = description(
            json!({"imageInserter": {"insertableImages": [{"imageInserterInput": "s3://b/a.png"}]}}),
        );
        let told = images(&wanted, zero(), &mut Vec::new(), "/v").unwrap_err().to_string();
        assert_eq!(
            told,
            "/v/videoPreprocessors/imageInserter/insertableImages/0: imageX is a required property"
        );
    }

    #[test]
    fn timecodes_begin_where_the_job_says() {
        let wanted = description(
            json!({"timecodeBurnin": {"position": "BOTTOM_RIGHT", "fontSize": 32, "prefix": "A-"}}),
        );
        let clock =
            timecode(json!({"source": "SPECIFIEDSTART", "start": "00:59:59;10"}), json!({}), (30000, 1001))
                .unwrap();
        let made = timecode_stamp(&wanted, clock, "/v").unwrap().unwrap();
        assert_eq!((made.row, made.column, made.pixels, made.prefix.as_str()), (2, 2, 32, "A-"));
        assert!(made.drops);
        let odd = timecode(json!({"source": "ZEROBASED"}), json!({}), (12, 1)).unwrap();
        assert!(timecode_stamp(&wanted, odd, "/v").unwrap_err().to_string().contains("not 12"));
        assert_eq!(timecode_stamp(&description(json!({})), zero(), "/v").unwrap(), None);
        assert!(timecode(json!({"source": "SPECIFIEDSTART"}), json!({}), (25, 1)).is_err());
    }

    #[test]
    fn neutral_colours_need_no_correction() {
        assert_eq!(colour_correction(&description(json!({"colorCorrector": {"brightness": 50}}))), None);
        let made = colour_correction(&description(json!({"colorCorrector": {"saturation": 1, "hue": -90}})))
            .unwrap();
        assert_eq!((made.brightness, made.saturation, made.hue_degrees), (50, 1, -90));
    }
}
