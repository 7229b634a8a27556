//! Reads the static HDR metadata of a video's first frame: mastering display and content light level.
//!
//! It never guesses: incomplete metadata counts as missing.

use std::path::Path;

use abanico_media::{ContentLight, MasteringDisplay, StaticHdr};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::reader;
use crate::{Error, Tools};

/// Units of chromaticity and luminance (SMPTE ST 2086).
const CHROMATICITY_UNITS: i64 = 50_000;
const LUMINANCE_UNITS: i64 = 10_000;
/// Maximum length of an answer about one frame.
const LONGEST_ANSWER_BYTES: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    frames: Vec<Frame>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame {
    side_data_list: Vec<SideData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SideData {
    side_data_type: String,
    red_x: String,
    red_y: String,
    green_x: String,
    green_y: String,
    blue_x: String,
    blue_y: String,
    white_point_x: String,
    white_point_y: String,
    min_luminance: String,
    max_luminance: String,
    max_content: u32,
    max_average: u32,
}

/// Decodes and inspects the first frame of the stream `index`.
///
/// # Errors
/// Fails if ffprobe cannot be run. A frame that cannot be decoded gives no metadata.
pub(super) async fn read(
    tools: &Tools,
    file: &Path,
    index: u32,
    cancel: &CancellationToken,
) -> Result<StaticHdr, Error> {
    let stream = index.to_string();
    let options = [
        "-of",
        "json",
        "-select_streams",
        &stream,
        "-read_intervals",
        "%+#1",
        "-show_entries",
        "frame_side_data",
    ];
    let mut json = String::new();
    let ended = reader::run(tools, file, &options, cancel, |line| {
        if json.len() <= LONGEST_ANSWER_BYTES {
            json.push_str(line);
        }
    });
    ended.await?;
    Ok(told(&json))
}

fn told(json: &str) -> StaticHdr {
    let answer: Answer = serde_json::from_str(json).unwrap_or_default();
    let data = || answer.frames.iter().flat_map(|frame| &frame.side_data_list);
    let of = |kind: &str| data().find(|one| one.side_data_type == kind);
    StaticHdr {
        mastering: of("Mastering display metadata").and_then(mastering),
        light: of("Content light level metadata")
            .map(|light| ContentLight { max: light.max_content, max_frame_average: light.max_average }),
    }
}

fn mastering(data: &SideData) -> Option<MasteringDisplay> {
    let point = |x: &str, y: &str| Some((in_units(x, CHROMATICITY_UNITS)?, in_units(y, CHROMATICITY_UNITS)?));
    Some(MasteringDisplay {
        red: point(&data.red_x, &data.red_y)?,
        green: point(&data.green_x, &data.green_y)?,
        blue: point(&data.blue_x, &data.blue_y)?,
        white: point(&data.white_point_x, &data.white_point_y)?,
        max_luminance: in_units(&data.max_luminance, LUMINANCE_UNITS)?,
        min_luminance: in_units(&data.min_luminance, LUMINANCE_UNITS)?,
    })
}

/// Converts a fraction, as ffprobe prints it, to a number of units.
fn in_units(text: &str, units: i64) -> Option<u32> {
    let (num, den) = text.split_once('/')?;
    let (num, den): (i64, i64) = (num.parse().ok()?, den.parse().ok()?);
    let scaled = i128::from(num) * i128::from(units);
    let den = i128::from(den);
    (den > 0 && scaled >= 0).then(|| u32::try_from((scaled + den / 2) / den).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_light_levels_have_right_units() {
        let json = r#"{"frames": [{"side_data_list": [
            {"side_data_type": "Mastering display metadata", "red_x": "34000/50000", "red_y": "16000/50000",
             "green_x": "13250/50000", "green_y": "34500/50000", "blue_x": "3/20", "blue_y": "3000/50000",
             "white_point_x": "15635/50000", "white_point_y": "16450/50000", "min_luminance": "50/10000",
             "max_luminance": "10000000/10000"},
            {"side_data_type": "Content light level metadata", "max_content": 1000, "max_average": 400}]}]}"#;
        let hdr = told(json);
        let screen = hdr.mastering.unwrap();
        assert_eq!(
            (screen.red, screen.blue, screen.white),
            ((34_000, 16_000), (7_500, 3_000), (15_635, 16_450))
        );
        assert_eq!((screen.max_luminance, screen.min_luminance), (10_000_000, 50));
        assert_eq!(hdr.light, Some(ContentLight { max: 1000, max_frame_average: 400 }));
    }

    #[test]
    fn incomplete_metadata_is_none() {
        assert_eq!(told(""), StaticHdr::default());
        let half = r#"{"frames": [{"side_data_list": [{"side_data_type": "Mastering display metadata", "red_x": "1/0"}]}]}"#;
        assert_eq!(told(half), StaticHdr::default());
    }
}
