//! The folder of a job's files while it runs, below the engine's folder. It holds no file of another job, and users
//! never see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use abanico_plan::TaskId;

use crate::JobId;
use crate::results::free_bytes;
use crate::sums::{Sums, hash_of, name_of};

/// Name of the list of the fetched files with their hashes.
const INPUT_SUMS: &str = "inputs.sums";

/// Folder of the store's notes on what was published.
const PUBLICATION: &str = "publication";
/// List of the URLs that are about to be published.
const CLAIM: &str = "publication-claim.json";

/// The folder of one job. Each task writes to a separate folder, which gets its final name when it is complete.
#[derive(Clone, Debug)]
pub(crate) struct WorkFolder {
    root: PathBuf,
    job: JobId,
}

impl WorkFolder {
    /// Returns the folder of `job` below `works`.
    pub fn of(works: &Path, job: &JobId) -> Self {
        Self { root: works.join(job.as_str()), job: job.clone() }
    }

    /// Returns the job that owns the folder.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// Returns the path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns how many bytes of the folder's disk are free; `None` if that cannot be told.
    pub fn free_bytes(&self) -> Option<u64> {
        self.root.ancestors().find(|folder| folder.exists()).and_then(|folder| free_bytes(folder).ok())
    }

    /// Returns the path of the fetched input with this index.
    pub fn input(&self, index: usize) -> PathBuf {
        self.root.join(format!("input-{index}"))
    }

    /// Returns the path of the fetched caption file with this index.
    pub fn caption_file(&self, index: usize) -> PathBuf {
        self.root.join(format!("caption-file-{index}"))
    }

    /// Returns the path of the fetched image with this index; its extension names the format.
    pub fn image(&self, index: usize, url: &str) -> PathBuf {
        let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
        let extension = ["bmp", "tga"].into_iter().find(|extension| path.ends_with(&format!(".{extension}")));
        self.root.join(format!("image-{index}.{}", extension.unwrap_or("png")))
    }

    /// Returns the folder with the finished files of a task.
    pub fn task(&self, task: &TaskId) -> PathBuf {
        self.root.join(task.as_str())
    }

    /// Returns the folder of the store's notes on what was published.
    pub fn publication(&self) -> PathBuf {
        self.root.join(PUBLICATION)
    }

    /// Notes durably that these URLs are about to be published.
    pub fn note_claim(&self, urls: &BTreeSet<String>) -> io::Result<()> {
        std::fs::create_dir_all(&self.root)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        serde_json::to_writer(file.as_file_mut(), urls)?;
        file.as_file().sync_all()?;
        file.persist(self.root.join(CLAIM)).map_err(|error| error.error)?;
        File::open(&self.root)?.sync_all()
    }

    /// Forgets which URLs were about to be published, because they are taken back.
    pub fn forget_claim(&self) -> io::Result<()> {
        match std::fs::remove_file(self.root.join(CLAIM)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the URLs that an earlier process was about to publish; empty if it had not come that far.
    pub fn claim(&self) -> io::Result<BTreeSet<String>> {
        match std::fs::read(self.root.join(CLAIM)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            text => Ok(serde_json::from_slice(&text?)?),
        }
    }

    /// Creates an empty folder for the files of a task that begins, and removes what earlier attempts left.
    pub fn begin(&self, task: &TaskId) -> io::Result<PathBuf> {
        remove(&self.second_partial(task))?;
        made_new(self.partial(task))
    }

    /// Creates an empty folder for a second attempt at a task whose first attempt still has its own.
    pub fn begin_second(&self, task: &TaskId) -> io::Result<PathBuf> {
        made_new(self.second_partial(task))
    }

    /// Removes what a failed task or a late attempt has left.
    pub fn discard(&self, task: &TaskId) {
        for partial in [self.partial(task), self.second_partial(task)] {
            self.discard_attempt(&partial);
        }
    }

    /// Removes the folder of one attempt.
    pub fn discard_attempt(&self, partial: &Path) {
        if let Err(error) = remove(partial) {
            tracing::warn!(partial = %partial.display(), %error, "cannot remove the files of a failed attempt");
        }
    }

    /// Makes the files of a task final, all at once, after flushing them to disk and noting their hashes.
    pub fn complete(&self, task: &TaskId) -> io::Result<()> {
        self.complete_from(&self.partial(task), task)
    }

    /// Like [`Self::complete`], for the attempt that wrote to this folder.
    pub fn complete_from(&self, partial: &Path, task: &TaskId) -> io::Result<()> {
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

    /// Returns whether the inputs and the files of all these tasks exist, and the files of the tasks are what the tasks
    /// made; after a crash of the machine they may not be.
    pub fn has_all<'a>(&self, inputs: &[PathBuf], mut tasks: impl Iterator<Item = &'a TaskId>) -> bool {
        inputs.iter().all(|input| input.exists())
            && self.are_as_fetched(inputs)
            && tasks.all(|task| self.is_whole(task))
    }

    /// Notes the hashes of fetched files, by their paths.
    pub fn note_inputs(&self, hashes: &BTreeMap<PathBuf, String>) -> io::Result<()> {
        let named: BTreeMap<String, &String> =
            hashes.iter().map(|(path, hash)| (name_of(path), hash)).collect();
        let mut file = File::create(self.root.join(INPUT_SUMS))?;
        file.write_all(&serde_json::to_vec(&named)?)?;
        file.sync_all()
    }

    fn are_as_fetched(&self, inputs: &[PathBuf]) -> bool {
        let written = match std::fs::read(self.root.join(INPUT_SUMS)) {
            Ok(written) => written,
            // An older version wrote none.
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        let Ok(sums) = serde_json::from_slice::<BTreeMap<String, String>>(&written) else { return false };
        inputs.iter().all(|input| {
            sums.get(&name_of(input)).is_none_or(|sum| hash_of(input).is_ok_and(|found| found == *sum))
        })
    }

    fn is_whole(&self, task: &TaskId) -> bool {
        let finished = self.task(task);
        finished.exists() && self.first_changed(task).is_ok_and(|changed| changed.is_none())
    }

    /// Returns the name of a file of a finished task that is not what the task made. Returns none for a task that has
    /// no hashes: its files were removed because nothing needs them any more, or an older version made them.
    pub fn first_changed(&self, task: &TaskId) -> io::Result<Option<String>> {
        let written = match std::fs::read(self.sums(task)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            written => written?,
        };
        let made: Sums = serde_json::from_slice(&written)?;
        Ok(made.first_difference(&Sums::of(&self.task(task))?))
    }

    /// Returns the path of the list of a finished task's files with their hashes.
    fn sums(&self, task: &TaskId) -> PathBuf {
        self.root.join(format!("{task}.sums"))
    }

    fn write_sums(&self, task: &TaskId, folder: &Path) -> io::Result<()> {
        let mut file = File::create(self.sums(task))?;
        file.write_all(&serde_json::to_vec(&Sums::of(folder)?)?)?;
        file.sync_all()
    }

    /// Removes the files of a finished task once no other task needs them. The folder stays, to show that the task is
    /// finished.
    pub fn empty(&self, task: &TaskId) -> io::Result<()> {
        match std::fs::remove_file(self.sums(task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for entry in std::fs::read_dir(self.task(task))? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Removes the job's whole folder.
    pub fn remove(&self) -> io::Result<()> {
        remove(&self.root)
    }

    /// Removes all but the notes on what was published, to free space.
    pub fn clear(&self) -> io::Result<()> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name() == PUBLICATION || entry.file_name() == CLAIM {
                continue;
            }
            if entry.file_type()?.is_dir() {
                remove(&entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn partial(&self, task: &TaskId) -> PathBuf {
        self.root.join(format!("{task}.partial"))
    }

    fn second_partial(&self, task: &TaskId) -> PathBuf {
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

    #[test]
    fn task_is_complete_only_as_a_whole() {
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
    fn cleared_folder_still_tells_what_was_published() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        work.clear().unwrap();
        assert!(work.claim().unwrap().is_empty());
        std::fs::create_dir_all(work.publication().join("files")).unwrap();
        std::fs::create_dir_all(work.task(&TaskId::new("video"))).unwrap();
        std::fs::write(work.input(0), "i").unwrap();
        let urls: BTreeSet<String> = ["s3://b/a".to_owned()].into();
        work.note_claim(&urls).unwrap();
        work.clear().unwrap();
        assert!(!work.input(0).exists() && !work.task(&TaskId::new("video")).exists());
        assert!(work.publication().join("files").exists());
        assert_eq!(work.claim().unwrap(), urls);
        work.forget_claim().unwrap();
        work.forget_claim().unwrap();
        assert!(work.claim().unwrap().is_empty());
    }

    #[test]
    fn damaged_files_of_a_finished_task_are_noticed() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        let task = TaskId::new("video");
        let has_all = || work.has_all(&[], [&task].into_iter());
        let file = work.task(&task).join("made");
        let damages: [&dyn Fn(); 4] = [
            &|| std::fs::write(&file, "made?").unwrap(),
            &|| std::fs::write(&file, "mad").unwrap(),
            &|| std::fs::remove_file(&file).unwrap(),
            &|| std::fs::write(work.sums(&task), "{}").unwrap(),
        ];
        for damage in damages {
            std::fs::write(work.begin(&task).unwrap().join("made"), "made.").unwrap();
            work.complete(&task).unwrap();
            assert!(has_all());
            damage();
            assert!(!has_all());
        }
        assert!(work.first_changed(&task).unwrap().is_some());
        std::fs::remove_file(work.sums(&task)).unwrap();
        assert!(has_all(), "an older version wrote no hashes");
        std::fs::write(work.input(0), "input").unwrap();
        work.note_inputs(&[(work.input(0), hash_of(&work.input(0)).unwrap())].into()).unwrap();
        let has_input = || work.has_all(&[work.input(0)], std::iter::empty());
        assert!(has_input());
        std::fs::write(work.input(0), "inpUt").unwrap();
        assert!(!has_input());
    }

    #[test]
    fn two_attempts_have_own_folders_and_one_result() {
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
