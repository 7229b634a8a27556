//! Reads and writes boxes of the ISO base media file format (ISO/IEC 14496-12 section 4.2), without
//! interpreting their payloads.

/// Iterates over the types and payloads of consecutive boxes in `bytes`. Stops at the first malformed box, and
/// at a 64-bit size, which only media data needs.
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

/// Returns the payload of the box at the end of `path`, taking the first box of the type at each level.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(bytes, |inside, step| boxes(inside).find(|(kind, _)| kind == step).map(|found| found.1))
}

/// Builds a box whose payload is `parts`, concatenated.
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

/// Builds a full box, which begins with its version and 24 bits of flags.
pub(crate) fn full_boxed(kind: &[u8; 4], version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes();
    let mut all: Vec<&[u8]> = vec![&head];
    all.extend(parts);
    boxed(kind, &all)
}

/// Reads consecutive big-endian numbers.
#[derive(Clone, Copy)]
pub(crate) struct Numbers<'a>(pub &'a [u8]);

impl Numbers<'_> {
    /// Reads the next 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// Reads the next 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// Reads the next 32 bits, or the next 64 in a box of version 1.
    pub fn sized(&mut self, version: u8) -> Option<u64> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// Reads the version and flags of a full box and returns the version.
    pub fn version(&mut self) -> Option<u8> {
        self.u32().map(|head| head.to_be_bytes()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_round_trip() {
        let inner = full_boxed(b"tfdt", 1, 0x0a, &[&7_u64.to_be_bytes()]);
        let outer = boxed(b"traf", &[&boxed(b"free", &[]), &inner]);
        let found = find(&outer, &[b"traf", b"tfdt"]).unwrap();
        let mut numbers = Numbers(found);
        assert_eq!((numbers.version(), numbers.u64(), numbers.u32()), (Some(1), Some(7), None));
        assert_eq!(&found[..4], [1, 0, 0, 10]);
        assert_eq!(find(&outer, &[b"traf", b"trun"]), None);
    }

    #[test]
    fn malformed_boxes_end_the_iteration() {
        assert_eq!(boxes(&[0, 0, 0, 4, b'f', b'r', b'e', b'e']).count(), 0);
        assert_eq!(boxes(&[0, 0, 1, 0, b'f', b'r', b'e', b'e']).count(), 0);
        assert_eq!(boxes(&[0, 0]).count(), 0);
    }
}
