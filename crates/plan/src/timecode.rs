//! Timecodes: in `HH:MM:SS:FF` and a frame rate, out frames from midnight, and back. Never a guess: what is no timecode of
//! a rate is none.

use abanico_media::FrameRate;

/// Frames from midnight to a timecode `HH:MM:SS:FF`, or `HH:MM:SS;FF` with numbers left out (SMPTE 12M: the first two, or
/// four at 60, of each minute but every tenth).
pub(crate) fn frame_number(timecode: &str, rate: FrameRate) -> Option<i64> {
    let drops = timecode.contains([';', '.']);
    let parts: Vec<i64> = timecode
        .split([':', ';', '.'])
        .map(|part| part.parse().ok().filter(|number| *number >= 0))
        .collect::<Option<_>>()?;
    let [hours, minutes, seconds, frames] = parts[..] else { return None };
    let nominal = rate.per_second().round().max(1);
    if hours > 23 || minutes > 59 || seconds > 59 || frames >= nominal {
        return None;
    }
    let all_minutes = hours * 60 + minutes;
    let number = (all_minutes * 60 + seconds) * nominal + frames;
    let left_out =
        if drops && nominal % 30 == 0 { nominal / 15 * (all_minutes - all_minutes / 10) } else { 0 };
    Some(number - left_out)
}

/// A frame count as a timecode; beyond a day it begins anew.
pub(crate) fn clock(frames: i64, rate: FrameRate) -> String {
    let nominal = rate.per_second().round().max(1);
    let seconds = frames / nominal;
    format!("{:02}:{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, frames % nominal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_numbers_left_out_of_drop_frame_timecodes_only() {
        let rate = FrameRate::new(30000, 1001).unwrap();
        assert_eq!(frame_number("00:01:00;02", rate), Some(1800));
        assert_eq!(frame_number("00:01:00:02", rate), Some(1802));
        assert_eq!(frame_number("01:00:00;00", rate), Some(107_892));
        assert_eq!(frame_number("01:00:00;00", FrameRate::new(60000, 1001).unwrap()), Some(215_784));
        assert_eq!(frame_number("00:00:01;00", FrameRate::new(25, 1).unwrap()), Some(25));
    }

    #[test]
    fn is_a_frame_count_a_timecode_that_gives_it_back() {
        let rate = FrameRate::new(25, 1).unwrap();
        assert_eq!(clock(90_000 + 26, rate), "01:00:01:01");
        assert_eq!(frame_number("01:00:01:01", rate), Some(90_026));
        assert_eq!(clock(24 * 90_000, rate), "00:00:00:00");
    }
}
