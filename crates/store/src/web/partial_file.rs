//! A file that is being fetched: in its path, out a file that is whole or gone. Never a part that stays.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// The file and how much of it is there. Dropped before [`PartialFile::finish`], it is removed.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    whole: bool,
}

impl PartialFile {
    /// Makes it, empty; something there already is an error.
    pub(crate) async fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).await?;
        Ok(Self { path: path.to_owned(), file, bytes: 0, whole: false })
    }

    /// How many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes at the end.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes).await?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Begins anew.
    pub(crate) async fn clear(&mut self) -> std::io::Result<()> {
        self.file.flush().await?;
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.bytes = 0;
        Ok(())
    }

    /// Makes it stay.
    pub(crate) async fn finish(mut self) -> std::io::Result<()> {
        self.file.flush().await?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.whole {
            // Nothing to tell anybody: the caller learns of the failure that led here.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn does_only_a_finished_file_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = PartialFile::create(&path).await.unwrap();
        file.append(b"some").await.unwrap();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
        let mut file = PartialFile::create(&path).await.unwrap();
        file.append(b"long and wrong").await.unwrap();
        file.clear().await.unwrap();
        file.append(b"right").await.unwrap();
        assert_eq!(file.bytes(), 5);
        file.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"right");
        assert!(PartialFile::create(&path).await.is_err());
    }
}
