//! Writes WebVTT: one file, or one per segment of an HLS media playlist (RFC 8216, section 3.5). A segment
//! without cues still has its header and is a valid file.

use abanico_media::ExactTime;

use crate::parsing::timestamp;
use crate::webvtt::{settings, text};
use crate::{CaptionTrack, Cue, StylePassthrough, TimestampMap};

/// Writes a WebVTT file. Times are rounded to milliseconds, and cues that end by time zero are left out. With
/// style passthrough, styles become tags, placements become settings, and colours become classes: the nearest
/// default class and, if that is not exact, an additional one that only [`parse_webvtt`](crate::parse_webvtt)
/// knows. Without it, only the text is written.
pub fn write_webvtt(track: &CaptionTrack, passthrough: StylePassthrough) -> String {
    let cues: Vec<&Cue> = track.cues().iter().collect();
    file(&cues, None, passthrough)
}

/// Writes one WebVTT file per segment. `segment_starts` holds the starts of the segments in order; each segment
/// ends where the next one starts, the last one at `end`. A cue is written to every segment that shows it,
/// always with its full times on the track's clock. With `mpegts_offset`, each file maps the track's time zero
/// to this 90 kHz tick of the MPEG-TS clock.
pub fn write_webvtt_segments(
    track: &CaptionTrack,
    segment_starts: &[ExactTime],
    end: ExactTime,
    mpegts_offset: Option<u64>,
    passthrough: StylePassthrough,
) -> Vec<String> {
    let map = mpegts_offset.map(TimestampMap::from_zero);
    let ends = segment_starts.iter().skip(1).copied().chain([end]);
    let segment = |(&start, end): (&ExactTime, ExactTime)| {
        let begun = track.cues().partition_point(|cue| cue.start < end);
        let shown = track.cues()[..begun].iter().filter(|cue| cue.end > start);
        file(&shown.collect::<Vec<_>>(), map, passthrough)
    };
    segment_starts.iter().zip(ends).map(segment).collect()
}

fn file(cues: &[&Cue], map: Option<TimestampMap>, passthrough: StylePassthrough) -> String {
    let mut file = "WEBVTT\n".to_owned();
    if let Some(map) = map {
        file += &format!("{}\n", map.written());
    }
    for cue in cues {
        if let Some((start, end)) = cue.range_in(1000) {
            file += &block(cue, start, end, passthrough);
        }
    }
    file
}

fn block(cue: &Cue, start_ms: u64, end_ms: u64, passthrough: StylePassthrough) -> String {
    let (start, end) = (timestamp::written(start_ms, '.'), timestamp::written(end_ms, '.'));
    let settings = if passthrough.is_enabled() { settings::written(&cue.placement) } else { String::new() };
    let text = text::written(&cue.lines, passthrough);
    format!("\n{start} --> {end}{settings}\n{text}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_tracks::{TextOf, track};
    use crate::{parse_webvtt, webvtt_timestamp_map};

    fn at(millis: i64) -> ExactTime {
        ExactTime::from_millis(millis)
    }

    #[test]
    fn writes_the_expected_text() {
        let file = "WEBVTT\n\n\
            00:00:01.000 --> 00:00:02.500 line:0 align:start\n<c.yellow><b>A</b></c> &lt;b&gt;\nB\n\n\
            01:00:00.000 --> 01:00:01.000\n<c.yellow.rgb_ff9900>C</c>\n";
        let track = parse_webvtt(file).unwrap();
        assert_eq!(write_webvtt(&track, StylePassthrough::Enabled), file);
        assert_eq!(
            write_webvtt(&track, StylePassthrough::Disabled),
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nA &lt;b&gt;\nB\n\n01:00:00.000 --> 01:00:01.000\nC\n"
        );
    }

    #[test]
    fn each_segment_has_the_whole_cue() {
        let track = CaptionTrack::new(vec![
            Cue::plain(at(0), at(1000), "first"),
            Cue::plain(at(3000), at(13_000), "long"),
            Cue::plain(at(4000), at(6000), "to the border"),
            Cue::plain(at(30_000), at(31_000), "after the end"),
        ]);
        let starts = [at(0), at(6000), at(12_000), at(18_000)];
        let segments =
            write_webvtt_segments(&track, &starts, at(24_000), Some(900_000), StylePassthrough::Disabled);
        let header = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n";
        let long = "\n00:00:03.000 --> 00:00:13.000\nlong\n";
        assert_eq!(
            segments,
            [
                format!(
                    "{header}\n00:00:00.000 --> 00:00:01.000\nfirst\n{long}\n00:00:04.000 --> 00:00:06.000\nto the border\n"
                ),
                format!("{header}{long}"),
                format!("{header}{long}"),
                header.to_owned(),
            ]
        );
        assert_eq!(webvtt_timestamp_map(&segments[1]), Some(TimestampMap::from_zero(900_000)));
        assert_eq!(parse_webvtt(&segments[1]).unwrap().cues()[0].start, at(13_000));
    }

    #[test]
    fn segments_without_offset_have_no_map() {
        let none = CaptionTrack::default();
        assert_eq!(
            write_webvtt_segments(&none, &[at(0)], at(1), None, StylePassthrough::Enabled),
            ["WEBVTT\n"]
        );
        assert!(write_webvtt_segments(&none, &[], at(1), None, StylePassthrough::Enabled).is_empty());
    }

    proptest! {
        #[test]
        fn written_styles_round_trip(track in track(TextOf::WebVtt)) {
            prop_assert_eq!(parse_webvtt(&write_webvtt(&track, StylePassthrough::Enabled)).unwrap(), track);
        }

        #[test]
        fn plain_output_keeps_times_and_text(track in track(TextOf::WebVtt)) {
            let plain = parse_webvtt(&write_webvtt(&track, StylePassthrough::Disabled)).unwrap();
            let facts = |track: &CaptionTrack| {
                track.cues().iter().map(|cue| (cue.start, cue.end, cue.text())).collect::<Vec<_>>()
            };
            prop_assert_eq!(facts(&plain), facts(&track));
        }

        #[test]
        fn cues_are_in_exactly_the_segments_showing_them(track in track(TextOf::WebVtt), length in 1..40_000_i64) {
            let end = track.end() + at(1);
            let length = length.max(end.millis() / 50);
            let starts: Vec<_> = (0..).map(|n| at(n * length)).take_while(|&start| start < end).collect();
            let segments = write_webvtt_segments(&track, &starts, end, None, StylePassthrough::Enabled);
            for (start, segment) in starts.iter().zip(&segments) {
                let until = *start + at(length);
                let shown: Vec<_> = track.cues().iter().filter(|cue| cue.start < until && cue.end > *start).collect();
                let read = parse_webvtt(segment).unwrap();
                prop_assert_eq!(read.cues().iter().collect::<Vec<_>>(), shown);
            }
        }
    }
}
