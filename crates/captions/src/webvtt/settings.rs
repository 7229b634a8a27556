//! Parses and writes the settings of a WebVTT cue, which follow its times (section 4.3.2 of the standard,
//! parsed as in 6.3). Malformed settings are ignored, and regions are not supported.

use crate::{Align, Line, LineAlign, Percent, Placement, PositionAlign, Writing};

/// Parses settings such as `line:0 position:20%,line-left align:start`. If a setting occurs twice, the last
/// one wins.
pub(crate) fn parse(settings: &str) -> Placement {
    let mut placement = Placement::default();
    for (name, value) in settings.split_whitespace().filter_map(|setting| setting.split_once(':')) {
        // A malformed setting leaves the placement unchanged.
        let _ = apply(&mut placement, name, value);
    }
    placement
}

fn apply(placement: &mut Placement, name: &str, value: &str) -> Option<()> {
    let (first, second) =
        value.split_once(',').map_or((value, None), |(first, second)| (first, Some(second)));
    match name {
        "vertical" => placement.writing = writing(value)?,
        "line" => {
            let align = second.map_or(Some(LineAlign::Start), line_align)?;
            (placement.line, placement.line_align) = (Some(line(first)?), align);
        }
        "position" => {
            let align = second.map(|align| position_align(align).ok_or(())).transpose().ok()?;
            (placement.position, placement.position_align) = (Some(percent(first)?), align);
        }
        "size" => placement.size = Some(percent(value)?),
        "align" => placement.align = align(value)?,
        _ => {}
    }
    Some(())
}

fn writing(value: &str) -> Option<Writing> {
    match value {
        "rl" => Some(Writing::VerticalGrowingLeft),
        "lr" => Some(Writing::VerticalGrowingRight),
        _ => None,
    }
}

fn line(value: &str) -> Option<Line> {
    if value.ends_with('%') {
        return percent(value).map(Line::Percent);
    }
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = [digits, fraction].iter().all(|part| is_digits(part));
    plain.then(|| whole.parse().ok().map(Line::Number)).flatten()
}

fn line_align(value: &str) -> Option<LineAlign> {
    match value {
        "start" => Some(LineAlign::Start),
        "center" | "middle" => Some(LineAlign::Center),
        "end" => Some(LineAlign::End),
        _ => None,
    }
}

/// Accepts the keywords of the standard and of its drafts.
fn position_align(value: &str) -> Option<PositionAlign> {
    match value {
        "line-left" | "start" => Some(PositionAlign::LineLeft),
        "center" | "middle" => Some(PositionAlign::Center),
        "line-right" | "end" => Some(PositionAlign::LineRight),
        _ => None,
    }
}

fn align(value: &str) -> Option<Align> {
    match value {
        "start" => Some(Align::Start),
        "center" | "middle" => Some(Align::Center),
        "end" => Some(Align::End),
        "left" => Some(Align::Left),
        "right" => Some(Align::Right),
        _ => None,
    }
}

/// Parses `0%` to `100%`. A fraction is allowed, but only its first three digits count.
fn percent(value: &str) -> Option<Percent> {
    let number = value.strip_suffix('%')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if ![whole, fraction].iter().all(|part| is_digits(part)) {
        return None;
    }
    let thousandths: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let thousandths = whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    (thousandths <= Percent::WHOLE.thousandths()).then(|| Percent::from_thousandths(thousandths))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes the settings, each with a leading space; empty for the default placement.
pub(crate) fn written(placement: &Placement) -> String {
    let vertical = match placement.writing {
        Writing::Horizontal => None,
        Writing::VerticalGrowingLeft => Some("vertical:rl".to_owned()),
        Writing::VerticalGrowingRight => Some("vertical:lr".to_owned()),
    };
    let line = placement.line.map(|line| match line {
        Line::Number(number) => format!("line:{number}{}", line_align_word(placement.line_align)),
        Line::Percent(at) => format!("line:{}{}", percent_text(at), line_align_word(placement.line_align)),
    });
    let position = placement.position.map(|at| {
        let align = placement.position_align.map_or("", position_align_word);
        format!("position:{}{align}", percent_text(at))
    });
    let size = placement.size.map(|size| format!("size:{}", percent_text(size)));
    let align = align_word(placement.align).map(|word| format!("align:{word}"));
    [vertical, line, position, size, align]
        .into_iter()
        .flatten()
        .map(|setting| format!(" {setting}"))
        .collect()
}

fn line_align_word(align: LineAlign) -> &'static str {
    match align {
        LineAlign::Start => "",
        LineAlign::Center => ",center",
        LineAlign::End => ",end",
    }
}

fn position_align_word(align: PositionAlign) -> &'static str {
    match align {
        PositionAlign::LineLeft => ",line-left",
        PositionAlign::Center => ",center",
        PositionAlign::LineRight => ",line-right",
    }
}

fn align_word(align: Align) -> Option<&'static str> {
    match align {
        Align::Center => None,
        Align::Start => Some("start"),
        Align::End => Some("end"),
        Align::Left => Some("left"),
        Align::Right => Some("right"),
    }
}

/// Writes a percentage without trailing zeros.
fn percent_text(percent: Percent) -> String {
    let (whole, fraction) = (percent.thousandths() / 1000, percent.thousandths() % 1000);
    let decimal = format!("{whole}.{fraction:03}");
    format!("{}%", decimal.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_round_trip() {
        for settings in [
            "",
            " vertical:rl line:-1,end position:12.345%,line-right size:100% align:start",
            " vertical:lr line:33.3%,center position:0%",
            " line:4 position:50%,center align:end",
            " line:0% position:5.05%,line-left size:0.001% align:right",
        ] {
            assert_eq!(written(&parse(settings)), settings);
        }
    }

    #[test]
    fn keywords_of_old_drafts_are_read() {
        let placement = parse("position:10%,start line:50%,middle align:middle region:fred");
        assert_eq!(written(&placement), " line:50%,center position:10%,line-left");
        assert_eq!(written(&parse("align:left align:middle")), "");
        assert_eq!(written(&parse("line:1.7 line:2.0")), " line:2");
    }

    #[test]
    fn malformed_setting_is_ignored() {
        for setting in [
            "line:",
            "line:%",
            "line:-5%",
            "line:101%",
            "line:1.%",
            "line:--1",
            "line:99999999999",
            "line:1,above",
            "position:12",
            "position:10%,top",
            "position:100.001%",
            "size:-1%",
            "size:ñ%",
            "size:4294968%",
            "align:top",
            "vertical:up",
            "align",
            ":",
            "::",
            "line:+1",
        ] {
            assert_eq!(parse(setting), Placement::default(), "{setting}");
            assert_eq!(written(&parse(&format!("line:3 {setting}"))), " line:3", "{setting}");
        }
    }
}
