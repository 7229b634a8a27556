//! Frame sizes in pixels, and fitting them into boxes with even sides and the aspect ratio kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Rational;

/// Width and height in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Size {
    /// Makes a size.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Returns the size with width and height swapped, as after a quarter turn.
    pub fn turned(self) -> Self {
        Self::new(self.height, self.width)
    }

    /// Whether the height exceeds the width.
    pub fn is_portrait(self) -> bool {
        self.height > self.width
    }

    /// Returns the number of pixels.
    pub fn area(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Rounds both sides to the nearest even number, at least 2, because 4:2:0 frames cannot have odd sides.
    pub fn even(self) -> Self {
        Self::new(nearest_even(Rational::from(self.width)), nearest_even(Rational::from(self.height)))
    }

    /// Returns width over height. A side of zero counts as 1.
    pub fn aspect(self) -> Rational {
        Rational::from(self.width.max(1)) / Rational::from(self.height.max(1))
    }

    /// Returns the largest even size with this display aspect that fits inside `bounds`.
    pub fn inside(aspect: Rational, bounds: Size) -> Self {
        let (width, height) = (Rational::from(bounds.width), Rational::from(bounds.height));
        let is_wider = aspect > width / height;
        let (width, height) = if is_wider { (width, width / aspect) } else { (height * aspect, height) };
        Self::from_exact(width, height, bounds)
    }

    /// Returns the smallest even size with this display aspect that covers `bounds`.
    pub fn covering(aspect: Rational, bounds: Size) -> Self {
        let (width, height) = (Rational::from(bounds.width), Rational::from(bounds.height));
        let is_wider = aspect > width / height;
        let (width, height) = if is_wider { (height * aspect, height) } else { (width, width / aspect) };
        let size = Self::from_exact(width, height, Size::new(u32::MAX, u32::MAX));
        Self::new(size.width.max(bounds.width), size.height.max(bounds.height))
    }

    /// Whether this size fits into `bounds` without shrinking.
    pub fn fits(self, bounds: Size) -> bool {
        self.width <= bounds.width && self.height <= bounds.height
    }

    fn from_exact(width: Rational, height: Rational, bounds: Size) -> Self {
        Self::new(nearest_even(width).min(bounds.width), nearest_even(height).min(bounds.height))
    }
}

/// Returns the even number nearest to `side`, at least 2.
fn nearest_even(side: Rational) -> u32 {
    let halves = (side / Rational::from(2)).round().max(1);
    u32::try_from(halves * 2).unwrap_or(u32::MAX - 1)
}

impl fmt::Display for Size {
    /// Writes `1920x1080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_fits_wide_and_tall_aspects() {
        assert_eq!(Size::inside(Rational::new(16, 9), Size::new(640, 480)), Size::new(640, 360));
        assert_eq!(Size::inside(Rational::new(9, 16), Size::new(640, 480)), Size::new(270, 480));
        assert_eq!(Size::inside(Rational::new(4, 3), Size::new(640, 480)), Size::new(640, 480));
    }

    #[test]
    fn covering_leaves_no_gap() {
        assert_eq!(Size::covering(Rational::new(16, 9), Size::new(640, 480)), Size::new(854, 480));
        assert_eq!(Size::covering(Rational::new(9, 16), Size::new(640, 480)), Size::new(640, 1138));
    }

    #[test]
    fn odd_sides_become_even() {
        assert_eq!(Size::new(161, 121).even(), Size::new(162, 122));
        assert_eq!(Size::new(1, 1).even(), Size::new(2, 2));
    }

    #[test]
    fn extreme_aspect_never_yields_zero() {
        assert_eq!(Size::inside(Rational::new(10_000, 1), Size::new(640, 480)), Size::new(640, 2));
    }
}
