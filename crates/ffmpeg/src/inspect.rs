//! Inspects a finished file: its frames in coded order, its groups of pictures, its bit rate over time and
//! the offset between audio and video.
//!
//! It decodes nothing, and it only judges a file against a model that the caller gives.

mod buffer;

use std::path::Path;

use abanico_media::{ExactTime, Rational};
use tokio_util::sync::CancellationToken;

use crate::facts::{OutputFacts, output_facts};
use crate::probe::{header, reader};
use crate::{Error, ErrorKind, Tools};

pub use self::buffer::{Buffer, BufferModel, BufferReport};

/// Maximum number of frames to inspect: ten hours at 60 frames per second.
const MOST_FRAMES: usize = 2_160_000;

/// One coded frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodedFrame {
    /// Decoding time.
    pub decoded: ExactTime,
    /// Presentation time.
    pub shown: ExactTime,
    /// Size in bits.
    pub bits: u64,
    /// Whether it starts a group of pictures.
    pub is_key: bool,
}

/// Lengths of groups of pictures, in frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups {
    /// Number of groups, at least 1.
    pub count: u64,
    /// Shortest group. The last group, which the end cuts short, counts only if it is the only one.
    pub shortest: u64,
    /// Longest group.
    pub longest: u64,
}

/// The result of an inspection.
#[derive(Clone, PartialEq, Debug)]
pub struct Inspection {
    /// The facts that verification would measure.
    pub facts: OutputFacts,
    /// The video's frames in coded order; empty without video.
    pub frames: Vec<CodedFrame>,
}

/// Inspects a file.
///
/// # Errors
/// Fails like [`crate::probe`]. Returns [`ErrorKind::Unsupported`] for more than ten hours at 60 frames per
/// second.
pub async fn inspect(tools: &Tools, file: &Path, cancel: &CancellationToken) -> Result<Inspection, Error> {
    let facts = output_facts(tools, file, cancel).await?;
    let header = header::read(tools, file, cancel).await?;
    let stream = header.streams.iter().find(|stream| stream.is_real_video());
    let Some((index, base)) = stream.and_then(|stream| Some((stream.index, stream.time_base()?))) else {
        return Ok(Inspection { facts, frames: Vec::new() });
    };
    let mut frames = Vec::new();
    let selected = index.to_string();
    let entries = "packet=pts,dts,size,flags";
    let options = ["-select_streams", &selected, "-of", "csv=p=0", "-show_entries", entries];
    let ended = reader::run(tools, file, &options, cancel, |line| {
        if frames.len() <= MOST_FRAMES {
            frames.extend(frame(line, base));
        }
    });
    ended.await?.check(file)?;
    if frames.len() > MOST_FRAMES {
        let what = format!("`{}` has more than {MOST_FRAMES} frames", file.display());
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    Ok(Inspection { facts, frames })
}

/// Parses a line like `997200,990000,23670,K_`, with or without further columns. A missing number is `N/A`.
fn frame(line: &str, base: Rational) -> Option<CodedFrame> {
    let mut columns = line.split(',');
    let (pts, dts) = (columns.next()?.parse::<i64>(), columns.next()?.parse::<i64>());
    let (size, flags) = (columns.next()?, columns.next()?);
    let (shown, decoded) = match (pts, dts) {
        (Ok(pts), Ok(dts)) => (pts, dts),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => (one, one),
        _ => return None,
    };
    Some(CodedFrame {
        decoded: ExactTime::from_ticks(decoded, base),
        shown: ExactTime::from_ticks(shown, base),
        bits: size.parse::<u64>().ok()?.saturating_mul(8),
        is_key: flags.starts_with('K'),
    })
}

impl Inspection {
    /// Returns the lengths of the groups of pictures, or `None` without video.
    pub fn groups(&self) -> Option<Groups> {
        let starts: Vec<usize> = self
            .frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.is_key)
            .map(|(index, _)| index)
            .collect();
        let first = *starts.first()?;
        let mut lengths: Vec<u64> =
            starts.windows(2).filter_map(|pair| u64::try_from(pair[1] - pair[0]).ok()).collect();
        let last = u64::try_from(self.frames.len() - starts.last().copied().unwrap_or(first)).unwrap_or(0);
        let longest = lengths.iter().copied().max().unwrap_or(0).max(last);
        if lengths.is_empty() {
            lengths.push(last);
        }
        let shortest = lengths.iter().copied().min().unwrap_or(last);
        Some(Groups { count: u64::try_from(starts.len()).unwrap_or(u64::MAX), shortest, longest })
    }

    /// Returns the bits of the frames shown in each second of the video, from its start.
    pub fn bits_by_second(&self) -> Vec<u64> {
        let Some(start) = self.frames.iter().map(|frame| frame.shown).min() else { return Vec::new() };
        let mut seconds = Vec::new();
        for frame in &self.frames {
            let second = usize::try_from((frame.shown - start).seconds().floor()).unwrap_or(0);
            if seconds.len() <= second {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += frame.bits;
        }
        seconds
    }

    /// Returns how much later the first audio track starts than the video; negative if it starts earlier.
    /// Returns `None` if either is missing.
    pub fn sound_offset(&self) -> Option<ExactTime> {
        Some(self.facts.audio.first()?.start - self.facts.video.as_ref()?.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(keys: &[usize], count: usize) -> Inspection {
        let frame = |index: usize| CodedFrame {
            decoded: ExactTime::from_millis(i64::try_from(index).unwrap() * 40),
            shown: ExactTime::from_millis(i64::try_from(index).unwrap() * 40 + 80),
            bits: 1000,
            is_key: keys.contains(&index),
        };
        let facts = OutputFacts { size_bytes: 1, fast_start: true, video: None, audio: vec![] };
        Inspection { facts, frames: (0..count).map(frame).collect() }
    }

    #[test]
    fn packet_lines_are_parsed() {
        let base = Rational::new(1, 12_800);
        let read = frame("1024,512,100,K_,", base).unwrap();
        assert_eq!((read.shown.millis(), read.decoded.millis(), read.bits, read.is_key), (80, 40, 800, true));
        assert_eq!(frame("N/A,512,100,__", base).unwrap().shown.millis(), 40);
        assert_eq!(frame("N/A,N/A,100,__", base), None);
        assert_eq!(frame("", base), None);
    }

    #[test]
    fn last_group_is_shortest_only_if_alone() {
        let groups = frames(&[0, 50, 100], 110).groups().unwrap();
        assert_eq!((groups.count, groups.shortest, groups.longest), (3, 50, 50));
        let one = frames(&[0], 10).groups().unwrap();
        assert_eq!((one.count, one.shortest, one.longest), (1, 10, 10));
        assert_eq!(frames(&[], 10).groups(), None);
    }

    #[test]
    fn bits_count_in_the_second_shown() {
        assert_eq!(frames(&[0], 60).bits_by_second(), [25_000, 25_000, 10_000]);
        assert_eq!(frames(&[0], 0).bits_by_second(), Vec::<u64>::new());
    }
}
