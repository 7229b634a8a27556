//! Sandboxes ffmpeg: turns a command and its files into an invocation with a policy and limits. ffmpeg may read only
//! its inputs and write only to its folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abanico_ffmpeg::sandbox::{Launcher, Policy};
use abanico_ffmpeg::{Invocation, Limits};

/// Longest run of one ffmpeg process: a day.
const WALL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time without progress.
const STALL: Duration = Duration::from_secs(10 * 60);
/// Address space of one ffmpeg process. Three encoders with lookahead need less than half of it for 8K frames.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// How ffmpeg is started: through the launcher of the sandbox, or directly if there is none.
#[derive(Clone, Debug, Default)]
pub struct Sandboxing {
    launcher: Option<Launcher>,
}

impl Sandboxing {
    /// Starts every ffmpeg process through `launcher`.
    pub fn with(launcher: Launcher) -> Self {
        Self { launcher: Some(launcher) }
    }

    /// Starts ffmpeg without a sandbox, for tests and for users who turned it off.
    pub fn off() -> Self {
        Self::default()
    }

    /// Returns an invocation of `program` that may read `inputs` and write files of up to `file_bytes` to `folder`.
    pub fn invocation(
        &self,
        program: &Path,
        args: Vec<OsString>,
        inputs: &[PathBuf],
        folder: &Path,
        file_bytes: u64,
    ) -> Invocation {
        Invocation {
            program: program.to_owned(),
            args,
            launcher: self.launcher.clone(),
            policy: Policy {
                read_only: inputs.to_vec(),
                writable: vec![folder.to_owned()],
                memory_bytes: Some(MEMORY_BYTES),
                file_size_bytes: Some(file_bytes),
                cpu_seconds: None,
            },
            limits: Limits { wall: WALL, stall: STALL },
        }
    }
}
