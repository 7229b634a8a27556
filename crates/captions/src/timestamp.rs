//! Times as caption files write them: in `00:00:01,500` and its relatives, out exact time, and back. Never a float; a
//! number with more digits than any film has hours is no time.

use abanico_media::{ExactTime, Rational};

/// The most digits read of one number.
const MOST_DIGITS: usize = 9;

/// A line's two times and what follows them.
pub(crate) struct Timing<'a> {
    pub start: ExactTime,
    pub end: ExactTime,
    pub rest: &'a str,
}

/// Reads a time as SubRip files have it: hours and the fraction may be missing, the fraction may follow `.` and have
/// one to nine digits (of a decimal fraction: `,5` is half a second), minutes and seconds may exceed 59, and a minus
/// may stand before it all.
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

/// Reads a time as the WebVTT standard has it: hours of two or more digits or none, minutes and seconds of two digits
/// up to 59, three digits of milliseconds. One digit of hours is taken too, as the standard's parser does.
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

/// Reads `time --> time rest`, each time by `read`; nothing when the line is not that.
pub(crate) fn timing<'a>(line: &'a str, read: fn(&str) -> Option<ExactTime>) -> Option<Timing<'a>> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || "-:.,".contains(c))).unwrap_or(rest.len());
    let (end, rest) = rest.split_at(end);
    Some(Timing { start: read(start.trim())?, end: read(end)?, rest: rest.trim() })
}

/// One to nine digits and nothing else, as a number.
fn number(digits: &str) -> Option<i64> {
    let plain = (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Milliseconds as `00:00:00`, `separator` and three digits; hours take as many digits as they need.
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
    fn is_subrip_read_with_mercy() {
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
    fn is_webvtt_read_to_the_letter() {
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
    fn does_a_timing_line_end_where_its_second_time_does() {
        let timing = timing("00:00.000-->00:01.000\tline:0 align:left ", webvtt).unwrap();
        assert_eq!((timing.end.millis(), timing.rest), (1000, "line:0 align:left"));
        assert!(super::timing("00:00.000 -> 00:01.000", webvtt).is_none());
    }

    #[test]
    fn are_hours_written_with_two_digits_or_more() {
        assert_eq!(written(359_999_999, ','), "99:59:59,999");
        assert_eq!(written(360_000_000, '.'), "100:00:00.000");
    }

    proptest! {
        #[test]
        fn does_what_is_written_come_back(ms in 0..400_000_000_000_u64) {
            let time = Some(ExactTime::from_millis(i64::try_from(ms).unwrap()));
            prop_assert_eq!(subrip(&written(ms, ',')), time);
            prop_assert_eq!(webvtt(&written(ms, '.')), time);
        }

        #[test]
        fn does_no_text_panic(text in "\\PC{0,40}", near in "[0-9:.,> -]{0,30}") {
            for text in [text, near] {
                let _ = (subrip(&text), webvtt(&text), timing(&text, subrip).is_some(), timing(&text, webvtt).is_some());
            }
        }
    }
}
