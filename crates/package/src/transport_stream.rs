//! Finds the end of the key frame at the start of an MPEG-2 TS segment. Only packet headers are read, not the
//! elementary stream.

use std::io::{self, Read};

/// Size of a transport stream packet (ISO/IEC 13818-1 section 2.4.3.2).
const PACKET_BYTES: usize = 188;
/// First byte of every packet.
const SYNC: u8 = 0x47;

/// Reads `segment` up to the second frame of the stream `video_pid` and returns the number of bytes before
/// it: the tables, the key frame, and everything interleaved with it. Returns the whole length if there is
/// only one frame.
///
/// # Errors
/// Fails if reading fails, and with `InvalidData` if the bytes are not transport stream packets.
pub fn key_frame_bytes(mut segment: impl Read, video_pid: u16) -> io::Result<u64> {
    let (mut packet, mut at, mut pictures) = ([0; PACKET_BYTES], 0_u64, 0);
    loop {
        match segment.read_exact(&mut packet) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(at),
            other => other?,
        }
        if packet[0] != SYNC {
            let what = format!("there is no transport stream packet at byte {at}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts_a_picture = packet[1] & 0x40 != 0;
        pictures += u32::from(pid == video_pid && starts_a_picture);
        if pictures == 2 {
            return Ok(at);
        }
        at += PACKET_BYTES as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, starts: bool) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut bytes = vec![0xff; PACKET_BYTES];
        bytes[..4].copy_from_slice(&[SYNC, high | if starts { 0x40 } else { 0 }, low, 0x10]);
        bytes
    }

    #[test]
    fn key_frame_ends_where_the_next_frame_begins() {
        let stream = [
            packet(0, true),
            packet(480, true),
            packet(481, true),
            packet(482, true),
            packet(481, false),
            packet(481, true),
        ];
        assert_eq!(key_frame_bytes(stream.concat().as_slice(), 481).unwrap(), 5 * 188);
        assert_eq!(key_frame_bytes(stream[..5].concat().as_slice(), 481).unwrap(), 5 * 188);
        assert_eq!(key_frame_bytes([].as_slice(), 481).unwrap(), 0);
    }

    #[test]
    fn non_packet_error_names_its_position() {
        let stream = [packet(0, true), vec![0; PACKET_BYTES]].concat();
        let error = key_frame_bytes(stream.as_slice(), 481).unwrap_err();
        assert_eq!(error.to_string(), "there is no transport stream packet at byte 188");
    }
}
