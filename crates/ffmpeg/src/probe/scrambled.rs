//! Finds the scrambled streams of a transport stream: those of pay television, as a receiver without its card records
//! them. ffprobe shows them as empty.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes to look at, from the start.
const HEAD_BYTES: u64 = 4 << 20;
/// Lengths of packets: with nothing, with a time before each (Blu-ray), and with a checksum after each.
const PACKET_BYTES: [usize; 3] = [188, 192, 204];
const SYNC: u8 = 0x47;

/// Returns the packet identifiers of the scrambled streams; none if the file is no transport stream or cannot be read.
pub(super) fn scrambled(file: &Path) -> BTreeSet<u32> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    if read.is_ok() { in_head(&head) } else { BTreeSet::new() }
}

fn in_head(head: &[u8]) -> BTreeSet<u32> {
    let is_packet = |at: usize, length: usize| (0..4).all(|next| head.get(at + next * length) == Some(&SYNC));
    let places = (0..PACKET_BYTES[2]).flat_map(|at| PACKET_BYTES.map(|length| (at, length)));
    let Some((start, length)) = places.into_iter().find(|(at, length)| is_packet(*at, *length)) else {
        return BTreeSet::new();
    };
    let packets = head.get(start..).unwrap_or_default().chunks(length);
    let control = |packet: &[u8]| match packet {
        // ISO/IEC 13818-1, 2.4.3.2: the identifier has 13 bits, and the upper two bits of the fourth byte are not zero
        // if the payload is scrambled.
        [SYNC, high, low, flags, ..] if flags & 0xc0 != 0 => {
            Some(u32::from(high & 0x1f) << 8 | u32::from(*low))
        }
        _ => None,
    };
    packets.filter_map(control).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u16, flags: u8, length: usize) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        let mut packet = vec![0; length];
        packet[..4].copy_from_slice(&[SYNC, high, low, flags]);
        packet
    }

    #[test]
    fn scrambled_streams_are_found() {
        for length in PACKET_BYTES {
            let packets = [(0x100, 0x10), (0x101, 0x90), (0x1abc, 0xd0), (0x100, 0x10), (0x101, 0x10)];
            let stream = packets.map(|(id, flags)| packet(id, flags, length)).concat();
            let late = [vec![0; 7], stream.clone()].concat();
            for stream in [stream, late] {
                assert_eq!(in_head(&stream), BTreeSet::from([0x101, 0x1abc]), "{length}");
            }
        }
        assert_eq!(in_head(b"no stream"), BTreeSet::new());
    }
}
