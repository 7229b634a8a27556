//! Finds the first frame that a decoder shows of a video that does not begin with a key packet. Streams that were cut
//! from a longer one may begin with a picture that no packet marks as a place to start, though decoders do start there.
//! It decodes the beginning only.

use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::reader;
use crate::{Error, Tools};

/// Packets of the video to decode at most: half a minute at 50 frames a second.
const MOST_PACKETS: u32 = 1500;

#[derive(Deserialize)]
struct Frame {
    pts: Option<i64>,
    best_effort_timestamp: Option<i64>,
}

/// Decodes the beginning of the stream `index` and returns the time of its first frame in ticks of the stream; `None`
/// if no frame of it can be decoded.
///
/// # Errors
/// Fails if ffprobe cannot be run.
pub(super) async fn read(
    tools: &Tools,
    file: &Path,
    index: u32,
    cancel: &CancellationToken,
) -> Result<Option<i64>, Error> {
    let (stream, interval) = (index.to_string(), format!("%+#{MOST_PACKETS}"));
    let mut first = None;
    let entries = "frame=pts,best_effort_timestamp";
    let options = [
        "-of",
        "json=compact=1",
        "-select_streams",
        &stream,
        "-read_intervals",
        &interval,
        "-show_entries",
        entries,
    ];
    reader::run(tools, file, &options, cancel, |line| {
        if first.is_none() {
            first = time_of(line);
        }
    })
    .await?;
    Ok(first)
}

/// Returns the time of the frame that a line describes.
fn time_of(line: &str) -> Option<i64> {
    let frame: Frame = serde_json::from_str(line.trim().trim_end_matches(',')).ok()?;
    frame.pts.or(frame.best_effort_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_with_a_time_counts() {
        let lines = ["{", "    \"frames\": [", "        { },", "        { \"best_effort_timestamp\": 7 },"];
        assert_eq!(lines.map(time_of), [None, None, None, Some(7)]);
        assert_eq!(time_of("{ \"pts\": 133200, \"best_effort_timestamp\": 7 }"), Some(133_200));
    }
}
