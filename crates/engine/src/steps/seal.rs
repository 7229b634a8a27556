//! Seals verified files: notes their hashes, and compares them before anything is published. What users get is what was
//! verified.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use tokio_util::sync::CancellationToken;

use super::packaged_files::{PackagedFile, listed};
use crate::failure;
use crate::job_machine::Failure;

/// Name of the list of hashes in the task's folder.
const SEAL: &str = "sealed-files.json";

/// Hexadecimal BLAKE3 hashes by the names of files.
type Hashes = BTreeMap<String, String>;

/// Notes the hashes of the listed files of a packaging task's folder.
pub(super) async fn seal(folder: PathBuf, cancel: &CancellationToken) -> Result<(), Failure> {
    let work = move || {
        let files = listed(&folder)?;
        let hashes = files.iter().map(|(path, file)| Ok((file.name.clone(), hash(path)?)));
        let hashes = hashes.collect::<io::Result<Hashes>>()?;
        std::fs::write(folder.join(SEAL), serde_json::to_vec(&hashes)?)
    };
    unless_cancelled(work, cancel)
        .await?
        .map_err(|error| failure::from_disk("seal the verified files", &error))
}

/// Compares files with their seals. Files that this program wrote itself have none.
pub(super) async fn check(
    files: &[(PathBuf, PackagedFile)],
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let files: Vec<(PathBuf, String, String)> =
        files.iter().map(|(path, file)| (path.clone(), file.name.clone(), file.url.clone())).collect();
    let changed = unless_cancelled(move || first_changed(&files), cancel).await?;
    match changed.map_err(|error| failure::from_disk("compare the outputs with what was verified", &error))? {
        None => Ok(()),
        Some(url) => {
            Err(failure::from_verification(&url, &["it was changed after it was verified".to_owned()]))
        }
    }
}

/// Returns the URL of the first file that is not as it was when it was sealed.
fn first_changed(files: &[(PathBuf, String, String)]) -> io::Result<Option<String>> {
    let mut seals: BTreeMap<&Path, Option<Hashes>> = BTreeMap::new();
    for (path, name, url) in files {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !seals.contains_key(folder) {
            seals.insert(folder, sealed(folder)?);
        }
        let Some(Some(hashes)) = seals.get(folder) else { continue };
        if hashes.get(name) != Some(&hash(path)?) {
            return Ok(Some(url.clone()));
        }
    }
    Ok(None)
}

fn sealed(folder: &Path) -> io::Result<Option<Hashes>> {
    match std::fs::read(folder.join(SEAL)) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut open_plain(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Opens a plain file; follows no link and does not wait for the other end of a pipe.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Runs work that reads files on a thread for such work; returns early if the job is cancelled.
async fn unless_cancelled<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    cancel: &CancellationToken,
) -> Result<T, Failure> {
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => done.map_err(|_| failure::broken("hashing the outputs ended early")),
        () = cancel.cancelled() => Err(failure::broken("hashing continued after it was cancelled")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::packaged_files::{Turn, list};

    fn file(name: &str) -> PackagedFile {
        PackagedFile {
            name: name.to_owned(),
            url: format!("s3://b/{name}"),
            content_type: "video/mp4".to_owned(),
            is_gzip: false,
            turn: Turn::Media,
        }
    }

    #[tokio::test]
    async fn changed_file_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.mp4", "b.mp4"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        list(folder.path(), &[file("a.mp4"), file("b.mp4")]).unwrap();
        let (files, cancel) = (listed(folder.path()).unwrap(), CancellationToken::new());
        check(&files, &cancel).await.unwrap();
        seal(folder.path().to_owned(), &cancel).await.unwrap();
        check(&files, &cancel).await.unwrap();
        std::fs::write(folder.path().join("b.mp4"), "c.mp4").unwrap();
        let failure = check(&files, &cancel).await.unwrap_err();
        assert!(
            failure.message.contains("s3://b/b.mp4") && failure.message.contains("changed after"),
            "{failure:?}"
        );
        assert!(!failure.is_retryable);
    }

    #[tokio::test]
    async fn pipes_and_links_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(hash(&pipe).unwrap_err().to_string().contains("no plain file"));
        assert!(hash(&link).is_err());
    }
}
