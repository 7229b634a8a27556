//! AWS's words for what is found in inputs, from ffprobe's words.

use abanico_media::{FrameRate, Rational};
use serde_json::{Value, json};

/// Returns the name of a video codec, such as `H_264`. Others than these have their own names in capitals.
pub(super) fn video_codec(name: &str) -> String {
    let known = match name {
        "h264" => "H_264",
        "hevc" => "H_265",
        "mpeg1video" => "MPEG1",
        "mpeg2video" => "MPEG2",
        _ => return name.to_ascii_uppercase(),
    };
    known.to_owned()
}

/// Returns the name of an audio codec, such as `AAC`. All kinds of plain samples are `PCM`.
pub(super) fn audio_codec(name: &str) -> String {
    if name.starts_with("pcm_") { "PCM".to_owned() } else { name.to_ascii_uppercase() }
}

/// Returns how colours are sampled, such as `YUV_420`, whatever the bit depth.
pub(super) fn colour_format(pixel_format: &str) -> String {
    let sampled = ["420", "422", "444", "411", "410", "440"];
    match pixel_format {
        "nv12" | "nv21" | "p010le" => "YUV_420".to_owned(),
        name if name.starts_with("yuv") => sampled
            .iter()
            .find(|sampling| name.contains(**sampling))
            .map_or_else(|| name.to_ascii_uppercase(), |sampling| format!("YUV_{sampling}")),
        name => name.to_ascii_uppercase(),
    }
}

/// Returns frames per second as a number with at most three digits after the point.
pub(super) fn frame_rate(rate: FrameRate) -> Value {
    let thousandths = (rate.per_second() * Rational::from(1000)).round();
    if thousandths % 1000 == 0 { json!(thousandths / 1000) } else { json!(thousandths as f64 / 1000.0) }
}

/// Returns a ratio such as `4:3`.
pub(super) fn ratio(ratio: Rational) -> String {
    let text = ratio.to_string().replace('/', ":");
    if text.contains(':') { text } else { format!("{text}:1") }
}

/// Returns the sample entry of a codec in an ISO base media file; `None` where only the file itself could tell.
pub(super) fn four_cc(codec: &str, container: &str) -> Option<&'static str> {
    let is_box_based = container.split(',').any(|name| matches!(name, "mov" | "mp4"));
    match codec {
        "h264" if is_box_based => Some("avc1"),
        "av1" if is_box_based => Some("av01"),
        "vp9" if is_box_based => Some("vp09"),
        _ => None,
    }
}

/// Returns a language code in capitals, or `UND` for none.
pub(super) fn language(code: Option<&str>) -> String {
    code.filter(|code| !code.is_empty()).unwrap_or("und").to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_aws() {
        assert_eq!((video_codec("h264"), video_codec("prores")), ("H_264".to_owned(), "PRORES".to_owned()));
        assert_eq!((audio_codec("aac"), audio_codec("pcm_s16le")), ("AAC".to_owned(), "PCM".to_owned()));
        for (name, word) in
            [("yuv420p", "YUV_420"), ("yuvj422p", "YUV_422"), ("yuv444p10le", "YUV_444"), ("rgb24", "RGB24")]
        {
            assert_eq!(colour_format(name), word);
        }
        assert_eq!(frame_rate(FrameRate::new(25, 1).unwrap()), json!(25));
        assert_eq!(frame_rate(FrameRate::new(30_000, 1001).unwrap()), json!(29.97));
        assert_eq!(frame_rate(FrameRate::new(24_000, 1001).unwrap()), json!(23.976));
        assert_eq!(
            (ratio(Rational::ONE), ratio(Rational::new(40, 33))),
            ("1:1".to_owned(), "40:33".to_owned())
        );
        assert_eq!((language(None), language(Some("eng"))), ("UND".to_owned(), "ENG".to_owned()));
        assert_eq!(four_cc("h264", "mov,mp4,m4a,3gp,3g2,mj2"), Some("avc1"));
        assert_eq!(four_cc("h264", "mpegts"), None);
    }
}
