//! Which bit rates AAC takes, by coding mode and sampling rate (AWS, "AAC output reference tables").

use serde_json::{Map, Value};

use super::text;
use crate::problem::{Problem, step};

/// Coding mode, sampling rates, and the lowest and highest bit rate of the profile LC. Other combinations are not
/// limited here.
const RANGES: &[(&str, &[i64], i64, i64)] = &[
    ("CODING_MODE_1_0", &[8000, 12_000], 8000, 14_000),
    ("CODING_MODE_1_0", &[16_000], 8000, 28_000),
    ("CODING_MODE_1_0", &[22_050, 24_000], 24_000, 28_000),
    ("CODING_MODE_1_0", &[32_000], 32_000, 192_000),
    ("CODING_MODE_1_0", &[44_100], 56_000, 256_000),
    ("CODING_MODE_1_0", &[48_000], 56_000, 288_000),
    ("CODING_MODE_1_0", &[88_200], 288_000, 288_000),
    ("CODING_MODE_1_0", &[96_000], 128_000, 288_000),
    ("CODING_MODE_2_0", &[8000, 12_000], 16_000, 20_000),
    ("CODING_MODE_2_0", &[16_000], 16_000, 32_000),
    ("CODING_MODE_2_0", &[22_050, 24_000], 32_000, 32_000),
    ("CODING_MODE_2_0", &[32_000], 40_000, 384_000),
    ("CODING_MODE_2_0", &[44_100], 64_000, 512_000),
    ("CODING_MODE_2_0", &[48_000], 64_000, 576_000),
];

/// Adds the problem of a constant bit rate that the coding mode does not take at its sampling rate.
pub(super) fn bit_rate(object: &Map<String, Value>, at: &str, problems: &mut Vec<Problem>) {
    let number = |member: &str| object.get(member).and_then(Value::as_i64);
    let (mode, profile) = (text(object, "codingMode"), text(object, "codecProfile").unwrap_or("LC"));
    let is_constant = text(object, "rateControlMode") != Some("VBR");
    let (Some(mode), Some(bit_rate), Some(sample_rate)) = (mode, number("bitrate"), number("sampleRate"))
    else {
        return;
    };
    let row = RANGES.iter().find(|(one, rates, ..)| *one == mode && rates.contains(&sample_rate));
    let Some((_, _, least, most)) = row.filter(|_| is_constant && profile == "LC") else { return };
    if !(*least..=*most).contains(&bit_rate) {
        let what = format!(
            "You specified a value for Bitrate that is not valid with the combination of Profile {profile}, Coding \
             mode {mode}, and Sample rate {sample_rate} you selected. Specify a bitrate in the range of {least}-{most}"
        );
        problems.push(Problem::new(step(at, "bitrate"), what));
    }
}
