//! Cues and caption tracks. A track holds its cues in order. Each cue has text and ends after it starts; cues that no
//! player could show are dropped and counted.

use serde::{Deserialize, Serialize};

use abanico_media::{ExactTime, Rational};

use crate::Placement;

/// The largest distance of a cue's time from zero, about 114 years. Cues beyond it are dropped, so that
/// arithmetic on times cannot overflow.
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
    /// Makes a colour from `0xRRGGBB`; higher bits are ignored.
    pub const fn from_hex(hex: u32) -> Self {
        let [_, red, green, blue] = hex.to_be_bytes();
        Self { red, green, blue }
    }

    /// Parses exactly six hexadecimal digits, red first.
    pub fn parse_hex(digits: &str) -> Option<Self> {
        let plain = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok().map(Self::from_hex)).flatten()
    }
}

impl std::fmt::LowerHex for Rgb {
    /// Writes six hexadecimal digits, red first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// The style of text. The default leaves everything to the player.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Text colour, if the file sets one.
    pub colour: Option<Rgb>,
    /// Colour behind the text, if the file sets one (WebVTT's `bg_…` classes).
    pub background: Option<Rgb>,
}

/// A run of text with one style, within one line.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// The text. Within a track it is never empty and has no line breaks.
    pub text: String,
    /// Its style.
    pub style: Style,
}

/// Text shown from a start time to an end time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cue {
    /// When it appears.
    pub start: ExactTime,
    /// When it disappears.
    pub end: ExactTime,
    /// Its lines. Adjacent spans of a line differ in style, and a track has no blank lines.
    pub lines: Vec<Vec<Span>>,
    /// Where it is shown.
    pub placement: Placement,
}

impl Cue {
    /// Makes a cue of plain text, one line per `\n`, at the bottom.
    pub fn plain(start: ExactTime, end: ExactTime, text: &str) -> Self {
        let line = |line: &str| vec![Span { text: line.to_owned(), style: Style::default() }];
        Self { start, end, lines: text.split('\n').map(line).collect(), placement: Placement::default() }
    }

    /// Returns the text without styles, with `\n` between lines.
    pub fn text(&self) -> String {
        let line = |line: &Vec<Span>| line.iter().map(|span| span.text.as_str()).collect::<String>();
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns start and end in units of 1/`per_second` second, each rounded to the nearest and at least zero. The end
    /// is at least one unit after the start. Returns `None` for a cue that ends at or before time zero.
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

/// Cues, sorted by start time.
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
    /// Makes a track. Sorts cues by start (equal starts keep their order), joins adjacent spans of the same
    /// style, and removes blank lines and control characters. Drops cues that cannot be shown: those whose end
    /// is not after their start, those without text, and those more than a million hours from zero.
    pub fn new(cues: Vec<Cue>) -> Self {
        let found = cues.len();
        let mut cues: Vec<Cue> = cues.into_iter().map(tidy).filter(Cue::is_shown).collect();
        cues.sort_by_key(|cue| cue.start);
        let dropped = found - cues.len();
        Self { cues, dropped }
    }

    /// Returns the cues, sorted by start time.
    pub fn cues(&self) -> &[Cue] {
        &self.cues
    }

    /// Returns how many cues were dropped because they could not be shown.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether the track has no cues.
    pub fn is_empty(&self) -> bool {
        self.cues.is_empty()
    }

    /// Returns the end of the cue that ends last; zero without cues.
    pub fn end(&self) -> ExactTime {
        self.cues.iter().map(|cue| cue.end).max().unwrap_or(ExactTime::ZERO)
    }

    /// Adds `more` to the number of dropped cues.
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

/// Joins adjacent spans of the same style, and removes empty spans and control characters other than tabs.
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
    fn sorts_cues_and_counts_dropped_ones() {
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
    fn lines_are_tidied() {
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
    fn range_is_rounded_and_never_empty() {
        assert_eq!(cue(1004, 1005, "x").range_in(100), Some((100, 101)));
        assert_eq!(cue(1001, 1002, "x").range_in(100), Some((100, 101)));
        assert_eq!(cue(-500, 400, "x").range_in(1000), Some((0, 400)));
        assert_eq!(cue(-500, 0, "x").range_in(1000), None);
    }

    #[test]
    fn colours_are_parsed_and_written() {
        let orange = Rgb { red: 255, green: 128, blue: 0 };
        assert_eq!((Rgb::parse_hex("FF8000"), format!("{orange:x}")), (Some(orange), "ff8000".to_owned()));
        for wrong in ["", "+ff800", "ff80000", "gg8000", "ñ0000"] {
            assert_eq!(Rgb::parse_hex(wrong), None, "{wrong}");
        }
    }
}
