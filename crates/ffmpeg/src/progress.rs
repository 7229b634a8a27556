//! Parses ffmpeg's progress report: turns the lines of `-progress` into one [`Progress`] per finished block.
//!
//! It reports no percentage, because only the plan knows the length. A value that cannot be parsed counts as
//! unknown and is not an error.

use abanico_media::{ExactTime, Rational};

/// How far a run of ffmpeg has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Number of video frames that left the encoder; 0 for audio alone.
    pub frames: u64,
    /// Time stamp that the output has reached; may be negative at the start. `None` before the first packet.
    pub out_time: Option<ExactTime>,
    /// Hundredths of a frame per second of wall time; 0 if unknown.
    pub fps_hundredths: u32,
    /// Speed in hundredths of playback speed: 150 is one and a half times as fast. `None` if unknown.
    pub speed_hundredths: Option<u32>,
    /// Bytes written so far to all outputs. `None` for outputs without a size.
    pub total_size_bytes: Option<u64>,
    /// Whether this is the last report.
    pub is_end: bool,
}

impl Progress {
    /// Whether any output was produced since `earlier`. A report alone is no sign of progress.
    pub(crate) fn is_ahead_of(&self, earlier: &Self) -> bool {
        self.is_end
            || self.frames > earlier.frames
            || self.out_time > earlier.out_time
            || self.total_size_bytes > earlier.total_size_bytes
    }
}

/// Collects lines until a block is complete.
#[derive(Debug, Default)]
pub struct ProgressParser {
    current: Progress,
}

impl ProgressParser {
    /// Parses one line, with or without its line end. Returns the block if this line ends one. Ignores other
    /// keys and lines without `=`.
    pub fn line(&mut self, line: &str) -> Option<Progress> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        match key.trim() {
            "frame" => self.current.frames = value.parse().unwrap_or(0),
            "fps" => self.current.fps_hundredths = hundredths(value).unwrap_or(0),
            "total_size" => self.current.total_size_bytes = value.parse().ok(),
            "out_time_us" => self.current.out_time = out_time(value),
            "speed" => self.current.speed_hundredths = hundredths(value.trim_end_matches('x')),
            "progress" => {
                self.current.is_end = value == "end";
                return Some(std::mem::take(&mut self.current));
            }
            _ => {}
        }
        None
    }
}

/// Parses a time in microseconds. Before the first packet, ffmpeg 5.1 prints its smallest number instead of
/// `N/A`.
fn out_time(value: &str) -> Option<ExactTime> {
    let micros: i64 = value.parse().ok()?;
    (micros > i64::MIN / 2).then(|| ExactTime::from_ticks(micros, Rational::new(1, 1_000_000)))
}

/// Parses a decimal such as `23.976` or `1.2e+03` (ffmpeg prints large speeds this way) into hundredths,
/// truncated.
fn hundredths(value: &str) -> Option<u32> {
    let (mantissa, exponent) = value.split_once('e').unwrap_or((value, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u64 = format!("{whole}{fraction}").parse().ok()?;
    let shift = exponent.checked_add(2)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10u64.checked_pow(shift.unsigned_abs());
    let scaled = if shift < 0 { digits / scale.unwrap_or(u64::MAX) } else { digits.checked_mul(scale?)? };
    u32::try_from(scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Progress> {
        let mut parser = ProgressParser::default();
        text.lines().filter_map(|line| parser.line(line)).collect()
    }

    const FIRST: &str = "frame=0\nfps=0.00\nstream_0_0_q=0.0\nbitrate=N/A\ntotal_size=48\n\
        out_time_us=-9223372036854775807\nout_time_ms=-9223372036854775807\nout_time=-577014:32:22.775808\n\
        dup_frames=0\ndrop_frames=0\nspeed=N/A\nprogress=continue\n";
    const LAST: &str = "frame=240\nfps=59.94\nbitrate= 310.2kbits/s\ntotal_size=387750\nout_time_us=9966667\n\
        speed=2.49x    \nprogress=end\n";

    #[test]
    fn block_fills_every_field() {
        let expected = Progress {
            frames: 240,
            out_time: Some(ExactTime::from_ticks(9_966_667, Rational::new(1, 1_000_000))),
            fps_hundredths: 5994,
            speed_hundredths: Some(249),
            total_size_bytes: Some(387_750),
            is_end: true,
        };
        assert_eq!(blocks(&format!("{FIRST}{LAST}"))[1], expected);
    }

    #[test]
    fn unknown_values_are_none_and_not_zero() {
        let first = blocks(FIRST)[0];
        let expected = Progress { total_size_bytes: Some(48), ..Progress::default() };
        assert_eq!(first, expected);
        assert_eq!(blocks("out_time_us=N/A\ntotal_size=N/A\nprogress=continue")[0], Progress::default());
    }

    #[test]
    fn time_may_be_negative() {
        let time = blocks("out_time_us=-23220\nprogress=continue")[0].out_time;
        assert_eq!(time.map(ExactTime::micros), Some(-23_220));
    }

    #[test]
    fn values_do_not_leak_into_the_next_block() {
        assert_eq!(blocks(&format!("{LAST}progress=continue"))[1], Progress::default());
    }

    #[test]
    fn strange_lines_are_ignored() {
        assert_eq!(
            blocks("hello\n=\nframe=x\nfps=1e999999999999\nspeed=-1x\nframe\nprogress=continue"),
            [Progress::default()]
        );
        assert!(blocks("frame=5\nfps=1").is_empty(), "an unfinished block is not returned");
    }

    #[test]
    fn every_decimal_form_of_ffmpeg_is_parsed() {
        let read = ["0.00", "25", "23.976", "1.2e+03", "0.0512", "5e-01", "1e+09", "", "nan"].map(hundredths);
        let expected = [Some(0), Some(2500), Some(2397), Some(120_000), Some(5), Some(50), None, None, None];
        assert_eq!(read, expected);
    }

    #[test]
    fn only_new_output_counts_as_progress() {
        let at = |frames, size| Progress { frames, total_size_bytes: Some(size), ..Progress::default() };
        assert!(at(2, 10).is_ahead_of(&at(1, 10)) && at(1, 11).is_ahead_of(&at(1, 10)));
        let faster = Progress { fps_hundredths: 9, speed_hundredths: Some(3), ..at(1, 10) };
        assert!(!faster.is_ahead_of(&at(1, 10)));
        assert!(Progress { is_end: true, ..at(1, 10) }.is_ahead_of(&at(1, 10)));
    }
}
