//! Colour names of caption files: the sixteen of HTML 4 with their synonyms, and a few more that occur in
//! SubRip files. Other CSS names are unknown.

use crate::Rgb;

/// WebVTT's default colour classes (section 5 of the standard). For backgrounds, the class has the prefix
/// `bg_`.
const WEBVTT: [(&str, u32); 8] = [
    ("white", 0xff_ff_ff),
    ("lime", 0x00_ff_00),
    ("cyan", 0x00_ff_ff),
    ("red", 0xff_00_00),
    ("yellow", 0xff_ff_00),
    ("magenta", 0xff_00_ff),
    ("blue", 0x00_00_ff),
    ("black", 0x00_00_00),
];

const OTHERS: [(&str, u32); 16] = [
    ("silver", 0xc0_c0_c0),
    ("gray", 0x80_80_80),
    ("grey", 0x80_80_80),
    ("maroon", 0x80_00_00),
    ("olive", 0x80_80_00),
    ("green", 0x00_80_00),
    ("aqua", 0x00_ff_ff),
    ("teal", 0x00_80_80),
    ("navy", 0x00_00_80),
    ("fuchsia", 0xff_00_ff),
    ("purple", 0x80_00_80),
    ("orange", 0xff_a5_00),
    ("gold", 0xff_d7_00),
    ("pink", 0xff_c0_cb),
    ("brown", 0xa5_2a_2a),
    ("violet", 0xee_82_ee),
];

/// Returns the colour of a default WebVTT class, given without `bg_`.
pub(crate) fn of_webvtt_class(class: &str) -> Option<Rgb> {
    find(&WEBVTT, class)
}

/// Returns the default WebVTT class of exactly this colour, without `bg_`, if there is one.
pub(crate) fn webvtt_class(colour: Rgb) -> Option<&'static str> {
    WEBVTT.iter().find(|(_, hex)| Rgb::from_hex(*hex) == colour).map(|(name, _)| *name)
}

/// Returns the default WebVTT class of the nearest colour, without `bg_`.
pub(crate) fn nearest_webvtt_class(colour: Rgb) -> &'static str {
    let distance = |hex: u32| {
        let other = Rgb::from_hex(hex);
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(colour.red, other.red) + square(colour.green, other.green) + square(colour.blue, other.blue)
    };
    WEBVTT.iter().min_by_key(|(_, hex)| distance(*hex)).map_or("white", |(name, _)| name)
}

/// Parses HTML's `color` attribute: a name in any case, or three, six or eight hexadecimal digits with or
/// without `#`. The last two of eight digits, the transparency, are ignored.
pub(crate) fn of_html(value: &str) -> Option<Rgb> {
    let name = value.to_ascii_lowercase();
    let digits = name.strip_prefix('#').unwrap_or(&name);
    let digits = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        8 if digits.is_ascii() => digits[..6].to_owned(),
        _ => digits.to_owned(),
    };
    find(&WEBVTT, &name).or_else(|| find(&OTHERS, &name)).or_else(|| Rgb::parse_hex(&digits))
}

fn find(table: &[(&str, u32)], name: &str) -> Option<Rgb> {
    table.iter().find(|(candidate, _)| *candidate == name).map(|(_, hex)| Rgb::from_hex(*hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_and_digits() {
        let orange = Some(Rgb::from_hex(0xff_a5_00));
        for value in ["orange", "Orange", "#FFA500", "ffa500", "#ffa50080"] {
            assert_eq!(of_html(value), orange, "{value}");
        }
        assert_eq!(of_html("#f0f"), of_html("fuchsia"));
        for value in ["", "#", "#ff", "nocolour", "ñññ", "ññññ"] {
            assert_eq!(of_html(value), None, "{value}");
        }
    }

    #[test]
    fn finds_the_nearest_class() {
        for (hex, class) in
            [(0xf0_10_20, "red"), (0xff_a5_00, "yellow"), (0x00_80_80, "cyan"), (0xc0_c0_c0, "white")]
        {
            assert_eq!(nearest_webvtt_class(Rgb::from_hex(hex)), class, "{hex:x}");
        }
        assert!(WEBVTT.iter().all(|(name, hex)| nearest_webvtt_class(Rgb::from_hex(*hex)) == *name));
    }

    #[test]
    fn every_webvtt_class_round_trips() {
        for (name, hex) in WEBVTT {
            assert_eq!(of_webvtt_class(name).and_then(webvtt_class), Some(name));
            assert_eq!(of_webvtt_class(name), Some(Rgb::from_hex(hex)));
        }
        assert_eq!(of_webvtt_class("lime"), Some(Rgb { red: 0, green: 255, blue: 0 }));
        assert_eq!(of_webvtt_class("magenta"), Some(Rgb { red: 255, green: 0, blue: 255 }));
        assert_eq!(of_webvtt_class("orange"), None);
    }
}
