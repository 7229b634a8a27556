//! The cage around ffmpeg: in a program, its arguments and what it may touch, out the start of our own binary that locks
//! itself in and then becomes that program. Never a shell, never a `fork` hook (it would need unsafe code), and never a
//! way to widen the cage from within.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a caged program may touch and use up. The default may touch no file beyond the system's libraries and fonts and
/// has no limits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Files, or folders with all that is below, that may be read. One that does not exist is passed over.
    pub read_only: Vec<PathBuf>,
    /// Folders (or files) in which everything may be read, made, written and removed.
    pub writable: Vec<PathBuf>,
    /// Most bytes of address space. ffmpeg reserves more than it uses: about 0.5 GB for a small transcode.
    pub memory_bytes: Option<u64>,
    /// Most bytes that one written file may have.
    pub file_size_bytes: Option<u64>,
    /// Most seconds of processor time over all threads.
    pub cpu_seconds: Option<u64>,
}

impl Policy {
    /// The same policy with paths that JSON can carry. One that is not UTF-8 then names nothing, so it is not allowed.
    fn as_text(&self) -> Self {
        let text =
            |paths: &[PathBuf]| paths.iter().map(|path| path.to_string_lossy().as_ref().into()).collect();
        Self { read_only: text(&self.read_only), writable: text(&self.writable), ..self.clone() }
    }
}

/// What goes over the command line to the re-executed binary.
#[derive(Serialize, Deserialize)]
struct Order {
    /// Process that asked: a child that finds itself with another parent was orphaned before it could ask the kernel to
    /// be killed with its parent.
    parent_pid: Option<u32>,
    policy: Policy,
}

/// Starts programs through the binary that cages itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    exe: PathBuf,
    leading_args: Vec<String>,
}

impl Launcher {
    /// Takes the binary that calls [`enter_and_exec`] and the arguments that make it do so, such as `__sandbox`.
    pub fn new(exe: PathBuf, leading_args: Vec<String>) -> Self {
        Self { exe, leading_args }
    }

    /// The program and the arguments that start `program` with `args` inside of the cage. The process that calls this
    /// has to be the one that starts it: the child ends when its parent is another.
    pub fn wrap(&self, program: &Path, args: &[OsString], policy: &Policy) -> (PathBuf, Vec<OsString>) {
        let order = Order { parent_pid: Some(std::process::id()), policy: policy.as_text() };
        let json = serde_json::to_string(&order).expect("paths made from text are UTF-8");
        let mut all: Vec<OsString> = self.leading_args.iter().map(OsString::from).collect();
        all.extend([json.into(), "--".into(), program.into()]);
        all.extend_from_slice(args);
        (self.exe.clone(), all)
    }
}
