//! Placement of a cue in the frame, in WebVTT's terms, and the nearest of nine positions, which is all that
//! SubRip can express. Percentages are integers (thousandths of a percent).

/// A percentage of a side of the frame, from 0 to 100, exact to a thousandth of a percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Percent(u32);

impl Percent {
    /// The whole side.
    pub const WHOLE: Self = Self(100_000);

    /// Makes a percentage from whole percent; values above 100 become 100.
    pub fn of(percent: u32) -> Self {
        Self::from_thousandths(percent.saturating_mul(1000))
    }

    /// Makes a percentage from thousandths of a percent; values above 100,000 become 100,000.
    pub fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths.min(Self::WHOLE.0))
    }

    /// Returns the thousandths of a percent, 0 to 100,000.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// Returns this share of `pixels`, rounded to the nearest.
    pub fn of_pixels(self, pixels: u32) -> u32 {
        let whole = u64::from(Self::WHOLE.0);
        let share = (u64::from(self.0) * u64::from(pixels) + whole / 2) / whole;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// The writing direction of a cue's lines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Writing {
    /// Horizontal lines, stacked downwards.
    #[default]
    Horizontal,
    /// `vertical:rl`: vertical lines, stacked to the left.
    VerticalGrowingLeft,
    /// `vertical:lr`: vertical lines, stacked to the right.
    VerticalGrowingRight,
}

/// Position of a cue's box perpendicular to its lines: from the top, if lines are horizontal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Line {
    /// Lines from the top, from 0. Negative numbers count from the bottom, where -1 is the last line.
    Number(i32),
    /// Distance from the top, as a share of the frame.
    Percent(Percent),
}

/// Which edge of a cue's box its [`Line`] positions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LineAlign {
    /// The first edge: the top, if lines are horizontal.
    #[default]
    Start,
    /// The middle.
    Center,
    /// The last edge.
    End,
}

/// Which edge of a cue's box its position refers to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PositionAlign {
    /// The left edge.
    LineLeft,
    /// The middle.
    Center,
    /// The right edge.
    LineRight,
}

/// Alignment of lines within a cue's box. Layout treats start as left and end as right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Align {
    /// Towards the start of the writing direction.
    Start,
    /// Centred.
    #[default]
    Center,
    /// Towards the end of the writing direction.
    End,
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// Where a cue is shown. The default is the bottom centre.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Placement {
    /// The writing direction of the lines.
    pub writing: Writing,
    /// Position of the box from the top. `None`: at the bottom, above any cue already there.
    pub line: Option<Line>,
    /// Which edge of the box `line` positions.
    pub line_align: LineAlign,
    /// Position of the box from the left. `None`: by `align`.
    pub position: Option<Percent>,
    /// Which edge of the box `position` refers to. `None`: by `align`.
    pub position_align: Option<PositionAlign>,
    /// Width of the box. `None`: all the available width.
    pub size: Option<Percent>,
    /// Alignment of lines within the box.
    pub align: Align,
}

/// A third of the frame's width or height.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Third {
    /// Left, or top.
    First,
    /// The middle.
    Middle,
    /// Right, or bottom.
    Last,
}

impl Placement {
    /// Makes the placement of SubRip's `{\anN}`, numbered as on a numeric keypad: 1 to 3 at the bottom from
    /// left to right, 4 to 6 in the middle, 7 to 9 at the top. Returns `None` for other numbers.
    pub fn from_keypad(key: u32) -> Option<Self> {
        let (line, line_align) = match key {
            1..=3 => (None, LineAlign::Start),
            4..=6 => (Some(Line::Percent(Percent::of(50))), LineAlign::Center),
            7..=9 => (Some(Line::Number(0)), LineAlign::Start),
            _ => return None,
        };
        let align = match key % 3 {
            1 => Align::Left,
            2 => Align::Center,
            _ => Align::Right,
        };
        Some(Self { line, line_align, align, ..Self::default() })
    }

    /// Returns the numeric keypad key, 1 to 9, that is nearest to this placement.
    pub fn keypad(&self) -> u32 {
        let column = match self.column() {
            Third::First => 1,
            Third::Middle => 2,
            Third::Last => 3,
        };
        let row = match self.row() {
            Third::First => 6,
            Third::Middle => 3,
            Third::Last => 0,
        };
        column + row
    }

    /// Returns the column: by alignment, and for centred lines by the position of their centre.
    pub fn column(&self) -> Third {
        match (self.align, self.position, self.position_align) {
            (Align::Start | Align::Left, ..) => Third::First,
            (Align::End | Align::Right, ..) => Third::Last,
            (Align::Center, Some(at), None | Some(PositionAlign::Center)) => third(i64::from(at.0)),
            (Align::Center, ..) => Third::Middle,
        }
    }

    /// Returns the row: by `line`, counting fifteen lines to a frame (WebVTT's default font size is 5 %, and
    /// lines need space between them). Vertical text counts as being at the bottom.
    pub fn row(&self) -> Third {
        if self.writing != Writing::Horizontal {
            return Third::Last;
        }
        const LINE: i64 = 100_000 / 15;
        match self.line {
            None => Third::Last,
            Some(Line::Percent(at)) => third(i64::from(at.0)),
            Some(Line::Number(line)) if line >= 0 => third(i64::from(line) * LINE),
            Some(Line::Number(line)) => third(100_000 + i64::from(line) * LINE),
        }
    }
}

fn third(thousandths: i64) -> Third {
    match thousandths {
        ..33_333 => Third::First,
        33_333..66_667 => Third::Middle,
        _ => Third::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_round_trips() {
        for key in 1..=9 {
            assert_eq!(Placement::from_keypad(key).unwrap().keypad(), key);
        }
        assert_eq!(Placement::from_keypad(2), Some(Placement::default()));
        assert_eq!((Placement::from_keypad(0), Placement::from_keypad(10)), (None, None));
    }

    #[test]
    fn line_and_position_determine_the_key() {
        let at = |line, position| Placement { line, position, ..Placement::default() }.keypad();
        assert_eq!(at(Some(Line::Percent(Percent::of(10))), None), 8);
        assert_eq!(at(Some(Line::Percent(Percent::of(85))), Some(Percent::of(20))), 1);
        assert_eq!(at(Some(Line::Number(-1)), None), 2);
        assert_eq!(at(Some(Line::Number(-14)), Some(Percent::of(80))), 9);
        assert_eq!(at(Some(Line::Number(7)), None), 5);
        assert_eq!(at(Some(Line::Number(i32::MIN)), None), 8);
        let standing = Placement {
            writing: Writing::VerticalGrowingLeft,
            line: Some(Line::Number(0)),
            ..Placement::default()
        };
        assert_eq!(standing.keypad(), 2);
    }

    #[test]
    fn percentages_are_clamped_and_rounded() {
        assert_eq!(Percent::of(u32::MAX), Percent::WHOLE);
        assert_eq!(Percent::from_thousandths(33_333).of_pixels(1920), 640);
        assert_eq!(Percent::WHOLE.of_pixels(u32::MAX), u32::MAX);
    }
}
