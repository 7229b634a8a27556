//! Tests that a file with one wrong fact is refused for exactly that fact.

use abanico_media::{Colour, ColourRange, FieldOrder, Rational, Size};

use super::*;

fn planned() -> PlannedFacts {
    PlannedFacts {
        video: Some(PlannedVideo {
            codec: "h264".into(),
            pixel_format: "yuv420p".into(),
            sample_aspect: Rational::ONE,
            fields: FieldOrder::Progressive,
            size: Size::new(1280, 720),
            rate: FrameRate::new(25, 1).unwrap(),
            frames: 250,
            bit_rate_bps: 4_500_000,
            colour: Some(Colour::bt709()),
        }),
        audio: vec![PlannedAudio {
            codec: "aac".into(),
            channels: 2,
            sample_rate_hz: 48_000,
            lead: ExactTime::from_millis(21),
            hides_lead: true,
            end: ExactTime::from_millis(10_010),
            source_packet: ExactTime::from_millis(21),
            packet_samples: Some(1024),
            is_copied: false,
        }],
        fast_start: true,
    }
}

fn found() -> OutputFacts {
    OutputFacts {
        size_bytes: 1,
        fast_start: true,
        video: Some(VideoFacts {
            codec: "h264".into(),
            profile: None,
            pixel_format: "yuv420p".into(),
            size: Size::new(1280, 720),
            sample_aspect: Rational::ONE,
            fields: FieldOrder::Progressive,
            frames: 250,
            rate: FrameRate::new(25, 1).unwrap(),
            constant: true,
            ticks_a_second: 12_800,
            start: ExactTime::ZERO,
            end: ExactTime::from_millis(10_000),
            first_is_key: true,
            key_frames: 5,
            bit_rate_bps: 4_000_000,
            rotated: false,
            colour: Colour::bt709(),
        }),
        audio: vec![AudioFacts {
            codec: "aac".into(),
            channels: 2,
            sample_rate_hz: 48_000,
            start: ExactTime::ZERO,
            end: ExactTime::from_millis(10_027),
            packets: 470,
            covered: ExactTime::from_millis(10_027),
            steps: Some((samples(1024), samples(1024))),
            unevenness: ExactTime::ZERO,
            tick: samples(1),
        }],
    }
}

/// Returns the length of this many samples at 48 kHz.
fn samples(count: i64) -> ExactTime {
    ExactTime::from_ticks(count, Rational::new(1, 48_000))
}

#[test]
fn correct_file_passes() {
    assert_eq!(differences(&planned(), &found()), Vec::<String>::new());
}

#[test]
fn each_wrong_fact_is_named() {
    type Spoil = fn(&mut OutputFacts);
    let cases: [(Spoil, &str); 20] = [
        (|facts| facts.fast_start = false, "moov"),
        (|facts| facts.video.as_mut().unwrap().frames = 249, "249 frames instead of 250"),
        (|facts| facts.video.as_mut().unwrap().size = Size::new(1280, 718), "1280x718 instead of 1280x720"),
        (|facts| facts.video.as_mut().unwrap().constant = false, "varying frame rate"),
        (|facts| facts.video.as_mut().unwrap().end = ExactTime::from_millis(10_081), "lasts 10.081"),
        (|facts| facts.video.as_mut().unwrap().first_is_key = false, "not a key frame"),
        (|facts| facts.video.as_mut().unwrap().rotated = true, "rotated"),
        (|facts| facts.video.as_mut().unwrap().codec = "hevc".into(), "hevc instead of h264"),
        (|facts| facts.audio.clear(), "no audio"),
        (|facts| facts.audio.push(facts.audio[0].clone()), "2 audio tracks instead of 1"),
        (|facts| facts.video.as_mut().unwrap().pixel_format = "yuv444p".into(), "yuv444p instead of"),
        (|facts| facts.audio[0].start = ExactTime::from_millis(12), "starts at 0.012"),
        (
            |facts| (facts.audio[0].end, facts.audio[0].packets) = (ExactTime::from_millis(9_900), 465),
            "ends at 9.900",
        ),
        (|facts| facts.audio[0].channels = 6, "6 audio channels"),
        (
            |facts| facts.video.as_mut().unwrap().colour.matrix = Some("smpte170m".into()),
            "bt709/bt709/smpte170m limited instead of bt709/bt709/bt709 limited",
        ),
        (
            |facts| facts.video.as_mut().unwrap().colour.matrix = None,
            "bt709/bt709/unknown limited instead of",
        ),
        (|facts| facts.video.as_mut().unwrap().colour.range = ColourRange::Full, "bt709 full instead of"),
        (|facts| facts.audio[0].steps = Some((samples(1024), samples(2048))), "apart instead of 0.021"),
        (|facts| facts.audio[0].steps = Some((samples(1), samples(1024))), "apart instead of 0.021"),
        (|facts| facts.audio[0].packets = 468, "hold 9.984 s of audio for 10.027 s"),
    ];
    for (spoil, expected) in cases {
        let mut facts = found();
        spoil(&mut facts);
        let differences = differences(&planned(), &facts);
        assert!(differences.len() == 1 && differences[0].contains(expected), "{expected}: {differences:?}");
    }
}

#[test]
fn copied_audio_keeps_its_gaps() {
    let mut copied = planned();
    (copied.audio[0].is_copied, copied.audio[0].packet_samples) = (true, None);
    let mut facts = found();
    (facts.audio[0].unevenness, facts.audio[0].packets) = (ExactTime::from_millis(500), 400);
    assert_eq!(differences(&copied, &facts), Vec::<String>::new());
}

#[test]
fn packets_of_unequal_length_are_measured_by_their_durations() {
    let mut planned = planned();
    (planned.audio[0].codec, planned.audio[0].packet_samples) = ("flac".into(), None);
    let mut facts = found();
    facts.audio[0].codec = "flac".into();
    facts.audio[0].steps = Some((samples(128), samples(1024)));
    assert_eq!(differences(&planned, &facts), Vec::<String>::new());
    facts.audio[0].unevenness = samples(128);
    assert_eq!(
        differences(&planned, &facts),
        ["an audio packet starts 0.003 s from the end of the one before it"]
    );
    (facts.audio[0].unevenness, facts.audio[0].covered) = (ExactTime::ZERO, ExactTime::from_millis(9900));
    assert_eq!(differences(&planned, &facts), ["the audio packets hold 9.900 s of audio for 10.027 s"]);
    facts.audio[0].tick = ExactTime::from_millis(1);
    assert_eq!(differences(&planned, &facts), Vec::<String>::new(), "rounded durations do not add up");
}

#[test]
fn vorbis_packets_state_their_lengths_roughly() {
    let mut planned = planned();
    (planned.audio[0].codec, planned.audio[0].packet_samples) = ("vorbis".into(), None);
    let mut facts = found();
    facts.audio[0].codec = "vorbis".into();
    (facts.audio[0].unevenness, facts.audio[0].covered) = (samples(448), ExactTime::from_millis(9900));
    assert_eq!(differences(&planned, &facts), Vec::<String>::new());
    facts.audio[0].unevenness = samples(1024);
    assert_eq!(differences(&planned, &facts).len(), 1, "a whole packet is missing");
}

#[test]
fn long_packets_may_end_audio_off_by_their_length() {
    let ends = |source_packet_ms: i64, end_ms: i64| {
        let mut planned = planned();
        planned.audio[0].source_packet = ExactTime::from_millis(source_packet_ms);
        let mut facts = found();
        facts.audio[0].end = ExactTime::from_millis(end_ms);
        facts.audio[0].packets = u64::try_from((end_ms * 48 + 1023) / 1024).unwrap();
        differences(&planned, &facts).is_empty()
    };
    assert!(!ends(21, 9_930) && ends(128, 9_930), "the source's last packet may be nearly empty");
    assert!(!ends(128, 9_830) && !ends(128, 10_080), "it never holds more than it states");
}

#[test]
fn unplanned_audio_is_refused() {
    let silent = PlannedFacts { audio: vec![], ..planned() };
    assert_eq!(differences(&silent, &found()), ["there is audio that was not planned"]);
    assert_eq!(differences(&silent, &OutputFacts { audio: vec![], ..found() }), Vec::<String>::new());
}

#[test]
fn millisecond_clock_may_round_but_not_change_rate() {
    let mut facts = found();
    let video = facts.video.as_mut().unwrap();
    (video.constant, video.ticks_a_second, video.rate) = (false, 1000, FrameRate::new(24_999, 1000).unwrap());
    assert_eq!(differences(&planned(), &facts), Vec::<String>::new());
    facts.video.as_mut().unwrap().rate = FrameRate::new(24, 1).unwrap();
    assert_eq!(differences(&planned(), &facts).len(), 1);
}

#[test]
fn audio_alone_needs_no_video() {
    let alone = PlannedFacts { video: None, ..planned() };
    assert_eq!(differences(&alone, &OutputFacts { video: None, ..found() }), Vec::<String>::new());
    assert_eq!(differences(&alone, &found()), ["there is video that was not planned"]);
}
