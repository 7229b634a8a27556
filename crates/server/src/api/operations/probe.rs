//! Probe: describes media files as jobs would see them. Keeps no files, and decodes only the first frame of
//! HDR (PQ) video.

use abanico_engine::codes;
use abanico_media::{AudioTrack, Colour, FrameRate, MediaInfo, Rational, VideoTrack};
use abanico_store::FetchedFile;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::request_body::checked;
use crate::api::error_table::{Error, ErrorKind};
use crate::edge::Edge;

/// Most files per request.
const MOST_FILES: usize = 10;

pub(crate) async fn probe(State(edge): State<Edge>, body: Bytes) -> Result<Json<Value>, Error> {
    let request = checked(body, "ProbeRequest", None).await?;
    let files: Vec<&Value> =
        request.get("inputFiles").and_then(Value::as_array).into_iter().flatten().collect();
    if files.is_empty() || files.len() > MOST_FILES {
        let what = format!("/inputFiles: Should have 1 to {MOST_FILES} items, not {}", files.len());
        return Err(Error::bad_request(what));
    }
    let mut results = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        let url = file.get("fileUrl").and_then(Value::as_str);
        let url = url.ok_or_else(|| {
            Error::bad_request(format!("/inputFiles/{index}: fileUrl is a required property"))
        })?;
        let (file, info) =
            edge.engine.probe(url).await.map_err(|failure| refusal(failure.code, failure.message))?;
        results.push(result(&file, &info));
    }
    Ok(Json(json!({ "probeResults": results })))
}

/// Maps MediaConvert's error codes for inputs to errors of this API.
fn refusal(code: u32, message: String) -> Error {
    let kind = match code {
        codes::NOT_FOUND | codes::WEB_NOT_FOUND => ErrorKind::NotFound,
        codes::DENIED | codes::WEB_UNAUTHENTICATED | codes::WEB_REFUSED | codes::DISALLOWED => {
            ErrorKind::Forbidden
        }
        codes::NOT_READABLE
        | codes::NO_VIDEO
        | codes::NOT_SUPPORTED
        | codes::TRUNCATED
        | codes::WEB_NOT_FETCHED
        | codes::WEB_SERVER_FAILED
        | codes::WEB_NOT_CONNECTED
        | codes::WEB_UNKNOWN => ErrorKind::Unprocessable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, message)
}

fn result(file: &FetchedFile, info: &MediaInfo) -> Value {
    let mut tracks: Vec<(u32, Value)> =
        info.video.iter().map(|track| (track.stream_index, video(track))).collect();
    tracks.extend(info.audio.iter().map(|track| (track.stream_index, audio(track))));
    tracks.sort_by_key(|(index, _)| *index);
    let duration = info.duration();
    let bits = i64::try_from(info.size_bytes.saturating_mul(8)).unwrap_or(i64::MAX);
    let bit_rate = duration.seconds().inverse().map_or(0, |per| (Rational::from(bits) * per).round());
    let mut container = json!({
        "format": format(&info.container),
        "duration": duration.seconds().approximate(),
        "bitRate": bit_rate,
        "tracks": tracks.into_iter().map(|(_, track)| track).collect::<Vec<_>>(),
    });
    if let Some(timecode) = info.video.as_ref().and_then(|video| video.timecode.as_ref()) {
        container["startTimecode"] = json!(timecode);
    }
    let mut metadata = Map::from_iter([("fileSize".to_owned(), json!(file.size_bytes))]);
    metadata.extend(file.e_tag.iter().map(|etag| ("eTag".to_owned(), json!(etag))));
    let indexes = |all: Vec<u32>| all.into_iter().map(|index| index + 1).collect::<Vec<_>>();
    json!({
        "container": container,
        "metadata": metadata,
        "trackMappings": [{
            "videoTrackIndexes": indexes(info.video.iter().map(|track| track.stream_index).collect()),
            "audioTrackIndexes": indexes(info.audio.iter().map(|track| track.stream_index).collect()),
            "dataTrackIndexes": [],
        }],
    })
}

fn video(track: &VideoTrack) -> Value {
    json!({
        "index": track.stream_index + 1,
        "trackType": "video",
        "codec": video_codec(&track.codec),
        "duration": track.duration().seconds().approximate(),
        "videoProperties": {
            "width": track.size.width,
            "height": track.size.height,
            "bitDepth": track.bit_depth,
            "bitRate": track.bit_rate_bps,
            "frameRate": frame_rate(track.frame_rate),
            "colorPrimaries": primaries(&track.colour),
            "transferCharacteristics": transfer(&track.colour),
            "matrixCoefficients": matrix(&track.colour),
        },
    })
}

fn audio(track: &AudioTrack) -> Value {
    let mut properties = json!({
        "channels": track.channels,
        "sampleRate": track.sample_rate_hz,
    });
    if let Some(language) = &track.language {
        properties["languageCode"] = json!(language);
    }
    json!({
        "index": track.stream_index + 1,
        "trackType": "audio",
        "codec": audio_codec(&track.codec),
        "duration": (track.end - track.start).seconds().approximate(),
        "audioProperties": properties,
    })
}

fn frame_rate(rate: FrameRate) -> Value {
    json!({"numerator": rate.per_second().num(), "denominator": rate.per_second().den()})
}

/// Translates ffprobe's demuxer names into the words of AWS's model.
fn format(container: &str) -> &'static str {
    let words = [
        ("mov", "mp4"),
        ("matroska", "matroska"),
        ("mpegts", "mpegts"),
        ("mpeg", "mpegps"),
        ("mxf", "mxf"),
        ("wav", "wave"),
        ("avi", "avi"),
        ("mp3", "mp3"),
        ("flac", "flac"),
        ("asf", "asf"),
        ("ogg", "ogg"),
    ];
    words.iter().find(|(name, _)| container.starts_with(name)).map_or("mp4", |(_, word)| word)
}

fn video_codec(codec: &str) -> &'static str {
    match codec {
        "h264" => "AVC",
        "hevc" => "HEVC",
        "av1" => "AV1",
        "vp8" => "VP8",
        "vp9" => "VP9",
        "mpeg1video" => "MPEG1",
        "mpeg2video" => "MPEG2",
        "mpeg4" => "MP4V",
        "mjpeg" => "MJPEG",
        "prores" => "PRORES",
        "theora" => "THEORA",
        _ => "UNKNOWN",
    }
}

fn audio_codec(codec: &str) -> &'static str {
    match codec {
        "aac" => "AAC",
        "ac3" => "AC3",
        "eac3" => "EAC3",
        "flac" => "FLAC",
        "mp2" => "MP2",
        "mp3" => "MP3",
        "opus" => "OPUS",
        "vorbis" => "VORBIS",
        "wmav1" => "WMA",
        "wmav2" => "WMA2",
        "wmapro" => "WMAPRO",
        other if other.starts_with("pcm_") => "PCM",
        _ => "UNKNOWN",
    }
}

fn primaries(colour: &Colour) -> &'static str {
    match colour.primaries.as_deref() {
        Some("bt709") => "ITU_709",
        Some("bt470m") => "ITU_470M",
        Some("bt470bg") => "ITU_470BG",
        Some("smpte170m") => "SMPTE_170M",
        Some("smpte240m") => "SMPTE_240M",
        Some("film") => "GENERIC_FILM",
        Some("bt2020") => "ITU_2020",
        Some("smpte428") => "SMPTE_428_1",
        Some("smpte431") => "SMPTE_431_2",
        _ => "UNSPECIFIED",
    }
}

fn transfer(colour: &Colour) -> &'static str {
    match colour.transfer.as_deref() {
        Some("bt709") => "ITU_709",
        Some("gamma22") => "ITU_470M",
        Some("gamma28") => "ITU_470BG",
        Some("smpte170m") => "SMPTE_170M",
        Some("smpte240m") => "SMPTE_240M",
        Some("linear") => "LINEAR",
        Some("bt2020-10") => "ITU_2020_10bit",
        Some("bt2020-12") => "ITU_2020_12bit",
        Some("smpte2084") => "SMPTE_2084",
        Some("smpte428") => "SMPTE_428_1",
        Some("arib-std-b67") => "ARIB_B67",
        _ => "UNSPECIFIED",
    }
}

fn matrix(colour: &Colour) -> &'static str {
    match colour.matrix.as_deref() {
        Some("gbr") => "RGB",
        Some("bt709") => "ITU_709",
        Some("fcc") => "FCC",
        Some("bt470bg") => "ITU_470BG",
        Some("smpte170m") => "SMPTE_170M",
        Some("smpte240m") => "SMPTE_240M",
        Some("ycgco") => "YCgCo",
        Some("bt2020nc") => "ITU_2020_NCL",
        Some("bt2020c") => "ITU_2020_CL",
        _ => "UNSPECIFIED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_codes_map_to_error_kinds() {
        assert_eq!(refusal(1010, "x".into()).kind(), ErrorKind::Unprocessable);
        assert_eq!(refusal(1404, "x".into()).kind(), ErrorKind::NotFound);
        assert_eq!(refusal(1999, "x".into()).kind(), ErrorKind::Internal);
    }

    #[test]
    fn demuxers_map_to_aws_formats() {
        for (name, word) in [
            ("mov,mp4,m4a,3gp,3g2,mj2", "mp4"),
            ("matroska,webm", "matroska"),
            ("mpegts", "mpegts"),
            ("mpeg", "mpegps"),
        ] {
            assert_eq!(format(name), word);
        }
    }
}
