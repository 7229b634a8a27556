//! Tests of SubRip: files as found in the wild, exact output, and round trips.

use proptest::prelude::*;

use super::*;
use crate::test_tracks::{TextOf, track};
use crate::{Placement, decode};

/// Describes each cue as `start-end text`, in milliseconds.
fn outline(file: &str) -> Vec<String> {
    let track = parse_srt(file).unwrap();
    let line =
        |cue: &Cue| format!("{}-{} {}", cue.start.millis(), cue.end.millis(), cue.text().replace('\n', "|"));
    track.cues().iter().map(line).collect()
}

#[test]
fn file_with_common_faults_is_read() {
    let file = "\u{feff}\r\n\r\n1\r\n00:00:01,000 --> 00:00:02,000 X1:100 X2:200 Y1:10 Y2:20\r\nOne\r\n\r\n\
        7\r\n00:00:03.5-->00:00:04.25\r\nTwo\r\n\r\nstill two\r\n\r\n\
        00:05,0  -->  00:06\r\n- Three\r\n- 3\r\n\r\n\
        4 \r\n 00: 00: 07, 000 --> 00:00:08 ,500 \r\n42\r\n\
        5\r\n00:00:09,000 --> 00:00:10,000\r\n\r\n6\r\n00:00:11,000 --> 00:00:12,000\r\n12: go --> there\r\n";
    assert_eq!(
        outline(file),
        [
            "1000-2000 One",
            "3500-4250 Two|still two",
            "5000-6000 - Three|- 3",
            "7000-8500 42",
            "11000-12000 12: go --> there",
        ]
    );
    assert_eq!(parse_srt(file).unwrap().dropped(), 1);
}

#[test]
fn file_with_doubled_line_ends_is_read() {
    let file = "1\r\r\n00:00:01,000 --> 00:00:02,000\r\r\nOne\r\r\n1984\r\r\n\r\r\n2\r\r\n00:00:03,000 --> 00:00:04,000\r\r\nTwo\r\r\n";
    assert_eq!(outline(file), ["1000-2000 One|1984", "3000-4000 Two"]);
}

#[test]
fn sorts_cues_and_drops_backward_ones() {
    let file = "1\n00:00:05,000 --> 00:00:06,000\nb\n\n2\n00:00:01,000 --> 00:00:02,000\na\n\n3\n00:00:09,000 --> 00:00:08,000\nc\n";
    assert_eq!(outline(file), ["1000-2000 a", "5000-6000 b"]);
    assert_eq!(parse_srt(file).unwrap().dropped(), 1);
}

#[test]
fn windows_1252_file_is_read() {
    let decoded =
        decode(b"1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}\xbfQu\xe9 <i>ma\xf1ana</i>\x85?\r\n\r\n");
    let track = parse_srt(&decoded.text).unwrap();
    assert_eq!(track.cues()[0].text(), "¿Qué mañana…?");
    assert_eq!(track.cues()[0].placement, Placement::from_keypad(8).unwrap());
    assert!(track.cues()[0].lines[0][1].style.italic);
}

#[test]
fn empty_file_has_no_cues() {
    for file in ["", "\u{feff}", " \r\n\t\n"] {
        assert!(parse_srt(file).unwrap().is_empty());
    }
}

#[test]
fn errors_name_the_line() {
    let error = parse_srt("\n\nHello,\nworld").unwrap_err();
    assert_eq!(error, Error::no_cue(CaptionFormat::SubRip, 3, "Hello,"));
    let cases = [
        ("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:0x,000 --> 00:00:04,000\nb\n", 6),
        ("1\n00:00:01,000 --> never\na\n", 2),
        ("1\nsoon --> 00:00:02,000\na\n", 2),
        ("a --> b\n00:01 --> 00:00:02,000,000\na\n", 2),
    ];
    for (file, line) in cases {
        let error = parse_srt(file).unwrap_err();
        assert!(
            matches!(error, Error::UnreadableTiming { line: found, .. } if found == line),
            "{file}: {error}"
        );
    }
}

#[test]
fn writes_the_expected_text() {
    let file = "1\n00:00:01,000 --> 00:00:02,500\n{\\an8}<b><i>Top</i></b>\n<font color=\"#ffff00\">yellow</font> & <plain>\n\n\
        2\n01:00:00,000 --> 01:00:01,000\nLast\n\n";
    let track = parse_srt(file).unwrap();
    assert_eq!(write_srt(&track, StylePassthrough::Enabled), file);
    assert_eq!(
        write_srt(&track, StylePassthrough::Disabled),
        "1\n00:00:01,000 --> 00:00:02,500\nTop\nyellow & <plain>\n\n2\n01:00:00,000 --> 01:00:01,000\nLast\n\n"
    );
}

proptest! {
    #[test]
    fn written_styles_round_trip(track in track(TextOf::SubRip)) {
        prop_assert_eq!(parse_srt(&write_srt(&track, StylePassthrough::Enabled)).unwrap(), track);
    }

    #[test]
    fn plain_output_keeps_times_and_text(track in track(TextOf::SubRip)) {
        let plain = parse_srt(&write_srt(&track, StylePassthrough::Disabled)).unwrap();
        prop_assert_eq!(plain.cues().len(), track.cues().len());
        for (plain, cue) in plain.cues().iter().zip(track.cues()) {
            prop_assert_eq!((plain.start, plain.end, plain.text()), (cue.start, cue.end, cue.text()));
        }
    }

    #[test]
    fn text_that_looks_like_markup_is_shown(track in track(TextOf::WebVtt)) {
        for passthrough in [StylePassthrough::Enabled, StylePassthrough::Disabled] {
            let written = parse_srt(&write_srt(&track, passthrough)).unwrap();
            let shown = |track: &CaptionTrack| {
                let texts = track.cues().iter().map(|cue| cue.text().replace('\u{2060}', "").replace("-->", "→"));
                texts.collect::<Vec<_>>()
            };
            prop_assert_eq!(shown(&written), shown(&track));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(track) = parse_srt(&decode(&bytes).text) {
            write_srt(&track, StylePassthrough::Enabled);
        }
    }

    #[test]
    fn arbitrary_file_pieces_never_panic(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("\n"), Just("1"), Just("00:00:01,000"), Just(" --> "), Just("-->"), Just("<i>"), Just("</font>"),
                Just("<font color="), Just("{\\an8}"), Just("{"), Just("ñ"), Just(":"), Just("99999999999999999999"),
            ],
            0..60,
        ),
    ) {
        if let Ok(track) = parse_srt(&pieces.concat()) {
            write_srt(&track, StylePassthrough::Enabled);
        }
    }
}

#[test]
fn blank_lines_around_a_cue_count_for_no_limit() {
    let text = (0..40).map(|line| format!("line {line}\n")).collect::<String>();
    let track = parse_srt(&format!("1\n00:00:01,000 --> 00:00:02,000\n\n \n{text}\n\n\n")).unwrap();
    assert_eq!(track.cues()[0].lines.len(), 40);
    let again = parse_srt(&write_srt(&track, StylePassthrough::Disabled)).unwrap();
    assert_eq!(again.cues(), track.cues());
}
