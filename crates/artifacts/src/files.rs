//! Hashes files, and places them on this machine: all of them or none. Its functions block.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::OFlag;
use tempfile::TempPath;
use tokio::task::spawn_blocking;

use crate::{Digest, Error};

/// How the names of files begin that are not placed yet.
pub(crate) const HIDDEN: &str = ".abanico-";

/// Does work that blocks on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    place: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::disk(place, io::Error::other(error))),
    }
}

/// Opens a file to read it. Follows no link, and does not wait for the other end of a pipe.
///
/// # Errors
/// Fails if it is no plain file, or cannot be opened.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Hashes an open file. Blocking.
///
/// # Errors
/// Fails if it cannot be read.
pub fn digest_of(file: &File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Digest { size_bytes: hasher.count(), hash: hasher.finalize().into() })
}

/// Flushes what is known about a folder to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a hard link with a hidden name in the folder of `destination`; a copy where no link is possible.
pub(crate) fn linked_beside(source: &Path, destination: &Path) -> io::Result<TempPath> {
    let folder = destination.parent().unwrap_or(Path::new("/"));
    let mut hidden = tempfile::Builder::new();
    hidden.prefix(HIDDEN);
    match hidden.make_in(folder, |path| std::fs::hard_link(source, path)) {
        Ok(link) => Ok(link.into_temp_path()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => {
            let mut copy = hidden.tempfile_in(folder)?;
            io::copy(&mut open_plain(source)?, copy.as_file_mut())?;
            Ok(copy.into_temp_path())
        }
    }
}

/// A file that waits for its name.
pub(crate) struct Waiting {
    pub file: TempPath,
    pub destination: PathBuf,
    pub wanted: Digest,
}

/// Returns the destination of a file that is not what it should be.
pub(crate) fn first_damaged(files: &[Waiting]) -> Result<Option<&Path>, Error> {
    for waiting in files {
        let digest = open_plain(&waiting.file).and_then(|file| {
            // A file of another size need not be read.
            let size_bytes = file.metadata()?.len();
            if size_bytes == waiting.wanted.size_bytes { digest_of(&file).map(Some) } else { Ok(None) }
        });
        match digest {
            Ok(Some(digest)) if digest == waiting.wanted => {}
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EIO as i32) => {
                return Err(Error::disk(&waiting.destination, error));
            }
            _ => return Ok(Some(&waiting.destination)),
        }
    }
    Ok(None)
}

/// Gives all files their names, or none.
pub(crate) fn place_all(files: Vec<Waiting>) -> Result<(), Error> {
    let mut placed: Vec<PathBuf> = Vec::new();
    for Waiting { file, destination, .. } in files {
        match file.persist_noclobber(&destination) {
            Ok(()) => placed.push(destination),
            Err(error) => {
                for path in &placed {
                    let _ = std::fs::remove_file(path);
                }
                let error = error.error;
                return Err(match error.kind() {
                    io::ErrorKind::AlreadyExists => Error::in_the_way(&destination, error),
                    _ => Error::disk(&destination, error),
                });
            }
        }
    }
    Ok(())
}

/// Says whether files may still be placed: not once the future that wants them was dropped, because its caller may have
/// gone on.
#[derive(Clone, Default)]
pub(crate) struct Permit(Arc<Mutex<bool>>);

/// Withdraws a permit when it is dropped.
pub(crate) struct Withdrawal(Permit);

impl Permit {
    /// Gives a permit that ends with its second half.
    pub fn until_dropped() -> (Self, Withdrawal) {
        let permit = Self(Arc::new(Mutex::new(true)));
        (permit.clone(), Withdrawal(permit))
    }

    /// Does the work unless the permit was withdrawn. A withdrawal waits for its end.
    pub fn use_for<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let is_given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_given.then(work)
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn waiting(folder: &Path, name: &str) -> Waiting {
        let source = folder.join(format!("{name}.source"));
        std::fs::write(&source, name).unwrap();
        let destination = folder.join(name);
        let wanted = digest_of(&open_plain(&source).unwrap()).unwrap();
        Waiting { file: linked_beside(&source, &destination).unwrap(), destination, wanted }
    }

    #[test]
    fn all_files_are_placed_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = || ["a", "b", "c"].map(|name| waiting(folder.path(), name)).into();
        std::fs::write(folder.path().join("b"), "theirs").unwrap();
        assert_eq!(place_all(files()).unwrap_err().kind(), ErrorKind::InTheWay);
        assert!(!folder.path().join("a").exists() && !folder.path().join("c").exists());
        assert_eq!(std::fs::read(folder.path().join("b")).unwrap(), b"theirs");
        std::fs::remove_file(folder.path().join("b")).unwrap();
        place_all(files()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("c")).unwrap(), b"c");
        let hidden = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert_eq!(hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with(HIDDEN)).count(), 0);
    }

    #[test]
    fn withdrawn_permit_lets_nothing_happen() {
        let (permit, withdrawal) = Permit::until_dropped();
        assert_eq!(permit.use_for(|| 1), Some(1));
        drop(withdrawal);
        assert_eq!(permit.use_for(|| 1), None);
    }

    #[test]
    fn pipes_and_links_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(open_plain(&pipe).unwrap_err().to_string().contains("no plain file"));
        assert!(open_plain(&link).is_err());
    }
}
