//! Reads WebVTT files (W3C, <https://www.w3.org/TR/webvtt1/>) by the standard's parsing steps (section 6.1),
//! which drop a cue that cannot be read and continue. Skips comments, style sheets, regions and cue identifiers.
//! The only errors are a file that does not begin with `WEBVTT` and cues that have too much to show.

mod settings;
mod text;
pub(crate) mod timestamp_map;
pub(crate) mod writer;

use crate::parsing::text::normalised;
use crate::parsing::timestamp::{self, Timing};
use crate::{CaptionFormat, CaptionTrack, Cue, Error, TimestampMap, limits};

/// Parses a WebVTT file. If its header has `X-TIMESTAMP-MAP`, times are on the MPEG-TS clock; subtract the
/// offset of [`webvtt_timestamp_map`] to get back to the file's own clock. Cues with unreadable times are
/// dropped and counted.
///
/// # Errors
/// Returns [`Error::NoHeader`] if the text does not begin with `WEBVTT`, and [`Error::TooMuch`] if a cue is over a
/// limit.
///
/// ```
/// let file = "WEBVTT\n\n00:01.000 --> 00:02.500 line:0\n<c.yellow>R&amp;D</c>\n";
/// let track = abanico_captions::parse_webvtt(file)?;
/// assert_eq!(track.cues()[0].text(), "R&D");
/// # Ok::<(), abanico_captions::Error>(())
/// ```
pub fn parse_webvtt(text: &str) -> Result<CaptionTrack, Error> {
    let text = normalised(text);
    let lines: Vec<&str> = text.split('\n').collect();
    if !is_signature(lines[0]) {
        return Err(Error::no_header(lines[0]));
    }
    let body = header_end(&lines);
    let offset = timestamp_map(&lines[1..body]).map(TimestampMap::offset);
    let (mut cues, unreadable) = cues(&lines[body..]);
    limits::check(CaptionFormat::WebVtt, &cues)?;
    if let Some(offset) = offset {
        cues.iter_mut().for_each(|cue| (cue.start, cue.end) = (cue.start + offset, cue.end + offset));
    }
    Ok(CaptionTrack::new(cues).with_dropped(unreadable))
}

/// Returns the `X-TIMESTAMP-MAP` of a WebVTT header, which [`parse_webvtt`] applies to cue times. Returns
/// `None` if there is no such line, if it cannot be read, or if this is not a WebVTT file.
pub fn webvtt_timestamp_map(text: &str) -> Option<TimestampMap> {
    let text = normalised(text);
    let lines: Vec<&str> = text.split('\n').collect();
    is_signature(lines[0]).then(|| timestamp_map(&lines[1..header_end(&lines)])).flatten()
}

fn is_signature(line: &str) -> bool {
    line.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Returns the index of the first line after the signature that is blank or begins the cues.
fn header_end(lines: &[&str]) -> usize {
    let header = lines.iter().skip(1).take_while(|line| !line.is_empty() && !line.contains("-->"));
    1 + header.count()
}

fn timestamp_map(header: &[&str]) -> Option<TimestampMap> {
    header.iter().find_map(|line| TimestampMap::parse(line))
}

/// Returns the cues of a file's body, and the number of cues with unreadable times.
fn cues(lines: &[&str]) -> (Vec<Cue>, usize) {
    let (mut cues, mut unreadable) = (Vec::new(), 0);
    let mut at = 0;
    while at < lines.len() {
        let block = block_length(&lines[at..]);
        // The timing line is the first line of a block, or the second after a cue identifier.
        if let Some(timing) = lines[at..at + block].iter().take(2).position(|line| line.contains("-->")) {
            match cue(lines[at + timing], &lines[at + timing + 1..at + block]) {
                Some(cue) => cues.push(cue),
                None => unreadable += 1,
            }
        }
        at += block.max(1);
    }
    (cues, unreadable)
}

/// Returns the number of lines before a blank line, or before a timing line of the next block.
fn block_length(lines: &[&str]) -> usize {
    let mut seen_arrow = false;
    for (at, line) in lines.iter().enumerate() {
        if line.is_empty() {
            return at;
        }
        if line.contains("-->") {
            if seen_arrow || at > 1 {
                return at;
            }
            seen_arrow = true;
        }
    }
    lines.len()
}

fn cue(timing: &str, text: &[&str]) -> Option<Cue> {
    let Timing { start, end, rest } = timestamp::timing(timing, timestamp::webvtt)?;
    let lines = text::parse(&text.join("\n"));
    Some(Cue { start, end, lines, placement: settings::parse(rest) })
}

#[cfg(test)]
mod tests;
