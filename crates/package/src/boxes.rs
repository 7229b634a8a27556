//! Boxes of the ISO base media file format: in bytes, out their types and payloads, and back. Never a look at what a
//! payload means (ISO/IEC 14496-12 section 4.2).

/// Type and payload of the boxes that lie one after the other in `bytes`; ends where they make no sense. Sizes of more
/// than 32 bits, which only media data has, end it too.
pub(crate) fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok().filter(|size| *size >= 8)?;
        let payload = bytes.get(8..size)?;
        bytes = &bytes[size..];
        Some((kind, payload))
    })
}

/// Payload of the box at the end of `path`, the first of its kind on each step.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(bytes, |inside, step| boxes(inside).find(|(kind, _)| kind == step).map(|found| found.1))
}

/// A box of these parts.
pub(crate) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    let size = u32::try_from(payload + 8).expect("a box of metadata has far less than 4 GiB");
    let mut made = Vec::with_capacity(payload + 8);
    made.extend(size.to_be_bytes());
    made.extend(kind);
    for part in parts {
        made.extend(*part);
    }
    made
}

/// A box that begins with its version and 24 bits of flags.
pub(crate) fn full_boxed(kind: &[u8; 4], version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes();
    let mut all: Vec<&[u8]> = vec![&head];
    all.extend(parts);
    boxed(kind, &all)
}

/// Reads numbers in network order, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Numbers<'a>(pub &'a [u8]);

impl Numbers<'_> {
    /// The next 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// The next 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// The next 32 bits, or 64 in a box of version 1.
    pub fn sized(&mut self, version: u8) -> Option<u64> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// Version and flags of a full box.
    pub fn version(&mut self) -> Option<u8> {
        self.u32().map(|head| head.to_be_bytes()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_boxes_read_as_they_are_written() {
        let inner = full_boxed(b"tfdt", 1, 0x0a, &[&7_u64.to_be_bytes()]);
        let outer = boxed(b"traf", &[&boxed(b"free", &[]), &inner]);
        let found = find(&outer, &[b"traf", b"tfdt"]).unwrap();
        let mut numbers = Numbers(found);
        assert_eq!((numbers.version(), numbers.u64(), numbers.u32()), (Some(1), Some(7), None));
        assert_eq!(&found[..4], [1, 0, 0, 10]);
        assert_eq!(find(&outer, &[b"traf", b"trun"]), None);
    }

    #[test]
    fn does_nonsense_end_the_reading() {
        assert_eq!(boxes(&[0, 0, 0, 4, b'f', b'r', b'e', b'e']).count(), 0);
        assert_eq!(boxes(&[0, 0, 1, 0, b'f', b'r', b'e', b'e']).count(), 0);
        assert_eq!(boxes(&[0, 0]).count(), 0);
    }
}
