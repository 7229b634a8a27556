//! Lists the top-level boxes of an MP4 file and detects a file that is cut off.
//!
//! It reads only box headers, so even a large file costs only a few reads.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Maximum number of boxes to read. A fragmented file may have a pair of boxes per fragment.
const MOST_BOXES: usize = 100_000;

/// The layout of a file's top level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Layout {
    /// Box types in the file's order.
    pub types: Vec<[u8; 4]>,
    /// Whether the last box claims to extend past the end of the file.
    pub is_cut_off: bool,
}

impl Layout {
    /// Reads the layout of `file`. For files that are not MP4, the boxes are meaningless; see
    /// [`Layout::is_mp4`].
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read(file: &Path) -> io::Result<Self> {
        let mut source = File::open(file)?;
        let length = source.metadata()?.len();
        Self::read_from(&mut source, length)
    }

    fn read_from(source: &mut (impl Read + Seek), length: u64) -> io::Result<Self> {
        let (mut layout, mut at) = (Self::default(), 0_u64);
        while at < length && layout.types.len() < MOST_BOXES {
            source.seek(SeekFrom::Start(at))?;
            let Some((kind, size)) = box_header(source)? else {
                layout.is_cut_off = true;
                break;
            };
            layout.types.push(kind);
            let end = if size == 0 { length } else { at.saturating_add(size) };
            layout.is_cut_off = end > length;
            if end <= at || size == 1 {
                break;
            }
            at = end;
        }
        Ok(layout)
    }

    /// Whether the file starts like an MP4 or QuickTime file.
    pub fn is_mp4(&self) -> bool {
        let openings = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"];
        self.types.first().is_some_and(|first| openings.contains(&first))
    }

    /// Whether players can start before they have the whole file: `moov` comes before `mdat`.
    pub fn is_fast_start(&self) -> bool {
        let place = |name: &[u8; 4]| self.types.iter().position(|kind| kind == name);
        match (place(b"moov"), place(b"mdat")) {
            (Some(moov), Some(mdat)) => moov < mdat,
            (moov, _) => moov.is_some(),
        }
    }
}

/// Reads the header of the box that starts here. Returns its type and its size including the header, or
/// `None` if the file ends within the header.
fn box_header(source: &mut impl Read) -> io::Result<Option<([u8; 4], u64)>> {
    let Some(head) = exactly::<8>(source)? else { return Ok(None) };
    let [a, b, c, d, kind @ ..] = head;
    let size = u32::from_be_bytes([a, b, c, d]);
    if size != 1 {
        return Ok(Some((kind, size.into())));
    }
    Ok(exactly::<8>(source)?.map(|large| (kind, u64::from_be_bytes(large))))
}

fn exactly<const N: usize>(source: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match source.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], payload: usize) -> Vec<u8> {
        let size = u32::try_from(payload + 8).unwrap();
        [size.to_be_bytes().as_slice(), kind, &vec![0; payload]].concat()
    }

    fn layout(bytes: &[u8]) -> Layout {
        Layout::read_from(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn fast_start_means_moov_before_mdat() {
        let [ftyp, moov, mdat] = [boxed(b"ftyp", 16), boxed(b"moov", 40), boxed(b"mdat", 99)];
        let fast = layout(&[ftyp.clone(), moov.clone(), mdat.clone()].concat());
        assert!(fast.is_mp4() && fast.is_fast_start() && !fast.is_cut_off);
        assert!(!layout(&[ftyp.clone(), mdat, moov].concat()).is_fast_start());
        assert!(!layout(&ftyp).is_fast_start());
    }

    #[test]
    fn box_past_the_end_is_detected() {
        let whole = [boxed(b"ftyp", 16), boxed(b"moov", 40), boxed(b"mdat", 99)].concat();
        for kept in [whole.len() - 1, whole.len() - 99, whole.len() - 103, 30] {
            assert!(layout(&whole[..kept]).is_cut_off, "{kept} bytes of {}", whole.len());
        }
        assert!(!layout(&whole).is_cut_off);
    }

    #[test]
    fn large_and_open_sizes_are_understood() {
        let mut large = [1_u32.to_be_bytes().as_slice(), b"mdat", &26_u64.to_be_bytes(), &[0; 10]].concat();
        large.extend(boxed(b"moov", 4));
        assert_eq!(layout(&large), Layout { types: vec![*b"mdat", *b"moov"], is_cut_off: false });
        let open = [0_u32.to_be_bytes().as_slice(), b"mdat", &[7; 50]].concat();
        assert_eq!(layout(&open), Layout { types: vec![*b"mdat"], is_cut_off: false });
    }

    #[test]
    fn nonsense_terminates() {
        assert!(!layout(b"").is_mp4());
        assert!(!layout(b"just some text, no boxes at all").is_mp4());
        assert!(layout(&[0, 0, 0, 1, b'm', b'd', b'a', b't', 0, 0, 0, 0, 0, 0, 0, 1, 9, 9]).types.len() == 1);
    }
}
