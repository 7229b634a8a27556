//! The folder of a job's files while it runs, below the engine's folder. It holds no file of another job, and users
//! never see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use abanico_plan::TaskId;

use abanico_tasks::TaskFolders;
use abanico_tasks::results::free_bytes;
use abanico_tasks::sums::{hash_of, name_of};

use crate::jobs::ids::JobId;

/// Name of the list of the fetched files with their hashes.
const INPUT_SUMS: &str = "inputs.sums";

/// Folder of the store's notes on what was published.
const PUBLICATION: &str = "publication";
/// List of the URLs that are about to be published.
const CLAIM: &str = "publication-claim.json";

/// The folder of one job.
#[derive(Clone, Debug)]
pub(crate) struct WorkFolder {
    root: PathBuf,
    tasks: TaskFolders,
    job: JobId,
}

impl WorkFolder {
    /// Returns the folder of `job` below `works`.
    pub fn of(works: &Path, job: &JobId) -> Self {
        let root = works.join(job.as_str());
        Self { tasks: TaskFolders::below(root.clone()), root, job: job.clone() }
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

    /// Returns the folders of the job's tasks.
    pub fn tasks(&self) -> &TaskFolders {
        &self.tasks
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

    /// Returns whether the inputs and the files of all these tasks exist, and the files of the tasks are what the tasks
    /// made; after a crash of the machine they may not be.
    pub fn has_all<'a>(&self, inputs: &[PathBuf], mut tasks: impl Iterator<Item = &'a TaskId>) -> bool {
        inputs.iter().all(|input| input.exists())
            && self.are_as_fetched(inputs)
            && tasks.all(|task| self.tasks.is_whole(task.as_str()))
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
    fn folder_has_all_only_with_inputs_and_tasks() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        let task = TaskId::video();
        work.tasks().begin(task.as_str()).unwrap();
        work.tasks().complete(task.as_str()).unwrap();
        let inputs = [work.input(0)];
        assert!(!work.has_all(&inputs, [&task].into_iter()), "the input is missing");
        std::fs::write(work.input(0), "i").unwrap();
        assert!(work.has_all(&inputs, [&task].into_iter()));
        assert!(!work.has_all(&inputs, [&TaskId::audio(0)].into_iter()));
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
        std::fs::create_dir_all(work.tasks().task("video")).unwrap();
        std::fs::write(work.input(0), "i").unwrap();
        let urls: BTreeSet<String> = ["s3://b/a".to_owned()].into();
        work.note_claim(&urls).unwrap();
        work.clear().unwrap();
        assert!(!work.input(0).exists() && !work.tasks().task("video").exists());
        assert!(work.publication().join("files").exists());
        assert_eq!(work.claim().unwrap(), urls);
        work.forget_claim().unwrap();
        work.forget_claim().unwrap();
        assert!(work.claim().unwrap().is_empty());
    }

    #[test]
    fn changed_input_is_noticed() {
        let works = tempfile::tempdir().unwrap();
        let work = WorkFolder::of(works.path(), &JobId::new("1-a"));
        std::fs::create_dir_all(work.root()).unwrap();
        std::fs::write(work.input(0), "input").unwrap();
        work.note_inputs(&[(work.input(0), hash_of(&work.input(0)).unwrap())].into()).unwrap();
        let has_input = || work.has_all(&[work.input(0)], std::iter::empty());
        assert!(has_input());
        std::fs::write(work.input(0), "inpUt").unwrap();
        assert!(!has_input());
    }
}
