//! How ffmpeg is locked in: in a command and its files, out an invocation with a policy and limits.
//! Never more than the task needs: its inputs to read, its folder to write.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abanico_ffmpeg::sandbox::{Launcher, Policy};
use abanico_ffmpeg::{Invocation, Limits};

/// Longest run of one ffmpeg: a day.
const WALL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time without a sign of progress.
const STALL: Duration = Duration::from_secs(10 * 60);
/// Address space of one ffmpeg. 8K frames in three encoders with lookahead stay below half of it.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Largest file that ffmpeg may write.
const FILE_BYTES: u64 = 512 * 1024 * 1024 * 1024;

/// The launcher of the sandbox; none runs ffmpeg as it is.
#[derive(Clone, Debug, Default)]
pub struct Sandboxing {
    launcher: Option<Launcher>,
}

impl Sandboxing {
    /// Starts every ffmpeg through `launcher`.
    pub fn with(launcher: Launcher) -> Self {
        Self { launcher: Some(launcher) }
    }

    /// Starts ffmpeg without a sandbox: for tests, and where the user turned it off.
    pub fn off() -> Self {
        Self::default()
    }

    /// An invocation of `program` that reads `inputs` and writes below `folder`.
    pub(crate) fn invocation(
        &self,
        program: &Path,
        args: Vec<OsString>,
        inputs: &[PathBuf],
        folder: &Path,
    ) -> Invocation {
        Invocation {
            program: program.to_owned(),
            args,
            launcher: self.launcher.clone(),
            policy: Policy {
                read_only: inputs.to_vec(),
                writable: vec![folder.to_owned()],
                memory_bytes: Some(MEMORY_BYTES),
                file_size_bytes: Some(FILE_BYTES),
                cpu_seconds: None,
            },
            limits: Limits { wall: WALL, stall: STALL },
        }
    }
}
