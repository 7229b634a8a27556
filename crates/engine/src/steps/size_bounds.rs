//! How many bytes the files of a task may have at most, by the plan. An honest encode stays far below; a program that a
//! hostile video has taken over meets the bound instead of the end of the disk.

use std::path::PathBuf;

use abanico_media::{FrameRate, Rational};
use abanico_plan::{AudioEncode, FrameCapture, Pass, RateBranch, VideoEncode, VideoRendition};

/// Bytes that every task may write: containers, statistics and short films, whatever their bit rate.
const FLOOR_BYTES: u64 = 256 << 20;
/// How far an encoder may exceed its highest bit rate over a whole film.
const RATE_MARGIN: u64 = 4;
/// Bytes per second of the loudest, widest sound: 16 channels of 192 kHz with 32 bits.
const AUDIO_BYTES_PER_SECOND: u64 = 16 * 192_000 * 4;
/// Bytes per frame of the statistics of first passes and of measurements, besides those per pixel.
const STATISTICS_BYTES: u64 = 4096;

/// Returns the bound for an encode of video, all renditions together.
pub(super) fn of_video(encode: &VideoEncode) -> u64 {
    let renditions = encode.encoded().map(|(branch, rendition)| of_rendition(branch, rendition));
    renditions.fold(FLOOR_BYTES, u64::saturating_add)
}

fn of_rendition(branch: &RateBranch, rendition: &VideoRendition) -> u64 {
    let bits =
        rendition.coding.rate_control.ceiling_bps().saturating_mul(seconds(branch.frames, branch.rate));
    let coded = (bits / 8).saturating_mul(RATE_MARGIN);
    let per_frame = match rendition.pass {
        Pass::Only | Pass::Levelled(_) | Pass::Second(_) => 0,
        // A first pass notes a few bytes for each block of pixels; a sample is kept without loss to be compared.
        Pass::First | Pass::Sample(_) => rendition.frame.area() / 8 + STATISTICS_BYTES,
    };
    coded.saturating_add(branch.frames.saturating_mul(per_frame))
}

/// Returns the bound for an encode of audio.
pub(super) fn of_audio(encode: &AudioEncode) -> u64 {
    let seconds = u64::try_from(encode.end.seconds().floor()).unwrap_or(0) + 1;
    FLOOR_BYTES.saturating_add(seconds.saturating_mul(AUDIO_BYTES_PER_SECOND))
}

/// Returns the bound for captured frames.
pub(super) fn of_capture(capture: &FrameCapture) -> u64 {
    let image = capture.frame.area().saturating_mul(4).saturating_add(1 << 20);
    FLOOR_BYTES.saturating_add(capture.captures.saturating_mul(image))
}

/// Returns the bound for files that are only copied from others, in another container.
pub(super) fn of_copies(sources: &[PathBuf]) -> u64 {
    let sizes = sources.iter().map(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
    sizes.fold(FLOOR_BYTES, |sum, size| sum.saturating_add(size.saturating_mul(2)))
}

/// Returns the seconds that frames take, rounded up.
fn seconds(frames: u64, rate: FrameRate) -> u64 {
    let frames = i64::try_from(frames).unwrap_or(i64::MAX / 2);
    let seconds = rate.frame_duration().seconds() * Rational::from(frames);
    u64::try_from(seconds.floor()).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_may_grow_by_their_container() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video-0.mp4");
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(of_copies(&[path]), FLOOR_BYTES + (2 << 30));
        assert_eq!(of_copies(&[folder.path().join("missing")]), FLOOR_BYTES);
    }

    #[test]
    fn part_of_a_second_counts_as_a_whole() {
        let rate = |num, den| FrameRate::new(num, den).unwrap();
        assert_eq!(seconds(25, rate(25, 1)), 2);
        assert_eq!(seconds(0, rate(25, 1)), 1);
        assert_eq!(seconds(60_000, rate(60_000, 1001)), 1002);
    }
}
