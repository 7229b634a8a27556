//! Decides how the video of each output is made: frame rate, sizes and encoder settings. The order of
//! renditions and what they are scaled from is left to `planner`, which sees all of them.

use abanico_media::{ExactTime, FrameRate, Rational, Size, VideoTrack};
use abanico_model::generated::{
    Input, NoiseReducerFilter, Rectangle as WireRectangle, ScalingBehavior, VideoDescription,
};

use crate::setting::whole;
use crate::video::overlays;
use crate::video::scaling::{Fitted, Rectangle, Scaling, fit};
use crate::video::video_coding::SharedSettings;
use crate::{ColourCorrection, Error, NoiseReducer, Overlay, Picture, VideoCoding};

/// The video of one output, before renditions are numbered and ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    /// Constant output rate.
    pub rate: FrameRate,
    /// How the picture of each clip is placed.
    pub pictures: Vec<Picture>,
    /// Size of the frame.
    pub frame: Size,
    /// Pixel aspect ratio of the frame.
    pub pixel_aspect: Rational,
    /// Noise reduction.
    pub noise_reducer: Option<NoiseReducer>,
    /// Colour correction.
    pub colour_correction: Option<ColourCorrection>,
    /// What is drawn over the finished frames.
    pub overlays: Vec<Overlay>,
    /// Interval of the key frames that segments need.
    pub key_frame_every: Option<ExactTime>,
    /// Encoder settings.
    pub coding: VideoCoding,
}

impl Decision {
    /// Returns whether the source's high dynamic range is kept rather than mapped to standard.
    pub fn keeps_range(&self) -> bool {
        self.coding.bit_depth > 8
    }
}

/// The video of a clip, with the orientation that the job asks for.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The clip's input.
    pub input: &'a Input,
    /// Index of that input.
    pub index: usize,
    /// Its video track.
    pub track: &'a VideoTrack,
}

/// Decides how one output's video is made. `size` overrides the box of the description.
pub(crate) fn decide(
    description: &VideoDescription,
    sources: &[Source<'_>],
    size: Option<Size>,
    pointer: &str,
) -> Result<Decision, Error> {
    let codec_pointer = format!("{pointer}/codecSettings");
    let settings = description.codec_settings.clone().unwrap_or_default();
    let shared = SharedSettings::read(&settings, &codec_pointer)?;
    let first = sources.first().ok_or_else(|| Error::setting("/inputs", "Should have at least 1 items"))?;
    let rate = shared.rate(first.track, &codec_pointer)?;
    let pixel_aspect = shared.pixel_aspect(&codec_pointer)?;
    let (pictures, frame) = pictures(description, sources, size, pixel_aspect, pointer)?;
    let mut coding = VideoCoding::from_settings(&settings, &shared, rate, frame, &codec_pointer)?;
    coding.fields = shared
        .fields(first.track.field_order, &coding.codec, frame, &codec_pointer)
        .map_err(|error| error.of_input_if(bounds(description).is_none()))?;
    if coding.bit_depth > 8 {
        coding.static_hdr = first.track.colour.static_hdr;
    }
    let noise_reducer = noise_reducer(description);
    let colour_correction = overlays::colour_correction(description);
    if colour_correction.is_some() && coding.bit_depth > 8 {
        let at = format!("{pointer}/videoPreprocessors/colorCorrector");
        return Err(Error::setting(&at, "colour correction is supported in 8-bit outputs only"));
    }
    Ok(Decision {
        rate,
        pictures,
        frame,
        pixel_aspect,
        noise_reducer,
        colour_correction,
        overlays: Vec::new(),
        key_frame_every: None,
        coding,
    })
}

/// Returns how the picture of each clip is placed, and the size of the frame. The frame is the same for all
/// clips: the job's, or what follows from the first clip.
pub(crate) fn pictures(
    description: &VideoDescription,
    sources: &[Source<'_>],
    size: Option<Size>,
    pixel_aspect: Rational,
    pointer: &str,
) -> Result<(Vec<Picture>, Size), Error> {
    let mut made: Vec<Picture> = Vec::with_capacity(sources.len());
    let mut frame: Option<Size> = None;
    for source in sources {
        let crop = crop(description, source, pointer)?;
        let shown = crop.map_or(source.track.display_size(), |crop| crop.size);
        let shown = in_pixels(shown, pixel_aspect);
        let fitted = match (frame, size) {
            (None, Some(size)) => Fitted { picture: size, frame: size },
            (None, None) => fitted(description, shown),
            // The frame size is fixed. A later clip of another shape gets bars, unless the job stretches or
            // fills.
            (Some(frame), _) => {
                let scaling = match scaling(description) {
                    Scaling::Fit | Scaling::FitNoUpscale => Scaling::Pad,
                    other => other,
                };
                fit(scaling, Some(frame.width), Some(frame.height), shown)
            }
        };
        let standing = *frame.get_or_insert(fitted.frame);
        let placed = position(description, source, standing, pointer)?;
        made.push(match placed {
            Some(place) => {
                let inside =
                    fit(Scaling::Fit, Some(place.size.width), Some(place.size.height), shown).picture;
                let centred = |start: u32, room: u32, length: u32| start + (room.saturating_sub(length)) / 2;
                let x = centred(place.x, place.size.width, inside.width);
                let y = centred(place.y, place.size.height, inside.height);
                Picture { crop, size: inside, at: Some((x, y)) }
            }
            None => Picture { crop, size: fitted.picture, at: None },
        });
    }
    let frame = frame.ok_or_else(|| Error::setting("/inputs", "Should have at least 1 items"))?;
    Ok((made, frame))
}

/// Converts a picture size from square pixels to pixels of this aspect ratio.
fn in_pixels(shown: Size, aspect: Rational) -> Size {
    let width = (Rational::from(shown.width) / aspect).round().max(1);
    Size { width: u32::try_from(width).unwrap_or(shown.width), ..shown }
}

/// Fits a picture into the box of the description.
fn fitted(description: &VideoDescription, shown: Size) -> Fitted {
    fit(scaling(description), side(description.width), side(description.height), shown)
}

/// Returns the part of the upright picture to use. The input's setting overrides the output's (AWS's service
/// model).
fn crop(
    description: &VideoDescription,
    source: &Source<'_>,
    pointer: &str,
) -> Result<Option<Rectangle>, Error> {
    let (wire, at) = match (&source.input.crop, &description.crop) {
        (Some(of_input), _) => (of_input, format!("/inputs/{}/crop", source.index)),
        (None, Some(of_output)) => (of_output, format!("{pointer}/crop")),
        (None, None) => return Ok(None),
    };
    inside(wire, source.track.display_size(), "picture", &at).map(Some).map_err(Error::of_input)
}

/// Returns the area of the frame in which the picture is placed.
fn position(
    description: &VideoDescription,
    source: &Source<'_>,
    frame: Size,
    pointer: &str,
) -> Result<Option<Rectangle>, Error> {
    let (wire, at) = match (&source.input.position, &description.position) {
        (Some(of_input), _) => (of_input, format!("/inputs/{}/position", source.index)),
        (None, Some(of_output)) => (of_output, format!("{pointer}/position")),
        (None, None) => return Ok(None),
    };
    let depends = bounds(description).is_none();
    inside(wire, frame, "frame", &at).map(Some).map_err(|error| error.of_input_if(depends))
}

fn inside(wire: &WireRectangle, whole_size: Size, what: &str, pointer: &str) -> Result<Rectangle, Error> {
    let number =
        |member: Option<i64>| whole(member).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let rectangle = Rectangle {
        x: number(wire.x),
        y: number(wire.y),
        size: Size::new(number(wire.width), number(wire.height)),
    };
    if rectangle.lies_in(whole_size) {
        return Ok(rectangle);
    }
    let why = format!(
        "{} at {},{} is not within the {what} of {whole_size}",
        rectangle.size, rectangle.x, rectangle.y
    );
    Err(Error::setting(pointer, &why))
}

/// Reads the noise reducer of a description.
fn noise_reducer(description: &VideoDescription) -> Option<NoiseReducer> {
    let reducer = description.video_preprocessors.as_ref()?.noise_reducer.as_ref()?;
    let within = |strength: Option<i64>, most: i64| {
        u8::try_from(strength.unwrap_or(most / 2).clamp(0, most)).unwrap_or(0)
    };
    let plain = within(reducer.filter_settings.as_ref().and_then(|settings| settings.strength), 3);
    let spatial = || within(reducer.spatial_filter_settings.as_ref().and_then(|one| one.strength), 16);
    let temporal = || within(reducer.temporal_filter_settings.as_ref().and_then(|one| one.strength), 16);
    let Some(filter) = &reducer.filter else { return Some(NoiseReducer::Bilateral(plain)) };
    Some(match filter {
        NoiseReducerFilter::Bilateral | NoiseReducerFilter::Other(_) => NoiseReducer::Bilateral(plain),
        NoiseReducerFilter::Mean => NoiseReducer::Mean(plain),
        NoiseReducerFilter::Gaussian | NoiseReducerFilter::Lanczos => NoiseReducer::Gaussian(plain),
        NoiseReducerFilter::Sharpen => NoiseReducer::Sharpen(plain),
        NoiseReducerFilter::Conserve => NoiseReducer::Conserve(plain),
        NoiseReducerFilter::Spatial => NoiseReducer::Spatial(spatial()),
        NoiseReducerFilter::Temporal => NoiseReducer::Temporal(temporal()),
    })
}

/// Returns the box of an output that gives both sides.
pub(crate) fn bounds(description: &VideoDescription) -> Option<Size> {
    Some(Size::new(side(description.width)?, side(description.height)?))
}

fn side(member: Option<i64>) -> Option<u32> {
    whole(member).and_then(|pixels| u32::try_from(pixels).ok()).filter(|pixels| *pixels > 0)
}

fn scaling(description: &VideoDescription) -> Scaling {
    match &description.scaling_behavior {
        Some(ScalingBehavior::Fit) => Scaling::Fit,
        Some(ScalingBehavior::FitNoUpscale) => Scaling::FitNoUpscale,
        Some(ScalingBehavior::Fill) => Scaling::Fill,
        Some(ScalingBehavior::StretchToOutput) => Scaling::Stretch,
        None | Some(ScalingBehavior::Default | ScalingBehavior::SmartCrop | ScalingBehavior::Other(_)) => {
            Scaling::Pad
        }
    }
}
