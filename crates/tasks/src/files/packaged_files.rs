//! The list of files that a packaging task made for the user. It is stored beside the files until they are published.
//! It never names a file of an intermediate task.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

/// Name of the list in the task's folder.
const LIST: &str = "packaged-files.json";

/// When a file may become visible: files that name others come after them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Files that name no others.
    Media,
    /// Playlists that name media.
    Playlist,
    /// Playlists that name playlists.
    GroupPlaylist,
}

/// A file that the user gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackagedFile {
    /// Name within the task's folder.
    pub name: String,
    /// Full URL of its destination.
    pub url: String,
    /// MIME type.
    pub content_type: String,
    /// Whether it is gzip-compressed; it is then published with `Content-Encoding: gzip`.
    #[serde(default)]
    pub is_gzip: bool,
    /// When it may become visible.
    pub turn: Turn,
}

/// Writes a manifest into the task's folder, compressed if `file` says so.
pub fn write_manifest(folder: &Path, file: &PackagedFile, text: &str) -> io::Result<()> {
    let path = folder.join(&file.name);
    if !file.is_gzip {
        return std::fs::write(path, text);
    }
    let mut packed = GzEncoder::new(std::fs::File::create(path)?, Compression::default());
    packed.write_all(text.as_bytes())?;
    packed.finish().map(drop)
}

/// Writes the list into the folder of a task that is about to complete.
pub fn list(folder: &Path, files: &[PackagedFile]) -> io::Result<()> {
    std::fs::write(folder.join(LIST), serde_json::to_vec(files)?)
}

/// Reads the list of a completed task, each file with its full path.
pub fn listed(folder: &Path) -> io::Result<Vec<(PathBuf, PackagedFile)>> {
    let files: Vec<PackagedFile> = serde_json::from_slice(&std::fs::read(folder.join(LIST))?)?;
    Ok(files.into_iter().map(|file| (folder.join(&file.name), file)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_read_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = PackagedFile {
            name: "output-0.mp4".to_owned(),
            url: "s3://b/día.mp4".to_owned(),
            content_type: "video/mp4".to_owned(),
            is_gzip: false,
            turn: Turn::Media,
        };
        list(folder.path(), std::slice::from_ref(&file)).unwrap();
        assert_eq!(listed(folder.path()).unwrap(), [(folder.path().join("output-0.mp4"), file)]);
    }

    #[test]
    fn compressed_manifest_contains_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = PackagedFile {
            name: "a.m3u8".to_owned(),
            url: "s3://b/a.m3u8".to_owned(),
            content_type: "application/vnd.apple.mpegurl".to_owned(),
            is_gzip: true,
            turn: Turn::Playlist,
        };
        write_manifest(folder.path(), &file, "#EXTM3U").unwrap();
        let packed = std::fs::File::open(folder.path().join("a.m3u8")).unwrap();
        assert_eq!(io::read_to_string(flate2::read::GzDecoder::new(packed)).unwrap(), "#EXTM3U");
    }

    #[test]
    fn playlists_come_after_what_they_name() {
        assert!(Turn::Media < Turn::Playlist && Turn::Playlist < Turn::GroupPlaylist);
    }

    #[test]
    fn missing_list_is_an_error() {
        assert!(listed(tempfile::tempdir().unwrap().path()).is_err());
    }
}
