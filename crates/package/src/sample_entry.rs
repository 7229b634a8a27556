//! Finds the video sample entry in an MP4 file's `moov` box, with its name and codec configuration.

use crate::boxes::boxes;

/// Path of boxes from `moov` to the sample entries.
const WAY: [&[u8; 4]; 5] = [b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
/// Size of the fields of a visual sample entry, before its child boxes (ISO/IEC 14496-12 section 12.1.3).
const VISUAL_ENTRY_BYTES: usize = 78;

/// The sample entry of a video track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VideoSampleEntry {
    /// Name of the entry, such as `avc1`, `hvc1` or `av01`.
    pub name: String,
    /// Payload of its configuration box (`avcC`, `hvcC`, `av1C`, `vpcC`).
    pub configuration: Vec<u8>,
}

/// Returns the first video sample entry that has a codec configuration, if any. `moov` is the payload of the
/// movie box.
pub fn video_sample_entry(moov: &[u8]) -> Option<VideoSampleEntry> {
    boxes(moov).filter(|(kind, _)| *kind == WAY[0]).find_map(|(_, track)| entry_of_track(track))
}

fn entry_of_track(track: &[u8]) -> Option<VideoSampleEntry> {
    let mut inside = track;
    for step in &WAY[1..] {
        inside = boxes(inside).find(|(kind, _)| *kind == *step)?.1;
    }
    // Skips version, flags and the number of entries.
    boxes(inside.get(8..)?).find_map(|(name, entry)| {
        let known = [b"avcC", b"hvcC", b"av1C", b"vpcC"];
        let mut parts = boxes(entry.get(VISUAL_ENTRY_BYTES..)?);
        let (_, configuration) = parts.find(|(kind, _)| known.contains(kind))?;
        Some(VideoSampleEntry {
            name: String::from_utf8_lossy(name).into_owned(),
            configuration: configuration.to_vec(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::boxed as boxed_parts;

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        boxed_parts(kind, &[payload])
    }

    fn track(entry: &[u8]) -> Vec<u8> {
        let table = boxed(b"stsd", &[[0; 8].as_slice(), entry].concat());
        let way = [b"stbl", b"minf", b"mdia", b"trak"];
        way.into_iter().fold(table, |inside, kind| boxed(kind, &[boxed(b"free", &[0; 3]), inside].concat()))
    }

    #[test]
    fn finds_configuration_after_other_tracks() {
        let sound = track(&boxed(b"mp4a", &[0; 28]));
        let configuration = boxed(b"avcC", &[1, 0x64, 0, 0x1f]);
        let parts = [vec![0; VISUAL_ENTRY_BYTES], boxed(b"pasp", &[0; 8]), configuration].concat();
        let moov = [sound, track(&boxed(b"avc1", &parts))].concat();
        let found = video_sample_entry(&moov).unwrap();
        assert_eq!(
            (found.name.as_str(), found.configuration.as_slice()),
            ("avc1", [1, 0x64, 0, 0x1f].as_slice())
        );
    }

    #[test]
    fn malformed_boxes_give_none() {
        assert_eq!(video_sample_entry(b""), None);
        assert_eq!(video_sample_entry(&[0, 0, 0, 4, b't', b'r', b'a', b'k']), None);
        assert_eq!(video_sample_entry(&[0xff; 64]), None);
        assert_eq!(video_sample_entry(&boxed(b"trak", &[0, 0, 1, 0])), None);
    }
}
