//! Tests whether a machine can do tasks: its ffmpeg, the room on its disk, and its way to the artifacts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abanico_process::{WorkPlace, with_causes};
use abanico_store::{ObjectStore, ObjectUrl};
use abanico_tasks::{Machine, self_test};
use tokio_util::sync::CancellationToken;

/// Free bytes below which a machine takes no tasks.
const LEAST_FREE_BYTES: u64 = 512 << 20;
/// Longest wait for each test.
const WAIT: Duration = Duration::from_secs(60);

/// Tests a machine. Clones test the same machine.
#[derive(Clone)]
pub struct Fitness {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Where artifacts are.
    pub store: Arc<dyn ObjectStore>,
    /// Folder of all artifacts.
    pub artifacts: ObjectUrl,
    /// Folder for work in progress.
    pub folder: PathBuf,
    /// Ends the test.
    pub stop: CancellationToken,
}

impl Fitness {
    /// Returns what keeps the machine from doing tasks; `None` if nothing does.
    pub async fn fault(&self) -> Option<String> {
        if let Some(fault) = self.lacks_room() {
            return Some(fault);
        }
        // Several workers may share the folder, and several tasks may fail at once.
        let place = WorkPlace { folder: &self.folder, prefix: "test-", suffix: "" };
        let own = match place.create() {
            Ok(own) => own,
            Err(error) => return Some(format!("cannot write to `{}`: {error}", self.folder.display())),
        };
        let encode = self_test(&self.machine, own.path(), &self.stop);
        match tokio::time::timeout(WAIT, encode).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Some(format!("ffmpeg does not work: {}", failure.message)),
            Err(_) => return Some(format!("a test encode took longer than {} s", WAIT.as_secs())),
        }
        let listed = self.store.list(&self.artifacts, None, 1);
        match tokio::time::timeout(WAIT, listed).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                Some(format!("cannot read the artifacts at {}: {}", self.artifacts, with_causes(&error)))
            }
            Err(_) => {
                Some(format!("the store of {} did not answer within {} s", self.artifacts, WAIT.as_secs()))
            }
        }
    }

    fn lacks_room(&self) -> Option<String> {
        let free_bytes = abanico_tasks::results::free_bytes(&self.folder).ok()?;
        (free_bytes < LEAST_FREE_BYTES).then(|| {
            let (free, least) = (free_bytes >> 20, LEAST_FREE_BYTES >> 20);
            let folder = self.folder.display();
            format!("`{folder}` has {free} MiB of free space: free some until it has {least} MiB, or use another --folder")
        })
    }
}
