//! Converts timecodes to frame numbers and back. A timecode that does not exist at a frame rate is `None`,
//! never a guess.

use abanico_media::FrameRate;

/// Returns the number of frames from midnight to a timecode `HH:MM:SS:FF`, or to a drop-frame timecode
/// `HH:MM:SS;FF` (SMPTE 12M drops the first two numbers, or four at 60, of each minute except every tenth).
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

/// Formats a number of frames as a timecode, which wraps around after a day.
pub(crate) fn clock(frames: i64, rate: FrameRate) -> String {
    let nominal = rate.per_second().round().max(1);
    let seconds = frames / nominal;
    format!("{:02}:{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, frames % nominal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drop_frame_timecodes_skip_numbers() {
        let rate = FrameRate::new(30000, 1001).unwrap();
        assert_eq!(frame_number("00:01:00;02", rate), Some(1800));
        assert_eq!(frame_number("00:01:00:02", rate), Some(1802));
        assert_eq!(frame_number("01:00:00;00", rate), Some(107_892));
        assert_eq!(frame_number("01:00:00;00", FrameRate::new(60000, 1001).unwrap()), Some(215_784));
        assert_eq!(frame_number("00:00:01;00", FrameRate::new(25, 1).unwrap()), Some(25));
    }

    #[test]
    fn frame_counts_survive_a_round_trip() {
        let rate = FrameRate::new(25, 1).unwrap();
        assert_eq!(clock(90_000 + 26, rate), "01:00:01:01");
        assert_eq!(frame_number("01:00:01:01", rate), Some(90_026));
        assert_eq!(clock(24 * 90_000, rate), "00:00:00:00");
    }
}
