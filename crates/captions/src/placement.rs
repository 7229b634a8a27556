//! Where a cue stands in the picture, in WebVTT's terms. In: settings of a cue; out: the same, and the ninth of the
//! picture that they come closest to, which is all that SubRip can tell. Never a float: percentages are thousandths.

/// A percentage from 0 to 100 of a side of the picture, exact to a thousandth of a percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Percent(u32);

impl Percent {
    /// The whole side.
    pub const WHOLE: Self = Self(100_000);

    /// Makes a percentage of so many whole percent; more than 100 become 100.
    pub fn of(percent: u32) -> Self {
        Self::from_thousandths(percent.saturating_mul(1000))
    }

    /// Makes a percentage of so many thousandths of a percent; more than 100,000 become 100,000.
    pub fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths.min(Self::WHOLE.0))
    }

    /// The thousandths of a percent, 0 to 100,000.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// This share of so many pixels, rounded to the nearest.
    pub fn of_pixels(self, pixels: u32) -> u32 {
        let whole = u64::from(Self::WHOLE.0);
        let share = (u64::from(self.0) * u64::from(pixels) + whole / 2) / whole;
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// The direction in which a cue's lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Writing {
    /// Lines lie, the next one stands below.
    #[default]
    Horizontal,
    /// `vertical:rl`: lines stand, the next one at the left.
    VerticalGrowingLeft,
    /// `vertical:lr`: lines stand, the next one at the right.
    VerticalGrowingRight,
}

/// Where a cue's box stands across the direction of its lines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Line {
    /// So many lines from the top, from 0; negative ones from the bottom, where -1 is the last.
    Number(i32),
    /// So much of the picture from the top.
    Percent(Percent),
}

/// Which edge of a cue's box its [`Line`] is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LineAlign {
    /// The first edge: the top of lying lines.
    #[default]
    Start,
    /// The middle.
    Center,
    /// The last edge.
    End,
}

/// Which edge of a cue's box its position is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PositionAlign {
    /// The left edge.
    LineLeft,
    /// The middle.
    Center,
    /// The right edge.
    LineRight,
}

/// How lines lie in a cue's box. Start and end are read as left and right by what lays lines out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Align {
    /// Towards the side where its writing begins.
    Start,
    /// In the middle.
    #[default]
    Center,
    /// Towards the side where its writing ends.
    End,
    /// Towards the left.
    Left,
    /// Towards the right.
    Right,
}

/// Where a cue stands. The default is the middle of the bottom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Placement {
    /// The direction of lines.
    pub writing: Writing,
    /// Where the box stands, from the top; absent: at the bottom, above what stands there already.
    pub line: Option<Line>,
    /// Which edge of the box `line` is.
    pub line_align: LineAlign,
    /// Where the box stands, from the left; absent: by `align`.
    pub position: Option<Percent>,
    /// Which edge of the box `position` is; absent: by `align`.
    pub position_align: Option<PositionAlign>,
    /// The width of the box; absent: as wide as there is room.
    pub size: Option<Percent>,
    /// How lines lie in the box.
    pub align: Align,
}

/// A column or a row of the picture cut in three.
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
    /// Makes the placement of SubRip's `{\anN}`, by the keys of a numeric keypad: 1 to 3 at the bottom from left to
    /// right, 4 to 6 in the middle, 7 to 9 at the top. Other numbers mean nothing.
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

    /// The key of a numeric keypad, 1 to 9, that this placement comes closest to.
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

    /// The column: by how lines lie; for centred lines by where their middle is.
    pub fn column(&self) -> Third {
        match (self.align, self.position, self.position_align) {
            (Align::Start | Align::Left, ..) => Third::First,
            (Align::End | Align::Right, ..) => Third::Last,
            (Align::Center, Some(at), None | Some(PositionAlign::Center)) => third(i64::from(at.0)),
            (Align::Center, ..) => Third::Middle,
        }
    }

    /// The row: by the line, fifteen of which fill a picture (WebVTT's automatic size is 5 % and lines need room
    /// between them); standing lines are taken to be at the bottom.
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
    fn does_each_key_come_back() {
        for key in 1..=9 {
            assert_eq!(Placement::from_keypad(key).unwrap().keypad(), key);
        }
        assert_eq!(Placement::from_keypad(2), Some(Placement::default()));
        assert_eq!((Placement::from_keypad(0), Placement::from_keypad(10)), (None, None));
    }

    #[test]
    fn is_the_nearest_key_told_by_line_and_position() {
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
    fn are_percentages_bounded_and_rounded() {
        assert_eq!(Percent::of(u32::MAX), Percent::WHOLE);
        assert_eq!(Percent::from_thousandths(33_333).of_pixels(1920), 640);
        assert_eq!(Percent::WHOLE.of_pixels(u32::MAX), u32::MAX);
    }
}
