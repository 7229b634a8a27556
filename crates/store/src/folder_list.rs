//! Walks a folder in the order in which S3 lists keys: by the bytes of the whole relative path. Follows no symbolic link.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How the names of files begin that are not visible yet.
const HIDDEN: &str = ".abanico-";

/// A file below the folder.
pub(crate) struct FoundFile {
    /// Its path relative to the folder.
    pub name: String,
    pub size_bytes: u64,
    pub modified: SystemTime,
    pub e_tag: String,
}

/// The files that come after a name.
struct Walk<'a> {
    after: &'a str,
    most: usize,
    found: Vec<FoundFile>,
}

/// Returns up to `most` files below `folder` that come after `after`, which is empty for the first page. A folder that
/// does not exist has none. Blocking.
pub(crate) fn files_below(folder: &Path, after: &str, most: usize) -> io::Result<Vec<FoundFile>> {
    let mut walk = Walk { after, most, found: Vec::new() };
    walk.folder(folder, "")?;
    Ok(walk.found)
}

impl Walk<'_> {
    /// Adds the files of a folder. `name` is its relative path with a `/` at the end.
    fn folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let entries = match std::fs::read_dir(folder) {
            // Somebody has removed it since.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok(());
            }
            entries => entries?,
        };
        let mut below: Vec<(String, bool, PathBuf)> = Vec::new();
        for entry in entries {
            let entry = entry?;
            let (kind, own) = (entry.file_type()?, entry.file_name());
            let Some(own) = own.to_str().filter(|own| !own.starts_with(HIDDEN)) else { continue };
            if kind.is_dir() {
                below.push((format!("{name}{own}/"), true, entry.path()));
            } else if kind.is_file() {
                below.push((format!("{name}{own}"), false, entry.path()));
            }
        }
        below.sort();
        for (name, is_folder, path) in below {
            if self.found.len() >= self.most {
                break;
            }
            if is_folder && (name.as_str() > self.after || self.after.starts_with(&name)) {
                self.folder(&path, &name)?;
            } else if !is_folder && name.as_str() > self.after {
                self.file(&path, name)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> io::Result<()> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(found) => {
                let e_tag = crate::folder::e_tag(&found);
                self.found.push(FoundFile {
                    name,
                    size_bytes: found.len(),
                    modified: found.modified()?,
                    e_tag,
                });
                Ok(())
            }
        }
    }
}

/// Removes the folder and those in it, as far as they are empty. S3 has no folders that could stay. Blocking.
pub(crate) fn remove_empty_folders(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_folders(&entry.path());
        }
    }
    // It is not empty if somebody has stored a file meanwhile.
    let _ = std::fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_s3_keys_on_pages_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let sorted = ["a!", "a-b/c", "a.b", "a/b", "a/b-/c", "a/b0", "a0", "dìa/x", "z/y/x/w"];
        for name in sorted {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        std::fs::write(folder.path().join(".abanico-1.staged"), "hidden").unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        for most in 1..10 {
            let (mut names, mut after) = (Vec::new(), String::new());
            loop {
                let page = files_below(folder.path(), &after, most).unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= most);
                after.clone_from(&last.name);
                names.extend(page.into_iter().map(|file| file.name));
            }
            assert_eq!(names, sorted, "{most}");
        }
    }
}
