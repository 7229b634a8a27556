//! Tests of how settings for burnt-in captions are resolved.

use super::*;

const RED: Rgb = Rgb::from_hex(0xff_00_00);
const YELLOW: Rgb = Rgb::from_hex(0xff_ff_00);
const BLACK: Rgb = Rgb::from_hex(0);

fn enabled() -> BurnInStyle {
    BurnInStyle { style_passthrough: StylePassthrough::Enabled, ..BurnInStyle::default() }
}

fn colour_of(style: &BurnInStyle, colour: Option<Rgb>) -> Option<Rgb> {
    style.look_of(&Span { text: "a".to_owned(), style: Style { colour, ..Style::default() } }).colour
}

#[test]
fn sizes_are_automatic_until_set() {
    let style = BurnInStyle::default();
    assert_eq!((style.line_height(1080), style.line_height(360), style.line_height(0)), (60, 20, 1));
    assert_eq!((style.outline_width(60), style.outline_width(20), style.outline_width(1)), (4, 1, 1));
    let style = BurnInStyle { font_size: Some(0), outline_size: Some(0), ..BurnInStyle::default() };
    assert_eq!((style.line_height(1080), style.outline_width(60)), (60, 0));
    let style = BurnInStyle { font_size: Some(48), outline_size: Some(99), ..BurnInStyle::default() };
    assert_eq!((style.line_height(1080), style.outline_width(48)), (48, 10));
}

#[test]
fn hex_colour_has_optional_opacity() {
    let blue = Rgb::from_hex(0x11_22_aa);
    assert_eq!(FontColour::parse_hex("1122AA"), Some(FontColour::Hex { rgb: blue, opacity: None }));
    assert_eq!(FontColour::parse_hex("1122aaBB"), Some(FontColour::Hex { rgb: blue, opacity: Some(0xbb) }));
    for wrong in ["", "11", "1122a", "1122aab", "1122aabbc", "gg22aa", "1122aaxx", "ñññ", "1122aañ"] {
        assert_eq!(FontColour::parse_hex(wrong), None, "{wrong}");
    }
    let hex =
        BurnInStyle { font_colour: FontColour::parse_hex("1122AABB").unwrap(), ..BurnInStyle::default() };
    assert_eq!((hex.text_opacity(), hex.text_colour()), (0xbb, blue));
    assert_eq!(BurnInStyle { font_opacity: Some(9), ..hex }.text_opacity(), 9);
    assert_eq!(BurnInStyle::default().text_opacity(), 255);
}

#[test]
fn font_colour_applies_to_the_chosen_text() {
    let yellow = FontColour::Named(NamedColour::Yellow);
    let white_only = BurnInStyle { font_colour: yellow, ..enabled() };
    let all = BurnInStyle { apply_font_colour: ApplyFontColour::AllText, ..white_only.clone() };
    let off = BurnInStyle { font_colour: yellow, ..BurnInStyle::default() };
    let automatic_for_all = BurnInStyle { apply_font_colour: ApplyFontColour::AllText, ..enabled() };
    for (style, none, white, red) in [
        (&white_only, YELLOW, YELLOW, RED),
        (&all, YELLOW, YELLOW, YELLOW),
        (&off, YELLOW, YELLOW, YELLOW),
        (&enabled(), WHITE, WHITE, RED),
        (&automatic_for_all, WHITE, WHITE, RED),
        (&BurnInStyle::default(), WHITE, WHITE, WHITE),
    ] {
        let found = [None, Some(WHITE), Some(RED)].map(|colour| colour_of(style, colour));
        assert_eq!(found, [Some(none), Some(white), Some(red)], "{style:?}");
    }
}

#[test]
fn input_styles_need_passthrough() {
    let span = Span { text: "a".to_owned(), style: Style { bold: true, italic: true, ..Style::default() } };
    assert!(enabled().look_of(&span).bold && enabled().look_of(&span).italic);
    assert!(!BurnInStyle::default().look_of(&span).bold);
}

#[test]
fn box_needs_an_opacity() {
    let black = BurnInStyle { background_colour: BackdropColour::Black, ..BurnInStyle::default() };
    assert_eq!(black.background(Some(RED)), None);
    let half = BurnInStyle { background_opacity: Some(128), ..black.clone() };
    assert_eq!(half.background(Some(RED)), Some((BLACK, 128)));
    let none = BurnInStyle { background_colour: BackdropColour::None, ..half };
    assert_eq!(none.background(None), None);
    assert_eq!(enabled().background(Some(RED)), Some((RED, 255)));
    assert_eq!(enabled().background(None), None);
    let white = BurnInStyle { background_colour: BackdropColour::White, ..enabled() };
    assert_eq!((white.background(Some(RED)), white.background(None)), (Some((WHITE, 255)), None));
    let dim = BurnInStyle { background_opacity: Some(50), ..enabled() };
    assert_eq!((dim.background(Some(RED)), dim.background(None)), (Some((RED, 50)), Some((BLACK, 50))));
}

#[test]
fn shadow_needs_opacity_and_offset() {
    let shadow =
        BurnInStyle { shadow_opacity: Some(200), shadow_x_offset: Some(-3), ..BurnInStyle::default() };
    assert_eq!((shadow.shadow(), shadow.shadow_offset()), (Some((BLACK, 200)), (-3, 2)));
    assert_eq!(BurnInStyle { shadow_colour: BackdropColour::None, ..shadow.clone() }.shadow(), None);
    assert_eq!(BurnInStyle { shadow_opacity: None, ..shadow.clone() }.shadow(), None);
    assert_eq!(
        BurnInStyle { shadow_x_offset: Some(0), shadow_y_offset: Some(0), ..shadow.clone() }.shadow(),
        None
    );
    let far = BurnInStyle { shadow_x_offset: Some(i32::MIN), shadow_y_offset: Some(i32::MAX), ..shadow };
    assert_eq!(far.shadow_offset(), (-16_384, 16_384));
}
