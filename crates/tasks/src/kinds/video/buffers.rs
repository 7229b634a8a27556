//! Runs encoded chunks through a model of the decoder's buffer. It encodes nothing.

use std::io;
use std::path::Path;

use abanico_ffmpeg::{Buffer, BufferModel};
use abanico_media::{ExactTime, Rational};
use abanico_package::Mp4Track;
use abanico_plan::BufferedRendition;

use crate::failure::{self, Failure};
use crate::files::codec_names::moov;

/// Returns the buffer of a rendition before its first frame.
pub(super) fn buffer_of(rendition: &BufferedRendition) -> Buffer {
    Buffer::new(BufferModel {
        rate_bps: rendition.ceiling_bps,
        size_bits: rendition.buffer_bits,
        fill_percent: rendition.buffer_fill_percent,
    })
}

/// Returns the buffer after a chunk, and the lowest level that it reached.
pub(super) fn run_through(mut buffer: Buffer, track: &Mp4Track) -> (Buffer, i64) {
    let tick = Rational::new(1, i64::from(track.timescale));
    let mut lowest = i64::MAX;
    for sample in &track.samples {
        lowest = lowest.min(buffer.take(u64::from(sample.size_bytes) * 8));
        buffer.wait(ExactTime::from_ticks(i64::from(sample.duration), tick));
    }
    (buffer, lowest)
}

/// Reads the samples of an encoded chunk.
pub(super) fn read_track(file: &Path) -> io::Result<Mp4Track> {
    let moov = moov(file)?.ok_or_else(|| invalid("an encoded chunk has no moov box"))?;
    Mp4Track::read(&moov, std::fs::metadata(file)?.len()).map_err(invalid)
}

pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Turns an error of chunks that are judged or joined into a failure.
pub(super) fn from_chunks(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => failure::broken(&error.to_string()),
        _ => failure::from_disk("stitch the chunks", &error),
    }
}
