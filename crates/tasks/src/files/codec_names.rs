//! Reads the RFC 6381 codec name of the video in an intermediate MP4 file, for manifests. The name comes from the
//! encoder's own record in the file, never from the settings.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use abanico_package::{av1_codec, avc_codec, hevc_codec, video_sample_entry, vp9_codec};

/// Largest `moov` to read; an hour of video needs a few megabytes.
const MOST_MOOV_BYTES: u64 = 256 * 1024 * 1024;

/// Returns the codec name of the first video track.
///
/// # Errors
/// Fails with `InvalidData` if the file has no video track or an unknown codec.
pub(crate) fn video_codec_name(file: &Path) -> io::Result<String> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let moov = moov(file)?.ok_or_else(|| invalid("the encoded video has no moov box".to_owned()))?;
    let entry = video_sample_entry(&moov)
        .ok_or_else(|| invalid("the encoded video has no codec configuration".to_owned()))?;
    let name = match entry.name.as_str() {
        "avc1" | "avc3" => avc_codec(&entry.configuration),
        "hvc1" | "hev1" => hevc_codec(&entry.name, &entry.configuration),
        "av01" => av1_codec(&entry.configuration),
        "vp09" => vp9_codec(&entry.configuration),
        other => return Err(invalid(format!("no name for manifests is known for the codec `{other}`"))),
    };
    name.map_err(|error| invalid(error.to_string()))
}

/// Returns the payload of the file's `moov` box, or `None` if it has none.
pub(crate) fn moov(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while length.saturating_sub(at) >= 8 {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let (mut size, mut head_bytes) = (u64::from(u32::from_be_bytes([a, b, c, d])), 8);
        if size == 1 {
            let mut large = [0; 8];
            file.read_exact(&mut large)?;
            (size, head_bytes) = (u64::from_be_bytes(large), 16);
        }
        if &kind == b"moov" && (head_bytes..MOST_MOOV_BYTES).contains(&size) {
            let mut payload = Vec::new();
            file.take(size - head_bytes).read_to_end(&mut payload)?;
            return Ok(Some(payload));
        }
        // Sizes have 64 bits, so the next box may lie beyond the last number.
        match at.checked_add(size) {
            Some(next) if size >= head_bytes => at = next,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_video_fails_with_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mp4");
        for (bytes, reason) in [
            (b"".as_slice(), "the encoded video has no moov box"),
            (b"\0\0\0\x08free\0\0\0\x0cmoov\0\0\0\0", "the encoded video has no codec configuration"),
            (b"\0\0\0\x01moov\0\0\0\0\0\0\0\x02", "the encoded video has no moov box"),
            // Counted in 64 bits, the next box would be the first one again.
            (
                b"\0\0\0\x08free\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xf8",
                "the encoded video has no moov box",
            ),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(video_codec_name(&path).unwrap_err().to_string(), reason);
        }
    }
}
