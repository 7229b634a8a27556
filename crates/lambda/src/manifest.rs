//! Builds `manifest.json` for a finished job from the event, the job and what S3 says about the outputs.
//!
//! The same job always gives the same manifest, so a second delivery of the event writes the same bytes.

use abanico_aws::ObjectHead;
use serde_json::{Map, Value, json};

/// Version of the manifest's format. It increases when a member changes its meaning.
pub const MANIFEST_VERSION: u32 = 1;

/// A file that a job produced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputFile {
    /// Its `s3://` URL.
    pub url: String,
    /// Indexes of its output group and output in the job's settings, from 0.
    pub place: (usize, usize),
    /// Duration in milliseconds, if the event has it.
    pub duration_ms: Option<u64>,
    /// Width and height in pixels, if the event has them.
    pub size_px: Option<(u64, u64)>,
}

/// Returns the files that the COMPLETE event `detail` names, in its order.
pub fn output_files(detail: &Value) -> Vec<OutputFile> {
    let mut files = Vec::new();
    for (group, outputs) in list(detail, "outputGroupDetails").iter().enumerate() {
        for (output, detail) in list(outputs, "outputDetails").iter().enumerate() {
            let number = |pointer: &str| detail.pointer(pointer).and_then(Value::as_u64);
            let size = number("/videoDetails/widthInPx").zip(number("/videoDetails/heightInPx"));
            files.extend(texts(detail, "outputFilePaths").map(|url| OutputFile {
                url: url.to_owned(),
                place: (group, output),
                duration_ms: number("/durationInMs"),
                size_px: size,
            }));
        }
    }
    files
}

/// Returns the playlists that the event names, in its order.
pub fn playlists(detail: &Value) -> Vec<&str> {
    list(detail, "outputGroupDetails").iter().flat_map(|group| texts(group, "playlistFilePaths")).collect()
}

/// Returns the URL for the manifest, which goes next to the first file. Returns `None` if the event names no
/// file.
pub fn manifest_url(detail: &Value) -> Option<String> {
    let first = output_files(detail).into_iter().map(|file| file.url).next();
    let first = first.or_else(|| playlists(detail).first().map(|url| (*url).to_owned()))?;
    let (folder, _) = first.rsplit_once('/')?;
    Some(format!("{folder}/manifest.json"))
}

/// Builds the manifest. `heads` is what S3 knows about each of `files`, in the same order.
pub fn manifest(detail: &Value, job: &Value, files: &[OutputFile], heads: &[ObjectHead]) -> Value {
    let outputs: Vec<Value> = files.iter().zip(heads).map(|(file, head)| output(job, file, head)).collect();
    json!({
        "manifestVersion": MANIFEST_VERSION,
        "jobId": detail.get("jobId"),
        "source": job.pointer("/settings/inputs/0/fileInput"),
        "userMetadata": detail.get("userMetadata").or(job.get("userMetadata")),
        "finishedAtMs": detail.get("timestamp"),
        "outputs": outputs,
        "playlists": playlists(detail),
    })
}

fn output(job: &Value, file: &OutputFile, head: &ObjectHead) -> Value {
    let (group, number) = file.place;
    let settings =
        job.pointer(&format!("/settings/outputGroups/{group}/outputs/{number}")).unwrap_or(&Value::Null);
    let codec = |pointer: &str| settings.pointer(pointer).cloned().unwrap_or_default();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    };
    put("path", json!(file.url));
    put("container", codec("/containerSettings/container"));
    put("videoCodec", codec("/videoDescription/codecSettings/codec"));
    put("audioCodec", codec("/audioDescriptions/0/codecSettings/codec"));
    put("preset", codec("/preset"));
    put("widthInPx", json!(file.size_px.map(|size| size.0)));
    put("heightInPx", json!(file.size_px.map(|size| size.1)));
    put("durationInMs", json!(file.duration_ms));
    put("sizeInBytes", json!(head.size_bytes));
    put("bitrate", json!(bit_rate_bps(head.size_bytes, file.duration_ms)));
    put("checksum", checksum(head));
    Value::Object(members)
}

/// Returns the bit rate of the whole file in bits per second, rounded.
fn bit_rate_bps(size_bytes: u64, duration_ms: Option<u64>) -> Option<u64> {
    let duration_ms = duration_ms.filter(|duration| *duration > 0)?;
    let bits = u128::from(size_bytes) * 8 * 1000;
    u64::try_from((bits + u128::from(duration_ms) / 2) / u128::from(duration_ms)).ok()
}

/// Returns the checksum that S3 has, or else the entity tag, labelled as such.
fn checksum(head: &ObjectHead) -> Value {
    match (&head.checksum, &head.e_tag) {
        (Some((algorithm, value)), _) => json!({"algorithm": algorithm.to_uppercase(), "value": value}),
        (None, Some(tag)) => json!({"algorithm": "ETAG", "value": tag}),
        (None, None) => Value::Null,
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn texts<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    list(value, name).iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> Value {
        json!({"jobId": "1-a", "timestamp": 5, "userMetadata": {"k": "v"}, "outputGroupDetails": [
            {"type": "FILE_GROUP", "outputDetails": [{
                "outputFilePaths": ["s3://out/a b.mp4/a b_720p.mp4"], "durationInMs": 2000,
                "videoDetails": {"widthInPx": 1280, "heightInPx": 720}}]},
            {"type": "HLS_GROUP", "playlistFilePaths": ["s3://out/a b.mp4/a b.m3u8"], "outputDetails": []},
        ]})
    }

    fn head(checksum: Option<(String, String)>) -> ObjectHead {
        ObjectHead { size_bytes: 1001, e_tag: Some("tag".to_owned()), checksum }
    }

    #[test]
    fn manifest_describes_each_output() {
        let job = json!({"settings": {"inputs": [{"fileInput": "s3://up/a b.mp4"}], "outputGroups": [{"outputs": [{
            "containerSettings": {"container": "MP4"},
            "videoDescription": {"codecSettings": {"codec": "H_264"}},
            "audioDescriptions": [{"codecSettings": {"codec": "AAC"}}]}]}]}});
        let files = output_files(&detail());
        let made = manifest(&detail(), &job, &files, &[head(Some(("sha256".to_owned(), "s=".to_owned())))]);
        let expected = json!({
            "manifestVersion": 1, "jobId": "1-a", "source": "s3://up/a b.mp4", "userMetadata": {"k": "v"},
            "finishedAtMs": 5, "playlists": ["s3://out/a b.mp4/a b.m3u8"],
            "outputs": [{
                "path": "s3://out/a b.mp4/a b_720p.mp4", "container": "MP4", "videoCodec": "H_264",
                "audioCodec": "AAC", "widthInPx": 1280, "heightInPx": 720, "durationInMs": 2000,
                "sizeInBytes": 1001, "bitrate": 4004, "checksum": {"algorithm": "SHA256", "value": "s="}}],
        });
        assert_eq!(made, expected);
    }

    #[test]
    fn entity_tag_is_labelled_as_etag() {
        assert_eq!(checksum(&head(None)), json!({"algorithm": "ETAG", "value": "tag"}));
    }

    #[test]
    fn manifest_goes_beside_the_first_file() {
        assert_eq!(manifest_url(&detail()).as_deref(), Some("s3://out/a b.mp4/manifest.json"));
        let only_playlist = json!({"outputGroupDetails": [{"playlistFilePaths": ["s3://out/x/y.m3u8"]}]});
        assert_eq!(manifest_url(&only_playlist).as_deref(), Some("s3://out/x/manifest.json"));
        assert_eq!(manifest_url(&json!({})), None);
    }

    #[test]
    fn bit_rate_needs_a_duration() {
        assert_eq!(bit_rate_bps(1000, None), None);
        assert_eq!(bit_rate_bps(1000, Some(0)), None);
        assert_eq!(bit_rate_bps(u64::MAX, Some(1)), None);
    }
}
