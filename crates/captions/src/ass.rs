//! Scripts for burning in: in a track, a style and a picture's size, out the text of an ASS file (v4.00+) as libass
//! renders it, for ffmpeg's filter `ass`. Never a command that came in with the captions' text: braces and backslashes
//! of theirs are written so that they are only seen.
//!
//! A cue with a box is two events. The lower one draws the box alone, by libass's border style 4, whose text is
//! unseen; the upper one draws text, outline and shadow. In one event libass draws either box or shadow. Both have the
//! same size, so that cues that give way to each other do so together.

use abanico_media::Size;

use crate::ass_placement::{Frame, Place, place};
use crate::{BurnInStyle, CaptionTrack, Cue, Rgb, Span, Style};

/// The longest side of a picture that a script is written for; longer ones are taken as this.
const LONGEST_SIDE: u32 = 65_535;

/// The family of fonts when none is named: fontconfig's alias, which every system with it resolves.
const DEFAULT_FAMILY: &str = "Sans";

const STYLE_FORMAT: &str = "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
    Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
    MarginR, MarginV, Encoding";

const EVENT_FORMAT: &str = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text";

/// Writes an ASS script that draws the track on pictures of this size. Times are rounded to centiseconds, the unit of
/// ASS, and cues that are over by zero are left out. The result ends with a line's end.
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
    // One cue's box asks for a box of every cue, if an unseen one: else the lower layer would not see all that a cue
    // gives way to in the upper one.
    let boxed = track.cues().iter().any(|cue| backdrop(cue, style).is_some());
    for cue in track.cues() {
        if let Some((start, end)) = cue.range_in(100) {
            script += &events(cue, &format!("{},{}", time(start), time(end)), style, frame, boxed);
        }
    }
    script
}

/// The styles of both layers. Margins are zero here, since zero in an event means that of its style.
fn styles(style: &BurnInStyle, line_height: u32) -> String {
    let family = family(style.font_family.as_deref());
    let outline = style.outline_width(line_height);
    let opacity = style.text_opacity();
    let outline_colour = style.outline_colour.unwrap_or(crate::NamedColour::Black).rgb();
    let text = colour(style.text_colour(), opacity);
    let (shadow, shadow_opacity) = style.shadow().unwrap_or((Rgb::from_hex(0), 0));
    let unseen = colour(Rgb::from_hex(0), 0);
    // Border style 4 takes the shadow's distance as the room between text and the box's edge.
    let padding = (line_height / 8).max(1);
    let line = |name, text: &str, outline_colour: &str, back: &str, border: u32, shadow: u32| {
        // The encoding -1 has libass tell the direction of writing from the text.
        format!(
            "Style: {name},{family},{line_height},{text},{text},{outline_colour},{back},0,0,0,0,100,100,0,0,\
             {border},{outline},{shadow},2,0,0,0,-1\n"
        )
    };
    line("Box", &unseen, &unseen, &unseen, 4, padding)
        + &line("Text", &text, &colour(outline_colour, opacity), &colour(shadow, shadow_opacity), 1, 0)
}

/// Colour and opacity of a cue's box: one for the whole cue, that of the first text whose background the input tells.
fn backdrop(cue: &Cue, style: &BurnInStyle) -> Option<(Rgb, u8)> {
    style.background(cue.lines.iter().flatten().find_map(|span| span.style.background))
}

/// The events of a cue: its box, where there are boxes, and its text.
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

/// The lines with tags where the look changes. The tags change no opacity, so that the same text is unseen in a box.
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

/// The tags that make the second look of the first; nothing when they are the same.
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

/// Text that libass shows as it is. A brace after a backslash is a brace; a backslash has no such form, so that a word
/// joiner, which is not seen, parts it from the letter that it would be a command with.
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

/// The name of a font without what would end its field; `@` at its front would turn letters on their side.
fn family(name: Option<&str>) -> String {
    let name: String =
        name.unwrap_or("").chars().filter(|&c| c != ',' && !c.is_control()).take(100).collect();
    let name = name.trim_start_matches(['@', ' ']).trim();
    if name.is_empty() { DEFAULT_FAMILY.to_owned() } else { name.to_owned() }
}

/// A style's colour: ASS counts transparency, and has red last.
fn colour(rgb: Rgb, opacity: u8) -> String {
    format!("&H{:02X}{}", 255 - opacity, bgr(rgb))
}

fn bgr(rgb: Rgb) -> String {
    format!("{:02X}{:02X}{:02X}", rgb.blue, rgb.green, rgb.red)
}

/// Centiseconds as `0:00:00.00`.
fn time(centis: u64) -> String {
    let seconds = centis / 100;
    format!("{}:{:02}:{:02}.{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60, centis % 100)
}

#[cfg(test)]
#[path = "ass_tests.rs"]
mod tests;
