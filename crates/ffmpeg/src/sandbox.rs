//! The sandbox around ffmpeg. It starts our own binary, which confines itself and then becomes the program.
//!
//! It uses neither a shell nor a `fork` hook (which would need unsafe code). The confined program cannot
//! widen its sandbox.

mod enter;
mod files;
mod namespaces;
mod rights;
mod syscalls;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use enter::{SandboxError, Support, enter_and_exec, support};
pub(crate) use syscalls::call_name;

/// What a sandboxed program may access and use up. By default it may access only the system's libraries and
/// fonts, and has no limits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Files and folders (with everything below them) that may be read. Missing ones are ignored.
    pub read_only: Vec<PathBuf>,
    /// Folders (or files) in which everything may be read, created, written and removed.
    pub writable: Vec<PathBuf>,
    /// Maximum address space in bytes. ffmpeg reserves more than it uses: about 0.5 GB for a small transcode.
    pub memory_bytes: Option<u64>,
    /// Maximum size of a written file in bytes.
    pub file_size_bytes: Option<u64>,
    /// Maximum processor time over all threads, in seconds.
    pub cpu_seconds: Option<u64>,
}

/// Address space of one ffprobe. Honest probes of real films take less than 384 MiB; it grows with the samples and
/// tracks that a file claims to have.
pub(crate) const PROBE_MEMORY_BYTES: u64 = 1 << 30;
/// Processor time of one ffprobe, in seconds: enough for the packets of a film of ten hours.
pub(crate) const PROBE_CPU_SECONDS: u64 = 60;

impl Policy {
    /// The limits of ffprobe, which writes no files.
    pub fn for_probing() -> Self {
        Self {
            memory_bytes: Some(PROBE_MEMORY_BYTES),
            file_size_bytes: Some(0),
            cpu_seconds: Some(PROBE_CPU_SECONDS),
            ..Self::default()
        }
    }

    /// Returns the same policy with paths that fit into JSON. A path that is not UTF-8 then names nothing, so
    /// it is not allowed.
    fn as_text(&self) -> Self {
        let text =
            |paths: &[PathBuf]| paths.iter().map(|path| path.to_string_lossy().as_ref().into()).collect();
        Self { read_only: text(&self.read_only), writable: text(&self.writable), ..self.clone() }
    }
}

/// The order on the command line of the re-executed binary.
#[derive(Serialize, Deserialize)]
struct Order {
    /// The process that gave the order. A child with another parent was orphaned before it could ask the
    /// kernel to kill it together with its parent.
    parent_pid: Option<u32>,
    #[serde(default)]
    stage: Stage,
    policy: Policy,
}

/// What the re-executed binary does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Confines itself and becomes the program.
    #[default]
    Confine,
    /// Makes namespaces and starts itself in them to confine itself there.
    MakeNamespaces,
    /// Makes namespaces and starts itself in them to do nothing, to find out whether that works.
    TryNamespaces,
    /// Ends well.
    Nothing,
}

/// Starts programs through the binary that sandboxes itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    exe: PathBuf,
    leading_args: Vec<String>,
    stage: Stage,
}

impl Launcher {
    /// Takes the binary that calls [`enter_and_exec`], and the arguments that make it do so, such as
    /// `__sandbox`.
    pub fn new(exe: PathBuf, leading_args: Vec<String>) -> Self {
        Self { exe, leading_args, stage: Stage::Confine }
    }

    /// Runs each program in user, PID, IPC and network namespaces of its own, if this machine allows that; see
    /// [`Self::has_namespaces`]. Finds out by trying once, which takes some milliseconds.
    #[must_use]
    pub fn with_namespaces_if_possible(self) -> Self {
        let trial = Self { stage: Stage::TryNamespaces, ..self.clone() };
        let (exe, args) = trial.wrap(Path::new("/"), &[], &Policy::default());
        let tried = Command::new(exe).args(args).stdin(std::process::Stdio::null()).output();
        let works = tried.is_ok_and(|output| output.status.success());
        Self { stage: if works { Stage::MakeNamespaces } else { Stage::Confine }, ..self }
    }

    /// Whether each program runs in namespaces of its own.
    pub fn has_namespaces(&self) -> bool {
        self.stage == Stage::MakeNamespaces
    }

    /// Returns the program and arguments that start `program` with `args` in the sandbox. The calling process
    /// must be the one that starts it: the child exits if its parent is another.
    pub fn wrap(&self, program: &Path, args: &[OsString], policy: &Policy) -> (PathBuf, Vec<OsString>) {
        let (parent_pid, stage) = (Some(std::process::id()), self.stage);
        let order = Order { parent_pid, stage, policy: policy.as_text() };
        let json = serde_json::to_string(&order).expect("paths made from text are UTF-8");
        let mut all: Vec<OsString> = self.leading_args.iter().map(OsString::from).collect();
        all.extend([json.into(), "--".into(), program.into()]);
        all.extend_from_slice(args);
        (self.exe.clone(), all)
    }

    /// Turns this into a launcher for [`crate::Tools::with_launcher`]. Programs run under `limits`, may read
    /// the files that they are started for, and may not write anything. A program is also killed when the
    /// *thread* that starts it ends, so leave the start to [`abanico_process::start`].
    pub fn for_reading(self, limits: Policy) -> crate::Launcher {
        Arc::new(move |program, readable| {
            let mut policy = limits.clone();
            policy.read_only.extend(readable.iter().map(|path| (*path).to_owned()));
            let (exe, args) = self.wrap(program, &[], &policy);
            let mut command = Command::new(exe);
            command.args(args);
            command
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn wrapped_command_carries_policy_and_arguments() {
        let launcher = Launcher::new("/opt/abanico".into(), vec!["__sandbox".into()]);
        let policy = Policy {
            read_only: vec!["/in/a b.mp4".into()],
            memory_bytes: Some(1 << 30),
            ..Policy::default()
        };
        let args: Vec<OsString> = ["-i", "--", "a b.mp4"].map(OsString::from).into();
        let (exe, wrapped) = launcher.wrap(Path::new("/usr/bin/ffmpeg"), &args, &policy);
        assert_eq!(exe, Path::new("/opt/abanico"));
        assert_eq!(wrapped[0], "__sandbox");
        let order: Order = serde_json::from_str(wrapped[1].to_str().unwrap()).unwrap();
        assert_eq!(order.policy, policy);
        assert_eq!(order.parent_pid, Some(std::process::id()));
        assert_eq!(wrapped[2..], ["--", "/usr/bin/ffmpeg", "-i", "--", "a b.mp4"]);
    }

    #[test]
    fn path_outside_utf8_allows_nothing() {
        let strange = PathBuf::from(OsString::from_vec(b"/in/\xff".to_vec()));
        let policy = Policy { read_only: vec![strange.clone()], ..Policy::default() };
        assert_eq!(policy.as_text().read_only, [PathBuf::from("/in/\u{fffd}")]);
        let (_, wrapped) = Launcher::new("x".into(), Vec::new()).wrap(&strange, &[], &policy);
        assert_eq!(wrapped.last(), Some(&strange.into_os_string()), "the program's own path is unchanged");
    }

    #[test]
    fn unknown_policy_key_is_refused() {
        assert!(serde_json::from_str::<Policy>(r#"{"readonly":[]}"#).is_err());
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }
}
