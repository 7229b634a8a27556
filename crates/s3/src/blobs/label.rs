//! Labels: small files beside the blobs that say what the blobs are, so that a lost index can be rebuilt from them.
//!
//! Each object and each part of an upload has one label. A label is written once and never changed: a change of tags
//! writes a new one. Its first line is JSON, its second the checksum of the first. This file only encodes and decodes.

use serde::{Deserialize, Serialize};

use crate::index::record::{ObjectRecord, Piece, to_text};
use crate::multipart::{PartContent, UploadRecord};

/// Version of the format of labels.
const FORMAT: u32 = 1;
/// Digits of the serial number in a label's name.
const SERIAL_DIGITS: usize = 18;

/// What a label says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Label {
    format: u32,
    /// Id of the data folder that wrote it.
    pub folder: String,
    /// Of two labels of one object or part, the one with the greater number is valid.
    pub serial: i64,
    pub what: Labelled,
}

/// The object or part that a label describes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Labelled {
    Object(Box<LabelledObject>),
    Part(Box<LabelledPart>),
}

/// All that the index stores about an object.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct LabelledObject {
    pub bucket: String,
    pub key: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    pub modified_ms: i64,
    pub sequencer: String,
    pub event_name: String,
    /// The multipart upload that made the object; the labels of its parts are no longer valid.
    pub upload: Option<String>,
    pub record: ObjectRecord,
}

/// All that the index stores about a part, and about the upload that it belongs to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct LabelledPart {
    pub upload: String,
    pub bucket: String,
    pub key: String,
    pub created_ms: i64,
    pub settings: UploadRecord,
    pub number: i32,
    pub size: u64,
    pub etag: String,
    pub modified_ms: i64,
    pub content: PartContent,
}

impl Label {
    /// Makes the label of a data folder.
    pub(crate) fn new(folder: &str, serial: i64, what: Labelled) -> Self {
        Self { format: FORMAT, folder: folder.to_owned(), serial, what }
    }

    /// Returns the pieces of the object or part.
    pub(crate) fn pieces(&self) -> &[Piece] {
        match &self.what {
            Labelled::Object(object) => &object.record.pieces,
            Labelled::Part(part) => &part.content.pieces,
        }
    }

    /// Returns the file's name: that of the first blob, then the serial number.
    pub(crate) fn name(&self, without_blob: impl FnOnce() -> String) -> String {
        let blob = self.pieces().first().map_or_else(without_blob, |piece| piece.blob.clone());
        format!("{blob}.{:0SERIAL_DIGITS$x}", self.serial)
    }

    /// Returns the file's content.
    pub(crate) fn encode(&self) -> Vec<u8> {
        seal(&to_text(self))
    }

    /// Reads a file's content. Returns `None` if it is damaged or of another format.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let label: Self = serde_json::from_str(unseal(bytes)?).ok()?;
        (label.format == FORMAT).then_some(label)
    }
}

/// Returns the serial number in a label's name; `None` for the name of a blob or of anything else.
pub(crate) fn serial_of(name: &str) -> Option<i64> {
    let (blob, serial) = name.split_once('.')?;
    if blob.is_empty() || serial.len() != SERIAL_DIGITS {
        return None;
    }
    i64::from_str_radix(serial, 16).ok()
}

/// Returns a line of text with a second line that has its checksum.
pub(crate) fn seal(text: &str) -> Vec<u8> {
    format!("{text}\n{:016x}\n", checksum(text.as_bytes())).into_bytes()
}

/// Returns the text of [`seal`]; `None` if it is damaged.
pub(crate) fn unseal(bytes: &[u8]) -> Option<&str> {
    let (text, sum) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.rsplit_once('\n')?;
    (u64::from_str_radix(sum, 16).ok()? == checksum(text.as_bytes())).then_some(text)
}

/// Returns the checksum that labels, index rows and the folder's mark carry.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Label {
        let pieces = vec![Piece { blob: "ab12".to_owned(), offset: 0, length: 4 }];
        let object = LabelledObject {
            bucket: "media".to_owned(),
            key: "a\nb ü".to_owned(),
            size: 4,
            etag: "e".to_owned(),
            modified_ms: 5,
            sequencer: "00".to_owned(),
            event_name: "ObjectCreated:Put".to_owned(),
            upload: None,
            record: ObjectRecord { pieces, ..ObjectRecord::default() },
        };
        Label::new("folder", 255, Labelled::Object(Box::new(object)))
    }

    #[test]
    fn label_survives_and_any_damage_is_noticed() {
        let label = example();
        let bytes = label.encode();
        assert_eq!(Label::decode(&bytes), Some(label));
        for place in 0..bytes.len() - 1 {
            for bit in [1, 0x10, 0x80] {
                let mut damaged = bytes.clone();
                damaged[place] ^= bit;
                // The hexadecimal digits of the checksum are read without regard to case, which changes nothing.
                let is_case = damaged[place].eq_ignore_ascii_case(&bytes[place]);
                assert!(is_case || Label::decode(&damaged).is_none(), "bit {bit} of byte {place}");
            }
            assert_eq!(Label::decode(&bytes[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn name_has_the_blob_and_the_serial_number() {
        let label = example();
        let name = label.name(|| unreachable!("it has a blob"));
        assert_eq!((name.as_str(), serial_of(&name)), ("ab12.0000000000000000ff", Some(255)));
        for other in ["ab12", "ab12.ff", "ab12.00000000000000000z", ".0000000000000000ff", "a.b.c"] {
            assert_eq!(serial_of(other), None, "{other}");
        }
    }
}
