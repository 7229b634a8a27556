//! Builds the boxes of a single-track movie that fragmented and plain files share (ISO/IEC 14496-12 section 8).
//! Copies the values of the track's own boxes, but always writes an upright matrix.

use std::ops::Range;

use crate::boxes::{boxed, full_boxed};
use crate::mp4_track::DescribingBoxes;

/// Number of the only track.
pub(crate) const TRACK_ID: u32 = 1;
/// The unity matrix: no rotation (section 6.2.2).
pub(crate) const UPRIGHT: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Encodes numbers in big-endian order.
pub(crate) fn numbers(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Builds `mvhd`: rate 1, volume 1, no rotation. A duration of zero means that the duration comes from the
/// fragments (section 8.2.2).
pub(crate) fn movie_header(timescale: u32, ticks: u64) -> Vec<u8> {
    let times = [&[0; 16], &timescale.to_be_bytes() as &[u8], &ticks.to_be_bytes()].concat();
    let rest = numbers(&[0x1_0000, 0x0100_0000, 0, 0]);
    full_boxed(b"mvhd", 1, 0, &[&times, &rest, &numbers(&UPRIGHT), &[0; 24], &numbers(&[TRACK_ID + 1])])
}

/// Builds `tkhd`: enabled, in the movie, no rotation; layer, group, volume and size are copied.
pub(crate) fn track_header(described: &DescribingBoxes, ticks: u64) -> Vec<u8> {
    let old = &described.track_header;
    let tail = old.len().saturating_sub(60);
    let part =
        |range: Range<usize>| old.get(tail + range.start..tail + range.end).unwrap_or(&[0; 8][..range.len()]);
    let times = [&[0; 16], &numbers(&[TRACK_ID, 0]) as &[u8], &ticks.to_be_bytes()].concat();
    full_boxed(b"tkhd", 1, 3, &[&times, part(0..8), part(8..16), &numbers(&UPRIGHT), part(52..60)])
}

/// Builds `edts` with one edit: `ticks` of the movie, starting at tick `start` of the media. Empty if `start`
/// is 0.
pub(crate) fn edits(start: i64, ticks: u64) -> Vec<u8> {
    if start == 0 {
        return Vec::new();
    }
    let edit =
        [&numbers(&[1]), &ticks.to_be_bytes() as &[u8], &start.to_be_bytes(), &numbers(&[0x1_0000])].concat();
    boxed(b"edts", &[&full_boxed(b"elst", 1, 0, &[&edit])])
}

/// Builds `mdia` with this sample table; `language` is packed.
pub(crate) fn media(
    described: &DescribingBoxes,
    timescale: u32,
    ticks: u64,
    language: [u8; 2],
    table: &[u8],
) -> Vec<u8> {
    let (kind, header) = &described.kind_header;
    let information =
        boxed(b"minf", &[&boxed(kind, &[header]), &boxed(b"dinf", &[&described.data_information]), table]);
    let times = [&[0; 16], &timescale.to_be_bytes() as &[u8], &ticks.to_be_bytes()].concat();
    let media_header = full_boxed(b"mdhd", 1, 0, &[&times, &language, &[0; 2]]);
    boxed(b"mdia", &[&media_header, &boxed(b"hdlr", &[&described.handler]), &information])
}
