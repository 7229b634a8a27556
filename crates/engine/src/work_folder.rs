//! Where a job's files lie while it runs: in a job's name, out paths below the engine's folder.
//! Never a file of another job; nothing here is ever visible to users.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use abanico_plan::TaskId;

use crate::JobId;

/// The folder of one job. What a task makes lies in a folder of its own that gets its final name when it is complete.
#[derive(Clone, Debug)]
pub(crate) struct WorkFolder {
    root: PathBuf,
    job: JobId,
}

impl WorkFolder {
    /// The folder of `job` below `works`.
    pub fn of(works: &Path, job: &JobId) -> Self {
        Self { root: works.join(job.as_str()), job: job.clone() }
    }

    /// Whose it is.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The fetched input with this index.
    pub fn input(&self, index: usize) -> PathBuf {
        self.root.join(format!("input-{index}"))
    }

    /// The fetched caption file with this index.
    pub fn caption_file(&self, index: usize) -> PathBuf {
        self.root.join(format!("caption-file-{index}"))
    }

    /// The fetched image with this index; its extension says what it is.
    pub fn image(&self, index: usize, url: &str) -> PathBuf {
        let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
        let extension = ["bmp", "tga"].into_iter().find(|extension| path.ends_with(&format!(".{extension}")));
        self.root.join(format!("image-{index}.{}", extension.unwrap_or("png")))
    }

    /// The finished files of a task.
    pub fn task(&self, task: &TaskId) -> PathBuf {
        self.root.join(task.as_str())
    }

    /// A new empty folder for the files of a task that begins; what earlier tries left is removed.
    pub fn begin(&self, task: &TaskId) -> io::Result<PathBuf> {
        remove(&self.second_partial(task))?;
        made_new(self.partial(task))
    }

    /// A new empty folder for a second attempt at a task whose first still has its own.
    pub fn begin_second(&self, task: &TaskId) -> io::Result<PathBuf> {
        made_new(self.second_partial(task))
    }

    /// Removes what a task that failed, or an attempt at it that came too late, has left.
    pub fn discard(&self, task: &TaskId) {
        for partial in [self.partial(task), self.second_partial(task)] {
            self.discard_attempt(&partial);
        }
    }

    /// Removes what one attempt has left in its folder.
    pub fn discard_attempt(&self, partial: &Path) {
        if let Err(error) = remove(partial) {
            tracing::warn!(partial = %partial.display(), %error, "what a failed task left cannot be removed");
        }
    }

    /// Makes the files of a task final: all of them, at once, on the disk before they are called done.
    pub fn complete(&self, task: &TaskId) -> io::Result<()> {
        self.complete_from(&self.partial(task), task)
    }

    /// The same for the files of the attempt that had this folder.
    pub fn complete_from(&self, partial: &Path, task: &TaskId) -> io::Result<()> {
        let finished = self.task(task);
        for entry in std::fs::read_dir(partial)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(partial)?.sync_all()?;
        remove(&finished)?;
        std::fs::rename(partial, finished)?;
        File::open(&self.root)?.sync_all()
    }

    /// Whether the inputs and the files of all these tasks are there; after a crash of the machine they may not be.
    pub fn has_all<'a>(&self, inputs: &[PathBuf], mut tasks: impl Iterator<Item = &'a TaskId>) -> bool {
        inputs.iter().all(|input| input.exists()) && tasks.all(|task| self.task(task).exists())
    }

    /// Removes the files of a finished task that nobody reads any more; that it is finished is still to be seen.
    pub fn empty(&self, task: &TaskId) -> io::Result<()> {
        for entry in std::fs::read_dir(self.task(task))? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Removes everything of the job.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.root)
    }

    fn partial(&self, task: &TaskId) -> PathBuf {
        self.root.join(format!("{task}.partial"))
    }

    fn second_partial(&self, task: &TaskId) -> PathBuf {
        self.root.join(format!("{task}.second.partial"))
    }
}

/// The folder, new and empty.
fn made_new(folder: PathBuf) -> io::Result<PathBuf> {
    remove(&folder)?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Removes a folder; none there is a success.
fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_task_complete_only_as_a_whole() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        let task = TaskId::new("video");
        std::fs::write(work.begin(&task).unwrap().join("half"), "h").unwrap();
        let again = work.begin(&task).unwrap();
        assert!(!again.join("half").exists() && !work.task(&task).exists());
        work.discard(&task);
        assert!(!again.exists());
        let again = work.begin(&task).unwrap();
        std::fs::write(again.join("whole"), "w").unwrap();
        work.complete(&task).unwrap();
        assert!(work.task(&task).join("whole").exists());
        work.empty(&task).unwrap();
        assert!(work.task(&task).exists() && !work.task(&task).join("whole").exists());
        let inputs = [work.input(0)];
        assert!(!work.has_all(&inputs, [&task].into_iter()), "the input is missing");
        std::fs::write(work.input(0), "i").unwrap();
        assert!(work.has_all(&inputs, [&task].into_iter()));
        assert!(!work.has_all(&inputs, [&TaskId::new("audio-0")].into_iter()));
        work.remove().unwrap();
        work.remove().unwrap();
        assert!(!works.path().join("1-a").exists());
    }

    #[test]
    fn do_two_attempts_have_folders_of_their_own_and_one_result() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        let task = TaskId::new("chunk-0000");
        let (first, second) = (work.begin(&task).unwrap(), work.begin_second(&task).unwrap());
        std::fs::write(first.join("video"), "half").unwrap();
        std::fs::write(second.join("video"), "whole").unwrap();
        work.complete_from(&second, &task).unwrap();
        assert!(first.exists() && !second.exists());
        work.discard(&task);
        assert!(!first.exists());
        assert_eq!(std::fs::read(work.task(&task).join("video")).unwrap(), b"whole");
        let left = work.begin_second(&task).unwrap();
        work.begin(&task).unwrap();
        assert!(!left.exists(), "an earlier run of the program left it");
    }
}
