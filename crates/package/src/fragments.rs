//! Writes a track in fragments: the initialisation section, the header of each fragment and the index of a single-file
//! stream (ISO/IEC 14496-12 sections 8.8 and 8.16.3; ISO/IEC 23000-19). The caller writes the media data: each
//! fragment's samples follow its header.

use std::ops::Range;

use crate::boxes::{boxed, full_boxed};
use crate::movie::{TRACK_ID, edits, media, movie_header, numbers, track_header};
use crate::{Error, Mp4Track, Sample};

/// `sample_depends_on` is 2 and no other flag is set: decoding can begin here (section 8.8.3.1).
const SYNC_FLAGS: u32 = 0x0200_0000;
/// `sample_depends_on` is 1, and `sample_is_non_sync_sample` is set.
const NON_SYNC_FLAGS: u32 = 0x0101_0000;
/// The most segments that an index can list.
const MOST_REFERENCES: usize = 0xffff;

/// How composition offsets (the time from decoding to presentation) are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompositionOffsets {
    /// Never negative; an edit list names the tick that is shown first.
    Unsigned,
    /// Signed, so that the first frame is shown at tick 0 without an edit list.
    Signed,
}

/// The format that the files declare by their brands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentBrand {
    /// Common Media Application Format (ISO/IEC 23000-19).
    Cmaf,
    /// MPEG-DASH (ISO/IEC 23009-1).
    Dash,
}

/// A track to be written in fragments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FragmentedTrack {
    track: Mp4Track,
    brand: FragmentBrand,
    offsets: CompositionOffsets,
    language: [u8; 2],
    /// The decode time of each sample, followed by the end of the last one.
    decode_times: Vec<u64>,
}

/// One segment of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexedSegment {
    /// Size in bytes, including all its fragments.
    pub size_bytes: u64,
    /// Shown duration in ticks.
    pub duration: u64,
}

impl FragmentedTrack {
    /// Makes a fragmented track; `language` is an ISO 639-2 code, `und` if `None`. Audio always keeps unsigned
    /// offsets and its edit list, which hides the encoder's priming samples.
    pub fn new(
        track: Mp4Track,
        brand: FragmentBrand,
        offsets: CompositionOffsets,
        language: Option<&str>,
    ) -> Self {
        let offsets = if track.is_video() { offsets } else { CompositionOffsets::Unsigned };
        let mut decode_times = vec![0];
        decode_times.extend(track.samples.iter().scan(0, |at, sample| {
            *at += u64::from(sample.duration);
            Some(*at)
        }));
        Self { track, brand, offsets, language: packed_language(language.unwrap_or("und")), decode_times }
    }

    /// Returns the track.
    pub fn track(&self) -> &Mp4Track {
        &self.track
    }

    /// Returns the sample ranges of the fragments of each segment. `starts` holds the index of each segment's
    /// first sample in decoding order, ascending from 0. A fragment ends before the first sync sample that is
    /// at least `least_ticks` after the fragment's own first sample.
    ///
    /// # Errors
    /// Returns [`Error::Track`] if a segment does not begin with a sync sample or would be empty.
    pub fn cut(&self, starts: &[u64], least_ticks: u64) -> Result<Vec<Vec<Range<usize>>>, Error> {
        let samples = &self.track.samples;
        let mut bounds: Vec<usize> = starts.iter().filter_map(|start| usize::try_from(*start).ok()).collect();
        bounds.push(samples.len());
        if bounds.first() != Some(&0) || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::Track { why: "it has fewer samples than its segments need" });
        }
        if bounds[..bounds.len() - 1].iter().any(|start| !samples[*start].is_sync) {
            return Err(Error::Track { why: "a segment does not begin with a key frame" });
        }
        Ok(bounds.windows(2).map(|pair| self.fragments(pair[0]..pair[1], least_ticks)).collect())
    }

    fn fragments(&self, segment: Range<usize>, least_ticks: u64) -> Vec<Range<usize>> {
        let (mut made, mut first, mut ticks) = (Vec::new(), segment.start, 0);
        for index in segment.clone() {
            if index > first && ticks >= least_ticks && self.track.samples[index].is_sync {
                made.push(first..index);
                (first, ticks) = (index, 0);
            }
            ticks += u64::from(self.track.samples[index].duration);
        }
        made.push(first..segment.end);
        made
    }

    /// Returns the number of ticks for which these samples are shown. For audio, the priming samples that the edit list
    /// hides do not count.
    pub fn shown_ticks(&self, samples: Range<usize>) -> u64 {
        let hidden = u64::try_from(self.track.presentation_start).unwrap_or(0);
        let lead = if self.track.is_video() { 0 } else { hidden };
        let shown = |count: usize| self.decode_time(count).saturating_sub(lead);
        shown(samples.end) - shown(samples.start)
    }

    /// Returns the decode time of sample `index`, in ticks; for the index after the last, the duration of all
    /// samples.
    pub fn decode_time(&self, index: usize) -> u64 {
        self.decode_times.get(index).or(self.decode_times.last()).copied().unwrap_or(0)
    }

    /// Returns the initialisation section: the file type and movie boxes that a decoder needs before any
    /// fragment.
    pub fn initialisation(&self) -> Vec<u8> {
        let brands: [&[u8; 4]; 3] = match (self.brand, self.offsets) {
            (FragmentBrand::Cmaf, CompositionOffsets::Unsigned) => [b"iso6", b"cmfc", b"dash"],
            (FragmentBrand::Cmaf, CompositionOffsets::Signed) => [b"iso6", b"cmf2", b"cmfc"],
            (FragmentBrand::Dash, _) => [b"iso6", b"dash", b"mp41"],
        };
        let major = if self.brand == FragmentBrand::Cmaf { brands[1] } else { brands[0] };
        let parts: Vec<&[u8]> =
            [major as &[u8], &[0; 4]].into_iter().chain(brands.map(|brand| brand as &[u8])).collect();
        let mut made = boxed(b"ftyp", &parts);
        let ticks = self.shown_ticks(0..self.track.samples.len());
        let defaults = numbers(&[TRACK_ID, 1, 0, 0, 0]);
        let extends = boxed(
            b"mvex",
            &[&full_boxed(b"mehd", 1, 0, &[&ticks.to_be_bytes()]), &full_boxed(b"trex", 0, 0, &[&defaults])],
        );
        made.extend(boxed(b"moov", &[&movie_header(self.track.timescale, 0), &self.track_box(), &extends]));
        made
    }

    fn track_box(&self) -> Vec<u8> {
        let described = &self.track.boxes;
        let empty = |kind: &[u8; 4], payload: &[u32]| full_boxed(kind, 0, 0, &[&numbers(payload)]);
        let table = boxed(
            b"stbl",
            &[
                &boxed(b"stsd", &[&described.sample_descriptions]),
                &empty(b"stts", &[0]),
                &empty(b"stsc", &[0]),
                &empty(b"stsz", &[0, 0]),
                &empty(b"stco", &[0]),
            ],
        );
        let is_signed = self.offsets == CompositionOffsets::Signed;
        let edits = edits(if is_signed { 0 } else { self.track.presentation_start }, 0);
        let media = media(described, self.track.timescale, 0, self.language, &table);
        boxed(b"trak", &[&track_header(described, 0), &edits, &media])
    }

    /// Returns the bytes of a fragment before its first sample; `sequence` counts fragments from 1.
    ///
    /// # Errors
    /// Returns [`Error::Track`] if the samples exceed the size limit of a media data box.
    pub fn fragment_head(&self, sequence: u32, samples: Range<usize>) -> Result<Vec<u8>, Error> {
        let run = &self.track.samples[samples.clone()];
        let media_bytes: u64 = run.iter().map(|sample| u64::from(sample.size_bytes)).sum();
        let media_box = u32::try_from(media_bytes + 8)
            .map_err(|_| Error::Track { why: "a fragment is larger than 4 GiB" })?;
        let decode_time = self.decode_time(samples.start);
        let duration = run.first().map_or(0, |sample| sample.duration);
        let defaults =
            numbers(&[TRACK_ID, duration, if self.all_sync(run) { SYNC_FLAGS } else { NON_SYNC_FLAGS }]);
        // Flags: default duration, default sample flags, and data offsets relative to the fragment's own start.
        let header = full_boxed(b"tfhd", 0, 0x02_0028, &[&defaults]);
        let time = full_boxed(b"tfdt", 1, 0, &[&decode_time.to_be_bytes()]);
        let with_data_at = |offset: u32| {
            let track = boxed(b"traf", &[&header, &time, &self.run_box(run, offset)]);
            boxed(b"moof", &[&full_boxed(b"mfhd", 0, 0, &[&numbers(&[sequence])]), &track])
        };
        let size = with_data_at(0).len();
        let offset =
            u32::try_from(size + 8).map_err(|_| Error::Track { why: "a fragment has too many samples" })?;
        let mut made = with_data_at(offset);
        made.extend(media_box.to_be_bytes());
        made.extend(b"mdat");
        Ok(made)
    }

    fn all_sync(&self, run: &[Sample]) -> bool {
        run.iter().all(|sample| sample.is_sync)
    }

    /// Returns the table of a fragment's samples (section 8.8.8).
    fn run_box(&self, run: &[Sample], data_offset: u32) -> Vec<u8> {
        let shift =
            if self.offsets == CompositionOffsets::Signed { self.track.presentation_start } else { 0 };
        let first = run.first().copied();
        let same_duration =
            run.iter().all(|sample| Some(sample.duration) == first.map(|first| first.duration));
        let has_offsets = run.iter().any(|sample| sample.composition != shift);
        let only_first_is_sync = run.iter().enumerate().all(|(index, sample)| sample.is_sync == (index == 0));
        let has_flags = !only_first_is_sync && !self.all_sync(run);
        let has_first_flags = only_first_is_sync && run.len() > 1;
        let mut flags = 0x201;
        let mut parts = numbers(&[u32::try_from(run.len()).unwrap_or(u32::MAX), data_offset]);
        for (is_used, flag) in
            [(has_first_flags, 0x4), (!same_duration, 0x100), (has_flags, 0x400), (has_offsets, 0x800)]
        {
            flags |= if is_used { flag } else { 0 };
        }
        if has_first_flags {
            parts.extend(SYNC_FLAGS.to_be_bytes());
        }
        for sample in run {
            let offset = i32::try_from(sample.composition - shift).unwrap_or(i32::MAX).cast_unsigned();
            let own_flags = if sample.is_sync { SYNC_FLAGS } else { NON_SYNC_FLAGS };
            let values = [
                (!same_duration, sample.duration),
                (true, sample.size_bytes),
                (has_flags, own_flags),
                (has_offsets, offset),
            ];
            parts.extend(
                values.into_iter().filter(|(is_used, _)| *is_used).flat_map(|(_, value)| value.to_be_bytes()),
            );
        }
        let version = u8::from(self.offsets == CompositionOffsets::Signed);
        full_boxed(b"trun", version, flags, &[&parts])
    }

    /// Returns the index of a single-file stream. The segments must follow it immediately, and each must begin
    /// with a sync sample.
    ///
    /// # Errors
    /// Returns [`Error::Track`] if there are more segments than an index can list, or if one is larger than
    /// 2 GiB.
    pub fn segment_index(&self, segments: &[IndexedSegment]) -> Result<Vec<u8>, Error> {
        if segments.len() > MOST_REFERENCES {
            return Err(Error::Track {
                why: "a single file can index at most 65,535 segments: use longer segments",
            });
        }
        let mut list = Vec::with_capacity(segments.len() * 12);
        for segment in segments {
            let size = u32::try_from(segment.size_bytes).ok().filter(|size| *size < 1 << 31);
            let size = size.ok_or(Error::Track { why: "a segment is larger than 2 GiB" })?;
            let duration = u32::try_from(segment.duration).unwrap_or(u32::MAX);
            // The segment starts with a stream access point of type 1.
            list.extend(numbers(&[size, duration, 0x9000_0000]));
        }
        let count = u32::try_from(segments.len()).unwrap_or(u32::MAX);
        let head = numbers(&[TRACK_ID, self.track.timescale]);
        Ok(full_boxed(b"sidx", 1, 0, &[&head, &[0; 16], &numbers(&[count]), &list]))
    }
}

/// Returns the segment type box, with which a segment in a separate file begins.
pub fn segment_type(brand: FragmentBrand) -> Vec<u8> {
    let also: &[u8] = if brand == FragmentBrand::Cmaf { b"cmfs" } else { b"" };
    boxed(b"styp", &[b"msdh", &[0; 4], b"msdh", also])
}

/// Packs a language code as three letters of five bits each (section 8.4.2); anything else becomes `und`.
fn packed_language(code: &str) -> [u8; 2] {
    let letters: Vec<u16> =
        code.bytes().filter(u8::is_ascii_lowercase).map(|letter| u16::from(letter - 0x60)).collect();
    let [a, b, c] = letters.try_into().unwrap_or([21, 14, 4]);
    (a << 10 | b << 5 | c).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::{Numbers, find};
    use crate::movie::UPRIGHT;
    use crate::mp4_track::tests::{FILE_BYTES, FROM_200, moov};

    fn made(offsets: CompositionOffsets) -> FragmentedTrack {
        let track = Mp4Track::read(&moov(FROM_200), FILE_BYTES).unwrap();
        FragmentedTrack::new(track, FragmentBrand::Cmaf, offsets, Some("spa"))
    }

    fn words(bytes: &[u8]) -> Vec<u32> {
        let mut numbers = Numbers(bytes);
        std::iter::from_fn(|| numbers.u32()).collect()
    }

    #[test]
    fn fragments_end_at_key_frames_and_tile_segments() {
        let track = made(CompositionOffsets::Unsigned);
        let ends = |starts: &[u64], least: u64| -> Vec<Vec<usize>> {
            let segments = track.cut(starts, least).unwrap();
            segments.iter().map(|fragments| fragments.iter().map(|samples| samples.end).collect()).collect()
        };
        assert_eq!(ends(&[0], 100), [vec![3, 5]]);
        assert_eq!(ends(&[0], 301), [vec![5]]);
        assert_eq!(ends(&[0, 3], 301), [vec![3], vec![5]]);
        let told = |starts: &[u64]| track.cut(starts, 1).unwrap_err().to_string();
        assert!(told(&[0, 2]).contains("segment does not begin with a key frame"));
        assert!(told(&[0, 5]).contains("fewer samples") && told(&[1]).contains("fewer samples"));
    }

    #[test]
    fn initialisation_section_describes_track_without_samples() {
        let bytes = made(CompositionOffsets::Unsigned).initialisation();
        let movie = find(&bytes, &[b"moov"]).unwrap();
        let track = Mp4Track::read(movie, FILE_BYTES);
        assert_eq!(track.unwrap_err().to_string(), "the track cannot be cut: it has no samples");
        let entry = find(movie, &[b"trak", b"mdia", b"minf", b"stbl", b"stsd"]).unwrap();
        assert_eq!(&entry[12..16], b"avc1");
        let header = find(movie, &[b"trak", b"tkhd"]).unwrap();
        assert_eq!(words(&header[header.len() - 8..]), [640 << 16, 360 << 16]);
        assert_eq!(
            words(&header[header.len() - 44..header.len() - 8]),
            UPRIGHT,
            "the file's own matrix is ignored"
        );
        assert_eq!(header.len(), 96);
        let edits = words(find(movie, &[b"trak", b"edts", b"elst"]).unwrap());
        assert_eq!(edits, [0x0100_0000, 1, 0, 0, 0, 200, 0x1_0000]);
        assert_eq!(words(find(movie, &[b"mvex", b"mehd"]).unwrap()), [0x0100_0000, 0, 500]);
        let media = find(movie, &[b"trak", b"mdia", b"mdhd"]).unwrap();
        let spanish = (19 << 10 | 16 << 5 | 1_u32) << 16;
        assert_eq!(words(media)[5..], [1000, 0, 0, spanish]);
        let signed = made(CompositionOffsets::Signed).initialisation();
        assert_eq!(find(&signed, &[b"moov", b"trak", b"edts"]), None);
        assert_eq!((&bytes[8..12], &signed[8..12]), (b"cmfc".as_slice(), b"cmf2".as_slice()));
    }

    #[test]
    fn fragment_lists_samples_and_data_offset() {
        let head = made(CompositionOffsets::Unsigned).fragment_head(7, 3..5).unwrap();
        let track = find(&head, &[b"moof", b"traf"]).unwrap();
        assert_eq!(words(find(&head, &[b"moof", b"mfhd"]).unwrap()), [0, 7]);
        assert_eq!(words(find(track, &[b"tfdt"]).unwrap()), [0x0100_0000, 0, 300]);
        assert_eq!(words(find(track, &[b"tfhd"]).unwrap()), [0x02_0028, 1, 100, NON_SYNC_FLAGS]);
        let length = u32::try_from(head.len()).unwrap();
        let run = words(find(track, &[b"trun"]).unwrap());
        assert_eq!(run, [0xa05, 2, length, SYNC_FLAGS, 60, 200, 30, 200]);
        assert_eq!(head[head.len() - 8..], [0, 0, 0, 98, b'm', b'd', b'a', b't']);
    }

    #[test]
    fn signed_offsets_show_first_frame_at_zero() {
        let head = made(CompositionOffsets::Signed).fragment_head(1, 0..3).unwrap();
        let run = words(find(&head, &[b"moof", b"traf", b"trun"]).unwrap());
        assert_eq!(run[0], 0x0100_0a05);
        assert_eq!(run[4..], [50, 0, 10, 100, 20, 0]);
    }

    #[test]
    fn inner_key_frames_have_their_own_flags() {
        let head = made(CompositionOffsets::Unsigned).fragment_head(1, 0..5).unwrap();
        let run = words(find(&head, &[b"moof", b"traf", b"trun"]).unwrap());
        assert_eq!(run[0], 0xe01);
        let flags: Vec<u32> = run[3..].chunks(3).map(|sample| sample[1]).collect();
        assert_eq!(flags, [SYNC_FLAGS, NON_SYNC_FLAGS, NON_SYNC_FLAGS, SYNC_FLAGS, NON_SYNC_FLAGS]);
    }

    #[test]
    fn index_lists_every_segment() {
        let track = made(CompositionOffsets::Unsigned);
        let segment = |size_bytes, duration| IndexedSegment { size_bytes, duration };
        let index = track.segment_index(&[segment(500, 300), segment(400, 200)]).unwrap();
        let payload = words(find(&index, &[b"sidx"]).unwrap());
        assert_eq!(payload[..3], [0x0100_0000, 1, 1000]);
        assert_eq!(payload[7..], [2, 500, 300, 0x9000_0000, 400, 200, 0x9000_0000]);
        assert!(track.segment_index(&[segment(1 << 31, 1)]).is_err());
        assert!(track.segment_index(&vec![segment(1, 1); 65_536]).is_err());
        assert_eq!((track.shown_ticks(0..3), track.shown_ticks(3..5)), (300, 200));
    }

    #[test]
    fn language_is_three_letters_or_undetermined() {
        assert_eq!(packed_language("und"), [0x55, 0xc4]);
        assert_eq!(packed_language("x"), packed_language("und"));
    }
}
