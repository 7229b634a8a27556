//! Refuses an MP4 file whose tables promise more than the file can hold, or whose samples are encrypted, before ffprobe
//! reads it.
//!
//! ffprobe keeps an entry in memory for each sample that a file claims to have. A table can claim billions of samples
//! in a few bytes, one for each track, so a file of some kilobytes would take gigabytes. Only box headers and the
//! first words of tables are read here.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Maximum number of boxes to look at, which bounds the time. ffprobe's own limits hold beyond it.
const MOST_BOXES: u32 = 1_000_000;
/// Most samples per byte of a file. Old QuickTime files count compressed sound in samples of one byte each, of which a
/// packet holds more than it has bytes: 24 per byte for MP3 at 8 kbit/s.
const SAMPLES_PER_BYTE: u64 = 64;
/// How often the tracks of a file may share the same bytes.
const SHARED: u64 = 2;

/// What to do about absurd tables.
const MAKE_AGAIN: &str = "make the file again with another program";
/// Types of the sample entries of encrypted samples: Common Encryption's (ISO/IEC 14496-12, 8.12) and Apple's older ones.
const ENCRYPTED: [&[u8; 4]; 4] = [b"encv", b"enca", b"drmi", b"drms"];

/// Boxes that hold the boxes to look at.
const HOLDERS: [&[u8; 4]; 7] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"];

/// Returns why `file` must not be read, and what to do; `None` if it may be, or if it is no MP4 file.
///
/// # Errors
/// Fails if the file cannot be read.
pub(super) fn objection(file: &Path) -> io::Result<Option<String>> {
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    // A pipe would be read for ever.
    if !metadata.is_file() {
        return Ok(None);
    }
    objection_in(&mut BufReader::with_capacity(512, file), metadata.len())
}

fn objection_in(source: &mut (impl Read + Seek), length: u64) -> io::Result<Option<String>> {
    let mut look = Look { source, length, boxes: 0, samples: 0, sample_bytes: 0 };
    match look.boxes_until(0, length) {
        Ok(()) => Ok(None),
        Err(Stop::Refused(why)) => Ok(Some(why)),
        // The file ends within a box. What follows from that is not decided here.
        Err(Stop::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// Why a look ends early.
enum Stop {
    Refused(String),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A look at one file, with what all its tracks claim together.
struct Look<'a, S> {
    source: &'a mut S,
    length: u64,
    boxes: u32,
    samples: u64,
    sample_bytes: u64,
}

impl<S: Read + Seek> Look<'_, S> {
    /// Looks at the boxes from `at` to `end`, and at those within them. They nest at most as deep as [`HOLDERS`] allows
    /// plus as often as a hostile file repeats them, so the way down is a list and not a recursion.
    fn boxes_until(&mut self, at: u64, end: u64) -> Result<(), Stop> {
        let mut open = vec![(at, end)];
        while let Some((at, end)) = open.pop() {
            if at.saturating_add(8) > end || self.boxes >= MOST_BOXES {
                continue;
            }
            self.boxes += 1;
            self.source.seek(SeekFrom::Start(at))?;
            let [size, kind] = [self.word()?, self.word()?];
            let (size, header) = match size {
                0 => (end - at, 8),
                1 => ((u64::from(self.word()?) << 32) | u64::from(self.word()?), 16),
                size => (u64::from(size), 8),
            };
            let next = at.saturating_add(size.max(header));
            open.push((next, end));
            let kind = kind.to_be_bytes();
            let body = next.min(end).saturating_sub(at + header);
            if HOLDERS.contains(&&kind) {
                open.push((at + header, next.min(end)));
            } else {
                self.table(kind, body)?;
            }
        }
        Ok(())
    }

    /// Looks at a box that may be a table, whose body starts here and has `body` bytes.
    fn table(&mut self, kind: [u8; 4], body: u64) -> Result<(), Stop> {
        let entry_bytes = match &kind {
            b"stts" | b"ctts" | b"co64" => 8,
            b"stsc" => 12,
            b"stco" | b"stss" => 4,
            b"stsd" => return self.sample_entry(body),
            b"stsz" => return self.sample_sizes(body),
            b"trun" => return self.run(body),
            _ => return Ok(()),
        };
        let [_, entries] = [self.word()?, self.word()?];
        self.fits(kind, entries, entry_bytes, body.saturating_sub(8))
    }

    /// `stsd`: the first sample entry, whose type says whether the samples are encrypted. ffprobe would show the type of
    /// what is encrypted instead.
    fn sample_entry(&mut self, body: u64) -> Result<(), Stop> {
        if body < 16 {
            return Ok(());
        }
        let [_, _, _, kind] = [self.word()?, self.word()?, self.word()?, self.word()?];
        if ENCRYPTED.contains(&&kind.to_be_bytes()) {
            return Err(Stop::Refused("it is encrypted; upload it without encryption".to_owned()));
        }
        Ok(())
    }

    /// `stsz`: one size for all samples, or a table of sizes.
    fn sample_sizes(&mut self, body: u64) -> Result<(), Stop> {
        let [_, size, samples] = [self.word()?, self.word()?, self.word()?];
        if size == 0 {
            self.fits(*b"stsz", samples, 4, body.saturating_sub(12))?;
        }
        self.claims(samples, size)
    }

    /// `trun`: the samples of a fragment, each with up to four words, as the flags say.
    fn run(&mut self, body: u64) -> Result<(), Stop> {
        let [flags, samples] = [self.word()?, self.word()?];
        let words = (flags >> 8 & 0xf).count_ones();
        self.fits(*b"trun", samples, u64::from(words) * 4, body.saturating_sub(8))?;
        self.claims(samples, 0)
    }

    fn fits(&self, kind: [u8; 4], entries: u32, entry_bytes: u64, bytes: u64) -> Result<(), Stop> {
        if u64::from(entries) * entry_bytes <= bytes {
            return Ok(());
        }
        let kind = String::from_utf8_lossy(&kind).into_owned();
        Err(Stop::Refused(format!(
            "its table `{kind}` claims {entries} entries in {bytes} bytes; {MAKE_AGAIN}"
        )))
    }

    /// Adds samples of one size; 0 if it is not known.
    fn claims(&mut self, samples: u32, size: u32) -> Result<(), Stop> {
        self.samples = self.samples.saturating_add(samples.into());
        // A size of one byte is how QuickTime counts sound that has another size.
        if size > 1 {
            self.sample_bytes = self.sample_bytes.saturating_add(u64::from(samples) * u64::from(size));
        }
        let (length, samples, bytes) = (self.length, self.samples, self.sample_bytes);
        if samples > length.saturating_mul(SAMPLES_PER_BYTE) || bytes > length.saturating_mul(SHARED) {
            let why = format!(
                "its tables claim {samples} samples with {bytes} bytes, but it has {length} bytes; {MAKE_AGAIN}"
            );
            return Err(Stop::Refused(why));
        }
        Ok(())
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// A file with `tracks` tracks that have these tables, and `media` bytes of media.
    fn film(tracks: usize, tables: &[u8], media: usize) -> Vec<u8> {
        let track = boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &boxed(b"stbl", tables))));
        [boxed(b"ftyp", b"isom"), boxed(b"moov", &track.repeat(tracks)), boxed(b"mdat", &vec![0; media])]
            .concat()
    }

    fn look(bytes: &[u8]) -> Option<String> {
        objection_in(&mut io::Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn honest_tables_are_fine() {
        let sizes = boxed(b"stsz", &words(&[0, 0, 3, 10, 20, 30]));
        let times = boxed(b"stts", &words(&[0, 1, 3, 1000]));
        assert_eq!(look(&film(2, &[sizes, times].concat(), 120)), None);
        let pcm = boxed(b"stsz", &words(&[0, 4, 1000]));
        assert_eq!(look(&film(1, &pcm, 4000)), None);
        let quicktime = boxed(b"stsz", &words(&[0, 1, 48_000]));
        assert_eq!(look(&film(1, &quicktime, 2000)), None, "24 samples per byte");
        assert_eq!(look(b""), None);
        assert_eq!(look(b"no boxes at all, only text"), None);
    }

    #[test]
    fn more_samples_than_bytes_are_absurd() {
        let many = boxed(b"stsz", &words(&[0, 1, 20_000_000]));
        assert!(look(&film(1, &many, 100)).unwrap().contains("20000000 samples"));
        let some = boxed(b"stsz", &words(&[0, 1, 30_000]));
        assert_eq!(look(&film(1, &some, 1000)), None);
        assert!(look(&film(40, &some, 1000)).is_some(), "the tracks together are too many");
        let large = boxed(b"stsz", &words(&[0, 1000, 5000]));
        assert!(look(&film(1, &large, 1000)).unwrap().contains("5000000 bytes"));
    }

    #[test]
    fn encrypted_samples_are_refused() {
        let entry =
            |kind: &[u8; 4]| film(1, &boxed(b"stsd", &[&words(&[0, 1, 100]), &kind[..]].concat()), 1000);
        assert_eq!(look(&entry(b"avc1")), None);
        for kind in ENCRYPTED {
            assert!(look(&entry(kind)).unwrap().contains("encrypted"), "{kind:?}");
        }
        assert_eq!(look(&film(1, &boxed(b"stsd", &words(&[0, 0])), 1000)), None);
    }

    #[test]
    fn entries_beyond_the_box_are_absurd() {
        for (kind, body) in [
            (b"stsz", words(&[0, 0, 9, 1])),
            (b"stts", words(&[0, 2, 1, 1])),
            (b"ctts", words(&[0, 1_000_000])),
            (b"stsc", words(&[0, 1, 1, 1])),
            (b"stco", words(&[0, u32::MAX, 1])),
            (b"co64", words(&[0, 1, 1])),
            (b"stss", words(&[0, 3, 1, 2])),
        ] {
            let why = look(&film(1, &boxed(kind, &body), 1000)).unwrap();
            assert!(why.contains(std::str::from_utf8(kind).unwrap()), "{why}");
        }
    }

    #[test]
    fn runs_of_fragments_count_too() {
        let moof = |run: &[u32]| boxed(b"moof", &boxed(b"traf", &boxed(b"trun", &words(run))));
        assert_eq!(look(&moof(&[0x0000_0200, 2, 10, 20])), None);
        assert!(look(&moof(&[0x0000_0200, 3, 10, 20])).is_some());
        assert!(look(&moof(&[0, 60_000_000])).is_some(), "no words per sample, and millions of them");
        let nested = (0..50_000)
            .fold(Vec::new(), |inner, _| if inner.len() > 4_000 { inner } else { boxed(b"moof", &inner) });
        assert_eq!(look(&nested), None, "deep nesting ends");
    }
}
