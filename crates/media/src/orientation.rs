//! Rotation and mirroring of stored frames, read from a display matrix. Only quarter turns are supported.

use serde::{Deserialize, Serialize};

use crate::Size;

/// The transformation that makes a stored frame upright: first mirror it left to right if needed, then rotate
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Orientation {
    /// Clockwise quarter turns after mirroring, 0 to 3.
    pub quarter_turns: u8,
    /// Whether the stored frame is mirrored left to right.
    pub mirrored: bool,
}

impl Orientation {
    /// No rotation or mirroring.
    pub const UPRIGHT: Self = Self { quarter_turns: 0, mirrored: false };

    /// Makes a clockwise rotation of `quarter_turns` quarters, modulo 4.
    pub fn turned(quarter_turns: u8) -> Self {
        Self { quarter_turns: quarter_turns % 4, mirrored: false }
    }

    /// Reads the upper left 2x2 of an ISO 14496-12 `tkhd` matrix (`[a, b, c, d]`, any common scale).
    ///
    /// The matrix maps a stored point (x, y), y downwards, to (a·x + c·y, b·x + d·y). Entries are compared by
    /// sign and size, so a matrix within about seven degrees of a quarter turn counts as that quarter turn.
    /// MediaConvert's AUTO allows one degree. Returns `None` for a degenerate matrix.
    pub fn from_matrix([a, b, c, d]: [i64; 4]) -> Option<Self> {
        let unit = |main: i64, off: i64| (main.abs() > 8 * off.abs()).then(|| main.signum());
        if let (Some(a), Some(d)) = (unit(a, b), unit(d, c)) {
            return Some(match (a, d) {
                (1, 1) => Self::UPRIGHT,
                (-1, -1) => Self::turned(2),
                (-1, _) => Self { quarter_turns: 0, mirrored: true },
                _ => Self { quarter_turns: 2, mirrored: true },
            });
        }
        let (b, c) = (unit(b, a)?, unit(c, d)?);
        Some(match (b, c) {
            (1, -1) => Self::turned(1),
            (-1, 1) => Self::turned(3),
            (-1, _) => Self { quarter_turns: 1, mirrored: true },
            _ => Self { quarter_turns: 3, mirrored: true },
        })
    }

    /// Returns the size of the upright frame for a stored size.
    pub fn upright_size(self, stored: Size) -> Size {
        if self.swaps_sides() { stored.turned() } else { stored }
    }

    /// Whether the rotation swaps width and height.
    pub fn swaps_sides(self) -> bool {
        self.quarter_turns % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the orientation step by step to the directions right (1,0) and down (0,1).
    fn applied(orientation: Orientation) -> [i64; 4] {
        let turn = |(x, y): (i64, i64)| (-y, x);
        let place = |(x, y): (i64, i64)| {
            let start = if orientation.mirrored { (-x, y) } else { (x, y) };
            (0..orientation.quarter_turns).fold(start, |point, _| turn(point))
        };
        let ((a, b), (c, d)) = (place((1, 0)), place((0, 1)));
        [a, b, c, d]
    }

    #[test]
    fn all_eight_orientations_round_trip() {
        for quarter_turns in 0..4 {
            for mirrored in [false, true] {
                let orientation = Orientation { quarter_turns, mirrored };
                let matrix = applied(orientation).map(|entry| entry * 65536);
                assert_eq!(Orientation::from_matrix(matrix), Some(orientation), "{matrix:?}");
            }
        }
    }

    #[test]
    fn degenerate_and_slanted_matrices_are_refused() {
        assert_eq!(Orientation::from_matrix([0, 0, 0, 0]), None);
        assert_eq!(Orientation::from_matrix([46341, 46341, -46341, 46341]), None);
    }

    #[test]
    fn quarter_turn_swaps_sides() {
        assert_eq!(Orientation::turned(1).upright_size(Size::new(1280, 720)), Size::new(720, 1280));
        assert_eq!(Orientation::turned(2).upright_size(Size::new(1280, 720)), Size::new(1280, 720));
    }
}
