//! Tells which bytes of a plain MP4 or MOV file a run of its time needs, from the file's index. So a program can be given
//! the file with holes where nobody reads.
//!
//! It reads nothing itself, and gives up where it is not sure: then the whole file is needed.

use std::ops::Range;

use abanico_media::{ExactTime, Rational};

use crate::boxes::{Numbers, boxes, find};
use crate::mp4_track::{chunk_offsets, missing, samples, timescale};
use crate::{Error, Sample};

/// How many samples of each track a demuxer may read to learn what is in it. ffmpeg 5.1 looks at up to 20 durations, or
/// 40 where a tick is long.
const FIRST_SAMPLES: usize = 48;
/// How many samples after the run may be read before the program has the run's last frame: ffmpeg's decoders take in up
/// to 16 frames for their threads and 16 to reorder them before they give one out.
const READ_AHEAD: usize = 48;
/// How far audio may be read before and after the run, in seconds.
const AUDIO_AROUND_SECONDS: i64 = 1;
/// Longest box that is read just because it is there.
const MOST_SMALL_BYTES: u64 = 1 << 20;
/// Longest index that is read: that of a film of a day has about 100 MB.
const MOST_INDEX_BYTES: u64 = 256 << 20;
/// Number of bytes that hold the header of any box.
pub const BOX_HEADER_BYTES: u64 = 16;

/// What to do with a box at the top level of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopLevelUse {
    /// It is the index, `moov`: read it for [`MovieIndex::read`].
    Index,
    /// Programs read it: keep all its bytes.
    Whole,
    /// Keep its header. Of the rest, [`MovieIndex::needed`] says what is needed.
    HeaderOnly,
}

/// A box at the top level of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopLevelBox {
    /// Where it lies in the file, with its header.
    pub place: Range<u64>,
    /// Length of its header: 8 or 16 bytes.
    pub header_bytes: u64,
    /// What to do with it.
    pub usage: TopLevelUse,
}

impl TopLevelBox {
    /// Reads the header of the box that begins at `at` in a file of `size_bytes`. `header` has the bytes from there:
    /// [`BOX_HEADER_BYTES`] of them, or as many as the file has.
    ///
    /// # Errors
    /// Returns [`Error::Track`] if the file is no plain movie: fragments, a damaged or an unknown box.
    pub fn read(at: u64, header: &[u8], size_bytes: u64) -> Result<Self, Error> {
        let damaged = || Error::Track { why: "a box at the top level is damaged" };
        let mut numbers = Numbers(header);
        let short = numbers.u32().ok_or_else(damaged)?;
        let kind = numbers.u32().ok_or_else(damaged)?.to_be_bytes();
        let (header_bytes, length) = match short {
            0 => (8, size_bytes.saturating_sub(at)),
            1 => (BOX_HEADER_BYTES, numbers.u64().ok_or_else(damaged)?),
            _ => (8, u64::from(short)),
        };
        let end = at.checked_add(length).filter(|end| *end <= size_bytes && length >= header_bytes);
        let place = at..end.ok_or_else(damaged)?;
        let usage = match &kind {
            b"moov" if length <= MOST_INDEX_BYTES => TopLevelUse::Index,
            b"mdat" | b"free" | b"skip" | b"wide" => TopLevelUse::HeaderOnly,
            b"ftyp" | b"udta" | b"uuid" | b"pnot" | b"pdin" if length <= MOST_SMALL_BYTES => {
                TopLevelUse::Whole
            }
            _ => return Err(Error::Track { why: "it is fragmented, or has a box that is not known" }),
        };
        Ok(Self { place, header_bytes, usage })
    }
}

/// Which tracks a run needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tracks {
    /// Pictures and sound.
    All,
    /// Only pictures.
    Video,
    /// Only sound.
    Audio,
}

/// A run of a film's time that somebody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRun {
    /// Where reading begins, on the file's own clock; `None` for its start.
    pub from: Option<ExactTime>,
    /// Where the last frame ends, on the file's own clock; `None` for the film's end.
    pub to: Option<ExactTime>,
    /// The tracks that are read.
    pub tracks: Tracks,
}

/// The index of a plain MP4 or MOV file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovieIndex {
    videos: Vec<VideoIndex>,
    others: Vec<ChunkIndex>,
}

/// Where time zero of a track's media lies on the file's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Clock {
    timescale: u32,
    /// The tick that is shown first.
    start_ticks: i64,
    /// How long nothing is shown before.
    empty: ExactTime,
}

impl Clock {
    /// Returns the media time of a time on the file's clock, in ticks.
    fn ticks(self, time: ExactTime) -> Rational {
        (time - self.empty).seconds() * Rational::from(i64::from(self.timescale))
            + Rational::from(self.start_ticks)
    }

    fn time(self, ticks: i64) -> ExactTime {
        ExactTime::from_ticks(ticks - self.start_ticks, Rational::new(1, i64::from(self.timescale)))
            + self.empty
    }
}

/// A video track: the place and times of each sample.
#[derive(Clone, PartialEq, Eq, Debug)]
struct VideoIndex {
    clock: Clock,
    samples: Vec<Sample>,
    /// Decode time of each sample in ticks.
    decoded: Vec<i64>,
    /// Whether it only has the pictures of chapters.
    is_of_chapters: bool,
}

/// Any other track: the place and time of each chunk. Samples would be too many where each is one PCM value.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ChunkIndex {
    clock: Clock,
    is_audio: bool,
    /// Whether it has the names of chapters, which are read when a file is opened.
    is_of_chapters: bool,
    chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Chunk {
    place: Range<u64>,
    /// Number of samples before it.
    samples_before: u64,
    /// Decode time of its first sample in ticks.
    start: i64,
}

impl MovieIndex {
    /// Reads `moov`, the payload of the movie box, of a file of `size_bytes`.
    ///
    /// # Errors
    /// Returns [`Error::TrackBox`] or [`Error::Track`] if the index does not tell all that is needed: fragments, a
    /// compressed index, several edits, or damage.
    pub fn read(moov: &[u8], size_bytes: u64) -> Result<Self, Error> {
        if boxes(moov).any(|(kind, _)| [b"mvex", b"cmov"].contains(&kind)) {
            return Err(Error::Track { why: "it is fragmented, or its index is compressed" });
        }
        let movie_scale = timescale(find(moov, &[b"mvhd"]).ok_or(missing("mvhd"))?);
        let movie_scale = movie_scale.ok_or(missing("mvhd"))?;
        let tracks = || boxes(moov).filter(|(kind, _)| *kind == b"trak").map(|(_, payload)| payload);
        let chapters: Vec<u32> =
            tracks().filter_map(|track| find(track, &[b"tref", b"chap"])).flat_map(numbers).collect();
        let mut starts: Vec<u64> = tracks()
            .filter_map(|track| find(track, &[b"mdia", b"minf", b"stbl"]))
            .filter_map(chunk_offsets)
            .flatten()
            .chain([size_bytes])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let mut index = Self { videos: Vec::new(), others: Vec::new() };
        for track in tracks() {
            let media = find(track, &[b"mdia"]).ok_or(missing("mdia"))?;
            let table = find(media, &[b"minf", b"stbl"]).ok_or(missing("stbl"))?;
            let clock = clock(track, media, movie_scale)?;
            let handler =
                find(media, &[b"hdlr"]).and_then(|handler| handler.get(8..12)).ok_or(missing("hdlr"))?;
            let is_of_chapters = track_id(track).is_some_and(|id| chapters.contains(&id));
            if handler == b"vide" {
                let samples = samples(table, size_bytes)?;
                let decoded = samples.iter().scan(0_i64, |at, sample| {
                    let decoded = *at;
                    *at += i64::from(sample.duration);
                    Some(decoded)
                });
                let decoded = decoded.collect();
                index.videos.push(VideoIndex { clock, samples, decoded, is_of_chapters });
            } else {
                let (is_audio, chunks) = (handler == b"soun", chunks(table, &starts)?);
                index.others.push(ChunkIndex { clock, is_audio, is_of_chapters, chunks });
            }
        }
        let video_ends = index.videos.iter().flat_map(|video| &video.samples);
        let is_inside = |sample: &Sample| {
            sample.offset_bytes.checked_add(sample.size_bytes.into()).is_some_and(|end| end <= size_bytes)
        };
        let mut chunk_places = index.others.iter().flat_map(|other| &other.chunks);
        if video_ends.into_iter().all(is_inside) && chunk_places.all(|chunk| chunk.place.end <= size_bytes) {
            Ok(index)
        } else {
            Err(Error::Track { why: "its samples lie after its end: it is cut off" })
        }
    }

    /// Returns where the bytes lie that reading this run needs, apart from the boxes at the top level: from the last
    /// key frame before it to the first one after it, what decoders read ahead, and the first samples of each track,
    /// from which programs learn what is in it. Adjacent ranges are merged.
    pub fn needed(&self, run: &TimeRun) -> Vec<Range<u64>> {
        let mut ranges = Vec::new();
        // Where a seek lands: other tracks are read from the decode time of the video's key frame.
        let mut begins = run.from;
        for video in &self.videos {
            let first = if video.is_of_chapters { 1 } else { FIRST_SAMPLES };
            ranges.extend(video.samples.iter().take(first).map(place_of));
            if video.is_of_chapters {
                continue;
            }
            let reads = video.reads(run);
            if let (Some(time), Some(at)) = (begins, video.decoded.get(reads.start)) {
                begins = Some(time.min(video.clock.time(*at)));
            }
            if run.tracks != Tracks::Audio {
                ranges.extend(video.samples[reads].iter().map(place_of));
            }
        }
        for other in &self.others {
            let is_read = other.is_audio && run.tracks != Tracks::Video;
            let reads = if is_read { other.reads(begins, run.to) } else { 0..0 };
            let is_needed = |(number, chunk): &(usize, &Chunk)| {
                other.is_of_chapters || chunk.samples_before < FIRST_SAMPLES as u64 || reads.contains(number)
            };
            let needed = other.chunks.iter().enumerate().filter(is_needed);
            ranges.extend(needed.map(|(_, chunk)| chunk.place.clone()));
        }
        merged(ranges)
    }
}

impl VideoIndex {
    fn shown(&self, number: usize) -> Rational {
        Rational::from(self.decoded[number] + self.samples[number].composition)
    }

    /// Returns the numbers of the samples that are read.
    fn reads(&self, run: &TimeRun) -> Range<usize> {
        let count = self.samples.len();
        let start = run.from.map_or(0, |from| {
            // Programs seek to the nearest tick, so a time that was rounded down still finds its key frame.
            let from = self.clock.ticks(from) + Rational::new(1, 2);
            let is_entry = |number: &usize| self.samples[*number].is_sync && self.shown(*number) <= from;
            (0..count).rev().find(is_entry).unwrap_or(0)
        });
        let end = run.to.map_or(count, |to| {
            let to = self.clock.ticks(to);
            let last = (start..count).rev().find(|number| self.shown(*number) < to).unwrap_or(start);
            let is_after = |number: &usize| self.samples[*number].is_sync && self.shown(*number) >= to;
            let next = (last..count).find(is_after).map_or(count, |number| number + 1);
            next.max(last + 1 + READ_AHEAD).min(count)
        });
        start..end.max(start)
    }
}

impl ChunkIndex {
    /// Returns the numbers of the chunks that are read.
    fn reads(&self, from: Option<ExactTime>, to: Option<ExactTime>) -> Range<usize> {
        let around = ExactTime::from_seconds(Rational::from(AUDIO_AROUND_SECONDS));
        let start = from.map_or(0, |from| {
            let from = self.clock.ticks(from - around);
            self.chunks.partition_point(|chunk| Rational::from(chunk.start) <= from).saturating_sub(1)
        });
        let end = to.map_or(self.chunks.len(), |to| {
            let to = self.clock.ticks(to + around);
            self.chunks.partition_point(|chunk| Rational::from(chunk.start) < to)
        });
        // A seek in a track goes by its samples, and may land in the chunk before or after.
        start.saturating_sub(1)..end.saturating_add(1).min(self.chunks.len())
    }
}

fn place_of(sample: &Sample) -> Range<u64> {
    sample.offset_bytes..sample.offset_bytes + u64::from(sample.size_bytes)
}

fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn numbers(list: &[u8]) -> impl Iterator<Item = u32> {
    let mut numbers = Numbers(list);
    std::iter::from_fn(move || numbers.u32())
}

fn track_id(track: &[u8]) -> Option<u32> {
    let mut numbers = Numbers(find(track, &[b"tkhd"])?);
    let version = numbers.version()?;
    numbers.sized(version)?;
    numbers.sized(version)?;
    numbers.u32()
}

/// Reads a track's edit list (ISO/IEC 14496-12 section 8.6.6): nothing is shown for a while, then the media from some
/// tick on.
fn clock(track: &[u8], media: &[u8], movie_scale: u32) -> Result<Clock, Error> {
    let timescale = find(media, &[b"mdhd"]).and_then(timescale).ok_or(missing("mdhd"))?;
    let mut clock = Clock { timescale, start_ticks: 0, empty: ExactTime::ZERO };
    let Some(list) = find(track, &[b"edts", b"elst"]) else { return Ok(clock) };
    let odd = || Error::Track { why: "its edit list does more than set a start" };
    let mut numbers = Numbers(list);
    let version = numbers.version().ok_or_else(odd)?;
    let count = numbers.u32().ok_or_else(odd)?;
    let mut is_shown = false;
    for _ in 0..count {
        let length = numbers.sized(version).and_then(|length| i64::try_from(length).ok()).ok_or_else(odd)?;
        let start = numbers.sized(version).ok_or_else(odd)?;
        let start = if version == 1 {
            start.cast_signed()
        } else {
            i64::from(u32::try_from(start).map_err(|_| odd())?.cast_signed())
        };
        let is_normal = numbers.u32() == Some(0x1_0000);
        // Only times that fit into this arithmetic, which leaves room for thousands of years.
        let fits = |number: i64| (0..1 << 40).contains(&number);
        if is_shown || !is_normal || !fits(length) {
            return Err(odd());
        }
        if start == -1 {
            clock.empty =
                clock.empty + ExactTime::from_ticks(length, Rational::new(1, i64::from(movie_scale)));
        } else if fits(start) {
            (clock.start_ticks, is_shown) = (start, true);
        } else {
            return Err(odd());
        }
    }
    if is_shown || count == 0 { Ok(clock) } else { Err(odd()) }
}

/// Returns the place and time of each chunk of a track. A chunk ends where the next one of any track begins: what a
/// sample of PCM takes is told in more than one way. `starts` are the positions of all chunks, and the end of the file.
fn chunks(table: &[u8], starts: &[u64]) -> Result<Vec<Chunk>, Error> {
    let odd = || Error::Track { why: "its samples have no positions" };
    let offsets = chunk_offsets(table).ok_or(missing("stco or co64"))?;
    let list = find(table, &[b"stsc"]).ok_or(missing("stsc"))?;
    let entries: Vec<u32> = numbers(list.get(8..).unwrap_or_default()).collect();
    let entries: Vec<(usize, u64)> =
        entries.chunks_exact(3).map(|entry| (entry[0] as usize, u64::from(entry[1]))).collect();
    let times = find(table, &[b"stts"]).ok_or(missing("stts"))?;
    let times: Vec<u32> = numbers(times.get(8..).unwrap_or_default()).collect();
    let mut runs = times.chunks_exact(2).map(|run| (u64::from(run[0]), i64::from(run[1])));
    let (mut run, mut at, mut before, mut entry) = (runs.next(), 0_i64, 0_u64, 0);
    let mut chunks = Vec::with_capacity(offsets.len());
    for (number, start) in offsets.iter().enumerate() {
        while entries.get(entry + 1).is_some_and(|(first, _)| number + 1 >= *first) {
            entry += 1;
        }
        let next = starts.get(starts.partition_point(|other| other <= start)).ok_or_else(odd)?;
        chunks.push(Chunk { place: *start..*next, samples_before: before, start: at });
        let mut samples = entries.get(entry).ok_or_else(odd)?.1;
        before = before.saturating_add(samples);
        while let Some((left, duration)) = run.filter(|_| samples > 0) {
            let taken = left.min(samples);
            let ticks = i64::try_from(taken).ok().and_then(|taken| taken.checked_mul(duration));
            at = ticks.and_then(|ticks| at.checked_add(ticks)).ok_or_else(odd)?;
            samples -= taken;
            run = if taken == left { runs.next() } else { Some((left - taken, duration)) };
        }
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::{boxed, full_boxed};
    use crate::mp4_track::tests::{FROM_200, moov as video_track};

    fn words(list: &[u32]) -> Vec<u8> {
        list.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn movie(tracks: &[&[u8]]) -> Vec<u8> {
        let header = full_boxed(b"mvhd", 0, 0, &[&words(&[0, 0, 600, 300])]);
        [header, tracks.concat()].concat()
    }

    /// A sound track, 1000 ticks per second: 30 samples of 10 ticks in chunks of 10.
    fn sound(chunks: &[u32]) -> Vec<u8> {
        let mut offsets = vec![u32::try_from(chunks.len()).unwrap()];
        offsets.extend(chunks);
        let table = boxed(
            b"stbl",
            &[
                &full_boxed(b"stts", 0, 0, &[&words(&[1, 30, 10])]),
                &full_boxed(b"stsc", 0, 0, &[&words(&[1, 1, 10, 1])]),
                &full_boxed(b"stco", 0, 0, &[&words(&offsets)]),
            ],
        );
        let media = boxed(
            b"mdia",
            &[
                &full_boxed(b"mdhd", 0, 0, &[&words(&[0, 0, 1000, 300, 0x55c4_0000])]),
                &full_boxed(b"hdlr", 0, 0, &[&[0; 4], b"soun", &[0; 13]]),
                &boxed(b"minf", &[&table]),
            ],
        );
        boxed(b"trak", &[&full_boxed(b"tkhd", 0, 3, &[&words(&[0, 0, 2, 0])]), &media])
    }

    fn run(from_ms: i64, to_ms: i64, tracks: Tracks) -> TimeRun {
        let time = |millis| Some(ExactTime::from_millis(millis));
        TimeRun { from: time(from_ms), to: time(to_ms), tracks }
    }

    #[test]
    fn video_is_read_from_key_frame_to_key_frame() {
        let index = MovieIndex::read(&movie(&[&video_track(FROM_200)]), 4000).unwrap();
        // The frames are shown at 0, 200, 200, 300 and 400 ms; the first and the fourth are key frames.
        let reads = |from, to| index.videos[0].reads(&run(from, to, Tracks::Video));
        assert_eq!(
            (reads(0, 100), reads(299, 300)),
            (0..5, 0..5),
            "what is read ahead is more than this film"
        );
        assert_eq!((reads(300, 400).start, reads(301, 400).start, reads(-9, 1).start), (3, 3, 0));
        let all = TimeRun { from: None, to: None, tracks: Tracks::All };
        assert_eq!(index.videos[0].reads(&all), 0..5);
        assert_eq!(index.needed(&all), [1000..1060, 2000..2080, 3000..3030]);
    }

    #[test]
    fn chunk_ends_where_the_next_of_any_track_begins() {
        let tracks = movie(&[&video_track(FROM_200), &sound(&[1500, 2080, 3030])]);
        let index = MovieIndex::read(&tracks, 4000).unwrap();
        let chunks = &index.others[0].chunks;
        let places: Vec<_> = chunks.iter().map(|chunk| (chunk.place.clone(), chunk.start)).collect();
        assert_eq!(places, [(1500..2000, 0), (2080..3000, 100), (3030..4000, 200)]);
        let before: Vec<_> = chunks.iter().map(|chunk| chunk.samples_before).collect();
        assert_eq!(before, [0, 10, 20]);
    }

    #[test]
    fn what_is_not_understood_needs_the_whole_file() {
        let good = movie(&[&video_track(FROM_200)]);
        assert!(MovieIndex::read(&good, 3030).is_ok());
        let told = |moov: &[u8], size| MovieIndex::read(moov, size).unwrap_err().to_string();
        assert!(told(&good, 3029).contains("cut off"));
        assert!(told(&[good.clone(), boxed(b"mvex", &[])].concat(), 4000).contains("fragmented"));
        let two = movie(&[&video_track(&[2, 500, 200, 0x1_0000, 500, 100, 0x1_0000])]);
        assert!(told(&two, 4000).contains("edit list"));
        let fast = movie(&[&video_track(&[1, 500, 200, 0x2_0000])]);
        assert!(told(&fast, 4000).contains("edit list"));
        let delayed = movie(&[&video_track(&[2, 300, u32::MAX, 0x1_0000, 500, 200, 0x1_0000])]);
        let clock = MovieIndex::read(&delayed, 4000).unwrap().videos[0].clock;
        assert_eq!((clock.empty, clock.start_ticks), (ExactTime::from_millis(500), 200));
        for length in 0..good.len() {
            let mut broken = good.clone();
            broken[length] ^= 0xff;
            let _ = MovieIndex::read(&broken, 4000).map(|index| index.needed(&run(0, 300, Tracks::All)));
            let _ = MovieIndex::read(&good[..length], 4000);
        }
    }

    #[test]
    fn top_level_boxes_are_told_apart() {
        let header = |size: u32, kind: &[u8; 4]| [&size.to_be_bytes()[..], kind, &[0; 8]].concat();
        let usage =
            |size, kind| TopLevelBox::read(10, &header(size, kind), 100).map(|found| found.usage).ok();
        assert_eq!(usage(24, b"ftyp"), Some(TopLevelUse::Whole));
        assert_eq!(usage(24, b"moov"), Some(TopLevelUse::Index));
        assert_eq!(usage(90, b"mdat"), Some(TopLevelUse::HeaderOnly));
        assert_eq!((usage(91, b"mdat"), usage(24, b"moof"), usage(7, b"mdat")), (None, None, None));
        let rest = TopLevelBox::read(10, &header(0, b"mdat"), 100).unwrap();
        assert_eq!((rest.place, rest.header_bytes), (10..100, 8));
        let large = [&words(&[1])[..], b"mdat", &80_u64.to_be_bytes()].concat();
        let large = TopLevelBox::read(10, &large, 100).unwrap();
        assert_eq!((large.place, large.header_bytes), (10..90, 16));
        assert!(TopLevelBox::read(10, &[0; 7], 100).is_err());
    }
}
