//! Adapts a ladder to its source: decides which rungs are worth making. It never enlarges a picture, and
//! never keeps two rungs of nearly the same size.

use abanico_media::Size;

/// Key in a job's user metadata for a ladder that follows its source.
pub const LADDER_KEY: &str = "abanico.ladder";
/// Value of [`LADDER_KEY`] that turns it on.
pub const FOLLOW_SOURCE: &str = "follow-source";

/// The decision about a rung.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rung {
    /// It is encoded at this size.
    Made(Size),
    /// It is left out, because it would enlarge the picture.
    Dropped,
}

/// Decides about each rung of a ladder, in the given order.
///
/// Boxes are rotated for a portrait source. A rung whose fitted picture is no larger than the source is
/// encoded at that size. Of the rungs that would enlarge the source, the smallest is encoded at the source's
/// own size, unless the source has at most a fifth more area than the largest rung that fits. The others are
/// dropped.
pub(crate) fn follow_source(boxes: &[Size], source: Size) -> Vec<Rung> {
    let source = source.even();
    let fitted: Vec<Size> =
        boxes.iter().map(|bounds| Size::inside(source.aspect(), turned_for(*bounds, source))).collect();
    let mut rungs: Vec<Rung> =
        fitted.iter().map(|size| if size.fits(source) { Rung::Made(*size) } else { Rung::Dropped }).collect();
    let largest_made =
        fitted.iter().filter(|size| size.fits(source)).map(|size| size.area()).max().unwrap_or(0);
    let smallest_enlarging = (0..boxes.len())
        .filter(|&index| rungs[index] == Rung::Dropped)
        .min_by_key(|&index| fitted[index].area());
    if let Some(index) = smallest_enlarging.filter(|_| source.area() * 5 > largest_made * 6) {
        rungs[index] = Rung::Made(source);
    }
    rungs
}

fn turned_for(bounds: Size, source: Size) -> Size {
    if source.is_portrait() != bounds.is_portrait() { bounds.turned() } else { bounds }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [Size; 3] = [Size::new(1920, 1080), Size::new(1280, 720), Size::new(854, 480)];

    fn made(width: u32, height: u32) -> Vec<String> {
        let name = |rung: Rung| match rung {
            Rung::Made(size) => size.to_string(),
            Rung::Dropped => "-".to_owned(),
        };
        follow_source(&BOXES, Size::new(width, height)).into_iter().map(name).collect()
    }

    #[test]
    fn large_sources_get_the_whole_ladder() {
        assert_eq!(made(3840, 2160), ["1920x1080", "1280x720", "854x480"]);
        assert_eq!(made(1920, 1080), ["1920x1080", "1280x720", "854x480"]);
    }

    #[test]
    fn small_sources_are_never_enlarged() {
        assert_eq!(made(640, 360), ["-", "-", "640x360"]);
        assert_eq!(made(1280, 720), ["-", "1280x720", "854x480"]);
        assert_eq!(made(2, 2), ["-", "-", "2x2"]);
    }

    #[test]
    fn sources_between_two_rungs_keep_their_size() {
        assert_eq!(made(960, 540), ["-", "960x540", "854x480"]);
        assert_eq!(made(1440, 810), ["1440x810", "1280x720", "854x480"]);
    }

    #[test]
    fn rungs_of_nearly_equal_size_are_dropped() {
        assert_eq!(made(900, 506), ["-", "-", "854x480"]);
    }

    #[test]
    fn boxes_rotate_for_portrait_sources() {
        assert_eq!(made(1080, 1920), ["1080x1920", "720x1280", "480x854"]);
        assert_eq!(made(720, 1280), ["-", "720x1280", "480x854"]);
    }
}
