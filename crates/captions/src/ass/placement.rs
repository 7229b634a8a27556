//! Converts a cue's placement and the style's position to an ASS alignment with margins, or with a point.
//! Margins are preferred, because libass does not move text at a fixed point when cues collide.

use abanico_media::Size;

use crate::{
    Align, BurnInAlignment, BurnInStyle, Line, LineAlign, Percent, Placement, PositionAlign, Third, Writing,
};

/// A position in ASS terms, in pixels of the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The alignment for `\an`, numbered as on a numeric keypad.
    pub keypad: u32,
    /// The left margin, which also limits where lines break.
    pub left: u32,
    /// The right margin.
    pub right: u32,
    /// The margin from the top or bottom edge, depending on the row of `keypad`.
    pub vertical: u32,
    /// The position that replaces the margins; they then only limit where lines break.
    pub point: Option<(u32, u32)>,
}

/// The frame that captions are drawn on, and the height of a line.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub picture: Size,
    pub line_height: u32,
}

impl Frame {
    /// Returns the default margin for a side of this length: a twentieth (our choice).
    fn margin(side: u32) -> u32 {
        side / 20
    }
}

/// Returns where a cue is drawn. The style takes precedence over the cue's own placement.
pub(crate) fn place(cue: &Placement, style: &BurnInStyle, frame: Frame) -> Place {
    let cue = &Some(*cue).filter(|cue| is_used(cue, style)).unwrap_or_default();
    let Rows { row, vertical, middle } = rows(cue, style, frame);
    let Columns { column, left, right, center } = columns(cue, style, frame);
    let keypad = match row {
        Third::First => 7,
        Third::Middle => 4,
        Third::Last => 1,
    } + match column {
        Third::First => 0,
        Third::Middle => 1,
        Third::Last => 2,
    };
    let width = frame.picture.width;
    let point = (center.is_some() || middle.is_some()).then(|| {
        let x = center.unwrap_or(match column {
            Third::First => left,
            Third::Middle => left + (width - left - right) / 2,
            Third::Last => width - right,
        });
        let y =
            middle.unwrap_or(if row == Third::First { vertical } else { frame.picture.height - vertical });
        (x, y)
    });
    Place { keypad, left, right, vertical, point }
}

/// Whether the cue's own placement is used. Vertical text is drawn horizontally, at the default position.
fn is_used(cue: &Placement, style: &BurnInStyle) -> bool {
    style.style_passthrough.is_enabled() && cue.writing == Writing::Horizontal
}

struct Rows {
    row: Third,
    /// Margin from the row's edge, in pixels.
    vertical: u32,
    /// The vertical centre of the text, in pixels, if that is given instead of a margin.
    middle: Option<u32>,
}

impl Rows {
    fn at(row: Third, vertical: u32) -> Self {
        Self { row, vertical, middle: None }
    }
}

fn rows(cue: &Placement, style: &BurnInStyle, frame: Frame) -> Rows {
    let height = frame.picture.height;
    let margin = Frame::margin(height);
    let most = height.saturating_sub(1);
    let lines = |count: u32| count.saturating_mul(frame.line_height).saturating_add(margin).min(most);
    if let Some(y) = style.y_position {
        return Rows::at(Third::First, y.min(most));
    }
    match (cue.line, cue.line_align) {
        (None, _) => Rows::at(Third::Last, margin),
        (Some(Line::Number(line)), _) if line >= 0 => Rows::at(Third::First, lines(line.unsigned_abs())),
        (Some(Line::Number(line)), _) => Rows::at(Third::Last, lines(line.unsigned_abs() - 1)),
        (Some(Line::Percent(at)), LineAlign::Start) => Rows::at(Third::First, at.of_pixels(height).min(most)),
        (Some(Line::Percent(at)), LineAlign::Center) => {
            Rows { row: Third::Middle, vertical: 0, middle: Some(at.of_pixels(height)) }
        }
        (Some(Line::Percent(at)), LineAlign::End) => {
            Rows::at(Third::Last, (height - at.of_pixels(height)).min(most))
        }
    }
}

struct Columns {
    column: Third,
    left: u32,
    right: u32,
    /// The horizontal centre of centred text, if margins do not determine it.
    center: Option<u32>,
}

fn columns(cue: &Placement, style: &BurnInStyle, frame: Frame) -> Columns {
    let width = frame.picture.width;
    let margin = Frame::margin(width);
    match (style.alignment, style.x_position.map(|x| x.min(width.saturating_sub(1)))) {
        (BurnInAlignment::Centered, center) => {
            Columns { column: Third::Middle, left: margin, right: margin, center }
        }
        (_, Some(x)) => {
            let right = margin.min(width - x - 1);
            Columns { column: Third::First, left: x, right, center: None }
        }
        (BurnInAlignment::Left, None) => {
            Columns { column: Third::First, left: margin, right: margin, center: None }
        }
        (BurnInAlignment::Auto, None) => {
            let (left, right) = cue_box(cue, width);
            let column = match cue.align {
                Align::Start | Align::Left => Third::First,
                Align::Center => Third::Middle,
                Align::End | Align::Right => Third::Last,
            };
            Columns { column, left, right, center: None }
        }
    }
}

/// Returns the margins to the left and right of a cue's box, by WebVTT's rules for position and size (section
/// 7.2), but no smaller than the default margin. A box narrower than a tenth of the frame is ignored.
fn cue_box(cue: &Placement, width: u32) -> (u32, u32) {
    let margin = Frame::margin(width);
    let whole = Percent::WHOLE.thousandths();
    let (position, edge) = match cue.align {
        Align::Start | Align::Left => (0, PositionAlign::LineLeft),
        Align::Center => (whole / 2, PositionAlign::Center),
        Align::End | Align::Right => (whole, PositionAlign::LineRight),
    };
    let position = cue.position.map_or(position, Percent::thousandths);
    let edge = cue.position_align.unwrap_or(edge);
    let most = match edge {
        PositionAlign::LineLeft => whole - position,
        PositionAlign::Center => 2 * position.min(whole - position),
        PositionAlign::LineRight => position,
    };
    let size = cue.size.map_or(whole, Percent::thousandths).min(most);
    let left = match edge {
        PositionAlign::LineLeft => position,
        PositionAlign::Center => position - size / 2,
        PositionAlign::LineRight => position - size,
    };
    let pixels = |thousandths| Percent::from_thousandths(thousandths).of_pixels(width);
    let (left, right) = (pixels(left).max(margin), pixels(whole - left - size).max(margin));
    if left + right + width / 10 > width { (margin, margin) } else { (left, right) }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
