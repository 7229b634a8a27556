//! Parses and writes the text of a WebVTT cue (section 4.2.2 of the standard, parsed as in 6.4). Like the
//! standard's parser, it never fails: unknown tags are left out. Voice, language and timestamp tags are dropped
//! but their text stays; ruby text follows its base in parentheses.

use crate::parsing::colour_names::{nearest_webvtt_class, of_webvtt_class, webvtt_class};
use crate::parsing::line_builder::LineBuilder;
use crate::{Rgb, Span, Style, StylePassthrough};

/// The prefix of our own colour classes, followed by six hexadecimal digits, for colours without a default
/// class.
const OWN_CLASS: &str = "rgb_";

/// The prefix of background colour classes.
const BACKGROUND: &str = "bg_";

/// Characters that are written as entities. `>` is among them because some players would mistake an arrow in
/// the text for a timing line.
const ENTITIES: [(char, &str); 6] = [
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('\u{200e}', "&lrm;"),
    ('\u{200f}', "&rlm;"),
    ('\u{a0}', "&nbsp;"),
];

/// An open element, and the style of the text in it.
struct Open<'a> {
    name: &'a str,
    style: Style,
}

/// Parses the text of a cue into lines.
pub(crate) fn parse(text: &str) -> Vec<Vec<Span>> {
    let mut builder = LineBuilder::new();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('<') {
        builder.push(&unescaped(before), style_of(&open));
        // As in the standard, an unterminated tag swallows the rest of the text.
        let (tag, after) = tail.split_once('>').unwrap_or((tail, ""));
        match tag.strip_prefix('/') {
            Some(name) => close(name, &mut open, &mut builder),
            None => begin(tag, &mut open, &mut builder),
        }
        rest = after;
    }
    builder.push(&unescaped(rest), style_of(&open));
    while let Some(element) = open.pop() {
        end(&element, &mut builder);
    }
    builder.finish()
}

fn style_of(open: &[Open]) -> Style {
    open.last().map(|element| element.style).unwrap_or_default()
}

/// Opens an element. Unknown tags and timestamps open none.
fn begin<'a>(tag: &'a str, open: &mut Vec<Open<'a>>, builder: &mut LineBuilder) {
    let tag = tag.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or("");
    let mut parts = tag.split('.');
    let name = parts.next().unwrap_or("");
    let within_ruby = open.last().is_some_and(|element| element.name == "ruby");
    let known =
        matches!(name, "c" | "i" | "b" | "u" | "v" | "lang" | "ruby") || (name == "rt" && within_ruby);
    if !known {
        return;
    }
    let mut style = style_of(open);
    match name {
        "b" => style.bold = true,
        "i" => style.italic = true,
        "u" => style.underline = true,
        "rt" => builder.push("(", style),
        _ => {}
    }
    parts.for_each(|class| apply_class(class, &mut style));
    open.push(Open { name, style });
}

/// Closes the innermost element if it has this name. `</ruby>` also closes an open `rt`.
fn close(name: &str, open: &mut Vec<Open>, builder: &mut LineBuilder) {
    let innermost = open.last().map(|element| element.name);
    let count = match innermost {
        Some(inner) if inner == name => 1,
        Some("rt") if name == "ruby" => 2,
        _ => 0,
    };
    for _ in 0..count {
        if let Some(element) = open.pop() {
            end(&element, builder);
        }
    }
}

fn end(element: &Open, builder: &mut LineBuilder) {
    if element.name == "rt" {
        builder.push(")", element.style);
    }
}

fn apply_class(class: &str, style: &mut Style) {
    let colour = |name: &str| of_webvtt_class(name).or_else(|| Rgb::parse_hex(name.strip_prefix(OWN_CLASS)?));
    match class.strip_prefix(BACKGROUND) {
        Some(name) => style.background = colour(name).or(style.background),
        None => style.colour = colour(class).or(style.colour),
    }
}

/// Replaces entities by their characters. An ampersand that begins no known entity is text.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match entity(rest) {
            Some((c, length)) => {
                out.push(c);
                length
            }
            None => {
                out.push('&');
                1
            }
        };
        rest = &rest[length..];
    }
    out + rest
}

/// Parses the entity at the start of `text` and returns its character and its length in bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    const OTHERS: [(char, &str); 2] = [('"', "&quot;"), ('\'', "&apos;")];
    let named = ENTITIES.iter().chain(&OTHERS).find(|(_, name)| text.starts_with(name));
    named.map(|(c, name)| (*c, name.len())).or_else(|| numeric(text))
}

/// Parses `&#233;` or `&#xe9;`, of at most ten digits. An invalid code point becomes U+FFFD.
fn numeric(text: &str) -> Option<(char, usize)> {
    let number = text.strip_prefix("&#")?;
    let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
    let length = digits.bytes().take(10).take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if length == 0 || !digits[length..].starts_with(';') {
        return None;
    }
    let value = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
    let c = char::from_u32(value).filter(|&c| c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((c, text.len() - digits.len() + length + 1))
}

/// Writes the text of a cue, with `\n` between lines.
pub(crate) fn written(lines: &[Vec<Span>], passthrough: StylePassthrough) -> String {
    let span = |span: &Span| match passthrough {
        StylePassthrough::Enabled => tagged(span),
        StylePassthrough::Disabled => escaped(&span.text),
    };
    let line = |line: &Vec<Span>| line.iter().map(span).collect::<String>();
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn tagged(span: &Span) -> String {
    let style = span.style;
    let mut text = escaped(&span.text);
    for (on, name) in [(style.underline, 'u'), (style.italic, 'i'), (style.bold, 'b')] {
        if on {
            text = format!("<{name}>{text}</{name}>");
        }
    }
    let classes: String = classes(&style).map(|class| format!(".{class}")).collect();
    if classes.is_empty() { text } else { format!("<c{classes}>{text}</c>") }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match ENTITIES.iter().find(|(special, _)| *special == c) {
            Some((_, entity)) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

/// Returns the classes of a style's colours. A colour without a default class has two: the nearest default
/// class, which players show, and one of our own, which [`parse`] reads. A rule in a `STYLE` block would make
/// players show the exact colour, but ffmpeg 5.1 reads no cues from a file that has such a block.
fn classes(style: &Style) -> impl Iterator<Item = String> {
    let colours = [("", style.colour), (BACKGROUND, style.background)];
    colours.into_iter().flat_map(|(prefix, colour)| {
        let nearest = colour.map(|colour| format!("{prefix}{}", nearest_webvtt_class(colour)));
        let own = colour.filter(|&colour| webvtt_class(colour).is_none());
        nearest.into_iter().chain(own.map(|colour| format!("{prefix}{OWN_CLASS}{colour:x}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        written(&parse(text), StylePassthrough::Enabled)
    }

    #[test]
    fn tags_follow_the_standard() {
        let cases = [
            ("<b>a</b><i.foreign>b</i><u>c</u>", "<b>a</b><i>b</i><u>c</u>"),
            ("<v.loud Ana María>Hola</v> <lang es>a</lang>", "Hola a"),
            ("<b>a<i>b</b>c</i>d", "<b>a</b><b><i>bc</i></b><b>d</b>"),
            ("a<00:00:01.000>b<unknown>c</unknown><>d</>", "abcd"),
            ("a<b\nx>b", "a<b>b</b>"),
            ("a<b", "a"),
            ("<ruby>漢<rt>kan</rt>字<rt>ji</ruby>. <rt>x</rt>", "漢(kan)字(ji). x"),
            ("<ruby>a<rt>b", "a(b)"),
        ];
        for (text, expected) in cases {
            assert_eq!(again(text), expected, "{text}");
        }
    }

    #[test]
    fn only_colour_classes_are_read() {
        let cases = [
            ("<c.yellow.bg_blue.big>a</c>b", "<c.yellow.bg_blue>a</c>b"),
            ("<c.red>a<c.lime>b</c>c</c>", "<c.red>a</c><c.lime>b</c><c.red>c</c>"),
            ("<b.cyan>a</b>", "<c.cyan><b>a</b></c>"),
            ("<c.rgb_ff9900.bg_rgb_000001>a</c>", "<c.yellow.rgb_ff9900.bg_black.bg_rgb_000001>a</c>"),
            ("<c.orange.bg_.rgb_12.YELLOW>a</c>", "a"),
        ];
        for (text, expected) in cases {
            assert_eq!(again(text), expected, "{text}");
        }
    }

    #[test]
    fn entities_are_read_and_written() {
        let text = |text: &str| parse(text)[0].iter().map(|span| span.text.clone()).collect::<String>();
        assert_eq!(text("&amp;lt; &lt;&gt;&nbsp;&lrm;&rlm;&quot;&apos;"), "&lt; <>\u{a0}\u{200e}\u{200f}\"'");
        assert_eq!(
            text("&#233;&#xE9;&#x1F600;&#0;&#xd800;&#99999999999;&#9999999999;"),
            "éé😀\u{fffd}\u{fffd}&#99999999999;\u{fffd}"
        );
        assert_eq!(text("R&D &unknown; &#; &#x; &#12 &"), "R&D &unknown; &#; &#x; &#12 &");
        assert_eq!(again("a&#10;b"), "a\nb");
        assert_eq!(again("&lt;b&gt; --&gt; &nbsp;"), "&lt;b&gt; --&gt; &nbsp;");
    }

    #[test]
    fn plain_text_is_escaped_too() {
        assert_eq!(written(&parse("<c.red>1 &lt; 2</c>"), StylePassthrough::Disabled), "1 &lt; 2");
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        for piece in ["<", "<i>", "</i>", "&", "&#", "<i>a", "<ruby><rt>"] {
            assert!(!parse(&piece.repeat(200_000)).is_empty(), "{piece}");
        }
    }
}
