//! Stitches separately encoded chunks into one plain MP4 file. Returns the head of the file and the byte ranges
//! of the chunk files that follow it; the caller copies the media data. Chunks that do not match are refused.

use std::ops::Range;

use crate::boxes::{boxed, boxes, full_boxed};
use crate::movie::{edits, media, movie_header, numbers, track_header};
use crate::{Error, Mp4Track, Sample};

/// Size of version, flags and count at the start of a list of sample descriptions.
const LIST_HEAD: usize = 8;
/// Size of the fields of a visual sample entry, before its child boxes (section 12.1.3).
const VISUAL_FIELDS: usize = 78;
/// Size of a box header with a 64-bit size.
const LARGE_HEAD: u64 = 16;
/// The language code `und` (ISO 639-2, undetermined), packed.
const UNDETERMINED: [u8; 2] = [0x55, 0xc4];

/// A track stitched from chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StitchedTrack {
    /// All bytes before the first sample.
    pub head: Vec<u8>,
    /// Byte ranges of each chunk's file, in the order in which they follow the head.
    pub media: Vec<Vec<Range<u64>>>,
}

/// Stitches chunks into one track. `frames` holds the number of frames that each chunk must have. All samples
/// must have the same duration.
///
/// # Errors
/// Returns [`Error::Chunk`] if a chunk differs from the first in timescale, parameter sets or times, does not
/// have the planned number of frames, or does not begin with a sync sample. Returns [`Error::Track`] if there
/// are no chunks.
pub fn stitch(chunks: &[Mp4Track], frames: &[u64]) -> Result<StitchedTrack, Error> {
    let first = chunks.first().ok_or(Error::Track { why: "it has no chunks" })?;
    let frame_ticks = first.samples.first().map_or(0, |sample| sample.duration);
    for (number, chunk) in chunks.iter().enumerate() {
        let misfit = misfit(chunk, frames.get(number).copied(), first, frame_ticks);
        if let Some(why) = misfit {
            return Err(Error::Chunk { number, why });
        }
    }
    let media: Vec<Vec<Range<u64>>> = chunks.iter().map(|chunk| places(&chunk.samples)).collect();
    let movie = Movie { chunks, media: &media, frame_ticks };
    Ok(StitchedTrack { head: movie.head(), media })
}

fn misfit(chunk: &Mp4Track, frames: Option<u64>, first: &Mp4Track, frame_ticks: u32) -> Option<&'static str> {
    let earliest = earliest(&chunk.samples);
    if frames != Some(chunk.samples.len() as u64) {
        Some("it does not have the planned number of frames")
    } else if chunk.timescale != first.timescale {
        Some("its timescale differs")
    } else if description(chunk) != description(first) {
        Some("its parameter sets differ")
    } else if chunk.samples.iter().any(|sample| sample.duration != frame_ticks) {
        Some("its frame durations differ")
    } else if chunk.presentation_start != first.presentation_start || earliest != chunk.presentation_start {
        Some("its first presentation time differs")
    } else if !chunk.samples.first().is_some_and(|sample| sample.is_sync) {
        Some("it does not begin with a key frame")
    } else {
        None
    }
}

/// Returns the sample descriptions without the bit rate that a muxer measured (`btrt`, section 8.5.2).
fn description(track: &Mp4Track) -> Vec<u8> {
    let all = &track.boxes.sample_descriptions;
    let Some((kind, entry)) = all.get(LIST_HEAD..).and_then(|entries| boxes(entries).next()) else {
        return all.clone();
    };
    let Some((fields, inner)) = entry.split_at_checked(VISUAL_FIELDS) else { return all.clone() };
    let kept: Vec<Vec<u8>> = boxes(inner)
        .filter(|(kind, _)| *kind != b"btrt")
        .map(|(kind, payload)| boxed(kind, &[payload]))
        .collect();
    [&all[..LIST_HEAD], &boxed(kind, &[fields, &kept.concat()])].concat()
}

/// Returns the earliest presentation time of a sample, in ticks.
fn earliest(samples: &[Sample]) -> i64 {
    let shown = samples.iter().scan(0_i64, |decoded, sample| {
        let shown = *decoded + sample.composition;
        *decoded += i64::from(sample.duration);
        Some(shown)
    });
    shown.min().unwrap_or(0)
}

/// Returns the byte ranges of the samples, with adjacent ones merged.
fn places(samples: &[Sample]) -> Vec<Range<u64>> {
    let mut places: Vec<Range<u64>> = Vec::new();
    for sample in samples {
        let end = sample.offset_bytes + u64::from(sample.size_bytes);
        match places.last_mut() {
            Some(last) if last.end == sample.offset_bytes => last.end = end,
            _ => places.push(sample.offset_bytes..end),
        }
    }
    places
}

struct Movie<'a> {
    chunks: &'a [Mp4Track],
    media: &'a [Vec<Range<u64>>],
    frame_ticks: u32,
}

impl Movie<'_> {
    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.chunks.iter().flat_map(|chunk| &chunk.samples)
    }

    fn head(&self) -> Vec<u8> {
        let file_type = boxed(b"ftyp", &[b"isom", &[0, 0, 2, 0], b"isom", b"iso2", b"mp41"]);
        let sizes: Vec<u64> = self
            .media
            .iter()
            .map(|ranges| ranges.iter().map(|range| range.end - range.start).sum())
            .collect();
        // Offsets have a fixed width, so placeholder zeros give the final length.
        let before = (file_type.len() + self.movie(&vec![0; sizes.len()]).len()) as u64 + LARGE_HEAD;
        let starts = sizes.iter().scan(before, |at, size| {
            let start = *at;
            *at += size;
            Some(start)
        });
        let mut head = file_type;
        head.extend(self.movie(&starts.collect::<Vec<_>>()));
        head.extend(numbers(&[1]));
        head.extend(b"mdat");
        head.extend((sizes.iter().sum::<u64>() + LARGE_HEAD).to_be_bytes());
        head
    }

    /// Builds `moov`; `starts` holds the file offset of each chunk's media.
    fn movie(&self, starts: &[u64]) -> Vec<u8> {
        let Some(first) = self.chunks.first() else { return Vec::new() };
        let ticks = self.samples().count() as u64 * u64::from(self.frame_ticks);
        let media = media(&first.boxes, first.timescale, ticks, UNDETERMINED, &self.table(first, starts));
        let edits = edits(first.presentation_start, ticks);
        let track = boxed(b"trak", &[&track_header(&first.boxes, ticks), &edits, &media]);
        boxed(b"moov", &[&movie_header(first.timescale, ticks), &track])
    }

    /// Builds `stbl`. Each of abanico's chunks becomes one MP4 chunk.
    fn table(&self, first: &Mp4Track, starts: &[u64]) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let listed = |kind: &[u8; 4], version: u8, entries: usize, list: &[u32]| {
            full_boxed(kind, version, 0, &[&numbers(&[count(entries)]), &numbers(list)])
        };
        let all: Vec<&Sample> = self.samples().collect();
        let compositions = runs(all.iter().map(|sample| i32::try_from(sample.composition).unwrap_or(0)));
        let is_signed = all.iter().any(|sample| sample.composition < 0);
        let pairs: Vec<u32> =
            compositions.iter().flat_map(|(length, value)| [*length, value.cast_unsigned()]).collect();
        let syncs: Vec<u32> =
            (1..).zip(&all).filter(|(_, sample)| sample.is_sync).map(|(number, _)| number).collect();
        let lengths: Vec<u32> = (1..)
            .zip(self.chunks)
            .flat_map(|(number, chunk)| [number, count(chunk.samples.len()), 1])
            .collect();
        let sizes: Vec<u32> = all.iter().map(|sample| sample.size_bytes).collect();
        let places: Vec<u8> = starts.iter().flat_map(|start| start.to_be_bytes()).collect();
        boxed(
            b"stbl",
            &[
                &boxed(b"stsd", &[&description(first)]),
                &listed(b"stts", 0, 1, &[count(all.len()), self.frame_ticks]),
                &listed(b"ctts", u8::from(is_signed), compositions.len(), &pairs),
                &listed(b"stss", 0, syncs.len(), &syncs),
                &listed(b"stsc", 0, self.chunks.len(), &lengths),
                &full_boxed(b"stsz", 0, 0, &[&numbers(&[0, count(all.len())]), &numbers(&sizes)]),
                &full_boxed(b"co64", 0, 0, &[&numbers(&[count(starts.len())]), &places]),
            ],
        )
    }
}

/// Run-length encodes values as (count, value).
fn runs(values: impl Iterator<Item = i32>) -> Vec<(u32, i32)> {
    let mut runs: Vec<(u32, i32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((length, last)) if *last == value => *length += 1,
            _ => runs.push((1, value)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::find;
    use crate::mp4_track::tests::{FILE_BYTES, FROM_200, moov};

    fn track() -> Mp4Track {
        Mp4Track::read(&moov(FROM_200), FILE_BYTES).unwrap()
    }

    #[test]
    fn stitched_track_has_every_sample() {
        let stitched = stitch(&[track(), track()], &[5, 5]).unwrap();
        assert_eq!(stitched.media[1], [1000..1060, 2000..2080, 3000..3030]);
        let read = Mp4Track::read(find(&stitched.head, &[b"moov"]).unwrap(), FILE_BYTES).unwrap();
        assert_eq!((read.timescale, read.presentation_start, read.samples.len()), (1000, 200, 10));
        let first = stitched.head.len() as u64;
        let places: Vec<u64> = read.samples.iter().map(|sample| sample.offset_bytes - first).collect();
        assert_eq!(places, [0, 50, 60, 80, 140, 170, 220, 230, 250, 310]);
        let same = |one: &Sample, other: &Sample| {
            (one.size_bytes, one.duration, one.composition, one.is_sync)
                == (other.size_bytes, other.duration, other.composition, other.is_sync)
        };
        let twice = [track().samples, track().samples].concat();
        assert!(read.samples.iter().zip(&twice).all(|(one, other)| same(one, other)));
    }

    #[test]
    fn measured_bit_rate_is_ignored() {
        let mut other = track();
        let entry = boxed(b"avc1", &[&[7; VISUAL_FIELDS], &boxed(b"btrt", &[&[1; 12]])]);
        other.boxes.sample_descriptions = [&numbers(&[0, 1]) as &[u8], &entry].concat();
        let stitched = stitch(&[other, track()], &[5, 5]).unwrap();
        assert!(!stitched.head.windows(4).any(|four| four == b"btrt"));
    }

    #[test]
    fn mismatched_chunk_is_refused_by_number() {
        let refused = |change: fn(&mut Mp4Track), frames: u64| {
            let mut other = track();
            change(&mut other);
            stitch(&[track(), other], &[5, frames]).unwrap_err().to_string()
        };
        assert_eq!(refused(|_| {}, 6), "chunk 1 does not fit: it does not have the planned number of frames");
        type Change = fn(&mut Mp4Track);
        let cases: [(Change, &str); 5] = [
            (|one| one.timescale = 999, "its timescale differs"),
            (|one| one.boxes.sample_descriptions[20] ^= 1, "its parameter sets differ"),
            (|one| one.samples[2].duration = 99, "its frame durations differ"),
            (|one| one.samples[0].composition = 100, "its first presentation time differs"),
            (|one| one.samples[0].is_sync = false, "it does not begin with a key frame"),
        ];
        for (change, why) in cases {
            assert_eq!(refused(change, 5), format!("chunk 1 does not fit: {why}"));
        }
        assert!(stitch(&[], &[]).is_err());
    }
}
