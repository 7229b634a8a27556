//! Hashes that tell whether files are still what they were. Follows no link, and does not wait for the other end of a
//! pipe. Hashing reads whole files: call it on a thread for such work.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use abanico_artifacts::{digest_of, open_plain};
use serde::{Deserialize, Serialize};

/// Hexadecimal BLAKE3 hashes by the names of a folder's files.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sums(BTreeMap<String, String>);

impl Sums {
    /// Hashes all files of a folder.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut sums = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            sums.insert(name_of(&path), hash_of(&path)?);
        }
        Ok(Self(sums))
    }

    /// Returns the name of a file that one of the two has otherwise, or not at all.
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.into_iter().find(|name| self.0.get(*name) != other.0.get(*name)).cloned()
    }
}

/// Returns the name of a file without its folder.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the hexadecimal BLAKE3 hash of a plain file.
pub fn hash_of(path: &Path) -> io::Result<String> {
    Ok(digest_of(&open_plain(path)?)?.hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_links_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(hash_of(&pipe).unwrap_err().to_string().contains("no plain file"));
        assert!(hash_of(&link).is_err());
    }

    #[test]
    fn changed_missing_and_new_files_are_differences() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &str| std::fs::write(folder.path().join(name), bytes).unwrap();
        let now = || Sums::of(folder.path()).unwrap();
        write("b.mp4", "b");
        let before = now();
        assert_eq!(before.first_difference(&now()), None);
        write("a.mp4", "a");
        assert_eq!(before.first_difference(&now()).as_deref(), Some("a.mp4"));
        std::fs::remove_file(folder.path().join("a.mp4")).unwrap();
        write("b.mp4", "c");
        assert_eq!(before.first_difference(&now()).as_deref(), Some("b.mp4"));
        std::fs::remove_file(folder.path().join("b.mp4")).unwrap();
        assert_eq!(before.first_difference(&now()).as_deref(), Some("b.mp4"));
    }
}
