//! Writes captions as ASS scripts (v4.00+) for ffmpeg's `ass` filter, which renders them with libass. Braces
//! and backslashes in the captions' text are escaped, so that the text cannot inject ASS commands.
//!
//! A cue with a box becomes two events. The lower one draws only the box, with libass's border style 4 and
//! invisible text; the upper one draws text, outline and shadow. Two events are needed because within one event
//! libass draws either the box or the shadow. Both events have the same size, so that when cues collide, box
//! and text move together.

pub(crate) mod burn_in_style;
mod placement;

use abanico_media::Size;

use self::placement::{Frame, Place, place};
use crate::{BurnInStyle, CaptionTrack, Cue, Rgb, Span, Style};

/// The longest side of a frame that a script is written for; longer sides are clamped to it.
const LONGEST_SIDE: u32 = 65_535;

/// The default font family: an alias that every system with fontconfig resolves.
const DEFAULT_FAMILY: &str = "Sans";

const STYLE_FORMAT: &str = "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
    Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
    MarginR, MarginV, Encoding";

const EVENT_FORMAT: &str = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text";

/// Writes an ASS script that draws the track on frames of size `picture`. Rounds times to centiseconds, the
/// unit of ASS, and leaves out cues that end by time zero. The result ends with a line feed.
///
/// ```
/// use abanico_captions::{BurnInStyle, CaptionTrack, Cue, write_ass};
/// use abanico_media::{ExactTime, Size};
/// let cue = Cue::plain(ExactTime::from_millis(1000), ExactTime::from_millis(2004), "{\\b1}");
/// let script = write_ass(&CaptionTrack::new(vec![cue]), &BurnInStyle::default(), Size::new(1280, 720));
/// assert!(script.ends_with("Dialogue: 1,0:00:01.00,0:00:02.00,Text,,64,64,36,,{\\an2}\\{\\\u{2060}b1}\n"));
/// ```
pub fn write_ass(track: &CaptionTrack, style: &BurnInStyle, picture: Size) -> String {
    let side = |side: u32| side.clamp(1, LONGEST_SIDE);
    let picture = Size::new(side(picture.width), side(picture.height));
    let frame = Frame { picture, line_height: style.line_height(picture.width.min(picture.height)) };
    let mut script = format!(
        "[Script Info]\nScriptType: v4.00+\nPlayResX: {}\nPlayResY: {}\nWrapStyle: 0\nScaledBorderAndShadow: yes\n\n\
         [V4+ Styles]\n{STYLE_FORMAT}\n{}\n[Events]\n{EVENT_FORMAT}\n",
        picture.width,
        picture.height,
        styles(style, frame.line_height),
    );
    // If one cue has a box, every cue gets one, invisible if need be. Otherwise the lower layer would resolve
    // collisions differently from the upper one.
    let boxed = track.cues().iter().any(|cue| backdrop(cue, style).is_some());
    for cue in track.cues() {
        if let Some((start, end)) = cue.range_in(100) {
            script += &events(cue, &format!("{},{}", time(start), time(end)), style, frame, boxed);
        }
    }
    script
}

/// Returns the styles of both layers. Margins are zero here, because every event sets its own, and zero in an
/// event means the style's margin.
fn styles(style: &BurnInStyle, line_height: u32) -> String {
    let family = family(style.font_family.as_deref());
    let outline = style.outline_width(line_height);
    let opacity = style.text_opacity();
    let outline_colour = style.outline_colour.unwrap_or(crate::NamedColour::Black).rgb();
    let text = colour(style.text_colour(), opacity);
    let (shadow, shadow_opacity) = style.shadow().unwrap_or((Rgb::from_hex(0), 0));
    let unseen = colour(Rgb::from_hex(0), 0);
    // Border style 4 takes the shadow distance as the padding of the box.
    let padding = (line_height / 8).max(1);
    let line = |name, text: &str, outline_colour: &str, back: &str, border: u32, shadow: u32| {
        // Encoding -1 makes libass detect the writing direction from the text.
        format!(
            "Style: {name},{family},{line_height},{text},{text},{outline_colour},{back},0,0,0,0,100,100,0,0,\
             {border},{outline},{shadow},2,0,0,0,-1\n"
        )
    };
    line("Box", &unseen, &unseen, &unseen, 4, padding)
        + &line("Text", &text, &colour(outline_colour, opacity), &colour(shadow, shadow_opacity), 1, 0)
}

/// Returns the colour and opacity of a cue's box. A cue has one box colour: that of its first span with a
/// background.
fn backdrop(cue: &Cue, style: &BurnInStyle) -> Option<(Rgb, u8)> {
    style.background(cue.lines.iter().flatten().find_map(|span| span.style.background))
}

/// Returns the events of a cue: its box, if boxes are drawn, and its text.
fn events(cue: &Cue, times: &str, style: &BurnInStyle, frame: Frame, boxed: bool) -> String {
    let place = place(&cue.placement, style, frame);
    let text = text(&cue.lines, style);
    let event = |layer: u32, name: &str, tags: &str| {
        let Place { left, right, vertical, .. } = place;
        let position = position(place);
        format!("Dialogue: {layer},{times},{name},,{left},{right},{vertical},,{{{position}{tags}}}{text}\n")
    };
    let backdrop = boxed.then(|| {
        let (rgb, opacity) = backdrop(cue, style).unwrap_or((Rgb::from_hex(0), 0));
        event(0, "Box", &format!("\\4c&H{}&\\4a&H{:02X}&", bgr(rgb), 255 - opacity))
    });
    let shadow = style.shadow().map(|_| {
        let (x, y) = style.shadow_offset();
        format!("\\xshad{x}\\yshad{y}")
    });
    backdrop.unwrap_or_default() + &event(1, "Text", &shadow.unwrap_or_default())
}

fn position(place: Place) -> String {
    let point = place.point.map_or_else(String::new, |(x, y)| format!("\\pos({x},{y})"));
    format!("\\an{}{point}", place.keypad)
}

/// Joins the lines, with tags where the style changes. No tag changes the opacity, so the same text stays
/// invisible in the box event.
fn text(lines: &[Vec<Span>], style: &BurnInStyle) -> String {
    let mut look = Style { colour: Some(style.text_colour()), ..Style::default() };
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text += "\\N";
        }
        for span in line {
            let next = style.look_of(span);
            text += &change(&look, &next);
            text += &escaped(&span.text);
            look = next;
        }
    }
    text
}

/// Returns the tags that turn style `from` into style `to`; empty if they are equal.
fn change(from: &Style, to: &Style) -> String {
    let mut tags = String::new();
    for (from, to, tag) in
        [(from.bold, to.bold, 'b'), (from.italic, to.italic, 'i'), (from.underline, to.underline, 'u')]
    {
        if from != to {
            tags += &format!("\\{tag}{}", u8::from(to));
        }
    }
    if let Some(rgb) = to.colour.filter(|_| from.colour != to.colour) {
        tags += &format!("\\c&H{}&", bgr(rgb));
    }
    if tags.is_empty() { tags } else { format!("{{{tags}}}") }
}

/// Escapes text so that libass shows it verbatim. A backslash before a brace makes it literal. A backslash
/// cannot be escaped, so an invisible word joiner separates it from the next letter, with which it would form a
/// command.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '{' => out.push_str("\\{"),
            '\\' => out.push_str("\\\u{2060}"),
            _ => out.push(c),
        }
    }
    out
}

/// Returns a font family name without the characters that would end its field, and without a leading `@`, which
/// would rotate the letters.
fn family(name: Option<&str>) -> String {
    let name: String =
        name.unwrap_or("").chars().filter(|&c| c != ',' && !c.is_control()).take(100).collect();
    let name = name.trim_start_matches(['@', ' ']).trim();
    if name.is_empty() { DEFAULT_FAMILY.to_owned() } else { name.to_owned() }
}

/// Writes a colour for a style. ASS stores transparency instead of opacity, and red last.
fn colour(rgb: Rgb, opacity: u8) -> String {
    format!("&H{:02X}{}", 255 - opacity, bgr(rgb))
}

fn bgr(rgb: Rgb) -> String {
    format!("{:02X}{:02X}{:02X}", rgb.blue, rgb.green, rgb.red)
}

/// Writes centiseconds as `0:00:00.00`.
fn time(centis: u64) -> String {
    let seconds = centis / 100;
    format!("{}:{:02}:{:02}.{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60, centis % 100)
}

#[cfg(test)]
mod tests;
