//! Compares the bytes of an object with its checksums while they are read, so that damaged bytes are never passed on as
//! good ones.
//!
//! It reads nothing itself. It compares whole objects and whole parts; a range of bytes has no checksum.

use std::collections::VecDeque;
use std::io;

use crate::blobs::checksums::{Algorithm, Checksums, Summer};
use crate::index::record::StoredObject;

/// The algorithms from the quickest to the slowest.
const QUICKEST_FIRST: [Algorithm; 5] =
    [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32, Algorithm::Sha256, Algorithm::Sha1];

/// What a run of bytes must have.
enum Wanted {
    /// A checksum in base64.
    Sum(Algorithm, String),
    /// An MD5 in hexadecimal digits.
    Md5(String),
    /// An old object may have neither.
    Nothing,
}

struct Run {
    left: u64,
    wanted: Wanted,
}

/// The comparison of one object. Give it all bytes in order.
pub(crate) struct Check {
    name: String,
    runs: VecDeque<Run>,
    summer: Summer,
}

impl Run {
    fn new(left: u64, sums: &Checksums, md5: Option<&str>) -> Self {
        let quickest =
            QUICKEST_FIRST.into_iter().find_map(|algorithm| Some((algorithm, sums.get(algorithm)?)));
        let wanted = match (quickest, md5) {
            (Some((algorithm, sum)), _) => Wanted::Sum(algorithm, sum),
            (None, Some(md5)) => Wanted::Md5(md5.to_owned()),
            (None, None) => Wanted::Nothing,
        };
        Self { left, wanted }
    }

    fn summer(&self) -> Summer {
        match &self.wanted {
            Wanted::Sum(algorithm, _) => Summer::of(*algorithm),
            Wanted::Md5(_) => Summer::md5(),
            Wanted::Nothing => Summer::Nothing,
        }
    }

    fn is_met_by(&self, summer: Summer) -> bool {
        match &self.wanted {
            Wanted::Sum(_, wanted) | Wanted::Md5(wanted) => summer.finish().as_ref() == Some(wanted),
            Wanted::Nothing => true,
        }
    }
}

impl Check {
    /// Prepares the comparison of a whole object.
    pub(crate) fn new(bucket: &str, key: &str, object: &StoredObject) -> Self {
        let record = &object.record;
        let is_by_part = record.is_composite || record.checksums.0.is_empty();
        let runs: VecDeque<Run> = if is_by_part && !record.parts.is_empty() {
            record.parts.iter().map(|part| Run::new(part.size, &part.checksums, None)).collect()
        } else {
            // The entity tag of a multipart object is not the MD5 of its bytes.
            let md5 = (!object.etag.contains('-')).then_some(object.etag.as_str());
            [Run::new(object.size, &record.checksums, md5)].into()
        };
        let summer = runs.front().map_or(Summer::Nothing, Run::summer);
        Self { name: format!("{bucket}/{key}"), runs, summer }
    }

    /// Returns the object's bucket and key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes the next bytes. Fails if they complete something whose checksum differs.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(run) = self.runs.front_mut() {
            let count = usize::try_from(run.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            self.summer.update(now);
            run.left -= count as u64;
            bytes = later;
            if run.left > 0 {
                break;
            }
            let Some(run) = self.runs.pop_front() else { break };
            let next = self.runs.front().map_or(Summer::Nothing, Run::summer);
            if !run.is_met_by(std::mem::replace(&mut self.summer, next)) {
                return Err(damaged(&self.name));
            }
        }
        Ok(())
    }
}

fn damaged(name: &str) -> io::Error {
    let message = format!(
        "the bytes of `{name}` are not those that were stored: upload it again, or restore a backup; `abanico s3 fsck \
         --verify` finds all such objects"
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::checksums::Digester;
    use crate::index::record::{ObjectRecord, PartRecord};

    fn sums(algorithm: Algorithm, bytes: &[u8]) -> Checksums {
        let mut digester = Digester::new(&[algorithm]);
        digester.update(bytes);
        digester.finish().1
    }

    fn object(etag: &str, size: u64, record: ObjectRecord) -> StoredObject {
        StoredObject {
            size,
            etag: etag.to_owned(),
            modified_ms: 0,
            sequencer: String::new(),
            event_name: String::new(),
            record,
            label: None,
        }
    }

    /// Whether bytes are taken, whatever the pieces in which they come.
    fn is_good(object: &StoredObject, bytes: &[u8]) -> bool {
        let results = [1, 3, 100].map(|length| {
            let mut check = Check::new("b", "k", object);
            bytes.chunks(length).try_for_each(|chunk| check.take(chunk)).is_ok()
        });
        assert!(results.iter().all(|result| *result == results[0]));
        results[0]
    }

    #[test]
    fn each_kind_of_checksum_finds_a_changed_byte() {
        let (good, bad) = (b"0123456789", b"0123456799");
        for algorithm in QUICKEST_FIRST {
            let record = ObjectRecord { checksums: sums(algorithm, good), ..ObjectRecord::default() };
            let object = object("x-1", 10, record);
            assert!(is_good(&object, good) && !is_good(&object, bad), "{algorithm:?}");
        }
        let md5 = "781e5e245d69b566979b86e28d23f2c7";
        let object = object(md5, 10, ObjectRecord::default());
        assert!(is_good(&object, good) && !is_good(&object, bad));
    }

    #[test]
    fn composite_checksums_are_compared_part_by_part() {
        let part = |number, bytes: &[u8]| PartRecord {
            number,
            size: bytes.len() as u64,
            checksums: sums(Algorithm::Sha1, bytes),
        };
        let parts = vec![part(1, b"0123"), part(2, b""), part(3, b"456789")];
        let record = ObjectRecord { parts, is_composite: true, ..ObjectRecord::default() };
        let object = object("x-3", 10, record);
        assert!(is_good(&object, b"0123456789"));
        assert!(!is_good(&object, b"0123456799") && !is_good(&object, b"1123456789"));
    }

    #[test]
    fn object_without_any_checksum_is_taken_as_it_is() {
        assert!(is_good(&object("x-1", 3, ObjectRecord::default()), b"abc"));
        assert!(is_good(&object("x-1", 0, ObjectRecord::default()), b""));
    }
}
