//! What a task's ffmpeg may leave in its folder, and in what state: plain files that are its own, no larger than the
//! plan allows. A program that a hostile video has taken over may leave anything else.
//!
//! Nothing is opened here, so a pipe cannot make the check wait, and holes in a file cost nothing.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes that a file takes on the disk at least, so that a bound on bytes is one on the number of files too.
const BLOCK_BYTES: u64 = 4096;
/// Mode bits that make a program run with its owner's or group's rights.
const SET_ID_BITS: u32 = 0o6000;

/// Files that were in a task's folder before its ffmpeg began and that other folders share: results of earlier jobs.
/// They are out of its reach until they are put back, because writing to them would change them for everyone.
#[derive(Debug)]
pub(crate) struct SetAside {
    aside: PathBuf,
    folder: PathBuf,
    names: Vec<std::ffi::OsString>,
}

impl SetAside {
    /// Moves the shared files of `folder` to a folder beside it.
    pub fn from(folder: &Path) -> io::Result<Self> {
        let mut aside = folder.as_os_str().to_owned();
        aside.push(".aside");
        // An attempt that was cut off may have left one.
        match std::fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut set = Self { aside: aside.into(), folder: folder.to_owned(), names: Vec::new() };
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.metadata()?.nlink() == 1 {
                continue;
            }
            if set.names.is_empty() {
                std::fs::create_dir_all(&set.aside)?;
            }
            std::fs::rename(entry.path(), set.aside.join(entry.file_name()))?;
            set.names.push(entry.file_name());
        }
        Ok(set)
    }

    /// Moves the files back. They replace what has their names now.
    pub fn put_back(self) -> io::Result<()> {
        for name in &self.names {
            std::fs::rename(self.aside.join(name), self.folder.join(name))?;
        }
        if self.names.is_empty() { Ok(()) } else { std::fs::remove_dir(&self.aside) }
    }
}

/// Returns why the files in `folder` are not accepted as `most_bytes` or less of outputs; `None` if they are.
///
/// Call it when no process that could still change them is left.
pub(crate) fn fault(folder: &Path, most_bytes: u64) -> io::Result<Option<String>> {
    // Some network file systems show another owner than our user, but the same for all files.
    let own = std::fs::metadata(folder)?.uid();
    let mut bytes = 0_u64;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // This is `lstat`: a link is not followed.
        let metadata = entry.metadata()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        bytes = bytes.saturating_add(metadata.len().max(BLOCK_BYTES));
        let fault = if !metadata.is_file() {
            format!("`{name}` is no plain file")
        } else if metadata.nlink() != 1 {
            format!("`{name}` is also linked elsewhere")
        } else if metadata.uid() != own {
            format!("`{name}` belongs to another user")
        } else if metadata.permissions().mode() & SET_ID_BITS != 0 {
            format!("`{name}` would run with the rights of its owner")
        } else if bytes > most_bytes {
            format!("its files have more than the {most_bytes} bytes that the plan allows")
        } else {
            continue;
        };
        return Ok(Some(fault));
    }
    Ok(None)
}

/// Removes everything from `folder` that is no plain file of its own, so that whoever goes on in the folder of a failed
/// ffmpeg finds nothing that could make it wait or lead it elsewhere.
pub(crate) fn remove_odd(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if !metadata.is_file() || metadata.nlink() != 1 {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How to make something odd, and why it is refused.
    type Odd<'a> = (&'a dyn Fn(&Path), &'static str);

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("video-0.mp4"), "some bytes").unwrap();
        folder
    }

    #[test]
    fn plain_files_within_the_bound_are_accepted() {
        let folder = folder();
        assert_eq!(fault(folder.path(), 4096).unwrap(), None);
        assert!(fault(folder.path(), 4095).unwrap().unwrap().contains("4095 bytes"));
        std::fs::write(folder.path().join("empty"), "").unwrap();
        assert!(fault(folder.path(), 4096).unwrap().is_some(), "empty files take room too");
        std::fs::File::create(folder.path().join("holes")).unwrap().set_len(400 << 30).unwrap();
        assert!(fault(folder.path(), 1 << 30).unwrap().is_some(), "holes count");
    }

    #[test]
    fn anything_but_a_plain_file_is_refused() {
        let target = tempfile::NamedTempFile::new().unwrap();
        let make: [Odd<'_>; 6] = [
            (&|at| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap(), "no plain file"),
            (&|at| std::os::unix::fs::symlink(target.path(), at).unwrap(), "no plain file"),
            (&|at| std::fs::create_dir(at).unwrap(), "no plain file"),
            (&|at| drop(std::os::unix::net::UnixListener::bind(at).unwrap()), "no plain file"),
            (&|at| std::fs::hard_link(target.path(), at).unwrap(), "linked elsewhere"),
            (
                &|at| {
                    std::fs::write(at, "").unwrap();
                    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o4755)).unwrap();
                },
                "rights of its owner",
            ),
        ];
        for (make, why) in make {
            let folder = folder();
            make(&folder.path().join("odd"));
            let found = fault(folder.path(), 1 << 20).unwrap().unwrap();
            assert!(found.contains(why) && found.contains("`odd`"), "{found}");
            remove_odd(folder.path()).unwrap();
            let left = folder.path().join("odd").symlink_metadata().is_ok();
            assert_eq!(left, why == "rights of its owner", "a plain file stays");
            assert!(folder.path().join("video-0.mp4").exists());
        }
    }

    #[test]
    fn shared_files_are_out_of_reach_and_come_back() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, kept) = (parent.path().join("video.partial"), parent.path().join("kept.mp4"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&kept, "kept").unwrap();
        std::fs::hard_link(&kept, folder.join("video-1.mp4")).unwrap();
        std::fs::write(folder.join("own"), "own").unwrap();
        let aside = SetAside::from(&folder).unwrap();
        assert!(!folder.join("video-1.mp4").exists() && folder.join("own").exists());
        std::fs::write(folder.join("video-1.mp4"), "forged").unwrap();
        assert_eq!(fault(&folder, 1 << 20).unwrap(), None);
        aside.put_back().unwrap();
        assert_eq!(std::fs::read(folder.join("video-1.mp4")).unwrap(), b"kept");
        assert_eq!(std::fs::read(&kept).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2, "nothing is left beside it");
        SetAside::from(&folder.join("missing")).unwrap_err();
    }
}
