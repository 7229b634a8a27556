//! Removes the rotation from the track headers of a finished MP4 whose video is already upright.
//!
//! ffmpeg copies the source's display matrix to an encoded stream when it does not rotate the video itself
//! (seen with 5.1.9), and the option against this differs between versions. The matrix has a fixed place in
//! `tkhd` (ISO/IEC 14496-12, 8.3.2), so it is overwritten there. No other byte changes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

/// The identity matrix: 16.16 numbers, the last one 2.30.
const UPRIGHT: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

const MATRIX_BYTES: u64 = 36;

/// Marks every track of `file` as upright.
///
/// # Errors
/// Fails if the file cannot be read or written, or is not an MP4 with track headers.
pub fn mark_upright(file: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(file)?;
    let length = file.metadata()?.len();
    let mut headers = Vec::new();
    find_headers(&mut file, 0..length, &[b"moov", b"trak"], &mut headers)?;
    if headers.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has no track header"));
    }
    let matrix: Vec<u8> = UPRIGHT.iter().flat_map(|number| number.to_be_bytes()).collect();
    let mut places = Vec::with_capacity(headers.len());
    for header in headers {
        file.seek(SeekFrom::Start(header.start))?;
        let mut version = [0];
        file.read_exact(&mut version)?;
        // Skips version and flags, times, ID and duration (longer in version 1), two reserved words, layer,
        // group and volume.
        let place = header.start + if version[0] == 1 { 52 } else { 40 };
        if place + MATRIX_BYTES > header.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a track header is too short"));
        }
        places.push(place);
    }
    for place in places {
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&matrix)?;
    }
    file.sync_data()
}

/// Collects the payloads of all `tkhd` boxes of a part of the file, in boxes of these types, one in the other: the bytes
/// of each. A file may nest boxes without end, but these are looked for only where they belong.
fn find_headers(
    file: &mut File,
    part: Range<u64>,
    parents: &[&[u8; 4]],
    headers: &mut Vec<Range<u64>>,
) -> io::Result<()> {
    let Range { start: mut at, end } = part;
    while end.saturating_sub(at) >= 8 {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let [a, b, c, d, kind @ ..] = header;
        let (mut size, mut payload) = (u64::from(u32::from_be_bytes([a, b, c, d])), at + 8);
        if size == 1 {
            let mut long = [0; 8];
            file.read_exact(&mut long)?;
            (size, payload) = (u64::from_be_bytes(long), at + 16);
        } else if size == 0 {
            size = end - at;
        }
        // Sizes have 64 bits, so their end may lie beyond the last number.
        let next = at.checked_add(size).filter(|next| *next >= payload && *next <= end);
        let next = next.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a box is longer than its parent box or the file")
        })?;
        match parents.split_first() {
            Some((parent, inner)) if kind == **parent => {
                find_headers(file, payload..next, inner, headers)?;
            }
            None if &kind == b"tkhd" => headers.push(payload..next),
            _ => {}
        }
        at = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, payload].concat()
    }

    fn turned(version: u8) -> Vec<u8> {
        let mut header = vec![0xee; if version == 1 { 96 } else { 84 }];
        header[0] = version;
        boxed(b"trak", &boxed(b"tkhd", &header))
    }

    #[test]
    fn only_the_matrices_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let moov = boxed(b"moov", &[turned(0), turned(1)].concat());
        let before = [boxed(b"ftyp", b"isom"), boxed(b"mdat", b"tkhd in the data"), moov].concat();
        std::fs::write(&path, &before).unwrap();
        mark_upright(&path).unwrap();
        let after = std::fs::read(&path).unwrap();
        let changed: Vec<usize> = (0..before.len()).filter(|&index| before[index] != after[index]).collect();
        assert_eq!((before.len(), changed.len()), (after.len(), 2 * 36));
        let matrix: Vec<u8> = UPRIGHT.iter().flat_map(|number| number.to_be_bytes()).collect();
        for first in [changed[0], changed[36]] {
            assert_eq!(after[first..first + 36], matrix);
        }
        // ftyp 8 + 4, mdat 24, then the headers of moov, trak and tkhd, 8 each, then 40 bytes into the
        // payload.
        assert_eq!(changed[0], 12 + 24 + 24 + 40);
    }

    #[test]
    fn file_without_track_headers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        for bytes in [boxed(b"ftyp", b"isom"), boxed(b"moov", &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])] {
            std::fs::write(&path, bytes).unwrap();
            assert!(mark_upright(&path).is_err());
        }
    }

    #[test]
    fn absurd_sizes_and_nesting_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        for size in [0, 15, 16, 1 << 32, u64::MAX - 36, u64::MAX - 7, u64::MAX] {
            let long = [&1_u32.to_be_bytes()[..], b"free", &size.to_be_bytes()].concat();
            let inner = boxed(b"moov", &boxed(b"trak", &long));
            for bytes in [long.clone(), [boxed(b"ftyp", b"isom"), long].concat(), inner] {
                std::fs::write(&path, bytes).unwrap();
                mark_upright(&path).unwrap_err();
            }
        }
        let mut nested = Vec::new();
        for _ in 0..100_000 {
            nested.extend_from_slice(&0_u32.to_be_bytes());
            nested.extend_from_slice(b"moov");
        }
        std::fs::write(&path, nested).unwrap();
        mark_upright(&path).unwrap_err();
    }

    #[test]
    fn short_track_header_is_refused_and_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let track = |bytes: usize| boxed(b"moov", &boxed(b"trak", &boxed(b"tkhd", &vec![0; bytes])));
        for before in
            [track(0), track(20), track(75), [track(76), track(20), boxed(b"mdat", &[7; 100])].concat()]
        {
            std::fs::write(&path, &before).unwrap();
            assert!(mark_upright(&path).is_err());
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        std::fs::write(&path, track(76)).unwrap();
        assert!(mark_upright(&path).is_ok());
    }
}
