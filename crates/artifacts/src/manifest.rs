//! The list of an artifact's files with their sizes and hashes. Whoever can read it sees the artifact.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Error, FileName};

/// Version of the manifest's format. One of another version is not read, and its artifact is made anew.
const VERSION: u32 = 1;

/// Size and hash of a file, as in Bazel's Remote Execution API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Digest {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hash of all bytes.
    pub hash: ContentHash,
}

/// A file of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name.
    pub name: FileName,
    /// Its content.
    #[serde(flatten)]
    pub digest: Digest,
}

/// The files of an artifact, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    files: Vec<ManifestFile>,
}

/// What a back end writes.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredManifest {
    version: u32,
    /// Where an object store keeps the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    files: Vec<ManifestFile>,
}

impl Manifest {
    /// Makes a manifest.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Invalid`] if two files have the same name.
    pub fn new(mut files: Vec<ManifestFile>) -> Result<Self, Error> {
        files.sort_by(|one, other| one.name.cmp(&other.name));
        match files.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(Error::name_twice(&pair[0].name)),
            None => Ok(Self { files }),
        }
    }

    /// Returns the files, in the order of their names.
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Returns the file with this name.
    pub fn file(&self, name: &FileName) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.name == *name)
    }

    /// Returns the size of all files in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.digest.size_bytes))
    }

    pub(crate) fn stored(&self, upload: Option<String>) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&StoredManifest { version: VERSION, upload, files: self.files.clone() })
    }

    /// Reads what a back end has written; `None` if it is damaged or of another version.
    pub(crate) fn read(stored: &[u8]) -> Option<(Self, Option<String>)> {
        let stored: StoredManifest = serde_json::from_slice(stored).ok()?;
        (stored.version == VERSION).then_some(())?;
        Some((Self::new(stored.files).ok()?, stored.upload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> ManifestFile {
        let digest = Digest { size_bytes: 3, hash: ContentHash::of(b"abc") };
        ManifestFile { name: FileName::new(name).unwrap(), digest }
    }

    #[test]
    fn manifest_comes_back_as_it_was_written() {
        let manifest = Manifest::new(vec![file("b"), file("a")]).unwrap();
        let stored = manifest.stored(Some("u".to_owned())).unwrap();
        assert_eq!(Manifest::read(&stored), Some((manifest.clone(), Some("u".to_owned()))));
        assert_eq!(manifest.files()[0].name.as_str(), "a");
        assert_eq!(manifest.size_bytes(), 6);
        let text = String::from_utf8(stored).unwrap();
        for (from, to) in
            [("\"version\":1", "\"version\":2"), ("\"b\"", "\"../b\""), ("\"b\"", "\"a\""), ("}", "")]
        {
            assert_eq!(Manifest::read(text.replacen(from, to, 1).as_bytes()), None, "{from} {to}");
        }
        assert!(Manifest::new(vec![file("a"), file("a")]).is_err());
    }
}
