//! Cues and tracks of them: in what a parser found, out cues in order, each with text and an end after its start.
//! Never a cue that no player could show: those are dropped and counted.

use serde::{Deserialize, Serialize};

use abanico_media::{ExactTime, Rational};

use crate::Placement;

/// The farthest from zero that a time of a cue may lie: about 114 years. What lies farther is dropped, so that no
/// arithmetic on times can overflow.
const FARTHEST_SECONDS: i64 = 1_000_000 * 3600;

/// [`FARTHEST_SECONDS`] as a time.
pub(crate) fn farthest() -> ExactTime {
    ExactTime::from_seconds(Rational::from(FARTHEST_SECONDS))
}

/// A colour without transparency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Rgb {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
}

impl Rgb {
    /// Makes a colour of `0xRRGGBB`; bits above are ignored.
    pub const fn from_hex(hex: u32) -> Self {
        let [_, red, green, blue] = hex.to_be_bytes();
        Self { red, green, blue }
    }

    /// Reads exactly six hexadecimal digits, red first.
    pub fn parse_hex(digits: &str) -> Option<Self> {
        let plain = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok().map(Self::from_hex)).flatten()
    }
}

impl std::fmt::LowerHex for Rgb {
    /// Six hexadecimal digits, red first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// How text looks. The default is what a player does of itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// The text's colour, when the file tells one.
    pub colour: Option<Rgb>,
    /// The colour behind the text, when the file tells one (WebVTT's classes `bg_…`).
    pub background: Option<Rgb>,
}

/// Text of one look, within one line.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// The text: never empty within a track, never with an end of line.
    pub text: String,
    /// Its look.
    pub style: Style,
}

/// Text that is shown for a time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cue {
    /// When it appears.
    pub start: ExactTime,
    /// When it is gone.
    pub end: ExactTime,
    /// Its lines; neighbours in a line differ in style, and no line of a track is blank.
    pub lines: Vec<Vec<Span>>,
    /// Where it stands.
    pub placement: Placement,
}

impl Cue {
    /// Makes a cue of plain text, one line per `\n`, at the bottom.
    pub fn plain(start: ExactTime, end: ExactTime, text: &str) -> Self {
        let line = |line: &str| vec![Span { text: line.to_owned(), style: Style::default() }];
        Self { start, end, lines: text.split('\n').map(line).collect(), placement: Placement::default() }
    }

    /// The text without its looks, lines parted by `\n`.
    pub fn text(&self) -> String {
        let line = |line: &Vec<Span>| line.iter().map(|span| span.text.as_str()).collect::<String>();
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Start and end in whole units of `per_second` to a second, each rounded to the nearest and not before zero;
    /// nothing for a cue that is over by zero. The end lies at least one unit after the start.
    pub(crate) fn range_in(&self, per_second: u32) -> Option<(u64, u64)> {
        let units = |time: ExactTime| (time.seconds() * Rational::from(per_second)).round();
        let start = u64::try_from(units(self.start)).unwrap_or(0);
        let end = u64::try_from(units(self.end)).ok()?;
        (self.end > ExactTime::ZERO).then_some((start, end.max(start + 1)))
    }

    fn is_shown(&self) -> bool {
        let earliest = ExactTime::ZERO - farthest();
        earliest <= self.start && self.start < self.end && self.end <= farthest() && !self.lines.is_empty()
    }
}

/// Cues in the order of their starts.
///
/// ```
/// use abanico_captions::{CaptionTrack, Cue};
/// use abanico_media::ExactTime;
/// let at = ExactTime::from_millis;
/// let track = CaptionTrack::new(vec![Cue::plain(at(900), at(1500), "then"), Cue::plain(at(0), at(900), "first")]);
/// assert_eq!(track.cues()[0].text(), "first");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CaptionTrack {
    cues: Vec<Cue>,
    dropped: usize,
}

impl CaptionTrack {
    /// Makes a track: sorts cues by start (equal starts keep their order), joins neighbouring spans of one style,
    /// takes blank lines and control characters out of them, and drops cues that cannot be shown: whose end is not
    /// after their start, that have no text, or that lie more than a million hours away from zero.
    pub fn new(cues: Vec<Cue>) -> Self {
        let found = cues.len();
        let mut cues: Vec<Cue> = cues.into_iter().map(tidy).filter(Cue::is_shown).collect();
        cues.sort_by_key(|cue| cue.start);
        let dropped = found - cues.len();
        Self { cues, dropped }
    }

    /// The cues, in the order of their starts.
    pub fn cues(&self) -> &[Cue] {
        &self.cues
    }

    /// The number of cues that were dropped when this track was made, since none could be shown.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether there is no cue.
    pub fn is_empty(&self) -> bool {
        self.cues.is_empty()
    }

    /// The latest end of a cue; zero without cues.
    pub fn end(&self) -> ExactTime {
        self.cues.iter().map(|cue| cue.end).max().unwrap_or(ExactTime::ZERO)
    }

    /// The same track with so many more cues counted as dropped.
    pub(crate) fn with_dropped(mut self, more: usize) -> Self {
        self.dropped += more;
        self
    }
}

fn tidy(mut cue: Cue) -> Cue {
    cue.lines = cue.lines.into_iter().map(tidy_line).filter(|line| !is_blank(line)).collect();
    cue
}

fn is_blank(line: &[Span]) -> bool {
    line.iter().all(|span| span.text.trim().is_empty())
}

/// Joins neighbours of one style and leaves empty spans out; a control character other than a tab is left out too.
fn tidy_line(line: Vec<Span>) -> Vec<Span> {
    let mut tidied: Vec<Span> = Vec::with_capacity(line.len());
    for mut span in line {
        span.text.retain(|c| c == '\t' || !c.is_control());
        match tidied.last_mut() {
            _ if span.text.is_empty() => {}
            Some(last) if last.style == span.style => last.text.push_str(&span.text),
            _ => tidied.push(span),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start: i64, end: i64, text: &str) -> Cue {
        Cue::plain(ExactTime::from_millis(start), ExactTime::from_millis(end), text)
    }

    #[test]
    fn are_cues_sorted_and_those_never_shown_counted() {
        let far = FARTHEST_SECONDS * 1000;
        let track = CaptionTrack::new(vec![
            cue(5000, 6000, "c"),
            cue(1000, 1000, "no length"),
            cue(3000, 2000, "backwards"),
            cue(1000, 2000, " \n\t"),
            cue(0, far + 1, "far"),
            cue(-far - 1, 0, "far"),
            cue(2000, 9000, "a"),
            cue(2000, 3000, "b"),
        ]);
        let texts: Vec<_> = track.cues().iter().map(Cue::text).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!((track.dropped(), track.end()), (5, ExactTime::from_millis(9000)));
    }

    #[test]
    fn are_lines_tidy() {
        let italic = Style { italic: true, ..Style::default() };
        let span = |text: &str, style| Span { text: text.to_owned(), style };
        let mut messy = cue(0, 1, "");
        messy.lines = vec![
            vec![],
            vec![
                span("a\n", Style::default()),
                span("", italic),
                span("b", Style::default()),
                span("c", italic),
            ],
            vec![span("  ", italic), span("\u{7}", italic)],
        ];
        let track = CaptionTrack::new(vec![messy]);
        assert_eq!(track.cues()[0].lines, [[span("ab", Style::default()), span("c", italic)]]);
    }

    #[test]
    fn is_a_range_rounded_and_never_empty() {
        assert_eq!(cue(1004, 1005, "x").range_in(100), Some((100, 101)));
        assert_eq!(cue(1001, 1002, "x").range_in(100), Some((100, 101)));
        assert_eq!(cue(-500, 400, "x").range_in(1000), Some((0, 400)));
        assert_eq!(cue(-500, 0, "x").range_in(1000), None);
    }

    #[test]
    fn are_colours_read_and_written() {
        let orange = Rgb { red: 255, green: 128, blue: 0 };
        assert_eq!((Rgb::parse_hex("FF8000"), format!("{orange:x}")), (Some(orange), "ff8000".to_owned()));
        for wrong in ["", "+ff800", "ff80000", "gg8000", "ñ0000"] {
            assert_eq!(Rgb::parse_hex(wrong), None, "{wrong}");
        }
    }
}
