//! How many bytes the files of a task may have at most, and how much processor time its ffmpeg may take, by the plan. An
//! honest encode stays far below; a program that a hostile video has taken over, or a text that takes for ever to draw,
//! meets the bound instead of the end of the disk or of the day.

use std::path::PathBuf;

use abanico_media::{ExactTime, FrameRate, Rational};
use abanico_plan::{AudioEncode, FrameCapture, Pass, RateBranch, Sampling, VideoEncode, VideoRendition};

use crate::machine::sandboxing::Bounds;

/// Bytes that every task may write: containers, statistics and short films, whatever their bit rate.
const FLOOR_BYTES: u64 = 256 << 20;
/// How far an encoder may exceed its highest bit rate over a whole film.
const RATE_MARGIN: u64 = 4;
/// Bytes per second of the loudest, widest sound: 16 channels of 192 kHz with 32 bits.
const AUDIO_BYTES_PER_SECOND: u64 = 16 * 192_000 * 4;
/// Bytes per frame of the statistics of first passes and of measurements, besides those per pixel.
const STATISTICS_BYTES: u64 = 4096;
/// Bytes per pixel of a frame that is kept without loss, if it is noise.
const LOSSLESS_BYTES: u64 = 4;

/// Seconds that every task may take: starting, reading an index, and machines under load.
const FLOOR_SECONDS: u64 = 30 * 60;
/// Seconds per second of film to read it: 60 frames of 8K that are converted from HDR at 3 million pixels a second.
const READING_SECONDS: u64 = 600;
/// Pixels that the slowest encoder writes in a second: some 25 times as fast is usual for a slow preset.
const SLOWEST_PIXELS: u64 = 100_000;
/// Bytes that are copied in a second; it is usually a thousand times as many.
const SLOWEST_BYTES: u64 = 1 << 20;

/// Returns the bounds for an encode of video, all renditions together.
pub(crate) fn of_video(encode: &VideoEncode) -> Bounds {
    let add = u64::saturating_add;
    let written = encode.encoded().map(|(branch, rendition)| of_rendition(branch, rendition));
    let drawn =
        encode.renditions().map(|(branch, rendition)| of_pixels(branch.frames, rendition.frame.area()));
    let film = encode.branches.iter().map(|branch| seconds(branch.frames, branch.rate)).max().unwrap_or(0);
    Bounds { bytes: written.fold(FLOOR_BYTES, add), cpu_seconds: drawn.fold(of_reading(film), add) }
}

fn of_rendition(branch: &RateBranch, rendition: &VideoRendition) -> u64 {
    let bits =
        rendition.coding.rate_control.ceiling_bps().saturating_mul(seconds(branch.frames, branch.rate));
    let coded = (bits / 8).saturating_mul(RATE_MARGIN);
    let area = rendition.frame.area();
    let extra = match rendition.pass {
        Pass::Only | Pass::Levelled(_) | Pass::Second(_) => 0,
        // It notes a few bytes for each block of pixels.
        Pass::First => branch.frames.saturating_mul(area / 8 + STATISTICS_BYTES),
        // The frames are kept without loss to be compared.
        Pass::Sample(sampling) => {
            taken(branch.frames, sampling).saturating_mul(area * LOSSLESS_BYTES + STATISTICS_BYTES)
        }
    };
    coded.saturating_add(extra)
}

/// Returns how many of a film's frames are sampled, at most.
fn taken(frames: u64, sampling: Sampling) -> u64 {
    frames.min((frames / sampling.every.max(1) + 1).saturating_mul(sampling.taken))
}

/// Returns the bounds for an encode of audio.
pub(crate) fn of_audio(encode: &AudioEncode) -> Bounds {
    let seconds = u64::try_from(encode.end.seconds().floor()).unwrap_or(0) + 1;
    Bounds {
        bytes: FLOOR_BYTES.saturating_add(seconds.saturating_mul(AUDIO_BYTES_PER_SECOND)),
        cpu_seconds: of_reading(seconds),
    }
}

/// Returns the bounds for captured frames.
pub(crate) fn of_capture(capture: &FrameCapture) -> Bounds {
    let area = capture.frame.area();
    let image = area.saturating_mul(4).saturating_add(1 << 20);
    Bounds {
        bytes: FLOOR_BYTES.saturating_add(capture.captures.saturating_mul(image)),
        cpu_seconds: of_reading(seconds(capture.captures, capture.rate))
            .saturating_add(of_pixels(capture.captures, area)),
    }
}

/// Returns the bounds for files that are only copied from others, in another container.
pub(crate) fn of_copies(sources: &[PathBuf]) -> Bounds {
    let sizes = sources.iter().map(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let size = sizes.fold(0, u64::saturating_add);
    Bounds {
        bytes: FLOOR_BYTES.saturating_add(size.saturating_mul(2)),
        cpu_seconds: FLOOR_SECONDS + size / SLOWEST_BYTES,
    }
}

/// Returns the bounds for a copy in which sound of this length is decoded.
pub(crate) fn of_decoded_copies(sources: &[PathBuf], length: ExactTime) -> Bounds {
    let (copies, seconds) = (of_copies(sources), u64::try_from(length.seconds().floor()).unwrap_or(0) + 1);
    Bounds {
        bytes: copies.bytes.saturating_add(seconds.saturating_mul(AUDIO_BYTES_PER_SECOND)),
        cpu_seconds: copies.cpu_seconds.saturating_add(of_reading(seconds)),
    }
}

fn of_reading(film_seconds: u64) -> u64 {
    FLOOR_SECONDS.saturating_add(film_seconds.saturating_mul(READING_SECONDS))
}

fn of_pixels(frames: u64, area: u64) -> u64 {
    frames.saturating_mul(area) / SLOWEST_PIXELS
}

/// Returns the seconds that frames take, rounded up.
fn seconds(frames: u64, rate: FrameRate) -> u64 {
    let frames = i64::try_from(frames).unwrap_or(i64::MAX / 2);
    let seconds = rate.frame_duration().seconds() * Rational::from(frames);
    u64::try_from(seconds.floor()).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use abanico_plan::QualityMetric;

    use super::*;

    #[test]
    fn copies_may_grow_by_their_container() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video-0.mp4");
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let found = of_copies(&[path]);
        assert_eq!(found, Bounds { bytes: FLOOR_BYTES + (2 << 30), cpu_seconds: FLOOR_SECONDS + 1024 });
        assert_eq!(of_copies(&[folder.path().join("missing")]).bytes, FLOOR_BYTES);
    }

    #[test]
    fn part_of_a_second_counts_as_a_whole() {
        let rate = |num, den| FrameRate::new(num, den).unwrap();
        assert_eq!(seconds(25, rate(25, 1)), 2);
        assert_eq!(seconds(0, rate(25, 1)), 1);
        assert_eq!(seconds(60_000, rate(60_000, 1001)), 1002);
    }

    #[test]
    fn samples_are_not_more_than_the_film() {
        let sampling = |every, taken| Sampling { metric: QualityMetric::Ssim, every, taken };
        assert_eq!(taken(1000, sampling(100, 10)), 110);
        assert_eq!(taken(30, sampling(100, 50)), 30);
    }
}
