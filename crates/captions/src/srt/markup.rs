//! Parses and writes the markup in SubRip text: `<b>`, `<font color=…>` and `{\an8}`. Parsing never fails:
//! everything that is not a tag is text. SubRip cannot escape `<`, so text that looks like a tag is read back
//! as one.

use crate::parsing::colour_names::of_html;
use crate::parsing::line_builder::LineBuilder;
use crate::{Placement, Rgb, Span, Style, StylePassthrough};

/// The longest tag, in characters, and the largest number of open tags. These bounds keep the work linear in
/// the length of the text.
const LONGEST_TAG: usize = 300;
const MOST_OPEN: usize = 32;

/// An open tag.
enum Tag {
    Bold,
    Italic,
    Underline,
    Strike,
    Font(Option<Rgb>),
}

/// The effect of a piece of markup.
enum Markup {
    Open(Tag),
    Close(Tag),
    Place(Placement),
    Nothing,
}

/// Parses the text of a cue into lines and a placement.
pub(crate) fn parse(text: &str) -> (Vec<Vec<Span>>, Placement) {
    let mut builder = LineBuilder::new();
    let mut open: Vec<Tag> = Vec::new();
    let mut placement = None;
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        let (before, tail) = rest.split_at(at);
        builder.push(before, style_of(&open));
        match markup(tail) {
            Some((markup, length)) => {
                apply(markup, &mut open, &mut placement);
                rest = &tail[length..];
            }
            None => {
                builder.push(&tail[..1], style_of(&open));
                rest = &tail[1..];
            }
        }
    }
    builder.push(rest, style_of(&open));
    (builder.finish(), placement.unwrap_or_default())
}

fn apply(markup: Markup, open: &mut Vec<Tag>, placement: &mut Option<Placement>) {
    match markup {
        Markup::Open(tag) if open.len() < MOST_OPEN => open.push(tag),
        Markup::Open(_) => {}
        Markup::Close(tag) => {
            let same = |other: &Tag| std::mem::discriminant(other) == std::mem::discriminant(&tag);
            if let Some(at) = open.iter().rposition(same) {
                open.remove(at);
            }
        }
        // The first one counts, as in players.
        Markup::Place(place) => *placement = placement.or(Some(place)),
        Markup::Nothing => {}
    }
}

fn style_of(open: &[Tag]) -> Style {
    let mut style = Style::default();
    for tag in open {
        match tag {
            Tag::Bold => style.bold = true,
            Tag::Italic => style.italic = true,
            Tag::Underline => style.underline = true,
            Tag::Strike | Tag::Font(None) => {}
            Tag::Font(colour) => style.colour = *colour,
        }
    }
    style
}

/// Parses the markup at the start of `text` and returns it with its length in bytes.
fn markup(text: &str) -> Option<(Markup, usize)> {
    let close = if text.starts_with('<') { '>' } else { '}' };
    let mut near = text.char_indices().take(LONGEST_TAG);
    let (end, _) = near.find(|&(_, c)| c == close || c == '\n').filter(|&(_, c)| c == close)?;
    let inner = &text[1..end];
    let markup = match inner.strip_prefix('\\') {
        Some(command) if close == '}' => override_block(command),
        _ => tag(inner, close == '>')?,
    };
    Some((markup, end + 1))
}

/// Parses an override block such as `{\an8}`. Other ASS commands are ignored, but are not shown as text either.
fn override_block(commands: &str) -> Markup {
    let key =
        |command: &str| command.strip_prefix("an")?.trim().parse().ok().and_then(Placement::from_keypad);
    commands.split('\\').find_map(key).map_or(Markup::Nothing, Markup::Place)
}

/// Parses a tag such as `i`, `/i` or `font color="red"`. In braces, as in `{i}`, `font` is not a tag.
fn tag(inner: &str, has_attributes: bool) -> Option<Markup> {
    let (inner, closes) = inner.strip_prefix('/').map_or((inner, false), |rest| (rest, true));
    let inner = inner.trim();
    let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let tag = match name.to_ascii_lowercase().as_str() {
        "b" => Tag::Bold,
        "i" => Tag::Italic,
        "u" => Tag::Underline,
        "s" | "strike" => Tag::Strike,
        "font" if has_attributes => Tag::Font(font_colour(attributes)),
        _ => return None,
    };
    Some(if closes { Markup::Close(tag) } else { Markup::Open(tag) })
}

/// Returns the value of the `color` attribute, in double quotes, single quotes or none.
fn font_colour(attributes: &str) -> Option<Rgb> {
    // Lowercasing ASCII letters keeps byte positions.
    let at = attributes.to_ascii_lowercase().find("color")?;
    let value = attributes[at + "color".len()..].trim_start().strip_prefix('=')?.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(char::is_whitespace).next()?,
    };
    of_html(value.trim())
}

/// Writes the text of a cue, with `\n` between lines.
pub(crate) fn written(lines: &[Vec<Span>], placement: &Placement, passthrough: StylePassthrough) -> String {
    let enabled = passthrough.is_enabled();
    let key = Some(placement.keypad()).filter(|&key| enabled && key != 2);
    let line = |line: &Vec<Span>| -> String {
        if enabled {
            let spans = line.iter().enumerate();
            return spans.map(|(index, span)| tagged(span, index + 1 < line.len())).collect();
        }
        literal(&line.iter().map(|span| span.text.as_str()).collect::<String>(), false)
    };
    let text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
    // An arrow in the text would turn its line into a timing line.
    key.map_or_else(String::new, |key| format!("{{\\an{key}}}")) + &text.replace("-->", "→")
}

/// Keeps text that looks like a tag or a command from being read as one, with an invisible word joiner: SubRip has no
/// way to escape it. `goes_on` says whether more follows in the same line, in which a tag could
/// end.
fn literal(text: &str, goes_on: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        kept.push(letter);
        let close = match letter {
            '<' => '>',
            '{' => '}',
            _ => continue,
        };
        let tail = &text[at..];
        if markup(tail).is_some() || (goes_on && !tail.contains(close)) {
            kept.push('\u{2060}');
        }
    }
    kept
}

fn tagged(span: &Span, goes_on: bool) -> String {
    let style = span.style;
    let mut text = literal(&span.text, goes_on || style != Style::default());
    if let Some(colour) = style.colour {
        text = format!("<font color=\"#{colour:x}\">{text}</font>");
    }
    for (on, name) in [(style.underline, 'u'), (style.italic, 'i'), (style.bold, 'b')] {
        if on {
            text = format!("<{name}>{text}</{name}>");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let (lines, placement) = parse(text);
        written(&lines, &placement, StylePassthrough::Enabled)
    }

    #[test]
    fn parses_all_spellings_of_tags() {
        let red = "<font color=\"#ff0000\">a</font>";
        for text in [
            "<font color=\"#FF0000\">a</font>",
            "<FONT Color='red'>a</FONT>",
            "<font face=\"Arial\" size=12 color=#f00>a</font>",
            "<font color = red >a",
        ] {
            assert_eq!(again(text), red, "{text}");
        }
        assert_eq!(again("{i}a{/i} <B>b</B >< i >c</i><s>d</s>"), "<i>a</i> <b>b</b><i>c</i>d");
        assert_eq!(again("<font face=x>a</font>"), "a");
    }

    #[test]
    fn tags_span_lines_and_overlap() {
        assert_eq!(again("<i>a\nb</i>c"), "<i>a</i>\n<i>b</i>c");
        assert_eq!(again("<b>a<i>b</b>c</i>d"), "<b>a</b><b><i>b</i></b><i>c</i>d");
        assert_eq!(
            again("<font color=red>a<font color=blue>b</font>c</font>d</font>"),
            "<font color=\"#ff0000\">a</font><font color=\"#0000ff\">b</font><font color=\"#ff0000\">c</font>d"
        );
    }

    #[test]
    fn first_placement_wins_other_commands_are_dropped() {
        assert_eq!(again("{\\an8}a{\\an1}"), "{\\an8}a");
        assert_eq!(again("{\\fad(1,2)\\an4}{\\b1}a"), "{\\an4}a");
        assert_eq!(again("{\\an0}a"), "a");
    }

    #[test]
    fn everything_else_is_text() {
        for text in [
            "1 < 2 > 0",
            "<3",
            "{set} {font color=red}",
            "<unknown>",
            "a &amp; b",
            "{\\an8",
            "<i\n>",
            "<",
            "{",
        ] {
            assert_eq!(again(text), text);
        }
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        for piece in ["<", "<i>", "</i>", "{\\an8}", "<i>a"] {
            let text = piece.repeat(200_000);
            assert!(parse(&text).0.len() == 1, "{piece}");
        }
    }

    #[test]
    fn without_passthrough_only_text_remains() {
        let (lines, placement) = parse("{\\an8}<b>a</b> --> b");
        assert_eq!(written(&lines, &placement, StylePassthrough::Disabled), "a → b");
    }
}
