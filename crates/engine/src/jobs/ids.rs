//! Creates ids: MediaConvert's `<milliseconds>-<six letters or digits>` for jobs and UUIDs for events. The operating
//! system's random numbers make them unique.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

/// Id of a job, `<milliseconds>-<six letters or digits>`, like MediaConvert's ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Creates an id from a text without checking it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Returns a random number. Each hasher has fresh random keys, so hashing nothing gives one without another crate.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Creates a random UUID (version 4) for an event.
pub(crate) fn uuid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        0x8000 | low >> 48 & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// Creates an id for a job that is created now.
pub(crate) fn job(now_ms: i64) -> JobId {
    let mut random = random();
    let mut suffix = String::new();
    for _ in 0..6 {
        suffix.push(char::from(LETTERS[(random % 36) as usize]));
        random /= 36;
    }
    JobId::new(format!("{now_ms}-{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_are_distinct_and_well_formed() {
        let ids: std::collections::BTreeSet<_> =
            (0..200).map(|_| job(1_671_476_818_694).to_string()).collect();
        assert!(ids.len() > 195, "{}", ids.len());
        for id in ids {
            let (time, suffix) = id.split_once('-').unwrap();
            assert_eq!((time, suffix.len()), ("1671476818694", 6));
            assert!(
                suffix.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()),
                "{suffix}"
            );
        }
    }

    #[test]
    fn uuid_has_version_4() {
        let uuid = uuid();
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert!(uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}
