//! Enters the sandbox: reads the order from the command line, confines this process and turns it into the
//! program.
//!
//! It does not return on success. It never starts the program without a limit that the kernel supports.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getppid;

use super::{Order, Policy, files, syscalls};

/// How many files a sandboxed program may have open at a time.
const OPEN_FILES: u64 = 256;
/// Seconds of processor time between the signal on which ffmpeg closes its files and the one that kills it.
const CPU_GRACE_SECONDS: u64 = 5;

/// Environment variables that a program keeps. All others are dropped, because they may hold credentials.
const VARIABLES: [&str; 8] =
    ["PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "FONTCONFIG_FILE", "FONTCONFIG_PATH"];

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The policy does not have the format that [`super::Launcher`] writes.
    #[error("cannot read the sandbox policy: {0}")]
    Policy(#[from] serde_json::Error),
    /// The process that requested the program has ended.
    #[error("the process that asked for the sandbox has ended")]
    Orphaned,
    /// The kernel refused a limit.
    #[error("cannot set `{what}` for the sandbox: {source}")]
    Limit {
        /// Name of the limit.
        what: &'static str,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The file access rules could not be created.
    #[error("cannot restrict the sandbox to its files: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The program could not be started.
    #[error("cannot start `{program}` in the sandbox: {source}")]
    Exec {
        /// Path of the program.
        program: String,
        /// Error of the kernel.
        source: io::Error,
    },
}

/// The sandbox features of this kernel. Resource limits and death with the parent always exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Support {
    /// Landlock ABI version: 1 confines reading and writing, 3 adds truncation, 4 TCP, 6 signals. If it is
    /// `None`, the kernel has no Landlock, and a program may access whatever its user may.
    pub landlock_abi: Option<u32>,
    /// Whether system calls can be refused, including those for sockets.
    pub seccomp: bool,
}

/// Asks the kernel which sandbox features it has, without confining the caller.
pub fn support() -> Support {
    let refused = std::thread::spawn(|| prctl::set_no_new_privs().is_ok() && syscalls::refuse().is_ok());
    Support { landlock_abi: files::abi(), seccomp: refused.join().unwrap_or(false) }
}

/// Confines this process and turns it into `program`. Call it in a process with a single thread that does
/// nothing else. Skips Landlock and the system call filter if the kernel lacks them; see [`support`].
///
/// Returns only if the program did not start.
pub fn enter_and_exec(policy_json: &str, program: &OsStr, args: &[OsString]) -> SandboxError {
    match enter(policy_json, Path::new(program)) {
        Ok(()) => exec(program, args),
        Err(error) => error,
    }
}

fn enter(policy_json: &str, program: &Path) -> Result<(), SandboxError> {
    let order: Order = serde_json::from_str(policy_json)?;
    die_with(order.parent_pid)?;
    limit(&order.policy)?;
    prctl::set_no_new_privs().map_err(|error| refused("no_new_privs", error))?;
    files::confine(program, &order.policy)?;
    match syscalls::refuse() {
        // A kernel without filters answers EINVAL. The filter itself has been checked before.
        Err(error) if error.raw_os_error() != Some(nix::libc::EINVAL) => {
            Err(SandboxError::Limit { what: "seccomp", source: error })
        }
        _ => Ok(()),
    }
}

/// Asks the kernel to kill this process when its parent ends. Fails if the parent is already gone.
fn die_with(parent_pid: Option<u32>) -> Result<(), SandboxError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| refused("pdeathsig", error))?;
    match parent_pid {
        Some(pid) if getppid().as_raw().unsigned_abs() != pid => Err(SandboxError::Orphaned),
        _ => Ok(()),
    }
}

fn limit(policy: &Policy) -> Result<(), SandboxError> {
    let limits = [
        ("RLIMIT_CORE", Resource::RLIMIT_CORE, Some(0), 0),
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, Some(OPEN_FILES), 0),
        ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, policy.file_size_bytes, 0),
        ("RLIMIT_CPU", Resource::RLIMIT_CPU, policy.cpu_seconds, CPU_GRACE_SECONDS),
        ("RLIMIT_AS", Resource::RLIMIT_AS, policy.memory_bytes, 0),
    ];
    for (what, resource, most, grace) in limits {
        if let Some(most) = most {
            set_limit(resource, most, most.saturating_add(grace)).map_err(|error| refused(what, error))?;
        }
    }
    // With this signal blocked, ffmpeg stays alive, reports `File too large` and exits by itself. The mask
    // survives `exec`.
    let mut held_back = SigSet::empty();
    held_back.add(Signal::SIGXFSZ);
    held_back.thread_block().map_err(|error| refused("signal mask", error))
}

/// Lowers a limit. Keeps a limit that is already lower.
fn set_limit(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    let (_, present) = getrlimit(resource)?;
    setrlimit(resource, soft.min(present), hard.min(present))
}

fn refused(what: &'static str, error: nix::errno::Errno) -> SandboxError {
    SandboxError::Limit { what, source: error.into() }
}

fn exec(program: &OsStr, args: &[OsString]) -> SandboxError {
    let kept = VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let source = Command::new(program).args(args).env_clear().envs(kept).exec();
    SandboxError::Exec { program: program.to_string_lossy().into_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_policy_starts_nothing() {
        let error = enter_and_exec("{", OsStr::new("/bin/true"), &[]);
        assert!(matches!(error, SandboxError::Policy(_)), "{error}");
        let unknown = enter_and_exec(r#"{"policy":{"x":1}}"#, OsStr::new("/bin/true"), &[]);
        assert!(unknown.to_string().contains("unknown field `x`"), "{unknown}");
    }

    #[test]
    fn asking_for_support_does_not_confine() {
        let first = support();
        assert_eq!(support(), first);
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
        assert!(std::fs::read_dir("/").is_ok());
    }
}
