//! The folders of a job's tasks: each task writes to a folder of its own, which gets its final name when it is complete.
//! A task is either done or does not exist. Nothing here knows what is in the files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::files::sums::Sums;

/// The folder that has the folders of all tasks.
#[derive(Clone, Debug)]
pub struct TaskFolders {
    root: PathBuf,
}

impl TaskFolders {
    /// Returns the folders of tasks below `root`, which need not exist.
    pub fn below(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns the path of the folder that has all others.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder with the finished files of a task. Here and below, `task` is the text of its id, or the name
    /// of a part of its work.
    pub fn task(&self, task: &str) -> PathBuf {
        self.root.join(task)
    }

    /// Creates an empty folder for the files of a task that begins, and removes what earlier attempts left.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn begin(&self, task: &str) -> io::Result<PathBuf> {
        remove(&self.second_partial(task))?;
        made_new(self.partial(task))
    }

    /// Creates an empty folder for a second attempt at a task whose first attempt still has its own.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn begin_second(&self, task: &str) -> io::Result<PathBuf> {
        made_new(self.second_partial(task))
    }

    /// Removes what a failed task or a late attempt has left.
    pub fn discard(&self, task: &str) {
        self.discard_attempt(task, false);
        self.discard_attempt(task, true);
    }

    /// Removes what one of two attempts at a task has left.
    pub fn discard_attempt(&self, task: &str, is_second: bool) {
        let partial = if is_second { self.second_partial(task) } else { self.partial(task) };
        if let Err(error) = remove(&partial) {
            tracing::warn!(partial = %partial.display(), %error, "cannot remove the files of a failed attempt");
        }
    }

    /// Makes the files of a task final, all at once, after flushing them to disk and noting their hashes. Blocking.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn complete(&self, task: &str) -> io::Result<()> {
        self.complete_from(&self.partial(task), task)
    }

    /// Like [`Self::complete`], for the second attempt.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn complete_second(&self, task: &str) -> io::Result<()> {
        self.complete_from(&self.second_partial(task), task)
    }

    fn complete_from(&self, partial: &Path, task: &str) -> io::Result<()> {
        let finished = self.task(task);
        for entry in std::fs::read_dir(partial)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(partial)?.sync_all()?;
        self.write_sums(task, partial)?;
        remove(&finished)?;
        std::fs::rename(partial, finished)?;
        File::open(&self.root)?.sync_all()
    }

    /// Returns whether a task is finished and its files are what it made. Blocking: all bytes are hashed.
    pub fn is_whole(&self, task: &str) -> bool {
        let finished = self.task(task);
        finished.exists() && self.first_changed(task).is_ok_and(|changed| changed.is_none())
    }

    /// Returns the name of a file of a finished task that is not what the task made. Returns none for a task that has
    /// no hashes: its files were removed because nothing needs them any more, or an older version made them. Blocking.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn first_changed(&self, task: &str) -> io::Result<Option<String>> {
        let written = match std::fs::read(self.sums(task)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            written => written?,
        };
        let made: Sums = serde_json::from_slice(&written)?;
        Ok(made.first_difference(&Sums::of(&self.task(task))?))
    }

    /// Returns the path of the list of a finished task's files with their hashes.
    pub fn sums(&self, task: &str) -> PathBuf {
        self.root.join(format!("{task}.sums"))
    }

    fn write_sums(&self, task: &str, folder: &Path) -> io::Result<()> {
        let mut file = File::create(self.sums(task))?;
        file.write_all(&serde_json::to_vec(&Sums::of(folder)?)?)?;
        file.sync_all()
    }

    /// Removes the files of a finished task once no other task needs them. The folder stays, to show that the task is
    /// finished.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn empty(&self, task: &str) -> io::Result<()> {
        match std::fs::remove_file(self.sums(task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for entry in std::fs::read_dir(self.task(task))? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Removes all of a finished part of a task's work, whose files are elsewhere by now. A failure only costs space.
    pub(crate) fn remove(&self, part: &str) {
        let removed = self.empty(part).and_then(|()| remove(&self.task(part)));
        if let Err(error) = removed {
            tracing::warn!(task = part, %error, "cannot remove what a part of a task has left");
        }
    }

    fn partial(&self, task: &str) -> PathBuf {
        self.root.join(format!("{task}.partial"))
    }

    fn second_partial(&self, task: &str) -> PathBuf {
        self.root.join(format!("{task}.second.partial"))
    }
}

/// Creates an empty folder in place of any earlier one.
fn made_new(folder: PathBuf) -> io::Result<PathBuf> {
    remove(&folder)?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Removes a folder; succeeds if there is none.
fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, TaskFolders) {
        let folder = tempfile::tempdir().unwrap();
        let folders = TaskFolders::below(folder.path().join("1-a"));
        (folder, folders)
    }

    #[test]
    fn task_is_complete_only_as_a_whole() {
        let (_folder, work) = folders();
        std::fs::write(work.begin("video").unwrap().join("half"), "h").unwrap();
        let again = work.begin("video").unwrap();
        assert!(!again.join("half").exists() && !work.task("video").exists());
        work.discard("video");
        assert!(!again.exists());
        let again = work.begin("video").unwrap();
        std::fs::write(again.join("whole"), "w").unwrap();
        work.complete("video").unwrap();
        assert!(work.task("video").join("whole").exists());
        work.empty("video").unwrap();
        assert!(work.task("video").exists() && !work.task("video").join("whole").exists());
        assert!(work.is_whole("video") && !work.is_whole("audio-0"));
    }

    #[test]
    fn damaged_files_of_a_finished_task_are_noticed() {
        let (_folder, work) = folders();
        let file = work.task("video").join("made");
        let damages: [&dyn Fn(); 4] = [
            &|| std::fs::write(&file, "made?").unwrap(),
            &|| std::fs::write(&file, "mad").unwrap(),
            &|| std::fs::remove_file(&file).unwrap(),
            &|| std::fs::write(work.sums("video"), "{}").unwrap(),
        ];
        for damage in damages {
            std::fs::write(work.begin("video").unwrap().join("made"), "made.").unwrap();
            work.complete("video").unwrap();
            assert!(work.is_whole("video"));
            damage();
            assert!(!work.is_whole("video"));
        }
        assert!(work.first_changed("video").unwrap().is_some());
        std::fs::remove_file(work.sums("video")).unwrap();
        assert!(work.is_whole("video"), "an older version wrote no hashes");
    }

    #[test]
    fn two_attempts_have_own_folders_and_one_result() {
        let (_folder, work) = folders();
        let task = "chunk-0000";
        let (first, second) = (work.begin(task).unwrap(), work.begin_second(task).unwrap());
        std::fs::write(first.join("video"), "half").unwrap();
        std::fs::write(second.join("video"), "whole").unwrap();
        work.complete_second(task).unwrap();
        assert!(first.exists() && !second.exists());
        work.discard(task);
        assert!(!first.exists());
        assert_eq!(std::fs::read(work.task(task).join("video")).unwrap(), b"whole");
        let left = work.begin_second(task).unwrap();
        work.begin(task).unwrap();
        assert!(!left.exists(), "an earlier run of the program left it");
    }
}
