//! End-to-end tests of the steps that a caller takes: decode a file in any encoding, move its cues to the
//! output's clock, and write each format.

use abanico_captions::{
    BackdropColour, BurnInStyle, CaptionTrack, Clip, StylePassthrough, TextEncoding, clip, decode, join,
    parse_srt, parse_webvtt, scale, shift, write_ass, write_srt, write_webvtt, write_webvtt_segments,
};
use abanico_media::{ExactTime, Rational, Size};

/// A film's SubRip file from a subtitle editor, with every common kind of markup.
const FILM: &str = "1
00:00:58,400 --> 00:01:01,150
{\\an8}<i>Buenos Aires, 1978</i>

2
00:01:02,000 --> 00:01:04,480
- ¿Quién llama?
- <font color=\"#FFFF00\">Soy yo, Ana & Luis.</font>

3
00:01:04,480 --> 00:01:09,999
<b>No</b> cuelgue: 5 < 7.

4
00:10:00,000 --> 00:10:02,000
Fin
";

/// A talk's WebVTT file from a video site, with word timestamps, voices and comments.
const TALK: &str = "WEBVTT
Kind: captions
Language: es

STYLE
::cue(.shout) { color: red }

NOTE
Made by hand.
Twice.

intro
00:00.000 --> 00:04.000 align:start position:0% line:90%
<v.first Ana>Hola<00:00:01.000><c> a</c><00:00:02.000><c> todos</c>

00:00:04.000 --> 00:00:08.000
<v Luis><c.shout.cyan>R&amp;D</c> &lt;aquí&gt;&nbsp;&mdash;

00:00:08.000 --> 00:00:07.000
never
";

fn at(millis: i64) -> ExactTime {
    ExactTime::from_millis(millis)
}

fn outline(track: &CaptionTrack) -> Vec<(i64, i64, String)> {
    let facts = |cue: &abanico_captions::Cue| (cue.start.millis(), cue.end.millis(), cue.text());
    track.cues().iter().map(facts).collect()
}

#[test]
fn every_encoding_gives_the_same_track() {
    let expected = parse_srt(FILM).unwrap();
    let dos = FILM.replace('\n', "\r\n");
    let utf16 = |bytes: fn(u16) -> [u8; 2]| dos.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let latin = dos.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (bytes, encoding) in [
        (dos.clone().into_bytes(), TextEncoding::Utf8),
        ([b"\xef\xbb\xbf", dos.as_bytes()].concat(), TextEncoding::Utf8),
        ([b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes)].concat(), TextEncoding::Utf16LittleEndian),
        ([b"\xfe\xff".to_vec(), utf16(u16::to_be_bytes)].concat(), TextEncoding::Utf16BigEndian),
        (latin, TextEncoding::Windows1252),
    ] {
        let decoded = decode(&bytes);
        assert_eq!(decoded.encoding, encoding);
        assert_eq!(parse_srt(&decoded.text).unwrap(), expected, "{}", encoding.name());
    }
}

#[test]
fn subrip_becomes_webvtt() {
    let track = parse_srt(FILM).unwrap();
    let expected = "WEBVTT

00:00:58.400 --> 00:01:01.150 line:0
<i>Buenos Aires, 1978</i>

00:01:02.000 --> 00:01:04.480
- ¿Quién llama?
- <c.yellow>Soy yo, Ana &amp; Luis.</c>

00:01:04.480 --> 00:01:09.999
<b>No</b> cuelgue: 5 &lt; 7.

00:10:00.000 --> 00:10:02.000
Fin
";
    assert_eq!(write_webvtt(&track, StylePassthrough::Enabled), expected);
    let plain = ["<i>", "</i>", "<b>", "</b>", "<c.yellow>", "</c>", " line:0"]
        .iter()
        .fold(expected.to_owned(), |text, markup| text.replace(markup, ""));
    assert_eq!(write_webvtt(&track, StylePassthrough::Disabled), plain);
    assert_eq!(parse_webvtt(expected).unwrap(), track);
}

#[test]
fn webvtt_becomes_subrip() {
    let track = parse_webvtt(TALK).unwrap();
    assert_eq!(track.dropped(), 1);
    let expected = "1
00:00:00,000 --> 00:00:04,000
{\\an1}Hola a todos

2
00:00:04,000 --> 00:00:08,000
<font color=\"#00ffff\">R&D</font> <aquí>\u{a0}&mdash;

";
    assert_eq!(write_srt(&track, StylePassthrough::Enabled), expected);
}

#[test]
fn sidecar_follows_its_input_clips() {
    // Clips of 58 s to 63 s and of 10:00 to 10:05: the first cue starts at 0.4 s, the second is cut, and the
    // last starts at 5 s.
    let clips = [Clip { start: at(58_000), length: at(5000) }, Clip { start: at(600_000), length: at(5000) }];
    let cut = clip(&parse_srt(FILM).unwrap(), &clips);
    assert_eq!(
        outline(&cut),
        [
            (400, 3150, "Buenos Aires, 1978".to_owned()),
            (4000, 5000, "- ¿Quién llama?\n- Soy yo, Ana & Luis.".to_owned()),
            (5000, 7000, "Fin".to_owned()),
        ]
    );
    // A second input follows. Its captions were made for 25 frames per second and are shown at 24.
    let talk = scale(&parse_webvtt(TALK).unwrap(), Rational::new(25, 24));
    let both = join(vec![(cut, at(0)), (talk, at(10_000))]);
    assert_eq!(
        outline(&both)[3..].iter().map(|cue| (cue.0, cue.1)).collect::<Vec<_>>(),
        [(10_000, 14_167), (14_167, 18_333)]
    );
    assert_eq!(both.dropped(), 1);
    // Segments of 6 s, across the seam between the inputs.
    let starts: Vec<_> = (0..4).map(|index| at(index * 6000)).collect();
    let segments =
        write_webvtt_segments(&both, &starts, at(20_000), Some(126_000), StylePassthrough::Disabled);
    let header = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n";
    assert_eq!(
        segments[1],
        format!(
            "{header}\n00:00:05.000 --> 00:00:07.000\nFin\n\n00:00:10.000 --> 00:00:14.167\nHola a todos\n"
        )
    );
    let counts: Vec<_> = segments.iter().map(|segment| segment.matches("-->").count()).collect();
    assert_eq!(counts, [3, 2, 2, 1]);
}

#[test]
fn segment_reads_back_on_the_stream_clock() {
    let track = parse_webvtt(TALK).unwrap();
    let segments =
        write_webvtt_segments(&track, &[at(0)], at(8000), Some(900_000), StylePassthrough::Enabled);
    let read = parse_webvtt(&segments[0]).unwrap();
    let map = abanico_captions::webvtt_timestamp_map(&segments[0]).unwrap();
    assert_eq!(outline(&read)[0].0, 10_000);
    let back = shift(&read, ExactTime::ZERO - map.offset());
    assert_eq!(back.cues(), track.cues());
}

#[test]
fn burn_in_keeps_styles() {
    let style = BurnInStyle {
        style_passthrough: StylePassthrough::Enabled,
        background_colour: BackdropColour::Black,
        background_opacity: Some(153),
        ..BurnInStyle::default()
    };
    let script = write_ass(&parse_srt(FILM).unwrap(), &style, Size::new(1280, 720));
    let texts: Vec<_> = script.lines().filter(|line| line.starts_with("Dialogue: 1")).collect();
    assert_eq!(
        texts,
        [
            "Dialogue: 1,0:00:58.40,0:01:01.15,Text,,64,64,36,,{\\an8}{\\i1}Buenos Aires, 1978",
            "Dialogue: 1,0:01:02.00,0:01:04.48,Text,,64,64,36,,{\\an2}- ¿Quién llama?\\N- {\\c&H00FFFF&}Soy yo, Ana & Luis.",
            "Dialogue: 1,0:01:04.48,0:01:10.00,Text,,64,64,36,,{\\an2}{\\b1}No{\\b0} cuelgue: 5 < 7.",
            "Dialogue: 1,0:10:00.00,0:10:02.00,Text,,64,64,36,,{\\an2}Fin",
        ]
    );
    assert_eq!(script.matches("\\4c&H000000&\\4a&H66&").count(), 4);
}
