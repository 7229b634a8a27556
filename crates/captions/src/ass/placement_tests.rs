//! Tests of where burnt-in captions are placed, in a frame of 1000x500 pixels with a line height of 20.

use proptest::prelude::*;

use super::*;
use crate::StylePassthrough;
use crate::test_tracks::any_placement;

const FRAME: Frame = Frame { picture: Size::new(1000, 500), line_height: 20 };

fn passing() -> BurnInStyle {
    BurnInStyle { style_passthrough: StylePassthrough::Enabled, ..BurnInStyle::default() }
}

fn check(cue: Placement, style: &BurnInStyle, keypad: u32, margins: [u32; 3], point: Option<(u32, u32)>) {
    let [left, right, vertical] = margins;
    assert_eq!(
        place(&cue, style, FRAME),
        Place { keypad, left, right, vertical, point },
        "{cue:?} {style:?}"
    );
}

#[test]
fn default_is_the_bottom() {
    let top = Placement::from_keypad(7).unwrap();
    check(top, &BurnInStyle::default(), 2, [50, 50, 25], None);
    check(Placement::default(), &passing(), 2, [50, 50, 25], None);
    let standing = Placement { writing: Writing::VerticalGrowingLeft, ..top };
    check(standing, &passing(), 2, [50, 50, 25], None);
}

#[test]
fn all_nine_keys_round_trip() {
    for key in 1..=9 {
        let place = place(&Placement::from_keypad(key).unwrap(), &passing(), FRAME);
        assert_eq!(place.keypad, key);
        assert_eq!(place.point.is_some(), (4..=6).contains(&key), "{key}");
    }
    check(Placement::from_keypad(6).unwrap(), &passing(), 6, [50, 50, 0], Some((950, 250)));
}

#[test]
fn lines_count_from_both_edges() {
    let line = |line, line_align| Placement { line: Some(line), line_align, ..Placement::default() };
    let percent = |percent| Line::Percent(Percent::of(percent));
    check(line(Line::Number(2), LineAlign::Start), &passing(), 8, [50, 50, 65], None);
    check(line(Line::Number(-1), LineAlign::Start), &passing(), 2, [50, 50, 25], None);
    check(line(Line::Number(-3), LineAlign::Start), &passing(), 2, [50, 50, 65], None);
    check(line(Line::Number(i32::MIN), LineAlign::Start), &passing(), 2, [50, 50, 499], None);
    check(line(percent(80), LineAlign::Start), &passing(), 8, [50, 50, 400], None);
    check(line(percent(80), LineAlign::End), &passing(), 2, [50, 50, 100], None);
    check(line(percent(80), LineAlign::Center), &passing(), 5, [50, 50, 0], Some((500, 400)));
}

#[test]
fn cue_box_determines_the_margins() {
    let cue = |align, position: Option<u32>, position_align, size: Option<u32>| Placement {
        align,
        position: position.map(Percent::of),
        position_align,
        size: size.map(Percent::of),
        ..Placement::default()
    };
    check(cue(Align::Start, Some(20), None, Some(50)), &passing(), 1, [200, 300, 25], None);
    check(cue(Align::Center, Some(30), None, None), &passing(), 2, [50, 400, 25], None);
    check(cue(Align::Right, Some(90), None, Some(40)), &passing(), 3, [500, 100, 25], None);
    let left_of_middle = cue(Align::Center, Some(10), Some(PositionAlign::LineLeft), Some(40));
    check(left_of_middle, &passing(), 2, [100, 500, 25], None);
    check(cue(Align::Left, Some(95), None, None), &passing(), 1, [50, 50, 25], None);
}

#[test]
fn style_position_wins() {
    let cue = Placement::from_keypad(9).unwrap();
    let at =
        |alignment, x_position, y_position| BurnInStyle { alignment, x_position, y_position, ..passing() };
    check(cue, &at(BurnInAlignment::Left, None, None), 7, [50, 50, 25], None);
    check(cue, &at(BurnInAlignment::Left, Some(300), Some(0)), 7, [300, 50, 0], None);
    check(cue, &at(BurnInAlignment::Auto, Some(300), None), 7, [300, 50, 25], None);
    check(cue, &at(BurnInAlignment::Centered, None, Some(40)), 8, [50, 50, 40], None);
    check(cue, &at(BurnInAlignment::Centered, Some(300), Some(40)), 8, [50, 50, 40], Some((300, 40)));
    let bottom = Placement::default();
    check(bottom, &at(BurnInAlignment::Centered, Some(300), None), 2, [50, 50, 25], Some((300, 475)));
    check(bottom, &at(BurnInAlignment::Left, Some(u32::MAX), Some(u32::MAX)), 7, [999, 0, 499], None);
}

proptest! {
    #[test]
    fn every_place_lies_within_the_frame(
        cue in any_placement(), width in 1..5000_u32, height in 1..5000_u32, x in any::<Option<u32>>(), y in any::<Option<u32>>(),
        alignment in prop::sample::select(vec![BurnInAlignment::Auto, BurnInAlignment::Centered, BurnInAlignment::Left]),
    ) {
        let style = BurnInStyle { alignment, x_position: x, y_position: y, ..passing() };
        let place = place(&cue, &style, Frame { picture: Size::new(width, height), line_height: 20 });
        prop_assert!((1..=9).contains(&place.keypad));
        prop_assert!(place.left + place.right < width && place.vertical < height, "{place:?}");
        let (x, y) = place.point.unwrap_or_default();
        prop_assert!(x <= width && y <= height, "{place:?}");
    }
}
