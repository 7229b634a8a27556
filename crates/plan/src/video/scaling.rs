//! Fits a picture into the box of an output by its scaling behaviour, and returns the sizes of picture and
//! frame. All sides are even, and only `STRETCH_TO_OUTPUT` distorts a picture.
//!
//! The behaviours are MediaConvert's (user guide, video scaling): `DEFAULT` fits and pads, `FIT` fits,
//! `FIT_NO_UPSCALE` fits without enlarging, `FILL` covers and crops, `STRETCH_TO_OUTPUT` distorts.

use abanico_media::{Rational, Size};
use serde::{Deserialize, Serialize};

/// A rectangle in a picture or a frame, in pixels from the upper left corner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rectangle {
    /// Distance from the left edge.
    pub x: u32,
    /// Distance from the top edge.
    pub y: u32,
    /// Its size, above zero.
    pub size: Size,
}

impl Rectangle {
    /// Returns whether it lies entirely within a picture of this size.
    pub fn lies_in(&self, whole: Size) -> bool {
        let ends = |start: u32, length: u32, most: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= most)
        };
        ends(self.x, self.size.width, whole.width) && ends(self.y, self.size.height, whole.height)
    }
}

/// MediaConvert's scaling behaviour of an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scaling {
    /// Fits and pads.
    Pad,
    /// Fits.
    Fit,
    /// Fits without enlarging.
    FitNoUpscale,
    /// Covers and crops.
    Fill,
    /// Distorts.
    Stretch,
}

/// Sizes of the scaled picture and the encoded frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fitted {
    /// The whole picture after scaling.
    pub picture: Size,
    /// The encoded frame: a centred crop of the picture, or the picture centred between bars.
    pub frame: Size,
}

impl Fitted {
    fn plain(size: Size) -> Self {
        Self { picture: size, frame: size }
    }
}

/// Fits a source of display size `source` (square pixels) into a box. Either side of the box may be open.
pub(crate) fn fit(scaling: Scaling, width: Option<u32>, height: Option<u32>, source: Size) -> Fitted {
    let aspect = source.aspect();
    let bounds = match (width, height) {
        (None, None) => return Fitted::plain(source.even()),
        (Some(width), Some(height)) => Size::new(width, height),
        (Some(width), None) => {
            let size = Size::new(width, side(Rational::from(width) / aspect)).even();
            return one_sided(scaling, size, source);
        }
        (None, Some(height)) => {
            let size = Size::new(side(Rational::from(height) * aspect), height).even();
            return one_sided(scaling, size, source);
        }
    };
    match scaling {
        Scaling::Pad => Fitted { picture: Size::inside(aspect, bounds), frame: bounds.even() },
        Scaling::Fit => Fitted::plain(Size::inside(aspect, bounds)),
        Scaling::FitNoUpscale if source.fits(bounds) => Fitted::plain(source.even()),
        Scaling::FitNoUpscale => Fitted::plain(Size::inside(aspect, bounds)),
        Scaling::Fill => Fitted { picture: Size::covering(aspect, bounds), frame: bounds.even() },
        Scaling::Stretch => Fitted::plain(bounds.even()),
    }
}

fn one_sided(scaling: Scaling, size: Size, source: Size) -> Fitted {
    let enlarges = size.area() > source.even().area();
    Fitted::plain(if scaling == Scaling::FitNoUpscale && enlarges { source.even() } else { size })
}

fn side(exact: Rational) -> u32 {
    u32::try_from(exact.round()).unwrap_or(u32::MAX).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Size = Size::new(1280, 720);
    const SMALL: Size = Size::new(560, 320);

    fn sizes(scaling: Scaling, width: Option<u32>, height: Option<u32>, source: Size) -> (String, String) {
        let fitted = fit(scaling, width, height, source);
        (fitted.picture.to_string(), fitted.frame.to_string())
    }

    #[test]
    fn behaviours_fit_wide_pictures_as_documented() {
        let cases = [
            (Scaling::Pad, "640x360", "640x480"),
            (Scaling::Fit, "640x360", "640x360"),
            (Scaling::FitNoUpscale, "640x360", "640x360"),
            (Scaling::Fill, "854x480", "640x480"),
            (Scaling::Stretch, "640x480", "640x480"),
        ];
        for (scaling, picture, frame) in cases {
            assert_eq!(
                sizes(scaling, Some(640), Some(480), WIDE),
                (picture.into(), frame.into()),
                "{scaling:?}"
            );
        }
    }

    #[test]
    fn one_given_side_keeps_the_aspect_ratio() {
        assert_eq!(sizes(Scaling::Pad, Some(640), None, WIDE).1, "640x360");
        assert_eq!(sizes(Scaling::Pad, None, Some(1080), WIDE).1, "1920x1080");
        assert_eq!(sizes(Scaling::FitNoUpscale, None, Some(1080), WIDE).1, "1280x720");
        assert_eq!(sizes(Scaling::Pad, None, None, Size::new(161, 121)).1, "162x122");
    }

    #[test]
    fn small_pictures_are_enlarged_only_if_allowed() {
        assert_eq!(sizes(Scaling::Pad, Some(1280), Some(720), SMALL).0, "1260x720");
        assert_eq!(sizes(Scaling::FitNoUpscale, Some(1280), Some(720), SMALL).0, "560x320");
    }
}
