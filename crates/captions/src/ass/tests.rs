//! Tests of ASS scripts: their whole text, and that caption text never becomes a command.

use abanico_media::ExactTime;
use proptest::prelude::*;

use super::*;
use crate::test_tracks::{TextOf, track};
use crate::{ApplyFontColour, BackdropColour, FontColour, NamedColour, StylePassthrough, parse_webvtt};

const HD: Size = Size::new(1920, 1080);

fn cue(text: &str) -> CaptionTrack {
    CaptionTrack::new(vec![Cue::plain(ExactTime::from_millis(995), ExactTime::from_millis(3_723_004), text)])
}

/// Returns the events of a script, without the word `Dialogue:`.
fn events_of(script: &str) -> Vec<&str> {
    script.lines().filter_map(|line| line.strip_prefix("Dialogue: ")).collect()
}

#[test]
fn writes_the_default_script() {
    let expected = "[Script Info]\nScriptType: v4.00+\nPlayResX: 1920\nPlayResY: 1080\nWrapStyle: 0\n\
        ScaledBorderAndShadow: yes\n\n[V4+ Styles]\n\
        Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
        Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, \
        MarginV, Encoding\n\
        Style: Box,Sans,60,&HFF000000,&HFF000000,&HFF000000,&HFF000000,0,0,0,0,100,100,0,0,4,4,7,2,0,0,0,-1\n\
        Style: Text,Sans,60,&H00FFFFFF,&H00FFFFFF,&H00000000,&HFF000000,0,0,0,0,100,100,0,0,1,4,0,2,0,0,0,-1\n\n\
        [Events]\n\
        Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
        Dialogue: 1,0:00:01.00,1:02:03.00,Text,,96,96,54,,{\\an2}¿Qué?\\NNada\n";
    assert_eq!(write_ass(&cue("¿Qué?\nNada"), &BurnInStyle::default(), HD), expected);
}

#[test]
fn script_has_all_settings() {
    let style = BurnInStyle {
        font_family: Some("@Liberation, Sans\n".to_owned()),
        font_size: Some(40),
        font_colour: FontColour::parse_hex("11223380").unwrap(),
        outline_colour: Some(NamedColour::Blue),
        outline_size: Some(3),
        background_colour: BackdropColour::White,
        background_opacity: Some(0xc0),
        shadow_opacity: Some(0x40),
        shadow_x_offset: Some(-5),
        shadow_y_offset: Some(6),
        x_position: Some(100),
        y_position: Some(50),
        ..BurnInStyle::default()
    };
    let script = write_ass(&cue("a"), &style, HD);
    let styles: Vec<_> = script.lines().filter_map(|line| line.strip_prefix("Style: ")).collect();
    assert_eq!(
        styles,
        [
            "Box,Liberation Sans,40,&HFF000000,&HFF000000,&HFF000000,&HFF000000,0,0,0,0,100,100,0,0,4,3,5,2,0,0,0,-1",
            "Text,Liberation Sans,40,&H7F332211,&H7F332211,&H7FFF0000,&HBF000000,0,0,0,0,100,100,0,0,1,3,0,2,0,0,0,-1",
        ]
    );
    assert_eq!(
        events_of(&script),
        [
            "0,0:00:01.00,1:02:03.00,Box,,100,96,50,,{\\an7\\4c&HFFFFFF&\\4a&H3F&}a",
            "1,0:00:01.00,1:02:03.00,Text,,100,96,50,,{\\an7\\xshad-5\\yshad6}a",
        ]
    );
}

#[test]
fn styles_and_placements_pass_through() {
    let file = "WEBVTT\n\n00:01.000 --> 00:02.000 line:50%,center align:left\n\
        a <b>b<i>c</i></b> <c.yellow.bg_blue>d</c>\n<u>e</u>\n";
    let track = parse_webvtt(file).unwrap();
    let style = BurnInStyle { style_passthrough: StylePassthrough::Enabled, ..BurnInStyle::default() };
    let text = "a {\\b1}b{\\i1}c{\\b0\\i0} {\\c&H00FFFF&}d\\N{\\u1\\c&HFFFFFF&}e";
    assert_eq!(
        events_of(&write_ass(&track, &style, HD)),
        [
            format!(
                "0,0:00:01.00,0:00:02.00,Box,,96,96,0,,{{\\an4\\pos(96,540)\\4c&HFF0000&\\4a&H00&}}{text}"
            ),
            format!("1,0:00:01.00,0:00:02.00,Text,,96,96,0,,{{\\an4\\pos(96,540)}}{text}"),
        ]
    );
    let red = BurnInStyle {
        font_colour: FontColour::Named(NamedColour::Red),
        apply_font_colour: ApplyFontColour::AllText,
        background_colour: BackdropColour::None,
        ..style
    };
    let text = "a {\\b1}b{\\i1}c{\\b0\\i0} d\\N{\\u1}e";
    assert_eq!(
        events_of(&write_ass(&track, &red, HD)),
        [format!("1,0:00:01.00,0:00:02.00,Text,,96,96,0,,{{\\an4\\pos(96,540)}}{text}")]
    );
    assert!(write_ass(&track, &BurnInStyle::default(), HD).ends_with("Text,,96,96,54,,{\\an2}a bc d\\Ne\n"));
}

#[test]
fn one_box_gives_every_cue_a_box() {
    let track =
        parse_webvtt("WEBVTT\n\n00:00.000 --> 00:01.000\na\n\n00:00.500 --> 00:01.000\n<c.bg_red>b</c>\n")
            .unwrap();
    let style = BurnInStyle { style_passthrough: StylePassthrough::Enabled, ..BurnInStyle::default() };
    assert_eq!(
        events_of(&write_ass(&track, &style, HD)),
        [
            "0,0:00:00.00,0:00:01.00,Box,,96,96,54,,{\\an2\\4c&H000000&\\4a&HFF&}a",
            "1,0:00:00.00,0:00:01.00,Text,,96,96,54,,{\\an2}a",
            "0,0:00:00.50,0:00:01.00,Box,,96,96,54,,{\\an2\\4c&H0000FF&\\4a&H00&}b",
            "1,0:00:00.50,0:00:01.00,Text,,96,96,54,,{\\an2}b",
        ]
    );
}

#[test]
fn text_is_never_a_command() {
    let script = write_ass(&cue("{\\pos(0,0)}a\\Nb\\{c}\\"), &BurnInStyle::default(), HD);
    let expected = "{\\an2}\\{\\\u{2060}pos(0,0)}a\\\u{2060}Nb\\\u{2060}\\{c}\\\u{2060}\n";
    assert!(script.ends_with(expected), "{script}");
}

#[test]
fn any_frame_size_is_accepted() {
    for size in [Size::new(0, 0), Size::new(u32::MAX, 1), Size::new(u32::MAX, u32::MAX)] {
        assert_eq!(events_of(&write_ass(&cue("a"), &BurnInStyle::default(), size)).len(), 1, "{size:?}");
    }
}

#[test]
fn font_family_stays_one_field() {
    assert_eq!(family(None), "Sans");
    assert_eq!(family(Some(" @,\n")), "Sans");
    assert_eq!(family(Some("DejaVu Sans,99,&H0")), "DejaVu Sans99&H0");
    assert_eq!(family(Some(&"x".repeat(500))).len(), 100);
}

/// Returns what libass would show of an event's text: blocks in braces are commands, `\N` begins a new line,
/// and a brace after a backslash is literal.
fn shown(event: &str) -> String {
    let text = event.splitn(10, ',').nth(9).unwrap();
    let mut shown = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '{' => assert!(rest.by_ref().any(|c| c == '}'), "{text}"),
            '\\' => match rest.next() {
                Some('N') => shown.push('\n'),
                Some('{') => shown.push('{'),
                Some('\u{2060}') => shown.push('\\'),
                other => panic!("a backslash before {other:?} in {text}"),
            },
            _ => shown.push(c),
        }
    }
    shown
}

proptest! {
    #[test]
    fn exactly_the_text_is_shown(track in track(TextOf::WebVtt), enabled: bool, opacity: Option<u8>) {
        let style_passthrough = if enabled { StylePassthrough::Enabled } else { StylePassthrough::Disabled };
        let style = BurnInStyle { style_passthrough, background_opacity: opacity, ..BurnInStyle::default() };
        let script = write_ass(&track, &style, HD);
        let (boxes, texts): (Vec<_>, Vec<_>) = events_of(&script).into_iter().partition(|event| event.starts_with('0'));
        let expected: Vec<_> = track.cues().iter().map(Cue::text).collect();
        prop_assert_eq!(texts.iter().map(|event| shown(event)).collect::<Vec<_>>(), expected);
        if opacity.unwrap_or(0) > 0 {
            prop_assert_eq!(boxes.len(), texts.len());
        }
        for event in boxes {
            prop_assert!(texts.iter().any(|text| shown(text) == shown(event)));
        }
    }
}
