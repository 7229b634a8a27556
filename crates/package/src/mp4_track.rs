//! Reads a track of a plain MP4 file from its `moov` box: the position, decode time and presentation time of
//! each sample, and the boxes that describe the track. Does not read the samples themselves.

use crate::Error;
use crate::boxes::{Numbers, boxes, find};

/// Maximum number of samples in a track: about ten times as many as in a day of video at 120 frames per
/// second.
const MOST_SAMPLES: usize = 100_000_000;

/// One access unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Position of the first byte in the file.
    pub offset_bytes: u64,
    /// Size in bytes.
    pub size_bytes: u32,
    /// Ticks from its decode time to that of the next sample.
    pub duration: u32,
    /// Ticks from its decode time to its presentation time.
    pub composition: i64,
    /// Whether decoding can begin with it.
    pub is_sync: bool,
}

/// The only track of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mp4Track {
    /// Ticks per second.
    pub timescale: u32,
    /// Samples in decoding order, at least one.
    pub samples: Vec<Sample>,
    /// The tick that is shown first. The encoder's priming samples and reordered frames lie before it.
    pub presentation_start: i64,
    pub(crate) boxes: DescribingBoxes,
}

/// Payloads of the boxes that describe a track, copied from the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DescribingBoxes {
    pub track_header: Vec<u8>,
    pub media_header: Vec<u8>,
    pub handler: Vec<u8>,
    pub data_information: Vec<u8>,
    pub sample_descriptions: Vec<u8>,
    /// Type and payload of `vmhd` or `smhd`.
    pub kind_header: ([u8; 4], Vec<u8>),
}

impl Mp4Track {
    /// Reads the first track of `moov`, the payload of the movie box of a file of `size_bytes`. A few bytes can claim any
    /// number of samples of one size; no more are believed than the file has room for.
    ///
    /// # Errors
    /// Returns [`Error::TrackBox`] if a box is missing. Returns [`Error::Track`] if there are no samples, if
    /// boxes contradict each other, or if the edit list has more than one edit or an empty one.
    pub fn read(moov: &[u8], size_bytes: u64) -> Result<Self, Error> {
        let track = find(moov, &[b"trak"]).ok_or(missing("trak"))?;
        let media = find(track, &[b"mdia"]).ok_or(missing("mdia"))?;
        let information = find(media, &[b"minf"]).ok_or(missing("minf"))?;
        let table = find(information, &[b"stbl"]).ok_or(missing("stbl"))?;
        let copy = |inside: &[u8], kind: &'static [u8; 4], name| {
            find(inside, &[kind]).map(<[u8]>::to_vec).ok_or(missing(name))
        };
        let media_header = copy(media, b"mdhd", "mdhd")?;
        let kinds = boxes(information).find(|(kind, _)| [b"vmhd", b"smhd"].contains(kind));
        let (kind, header) = kinds.ok_or(missing("vmhd or smhd"))?;
        let track = Self {
            timescale: timescale(&media_header).ok_or(missing("timescale"))?,
            samples: samples(table, size_bytes)?,
            presentation_start: presentation_start(track)?,
            boxes: DescribingBoxes {
                track_header: copy(track, b"tkhd", "tkhd")?,
                handler: copy(media, b"hdlr", "hdlr")?,
                data_information: copy(information, b"dinf", "dinf")?,
                sample_descriptions: copy(table, b"stsd", "stsd")?,
                kind_header: (*kind, header.to_vec()),
                media_header,
            },
        };
        if track.samples.is_empty() { Err(Error::Track { why: "it has no samples" }) } else { Ok(track) }
    }

    /// Whether this is a video track.
    pub fn is_video(&self) -> bool {
        self.boxes.kind_header.0 == *b"vmhd"
    }
}

pub(crate) fn missing(name: &'static str) -> Error {
    Error::TrackBox { name }
}

pub(crate) fn timescale(media_header: &[u8]) -> Option<u32> {
    let mut numbers = Numbers(media_header);
    let version = numbers.version()?;
    numbers.sized(version)?;
    numbers.sized(version)?;
    numbers.u32().filter(|ticks| *ticks > 0)
}

/// Returns the media time of the only edit (ISO/IEC 14496-12 section 8.6.6); 0 without an edit list.
fn presentation_start(track: &[u8]) -> Result<i64, Error> {
    let Some(list) = find(track, &[b"edts", b"elst"]) else { return Ok(0) };
    let mut numbers = Numbers(list);
    let mut read = || {
        let version = numbers.version()?;
        let count = numbers.u32()?;
        numbers.sized(version)?;
        let time = numbers.sized(version)?;
        // A negative time means an empty edit, which shows nothing for a while.
        let time =
            if version == 1 { i64::try_from(time).ok() } else { i32::try_from(time).ok().map(i64::from) };
        Some((count, time))
    };
    match read() {
        Some((0, _)) | None => Err(Error::Track { why: "its edit list is truncated" }),
        Some((1, Some(time))) => Ok(time),
        Some(_) => Err(Error::Track { why: "its edit list does more than set a start" }),
    }
}

/// Reads the sample table into one entry per sample.
pub(crate) fn samples(table: &[u8], size_bytes: u64) -> Result<Vec<Sample>, Error> {
    let list = find(table, &[b"stsz"]).ok_or(missing("stsz"))?;
    let sizes = sizes(list, size_bytes).ok_or(missing("stsz"))?;
    let offsets = offsets(table, &sizes)?;
    let durations = runs(find(table, &[b"stts"]).ok_or(missing("stts"))?, sizes.len());
    let compositions = find(table, &[b"ctts"]).map(|list| runs(list, sizes.len()));
    let syncs = find(table, &[b"stss"]).map(sync_numbers);
    if durations.len() < sizes.len() || compositions.as_ref().is_some_and(|list| list.len() < sizes.len()) {
        return Err(Error::Track { why: "its samples have no times" });
    }
    let sample = |(index, (size, offset)): (usize, (&u32, u64))| Sample {
        offset_bytes: offset,
        size_bytes: *size,
        duration: durations[index],
        // In version 0 no value needs more than 31 bits; in version 1 values are signed.
        composition: compositions.as_ref().map_or(0, |list| i64::from(list[index].cast_signed())),
        is_sync: syncs.as_ref().is_none_or(|numbers| numbers.binary_search(&(index + 1)).is_ok()),
    };
    Ok(sizes.iter().zip(offsets).enumerate().map(sample).collect())
}

/// Returns the size of each sample; `None` if the list is cut off, or claims more than a file of `size_bytes` can have.
fn sizes(list: &[u8], size_bytes: u64) -> Option<Vec<u32>> {
    let mut numbers = Numbers(list);
    numbers.version()?;
    let (common, count) = (numbers.u32()?, numbers.u32()? as usize);
    if common > 0 {
        let claimed = (count as u64).saturating_mul(common.into());
        return (count <= MOST_SAMPLES && claimed <= size_bytes).then(|| vec![common; count]);
    }
    (0..count).map(|_| numbers.u32()).collect()
}

/// Expands run-length pairs (count, value) to at most `most` values.
fn runs(list: &[u8], most: usize) -> Vec<u32> {
    let mut numbers = Numbers(list.get(8..).unwrap_or_default());
    let mut values = Vec::with_capacity(most);
    while let Some((count, value)) = numbers.u32().zip(numbers.u32()) {
        let room = most - values.len();
        values.extend(std::iter::repeat_n(value, room.min(count as usize)));
    }
    values
}

fn sync_numbers(list: &[u8]) -> Vec<usize> {
    let mut numbers = Numbers(list.get(8..).unwrap_or_default());
    std::iter::from_fn(|| numbers.u32()).map(|number| number as usize).collect()
}

/// Returns the position of each sample in the file. Samples are stored back to back in chunks (sections 8.7.4
/// and 8.7.5).
fn offsets(table: &[u8], sizes: &[u32]) -> Result<Vec<u64>, Error> {
    let chunks = chunk_offsets(table).ok_or(missing("stco or co64"))?;
    let list = find(table, &[b"stsc"]).ok_or(missing("stsc"))?;
    let mut numbers = Numbers(list.get(8..).unwrap_or_default());
    let mut entries = Vec::new();
    while let (Some(first), Some(samples), Some(_)) = (numbers.u32(), numbers.u32(), numbers.u32()) {
        entries.push((first as usize, samples as usize));
    }
    // Positions have 64 bits, so a sample may end beyond the last number.
    let odd = || Error::Track { why: "its samples have no positions" };
    let mut offsets = Vec::with_capacity(sizes.len());
    for (index, (first, samples)) in entries.iter().enumerate() {
        let end = entries.get(index + 1).map_or(chunks.len() + 1, |(next, _)| *next);
        for chunk in chunks.get(first.saturating_sub(1)..end.saturating_sub(1)).unwrap_or_default() {
            let mut at = *chunk;
            for _ in 0..*samples {
                let Some(size) = sizes.get(offsets.len()) else { break };
                offsets.push(at);
                at = at.checked_add(u64::from(*size)).ok_or_else(odd)?;
            }
        }
    }
    if offsets.len() == sizes.len() { Ok(offsets) } else { Err(odd()) }
}

/// Returns the position of each chunk in the file.
pub(crate) fn chunk_offsets(table: &[u8]) -> Option<Vec<u64>> {
    let (list, version) =
        find(table, &[b"stco"]).map(|list| (list, 0)).or(find(table, &[b"co64"]).map(|list| (list, 1)))?;
    let mut numbers = Numbers(list.get(8..)?);
    Some(std::iter::from_fn(|| numbers.sized(version)).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::boxes::{boxed, full_boxed};

    /// Size of a file that has room for the samples of the tests.
    pub(crate) const FILE_BYTES: u64 = 1 << 20;

    fn numbers(list: &[u32]) -> Vec<u8> {
        list.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// The `trak` box of one video track, 1000 ticks per second: 5 frames of 100 ticks in chunks of 2 frames.
    /// The first and fourth frames are key frames. Frames are shown two frames after they are decoded, and one
    /// is reordered.
    pub(crate) fn moov(edits: &[u32]) -> Vec<u8> {
        let sizes = full_boxed(b"stsz", 0, 0, &[&numbers(&[0, 5, 50, 10, 20, 60, 30])]);
        let table = boxed(
            b"stbl",
            &[
                &full_boxed(b"stsd", 0, 0, &[&numbers(&[1]), &boxed(b"avc1", &[&[7; 78]])]),
                &full_boxed(b"stts", 0, 0, &[&numbers(&[1, 5, 100])]),
                &full_boxed(b"ctts", 0, 0, &[&numbers(&[3, 1, 200, 1, 300, 3, 200])]),
                &full_boxed(b"stss", 0, 0, &[&numbers(&[2, 1, 4])]),
                &full_boxed(b"stsc", 0, 0, &[&numbers(&[2, 1, 2, 1, 3, 1, 1])]),
                &sizes,
                &full_boxed(b"stco", 0, 0, &[&numbers(&[3, 1000, 2000, 3000])]),
            ],
        );
        let information =
            boxed(b"minf", &[&full_boxed(b"vmhd", 0, 1, &[&[0; 8]]), &boxed(b"dinf", &[&[9; 4]]), &table]);
        let media = boxed(
            b"mdia",
            &[
                &full_boxed(b"mdhd", 0, 0, &[&numbers(&[0, 0, 1000, 500, 0x55c4_0000])]),
                &full_boxed(b"hdlr", 0, 0, &[&[0; 4], b"vide", &[0; 13]]),
                &information,
            ],
        );
        let header =
            full_boxed(b"tkhd", 0, 3, &[&[0; 20], &[0; 16], &[5; 36], &numbers(&[640 << 16, 360 << 16])]);
        let list = full_boxed(b"elst", 0, 0, &[&numbers(edits)]);
        let edits = if edits.is_empty() { Vec::new() } else { boxed(b"edts", &[&list]) };
        boxed(b"trak", &[&header, &edits, &media])
    }

    /// One edit, which begins at tick 200.
    pub(crate) const FROM_200: &[u32] = &[1, 500, 200, 0x1_0000];

    #[test]
    fn reads_every_sample_with_its_times() {
        let track = Mp4Track::read(&moov(FROM_200), FILE_BYTES).unwrap();
        assert_eq!((track.timescale, track.presentation_start, track.is_video()), (1000, 200, true));
        let of = |read: fn(&Sample) -> u64| track.samples.iter().map(read).collect::<Vec<_>>();
        assert_eq!(of(|sample| sample.offset_bytes), [1000, 1050, 2000, 2020, 3000]);
        assert_eq!(of(|sample| sample.size_bytes.into()), [50, 10, 20, 60, 30]);
        assert_eq!(of(|sample| sample.duration.into()), [100; 5]);
        assert_eq!(of(|sample| u64::try_from(sample.composition).unwrap()), [200, 300, 200, 200, 200]);
        assert_eq!(of(|sample| sample.is_sync.into()), [1, 0, 0, 1, 0]);
    }

    #[test]
    fn empty_or_multiple_edits_are_refused() {
        let told = |edits: &[u32]| Mp4Track::read(&moov(edits), FILE_BYTES).unwrap_err().to_string();
        assert_eq!(
            told(&[1, 500, u32::MAX, 0x1_0000]),
            "the track cannot be cut: its edit list does more than set a start"
        );
        assert_eq!(
            told(&[2, 500, 0, 0x1_0000]),
            "the track cannot be cut: its edit list does more than set a start"
        );
        assert_eq!(told(&[1]), "the track cannot be cut: its edit list is truncated");
    }

    #[test]
    fn error_names_the_missing_box() {
        assert_eq!(Mp4Track::read(&[], 0).unwrap_err(), Error::TrackBox { name: "trak" });
        let whole = moov(FROM_200);
        for length in 0..whole.len() {
            let mut cut = whole.clone();
            cut[length] ^= 0xff;
            let _ = Mp4Track::read(&cut, FILE_BYTES);
            let _ = Mp4Track::read(&whole[..length], FILE_BYTES);
        }
    }

    #[test]
    fn no_more_samples_are_believed_than_the_file_has_room_for() {
        let list = |common: u32, count: u32| {
            let list = full_boxed(b"stsz", 0, 0, &[&numbers(&[common, count])]);
            sizes(&list[8..], 1000).map(|sizes| sizes.len())
        };
        assert_eq!((list(10, 100), list(10, 101), list(1, 1000)), (Some(100), None, Some(1000)));
        assert_eq!((list(1, u32::MAX), list(u32::MAX, u32::MAX)), (None, None));
    }

    #[test]
    fn samples_beyond_the_last_position_are_refused() {
        let at = |position: u64| {
            let places = [&numbers(&[1])[..], &position.to_be_bytes()].concat();
            let stsc = full_boxed(b"stsc", 0, 0, &[&numbers(&[1, 1, 2, 1])]);
            offsets(&[full_boxed(b"co64", 0, 0, &[&places]), stsc].concat(), &[10, 10])
        };
        assert_eq!(at(u64::MAX - 20).unwrap(), [u64::MAX - 20, u64::MAX - 10]);
        assert!(at(u64::MAX - 19).is_err() && at(u64::MAX).is_err());
    }
}
