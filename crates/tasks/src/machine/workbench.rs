//! What a task works with: the machine, the folders of its job, the files that were fetched for it, and whom it reports
//! to. It decides nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use abanico_ffmpeg::{Tools, command};
use abanico_plan::{Artifact, Streams, TaskId};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::failure::{self, Failure};
use crate::files::folders::TaskFolders;
use crate::files::sums::hash_of;
use crate::kept::results::Results;
use crate::machine::attempt::Attempt;
use crate::machine::capacity::Capacity;
use crate::machine::sandboxing::Sandboxing;

/// Hexadecimal BLAKE3 hashes of inputs' bytes, by the inputs' indices in the job. Shared by all clones, and filled on
/// first use.
pub type InputHashes = Arc<OnceCell<BTreeMap<u32, String>>>;

/// What the tasks of all jobs on one machine share.
#[derive(Clone)]
pub struct Machine {
    /// ffmpeg and ffprobe.
    pub tools: Tools,
    /// Version of ffmpeg, as it tells it. Encodes of another version are not reused.
    pub ffmpeg_version: String,
    /// How ffmpeg is sandboxed.
    pub sandboxing: Sandboxing,
    /// Number of processors.
    pub cores: u32,
    /// Kept encodes of earlier jobs; `None` if none are kept.
    pub results: Option<Arc<Results>>,
}

/// Whom tasks report to while they run.
pub trait TaskSink: Send + Sync {
    /// A video encode has got its turn and begins. It makes these renditions; others are reused from earlier encodes.
    fn begins(&self, task: &TaskId, renditions: &[u32]);

    /// A video encode has delivered this many frames so far.
    fn delivered(&self, task: &TaskId, frames: u64);

    /// Child processes have used processor time, in milliseconds, for nothing.
    fn lost(&self, cpu_ms: u64);
}

/// Everything that a task needs besides its own specification.
#[derive(Clone)]
pub struct Workbench {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Gives the task its turns on the machine.
    pub capacity: Arc<dyn Capacity>,
    /// Which attempt at the task this is.
    pub attempt: Attempt,
    /// Name of the work for the log, such as the id of its job.
    pub name: String,
    /// URL of the first input, which failures name.
    pub subject: String,
    /// Folders of the job's tasks.
    pub folders: TaskFolders,
    /// The fetched files: inputs, caption files and images, as far as the tasks read them.
    pub files: Arc<BTreeMap<Artifact, PathBuf>>,
    /// Hashes of the inputs' bytes.
    pub input_hashes: InputHashes,
    /// Whom the tasks report to.
    pub sink: Arc<dyn TaskSink>,
    /// Ends every task.
    pub cancel: CancellationToken,
}

impl Workbench {
    /// Returns the path of a fetched file.
    ///
    /// # Errors
    /// Fails if it was not fetched, which is a bug: a task names all that it reads.
    pub fn file(&self, artifact: &Artifact) -> Result<PathBuf, Failure> {
        self.files
            .get(artifact)
            .cloned()
            .ok_or_else(|| failure::broken("a task reads a file that was not fetched"))
    }

    /// Returns the fetched inputs in the job's order. Inputs that were not fetched have paths where nothing is.
    pub fn inputs(&self) -> Vec<PathBuf> {
        self.in_order(|artifact| match artifact {
            Artifact::Input(index) => Some(*index),
            _ => None,
        })
    }

    /// Returns the fetched images in the plan's order. Images that were not fetched have paths where nothing is.
    pub fn images(&self) -> Vec<PathBuf> {
        self.in_order(|artifact| match artifact {
            Artifact::Image(index) => Some(*index),
            _ => None,
        })
    }

    fn in_order(&self, index: impl Fn(&Artifact) -> Option<u32>) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for (index, path) in self.files.iter().filter_map(|(artifact, path)| Some((index(artifact)?, path))) {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            paths.resize_with(place.saturating_add(1).max(paths.len()), || self.folders.task("not-fetched"));
            paths[place].clone_from(path);
        }
        paths
    }

    /// Returns the folder with the finished files of a task.
    pub fn made(&self, task: &TaskId) -> PathBuf {
        self.folders.task(task.as_str())
    }

    /// Returns the intermediate files of an output's streams: the video file and the audio files.
    pub(crate) fn stream_files(&self, streams: &Streams) -> (Option<PathBuf>, Vec<PathBuf>) {
        let video =
            streams.video.map(|index| self.made(&TaskId::video()).join(command::video_file_name(index)));
        let sounds = streams.audio.iter().map(|sound| {
            let name = command::audio_file_name(sound.index, sound.coding.codec);
            self.made(&TaskId::audio(sound.index)).join(name)
        });
        (video, sounds.collect())
    }

    /// Returns hexadecimal BLAKE3 hashes of the fetched inputs' bytes, by their indices in the job.
    ///
    /// # Errors
    /// Fails if an input cannot be read.
    pub async fn input_hashes(&self) -> Result<&BTreeMap<u32, String>, Failure> {
        let hash = || async {
            let inputs: Vec<(u32, PathBuf)> = self
                .files
                .iter()
                .filter_map(|(artifact, path)| match artifact {
                    Artifact::Input(index) => Some((*index, path.clone())),
                    _ => None,
                })
                .collect();
            let hashed = tokio::task::spawn_blocking(move || hashes(&inputs)).await;
            let hashed = hashed.map_err(|_| failure::broken("hashing the input ended early"))?;
            hashed.map_err(|error| failure::from_disk("read the input", &error))
        };
        self.input_hashes.get_or_try_init(hash).await
    }

    /// Creates an empty folder for the files of a task that begins. `task` is the text of its id, or the name of a part
    /// of its work.
    pub(crate) fn begin(&self, task: &str) -> Result<PathBuf, Failure> {
        let begun = match self.attempt.is_second() {
            false => self.folders.begin(task),
            true => self.folders.begin_second(task),
        };
        begun.map_err(|error| failure::from_disk("create the task's folder", &error))
    }

    /// Makes the files of a task final, unless another attempt has done so. Flushing and hashing large files takes
    /// seconds, so a thread for such work does it.
    pub(crate) async fn complete(&self, task: &str) -> Result<(), Failure> {
        if !self.attempt.wins() {
            return Err(failure::outrun());
        }
        let (folders, task, is_second) = (self.folders.clone(), task.to_owned(), self.attempt.is_second());
        let completed = tokio::task::spawn_blocking(move || match is_second {
            false => folders.complete(&task),
            true => folders.complete_second(&task),
        });
        let completed = completed.await.map_err(|_| failure::broken("completing a task ended early"))?;
        completed.map_err(|error| failure::from_disk("complete the task's folder", &error))
    }
}

/// Hashes files, each once.
fn hashes(inputs: &[(u32, PathBuf)]) -> io::Result<BTreeMap<u32, String>> {
    let mut known: BTreeMap<&PathBuf, String> = BTreeMap::new();
    let mut hashes = BTreeMap::new();
    for (index, path) in inputs {
        let hash = match known.get(path) {
            Some(hash) => hash.clone(),
            None => known.entry(path).or_insert(hash_of(path)?).clone(),
        };
        hashes.insert(*index, hash);
    }
    Ok(hashes)
}
