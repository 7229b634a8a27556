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

/// What ffmpeg may use up for a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Most bytes of all its files together; the sandbox holds each file to it.
    pub bytes: u64,
    /// Most processor time over all threads of a process, in seconds. Holds only in the sandbox.
    pub cpu_seconds: u64,
}

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

    /// Returns an invocation of `program` that may read `inputs` and write below `folder`, within `bounds`.
    pub fn invocation(
        &self,
        program: &Path,
        args: Vec<OsString>,
        inputs: &[PathBuf],
        folder: &Path,
        bounds: Bounds,
    ) -> Invocation {
        Invocation {
            program: program.to_owned(),
            args,
            launcher: self.launcher.clone(),
            policy: Policy {
                read_only: inputs.to_vec(),
                writable: vec![folder.to_owned()],
                memory_bytes: Some(MEMORY_BYTES),
                file_size_bytes: Some(bounds.bytes),
                cpu_seconds: Some(bounds.cpu_seconds),
            },
            limits: Limits { wall: WALL, stall: STALL },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ffmpeg_is_held_to_its_files_and_bounds() {
        let bounds = Bounds { bytes: 5 << 30, cpu_seconds: 900 };
        let (input, folder) = (PathBuf::from("/w/input-0"), Path::new("/w/video.partial"));
        let made = Sandboxing::off().invocation(
            Path::new("/x/ffmpeg"),
            Vec::new(),
            std::slice::from_ref(&input),
            folder,
            bounds,
        );
        let expected = Policy {
            read_only: vec![input],
            writable: vec![folder.to_owned()],
            memory_bytes: Some(MEMORY_BYTES),
            file_size_bytes: Some(5 << 30),
            cpu_seconds: Some(900),
        };
        assert_eq!(made.policy, expected);
    }
}
