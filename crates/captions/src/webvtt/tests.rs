//! Tests of the WebVTT parser: files as found in the wild, and arbitrary text.

use proptest::prelude::*;

use super::*;
use crate::{Line, Placement, decode};

/// Describes each cue as `start-end text`, in milliseconds.
fn outline(file: &str) -> Vec<String> {
    let track = parse_webvtt(file).unwrap();
    let line =
        |cue: &Cue| format!("{}-{} {}", cue.start.millis(), cue.end.millis(), cue.text().replace('\n', "|"));
    track.cues().iter().map(line).collect()
}

#[test]
fn file_with_every_block_type_is_read() {
    let file = "\u{feff}WEBVTT - Entrevista\r\nKind: captions\r\nLanguage: es\r\n\r\n\
        NOTE\r\nThis is --no cue\r\nat all\r\n\r\n\
        STYLE\r\n::cue { color: red }\r\n\r\n\
        REGION\r\nid:fred\r\nwidth:40%\r\n\r\n\
        NOTE one line\r\n\r\n\r\n\
        1\r\n00:01.000 --> 00:02.000\r\n- Uno\r\n- Dos\r\n\r\n\
        a name with spaces\r\n01:00:00.000 --> 01:00:01.500 line:0 align:start\r\n<v Ana>Tres\r\n\r\n\
        00:05.000 --> 00:06.000\r\n<b>Cuatro</b>";
    assert_eq!(outline(file), ["1000-2000 - Uno|- Dos", "5000-6000 Cuatro", "3600000-3601500 Tres"]);
    let track = parse_webvtt(file).unwrap();
    assert_eq!(track.cues()[2].placement.line, Some(Line::Number(0)));
    assert_eq!((track.cues()[0].placement, track.dropped()), (Placement::default(), 0));
}

#[test]
fn bad_cue_is_dropped_and_parsing_continues() {
    let file = "WEBVTT\n\n00:01.000 --> 0:02.000\nbad\n\n00:03.000 --> 00:04.000\ngood\n00:05.000 --> 00:06.000\nno blank before\n\n\
        name\nnot a time\n00:07.000 --> 00:08.000\nthird line\n\n00:09.000 --> 00:08.000\nbackwards\n";
    assert_eq!(outline(file), ["3000-4000 good", "5000-6000 no blank before", "7000-8000 third line"]);
    assert_eq!(parse_webvtt(file).unwrap().dropped(), 2);
}

#[test]
fn times_are_on_the_mpegts_clock() {
    let file = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:02.000,MPEGTS:900000\n\n00:03.000 --> 00:04.000\na\n";
    assert_eq!(outline(file), ["11000-12000 a"]);
    assert_eq!(webvtt_timestamp_map(file).unwrap().offset().millis(), 8000);
    let later = "WEBVTT\n\nX-TIMESTAMP-MAP=LOCAL:00:00:02.000,MPEGTS:900000\n\n00:03.000 --> 00:04.000\na\n";
    assert_eq!((outline(later), webvtt_timestamp_map(later)), (vec!["3000-4000 a".to_owned()], None));
}

#[test]
fn signature_is_required() {
    for file in ["WEBVTT", "WEBVTT\n", "WEBVTT\tx\n\n", "WEBVTT\n00:01.000 --> 00:02.000\na"] {
        assert!(parse_webvtt(file).is_ok(), "{file}");
    }
    for file in ["", "webvtt\n", "WEBVTTX", " WEBVTT", "1\n00:00:01,000 --> 00:00:02,000\na\n"] {
        let first = file.lines().next().unwrap_or("");
        assert_eq!(parse_webvtt(file).unwrap_err(), Error::no_header(first), "{file}");
        assert_eq!(webvtt_timestamp_map(file), None);
    }
}

#[test]
fn cue_may_follow_the_signature_directly() {
    assert_eq!(outline("WEBVTT\n00:01.000 --> 00:02.000\na"), ["1000-2000 a"]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let file = [b"WEBVTT\n\n".as_slice(), &bytes].concat();
        for bytes in [bytes, file] {
            let text = decode(&bytes).text;
            let _ = (parse_webvtt(&text), webvtt_timestamp_map(&text));
        }
    }

    #[test]
    fn arbitrary_file_pieces_never_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("\n"), Just("\n\n"), Just("00:01.000"), Just(" --> "), Just("<c.red"), Just(">"), Just("</c>"), Just("&#x"),
                Just(";"), Just("NOTE"), Just("line:"), Just("%"), Just("ñ"), Just("<ruby><rt>"), Just("99999999999999999"),
                Just("X-TIMESTAMP-MAP=MPEGTS:1,LOCAL:"),
            ],
            0..60,
        ),
    ) {
        parse_webvtt(&format!("WEBVTT\n{}", pieces.concat())).unwrap();
    }
}
