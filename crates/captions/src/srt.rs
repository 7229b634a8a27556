//! Reads and writes SubRip files (`.srt`). There is no standard, so the parser accepts what real files contain:
//! missing or wrong counters, `.` for `,`, missing hours, coordinates, and blank lines within and between cues.
//! It does not guess, though: a malformed timing line is an error.

mod markup;

use abanico_media::ExactTime;

use crate::parsing::text::normalised;
use crate::parsing::timestamp::{self, Timing};
use crate::{CaptionFormat, CaptionTrack, Cue, Error, StylePassthrough, limits};

/// Parses a SubRip file. Blank text gives a track without cues.
///
/// # Errors
/// Returns [`Error::UnreadableTiming`] if a timing line cannot be read, [`Error::NoCue`] if there is text but no
/// cue, and [`Error::TooMuch`] if a cue is over a limit.
///
/// ```
/// let track = abanico_captions::parse_srt("1\n00:00:01,000 --> 00:00:02,500\n<i>Hola</i>\n")?;
/// assert_eq!(track.cues()[0].text(), "Hola");
/// assert_eq!(track.cues()[0].end.millis(), 2500);
/// # Ok::<(), abanico_captions::Error>(())
/// ```
pub fn parse_srt(text: &str) -> Result<CaptionTrack, Error> {
    let text = normalised(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let timed = timed_lines(&lines)?;
    if timed.is_empty()
        && let Some(at) = lines.iter().position(|line| !line.trim().is_empty())
    {
        return Err(Error::no_cue(CaptionFormat::SubRip, at + 1, lines[at]));
    }
    let ends = timed.iter().skip(1).map(|line| before_counter(&lines, line.at)).chain([lines.len()]);
    let cue = |(&TimedLine { at, start, end }, until): (&TimedLine, usize)| {
        let body = without_blank_ends(lines.get(at + 1..until).unwrap_or_default()).join("\n");
        let (lines, placement) = markup::parse(&body);
        Cue { start, end, lines, placement }
    };
    let cues: Vec<Cue> = timed.iter().zip(ends).map(cue).collect();
    limits::check(CaptionFormat::SubRip, &cues)?;
    Ok(CaptionTrack::new(cues))
}

/// Returns the lines without blank ones at their ends, which part the cues and count for no limit.
fn without_blank_ends<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    let has_text = |line: &&str| !line.trim().is_empty();
    match (lines.iter().position(has_text), lines.iter().rposition(has_text)) {
        (Some(first), Some(last)) => &lines[first..=last],
        _ => &[],
    }
}

/// A line with the times of a cue.
struct TimedLine {
    /// Index of the line.
    at: usize,
    start: ExactTime,
    end: ExactTime,
}

/// Returns the timing lines.
fn timed_lines(lines: &[&str]) -> Result<Vec<TimedLine>, Error> {
    let mut timed = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("-->")) {
        match timestamp::timing(&squeezed(line), timestamp::subrip) {
            Some(Timing { start, end, .. }) => timed.push(TimedLine { at, start, end }),
            None if is_meant_as_times(lines, at) => {
                return Err(Error::unreadable_timing(CaptionFormat::SubRip, at + 1, line));
            }
            None => {}
        }
    }
    Ok(timed)
}

/// Removes white space beside the separators within a time, as in `00:00:01, 500`.
fn squeezed(line: &str) -> String {
    let mut squeezed = String::with_capacity(line.len());
    let mut after_sign = true;
    for c in line.chars() {
        let is_sign = matches!(c, ':' | ',' | '.');
        if is_sign {
            squeezed.truncate(squeezed.trim_end().len());
        }
        if !(after_sign && c.is_whitespace()) {
            squeezed.push(c);
            after_sign = is_sign;
        }
    }
    squeezed
}

/// Whether a line with an arrow is meant as a timing line: it begins like a time, or it follows a counter.
fn is_meant_as_times(lines: &[&str], at: usize) -> bool {
    let is_blank = |at: usize| lines[at].trim().is_empty();
    let follows_counter = at >= 1 && is_counter(lines[at - 1]) && (at == 1 || is_blank(at - 2));
    let digits_end = lines[at].trim().split_once(':').is_some_and(|(before, after)| {
        let mut before = before.trim().bytes().peekable();
        before.peek().is_some()
            && before.all(|byte| byte.is_ascii_digit())
            && after.trim_start().starts_with(|c: char| c.is_ascii_digit())
    });
    follows_counter || digits_end
}

fn is_counter(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the index of the first line of the cue whose timing line is `at`: its counter, or the timing line
/// itself. Blank lines between counter and timing line are allowed only if one precedes the counter too, as in
/// files whose line ends were doubled.
fn before_counter(lines: &[&str], at: usize) -> usize {
    let blanks = lines[..at].iter().rev().take_while(|line| line.trim().is_empty()).count();
    let Some(counter) = (at - blanks).checked_sub(1).filter(|&counter| is_counter(lines[counter])) else {
        return at;
    };
    let parted = counter.checked_sub(1).is_none_or(|before| lines[before].trim().is_empty());
    if blanks == 0 || parted { counter } else { at }
}

/// Writes a SubRip file: line ends are `\n`, counters start at 1, times are rounded to milliseconds. Cues that
/// end by time zero are left out. With style passthrough, styles become tags and the placement becomes the
/// nearest `{\anN}`; without it, only the text is written.
pub fn write_srt(track: &CaptionTrack, passthrough: StylePassthrough) -> String {
    let mut file = String::new();
    let timed = track.cues().iter().filter_map(|cue| Some((cue, cue.range_in(1000)?)));
    for (index, (cue, (start, end))) in timed.enumerate() {
        let (start, end) = (timestamp::written(start, ','), timestamp::written(end, ','));
        let text = markup::written(&cue.lines, &cue.placement, passthrough);
        file += &format!("{}\n{start} --> {end}\n{text}\n\n", index + 1);
    }
    file
}

#[cfg(test)]
mod tests;
