//! Parses and writes the timestamps of caption files, such as `00:00:01,500`, as exact times. Numbers of more
//! than nine digits are rejected.

use abanico_media::{ExactTime, Rational};

/// The most digits in a number.
const MOST_DIGITS: usize = 9;

/// The two times of a timing line, and the rest of the line.
pub(crate) struct Timing<'a> {
    pub start: ExactTime,
    pub end: ExactTime,
    pub rest: &'a str,
}

/// Parses a SubRip timestamp leniently. Hours and the fraction are optional. The fraction follows `,` or `.`
/// and has one to nine digits (`,5` is half a second). Minutes and seconds may exceed 59. A minus sign makes
/// the time negative.
pub(crate) fn subrip(text: &str) -> Option<ExactTime> {
    let (text, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (clock, fraction) = text.split_once([',', '.']).unwrap_or((text, "0"));
    let units: Vec<i64> = clock.split(':').map(number).collect::<Option<_>>()?;
    let seconds = match units[..] {
        [minutes, seconds] => minutes * 60 + seconds,
        [hours, minutes, seconds] => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    let scale = 10_i64.pow(u32::try_from(fraction.len()).ok().filter(|&len| len <= 9)?);
    let fraction = Rational::new(number(fraction)?, scale);
    Some(ExactTime::from_seconds((Rational::from(seconds) + fraction) * Rational::from(sign)))
}

/// Parses a WebVTT timestamp as the standard's parser does: optional hours, minutes and seconds of two digits
/// each (up to 59), and three digits of milliseconds. The standard's syntax wants at least two digits of
/// hours, but its parser accepts one.
pub(crate) fn webvtt(text: &str) -> Option<ExactTime> {
    let (clock, millis) = text.split_once('.')?;
    let (hours, minutes, seconds) = match clock.split(':').collect::<Vec<_>>()[..] {
        [minutes, seconds] => ("0", minutes, seconds),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let sixty = |text: &str| number(text).filter(|&n| text.len() == 2 && n < 60);
    let millis = number(millis).filter(|_| millis.len() == 3)?;
    let seconds = (number(hours)? * 60 + sixty(minutes)?) * 60 + sixty(seconds)?;
    Some(ExactTime::from_millis(seconds * 1000 + millis))
}

/// Parses `time --> time rest`, each time with `read`; `None` if the line is not of this form.
pub(crate) fn timing<'a>(line: &'a str, read: fn(&str) -> Option<ExactTime>) -> Option<Timing<'a>> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || "-:.,".contains(c))).unwrap_or(rest.len());
    let (end, rest) = rest.split_at(end);
    Some(Timing { start: read(start.trim())?, end: read(end)?, rest: rest.trim() })
}

/// Parses one to nine digits and nothing else.
fn number(digits: &str) -> Option<i64> {
    let plain = (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Writes milliseconds as `00:00:00`, `separator` and three digits. Hours have at least two digits.
pub(crate) fn written(millis: u64, separator: char) -> String {
    let seconds = millis / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{separator}{:03}", seconds % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(time: Option<ExactTime>) -> Option<i64> {
        time.map(ExactTime::millis)
    }

    #[test]
    fn subrip_timestamps_are_read_leniently() {
        let cases = [
            ("00:00:01,500", 1500),
            ("0:00:01.5", 1500),
            ("01:02,03", 62_030),
            ("100:00:00,000", 360_000_000),
            ("00:75:61,000", 4_561_000),
            ("00:00:07", 7000),
            ("-00:00:01,250", -1250),
        ];
        for (text, expected) in cases {
            assert_eq!(millis(subrip(text)), Some(expected), "{text}");
        }
        assert_eq!(subrip("0:01,333333333").unwrap().seconds(), Rational::new(1_333_333_333, 1_000_000_000));
        for text in
            ["", "1", "1,5", "00:00:01,", ":00:01,0", "1:2:3:4,5", "00:00:0x,000", "٠٠:٠٠:٠١,٠٠٠", "--0:01"]
        {
            assert_eq!(subrip(text), None, "{text}");
        }
        assert_eq!(subrip("9999999999:00:00,000"), None);
        assert_eq!(subrip("0:01,3333333333"), None);
    }

    #[test]
    fn webvtt_timestamps_are_read_strictly() {
        let cases = [("00:01.500", 1500), ("01:00:00.000", 3_600_000), ("1234:59:59.999", 4_445_999_999)];
        for (text, expected) in cases {
            assert_eq!(millis(webvtt(text)), Some(expected), "{text}");
        }
        for text in ["00:01,500", "00:01.5", "0:01.500", "00:60.000", "60:00.000", "00:01", "00:00:00:01.000"]
        {
            assert_eq!(webvtt(text), None, "{text}");
        }
    }

    #[test]
    fn timing_line_ends_after_the_second_time() {
        let timing = timing("00:00.000-->00:01.000\tline:0 align:left ", webvtt).unwrap();
        assert_eq!((timing.end.millis(), timing.rest), (1000, "line:0 align:left"));
        assert!(super::timing("00:00.000 -> 00:01.000", webvtt).is_none());
    }

    #[test]
    fn hours_have_at_least_two_digits() {
        assert_eq!(written(359_999_999, ','), "99:59:59,999");
        assert_eq!(written(360_000_000, '.'), "100:00:00.000");
    }

    proptest! {
        #[test]
        fn written_times_round_trip(ms in 0..400_000_000_000_u64) {
            let time = Some(ExactTime::from_millis(i64::try_from(ms).unwrap()));
            prop_assert_eq!(subrip(&written(ms, ',')), time);
            prop_assert_eq!(webvtt(&written(ms, '.')), time);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", near in "[0-9:.,> -]{0,30}") {
            for text in [text, near] {
                let _ = (subrip(&text), webvtt(&text), timing(&text, subrip).is_some(), timing(&text, webvtt).is_some());
            }
        }
    }
}
