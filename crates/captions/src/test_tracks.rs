//! Random tracks for property tests, limited to what a format can represent.

use abanico_media::ExactTime;
use proptest::prelude::*;

use crate::{
    Align, CaptionTrack, Cue, Line, LineAlign, Percent, Placement, PositionAlign, Rgb, Span, Style, Writing,
};

/// The format that limits a track's characters, styles and placements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextOf {
    /// What SubRip can represent: no `<`, `{`, or `>` (which may end an arrow), no background, one of nine
    /// placements.
    SubRip,
    /// What WebVTT can represent: everything.
    WebVtt,
}

/// Returns a track of up to eight cues with times in whole milliseconds.
pub(crate) fn track(kind: TextOf) -> impl Strategy<Value = CaptionTrack> {
    prop::collection::vec(cue(kind), 0..8).prop_map(CaptionTrack::new).prop_map(|track| {
        // Rebuild the track, so that it counts no dropped cues.
        CaptionTrack::new(track.cues().to_vec())
    })
}

fn cue(kind: TextOf) -> impl Strategy<Value = Cue> {
    let lines = prop::collection::vec(prop::collection::vec(span(kind), 1..4), 1..4);
    (0..500_000_000_i64, 1..100_000_i64, lines, placement(kind)).prop_map(
        |(start, length, lines, placement)| Cue {
            start: ExactTime::from_millis(start),
            end: ExactTime::from_millis(start + length),
            lines,
            placement,
        },
    )
}

fn span(kind: TextOf) -> impl Strategy<Value = Span> {
    let text = match kind {
        TextOf::SubRip => "[a-zñ0-9 .,:;&}\\\\-]{1,8}",
        TextOf::WebVtt => "[a-zñ0-9 .,:;&<>{}/\\\\\u{a0}\u{200e}-]{1,8}",
    };
    (text, any::<[bool; 3]>(), colour(true), colour(kind == TextOf::WebVtt)).prop_map(
        |(text, [bold, italic, underline], colour, background)| Span {
            text,
            style: Style { bold, italic, underline, colour, background },
        },
    )
}

fn colour(allowed: bool) -> impl Strategy<Value = Option<Rgb>> {
    let named = prop_oneof![Just(0xff_ff_00), Just(0), Just(0xff_ff_ff), 0..0x100_0000_u32];
    prop::option::of(named.prop_map(Rgb::from_hex)).prop_map(move |colour| colour.filter(|_| allowed))
}

fn placement(kind: TextOf) -> BoxedStrategy<Placement> {
    match kind {
        TextOf::SubRip => (1..10_u32).prop_map(|key| Placement::from_keypad(key).unwrap_or_default()).boxed(),
        TextOf::WebVtt => any_placement().boxed(),
    }
}

/// Returns any placement that WebVTT can represent.
pub(crate) fn any_placement() -> impl Strategy<Value = Placement> {
    let percent = || (0..=100_000_u32).prop_map(Percent::from_thousandths);
    let line = prop_oneof![any::<i32>().prop_map(Line::Number), percent().prop_map(Line::Percent)];
    let writing = [
        Writing::Horizontal,
        Writing::Horizontal,
        Writing::VerticalGrowingLeft,
        Writing::VerticalGrowingRight,
    ];
    let aligns = [Align::Start, Align::Center, Align::End, Align::Left, Align::Right];
    let line_aligns = [LineAlign::Start, LineAlign::Center, LineAlign::End];
    let position_aligns = [PositionAlign::LineLeft, PositionAlign::Center, PositionAlign::LineRight];
    (
        prop::sample::select(writing.to_vec()),
        prop::option::of((line, prop::sample::select(line_aligns.to_vec()))),
        prop::option::of((percent(), prop::option::of(prop::sample::select(position_aligns.to_vec())))),
        prop::option::of(percent()),
        prop::sample::select(aligns.to_vec()),
    )
        .prop_map(|(writing, line, position, size, align)| Placement {
            writing,
            line: line.map(|(line, _)| line),
            line_align: line.map(|(_, align)| align).unwrap_or_default(),
            position: position.map(|(position, _)| position),
            position_align: position.and_then(|(_, align)| align),
            size,
            align,
        })
}
