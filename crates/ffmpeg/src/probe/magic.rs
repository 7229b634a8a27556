//! Recognises files that hold no film that can be read, by their first bytes, to say what they are and what to do. Returns
//! nothing for a file that it does not know.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes to look at.
const HEAD_BYTES: u64 = 4096;

/// Returns what a file is that ffprobe refuses, and what to do with it, as the end of an error message.
pub(super) fn explanation(file: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    of_head(&head)
}

fn of_head(head: &[u8]) -> Option<&'static str> {
    let starts = |with: &[u8]| head.starts_with(with);
    let has = |words: &[u8]| head.windows(words.len()).any(|window| window == words);
    // WebP's container specification; PNG, JPEG, TIFF and BMP by their specifications' signatures.
    if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        Some("it is a WebP image; save an animation as GIF, APNG or MP4")
    } else if starts(b"\x89PNG\r\n\x1a\n")
        || starts(b"\xff\xd8\xff")
        || starts(b"II*\0")
        || starts(b"MM\0*")
        || starts(b"BM")
    {
        Some("it is a still image, and not a film; make a film of images with another program first")
    } else if starts(b"#EXTM3U") || has(b"<MPD") {
        Some("it is a playlist, which is not followed; give the film itself")
    } else if is_byte_stream(head) {
        Some(
            "it is a raw H.264 or H.265 stream, which has no times; put it into a container first: \
             `ffmpeg -r 25 -i FILE -c copy FILE.mp4`, with its own frame rate",
        )
    } else if starts(b"%PDF") {
        Some("it is a PDF document, and not a film")
    } else if starts(b"PK\x03\x04") || starts(b"\x1f\x8b") || starts(b"7z\xbc\xaf") || starts(b"Rar!") {
        Some("it is an archive; unpack it and give the film in it")
    } else {
        None
    }
}

/// Whether it starts like a byte stream of H.264 or H.265 (their annexes B): with a start code and a unit that comes
/// first, such as a delimiter or a parameter set.
fn is_byte_stream(head: &[u8]) -> bool {
    let after = head.strip_prefix(b"\0\0\0\x01").or_else(|| head.strip_prefix(b"\0\0\x01"));
    match after {
        // Types 7 to 9 of H.264: parameter sets and the delimiter.
        Some([first, ..]) if matches!(first & 0x9f, 7..=9) => true,
        // Types 32 to 35 of H.265, in layer 0.
        Some([first, second, ..]) => matches!(first >> 1, 32..=35) && second >> 3 == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_are_named() {
        let of = |head: &[u8]| of_head(head).unwrap_or("unknown");
        assert!(of(b"RIFF\x10\0\0\0WEBPVP8X").contains("WebP"));
        assert!(of(b"\xff\xd8\xff\xe0\0\x10JFIF").contains("still image"));
        assert!(of(b"#EXTM3U\n#EXT-X-VERSION:3").contains("playlist"));
        assert!(of(b"<?xml version=\"1.0\"?>\n<MPD xmlns=").contains("playlist"));
        assert!(of(b"\0\0\0\x01\x67\x64\0\x1f").contains("raw H.264"));
        assert!(of(b"\0\0\x01\x09\xf0").contains("raw H.264"));
        assert!(of(b"\0\0\0\x01\x40\x01\x0c\x01").contains("raw H.264 or H.265"));
        assert!(of(b"PK\x03\x04\x14").contains("archive"));
        for unknown in [&b""[..], b"dear all", b"\0\0\x01\xba", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x20ftypisom"] {
            assert_eq!(of(unknown), "unknown");
        }
    }
}
