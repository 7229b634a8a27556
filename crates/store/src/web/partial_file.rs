//! A file that is being fetched. In the end it is whole or removed, never partial.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// The file and its size so far. Dropping it before [`PartialFile::finish`] removes the file.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    whole: bool,
}

impl PartialFile {
    /// Creates the empty file. Fails if the path already exists.
    pub(crate) async fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).await?;
        Ok(Self { path: path.to_owned(), file, bytes: 0, whole: false })
    }

    /// Returns the size so far in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes).await?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Empties the file, to start over.
    pub(crate) async fn clear(&mut self) -> std::io::Result<()> {
        self.file.flush().await?;
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.bytes = 0;
        Ok(())
    }

    /// Marks the file as whole, so that it stays.
    pub(crate) async fn finish(mut self) -> std::io::Result<()> {
        self.file.flush().await?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.whole {
            // There is nothing to report: the caller already learns of the failure that led here.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_finished_file_stays() {
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
