//! Reads bytes as caption files, writes them in every format, and reads what was written again.

#![no_main]

use abanico_captions::{
    BurnInStyle, CaptionTrack, Clip, StylePassthrough, clip, decode, join, merge_simultaneous, parse_srt,
    parse_webvtt, scale, shift, webvtt_timestamp_map, write_ass, write_srt, write_webvtt,
    write_webvtt_segments,
};
use abanico_media::{ExactTime, Rational, Size};
use libfuzzer_sys::fuzz_target;

const KEEPS: [StylePassthrough; 2] = [StylePassthrough::Disabled, StylePassthrough::Enabled];

fuzz_target!(|bytes: &[u8]| {
    let text = decode(bytes).text;
    let _ = webvtt_timestamp_map(&text);
    for track in [parse_srt(&text), parse_webvtt(&text)].into_iter().flatten() {
        written(&track);
        retimed(&track);
    }
});

/// What is written can be read, and shows as many cues as before, except those that end before the film begins.
fn written(track: &CaptionTrack) {
    let shown = track.cues().iter().filter(|cue| cue.end > ExactTime::ZERO).count();
    for keeps in KEEPS {
        let srt = write_srt(track, keeps);
        let webvtt = write_webvtt(track, keeps);
        if shown > 0 {
            assert_eq!(parse_srt(&srt).unwrap().cues().len(), shown, "{srt}");
        }
        assert_eq!(parse_webvtt(&webvtt).unwrap().cues().len(), shown, "{webvtt}");
        let starts = [0, 2_000, 6_000].map(ExactTime::from_millis);
        for segment in
            write_webvtt_segments(track, &starts, ExactTime::from_millis(9_000), Some(900_000), keeps)
        {
            parse_webvtt(&segment).unwrap();
        }
        let _ = write_ass(
            track,
            &BurnInStyle { style_passthrough: keeps, ..BurnInStyle::default() },
            Size::new(320, 180),
        );
    }
}

fn retimed(track: &CaptionTrack) {
    let times = [-5_000, 0, 1_500, 3_600_000].map(ExactTime::from_millis);
    for time in times {
        let moved = shift(track, time);
        assert!(moved.cues().len() <= track.cues().len());
        let _ = clip(&moved, &[Clip { start: time, length: ExactTime::from_millis(10_000) }]);
        let _ = join(vec![(track.clone(), time), (moved, ExactTime::ZERO)]);
    }
    let _ = scale(track, Rational::new(25 * 1001, 24_000));
    let _ = merge_simultaneous(track);
}
