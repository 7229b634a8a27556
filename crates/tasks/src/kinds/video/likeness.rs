//! Compares frames that were made with those of the source, both small and grey. Says which are missing, moved, or show
//! something else. Judges what is shown, not how well it is encoded.

use abanico_ffmpeg::command::SHOWN_PICTURE;
use serde::{Deserialize, Serialize};

/// Bytes of a shown frame.
const FRAME_BYTES: usize = SHOWN_PICTURE.width as usize * SHOWN_PICTURE.height as usize;
/// How far frames are looked for from where they should be.
const MOST_SHIFT: usize = 2;
/// Side of a square cell of a shown frame in pixels; there are 16 × 9 cells.
const CELL: usize = 4;
/// How many grey levels of 255 the mean of a cell may be off. Encoding blurs detail but keeps means: in five real films
/// at 90 kb/s no cell of 640 × 360 was so far off, in noise that also flickers 15 were.
const MOST_LEVELS: i64 = 24;
/// If more cells of 144 are farther off than that, the chunk is worth a second encode.
const MOST_CELLS: usize = 7;
/// From so many cells on, the picture certainly shows something else.
const OTHER_PICTURE: usize = 36;
/// A shift counts only if the frames fit this many levels per pixel better there, and half as well again. A still scene
/// fits everywhere.
const LEAST_GAIN: f64 = 1.0;
const LEAST_RATIO: f64 = 1.5;

/// What is wrong with some frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// Frames are missing: there are this many of as many.
    Missing { found: usize, wanted: usize },
    /// The frames fit the source only this many frames later, or earlier if negative.
    Shifted(i64),
    /// A frame shows something else: this many of its 144 cells.
    Different { cells: usize },
}

impl Fault {
    /// Whether no shortage of bits can explain it.
    pub fn is_certain(self) -> bool {
        !matches!(self, Self::Different { cells } if cells < OTHER_PICTURE)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { found, wanted } => write!(f, "{found} frames instead of {wanted}"),
            Self::Shifted(frames) => write!(f, "frames are off by {frames}"),
            Self::Different { cells } => write!(f, "{} % of a picture differ", cells * 100 / CELLS),
        }
    }
}

/// Number of cells of a frame.
const CELLS: usize = FRAME_BYTES / (CELL * CELL);

/// Compares the frames that were made with those of the source; the joint comes after the first `before` frames. Returns
/// what is wrong, and whether it is wrong before the joint.
pub(super) fn faults(source: &[u8], made: &[u8], before: usize) -> Vec<(bool, Fault)> {
    let frames = |bytes: &[u8]| bytes.len() / FRAME_BYTES;
    let wanted = frames(source);
    if frames(made) != wanted {
        return vec![(false, Fault::Missing { found: frames(made), wanted })];
    }
    let parts = [(false, before..wanted), (true, 0..before)];
    let fault = |part: std::ops::Range<usize>| {
        let shifted = shift(source, made, part.clone()).map(Fault::Shifted);
        shifted.or_else(|| {
            let cells = part.map(|frame| cells_off(at(source, frame), at(made, frame))).max()?;
            (cells > MOST_CELLS).then_some(Fault::Different { cells })
        })
    };
    let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
    parts.filter_map(|(is_before, part)| Some((is_before, fault(part)?))).collect()
}

/// Returns the most cells in which a frame that was made is far from the source's.
pub(super) fn most_cells_off(source: &[u8], made: &[u8]) -> usize {
    let pairs = source.chunks_exact(FRAME_BYTES).zip(made.chunks_exact(FRAME_BYTES));
    pairs.map(|(one, other)| cells_off(one, other)).max().unwrap_or(0)
}

fn at(frames: &[u8], number: usize) -> &[u8] {
    &frames[number * FRAME_BYTES..(number + 1) * FRAME_BYTES]
}

/// Returns how many frames later these frames of `made` fit the source clearly better; `None` if they are in place.
fn shift(source: &[u8], made: &[u8], part: std::ops::Range<usize>) -> Option<i64> {
    let all = source.len() / FRAME_BYTES;
    // How far each frame is from its own place, and from the place that many frames later.
    let pairs = |shift: i64| -> Vec<(f64, f64)> {
        let place = |frame: usize| usize::try_from(i64::try_from(frame).ok()? + shift).ok();
        let pairs = part.clone().filter_map(|frame| {
            let other = place(frame).filter(|other| *other < all)?;
            let shown = at(made, frame);
            Some((levels_apart(at(source, frame), shown), levels_apart(at(source, other), shown)))
        });
        pairs.collect()
    };
    let gain = |pairs: &[(f64, f64)]| {
        let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
        let (own, other) = (sum(|pair| pair.0), sum(|pair| pair.1));
        // An encoder with too few bits repeats what it has, so most of its frames look like earlier ones. But then
        // some frame, at least the first of a chunk, fits better where it is.
        let has_one_in_place = pairs.iter().any(|(own, other)| own + LEAST_GAIN / 2.0 < *other);
        let mean = (own - other) / pairs.len() as f64;
        (!has_one_in_place && mean > LEAST_GAIN && other * LEAST_RATIO < own).then_some(mean)
    };
    let most = i64::try_from(MOST_SHIFT).unwrap_or(0);
    let shifts = (-most..=most).filter(|shift| *shift != 0);
    let better = shifts.filter_map(|shift| Some((gain(&pairs(shift))?, shift)));
    better.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, shift)| shift)
}

/// Returns the mean difference of two frames in grey levels per pixel.
fn levels_apart(one: &[u8], other: &[u8]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / FRAME_BYTES as f64
}

/// Returns in how many cells the means of two frames are far apart.
fn cells_off(one: &[u8], other: &[u8]) -> usize {
    let (across, down) = (SHOWN_PICTURE.width as usize / CELL, SHOWN_PICTURE.height as usize / CELL);
    let sum = |frame: &[u8], column: usize, row: usize| -> i64 {
        let line = |y: usize| {
            let from = (row * CELL + y) * SHOWN_PICTURE.width as usize + column * CELL;
            frame[from..from + CELL].iter().map(|level| i64::from(*level)).sum::<i64>()
        };
        (0..CELL).map(line).sum()
    };
    let pixels = i64::try_from(CELL * CELL).unwrap_or(1);
    let is_off = |(column, row): (usize, usize)| {
        (sum(one, column, row) - sum(other, column, row)).abs() > MOST_LEVELS * pixels
    };
    (0..down)
        .flat_map(|row| (0..across).map(move |column| (column, row)))
        .filter(|cell| is_off(*cell))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a bright square that moves two pixels a frame over a slope.
    fn frame(number: usize) -> Vec<u8> {
        let width = SHOWN_PICTURE.width as usize;
        (0..FRAME_BYTES)
            .map(|pixel| {
                let (x, y) = (pixel % width, pixel / width);
                let from = (number * 2) % 48;
                if (from..from + 16).contains(&x) && (10..26).contains(&y) { 220 } else { 40 + x as u8 }
            })
            .collect()
    }

    fn film(numbers: impl IntoIterator<Item = usize>) -> Vec<u8> {
        numbers.into_iter().flat_map(frame).collect()
    }

    /// Returns what is wrong, which is one thing at most.
    fn fault(source: &[u8], made: &[u8], before: usize) -> Option<(bool, Fault)> {
        let all = faults(source, made, before);
        assert!(all.len() <= 1, "{all:?}");
        all.first().copied()
    }

    /// Adds what an encoder may change: up to 12 levels, mostly noise.
    fn coarse(mut frames: Vec<u8>) -> Vec<u8> {
        for (place, level) in frames.iter_mut().enumerate() {
            let noise = (place * 7919 % 25) as i16 - 12;
            *level = (i16::from(*level) + noise).clamp(0, 255) as u8;
        }
        frames
    }

    #[test]
    fn coarsely_encoded_frames_are_in_place() {
        assert_eq!(fault(&film(0..16), &coarse(film(0..16)), 4), None);
    }

    #[test]
    fn frames_that_are_lost_or_repeated_are_seen_on_their_side() {
        let lost = film((0..4).chain(5..17));
        assert_eq!(fault(&film(0..16), &coarse(lost), 4), Some((false, Fault::Shifted(1))));
        let repeated = film((0..4).chain(3..15));
        assert_eq!(fault(&film(0..16), &repeated, 4), Some((false, Fault::Shifted(-1))));
        let early = film((1..5).chain(4..16));
        assert_eq!(fault(&film(0..16), &early, 4), Some((true, Fault::Shifted(1))));
        let short = film(0..15);
        assert_eq!(fault(&film(0..16), &short, 4), Some((false, Fault::Missing { found: 15, wanted: 16 })));
    }

    #[test]
    fn both_sides_of_a_joint_are_told() {
        let both = film([1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let wanted = vec![(false, Fault::Shifted(-1)), (true, Fault::Shifted(1))];
        assert_eq!(faults(&film(0..16), &both, 4), wanted);
    }

    #[test]
    fn encoder_that_repeats_itself_is_in_place_if_its_first_frame_is() {
        let lagging = film((0..4).chain([4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]));
        assert_eq!(
            fault(&film(0..16), &lagging, 4).filter(|(_, fault)| matches!(fault, Fault::Shifted(_))),
            None
        );
    }

    #[test]
    fn still_scene_is_never_shifted() {
        let still = film(std::iter::repeat_n(3, 16));
        assert_eq!(fault(&still, &coarse(still.clone()), 4), None);
    }

    #[test]
    fn frame_with_a_part_that_was_not_decoded_is_seen() {
        let mut broken = film(0..16);
        let from = 6 * FRAME_BYTES;
        // The upper third of one frame is grey.
        broken[from..from + FRAME_BYTES / 3].fill(128);
        assert!(matches!(fault(&film(0..16), &broken, 4), Some((false, Fault::Different { cells: 8.. }))));
        let mut broken = film(0..16);
        broken[..FRAME_BYTES / 3].fill(128);
        assert!(matches!(fault(&film(0..16), &broken, 4), Some((true, Fault::Different { cells: 8.. }))));
    }
}
