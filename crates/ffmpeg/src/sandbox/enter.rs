//! The way into the cage: in the order from the command line, out this process turned into the program. Never a return
//! on success, and never a start of the program when a limit that the kernel knows could not be set.

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

/// Files that a caged program may have open at a time.
const OPEN_FILES: u64 = 256;
/// Seconds of processor time from the signal that ffmpeg answers by closing its files to the one that kills.
const CPU_GRACE_SECONDS: u64 = 5;

/// Variables that a program keeps. All others stay outside: they may hold credentials.
const VARIABLES: [&str; 8] =
    ["PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "FONTCONFIG_FILE", "FONTCONFIG_PATH"];

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The policy is not what [`super::Launcher`] writes.
    #[error("cannot read the sandbox policy: {0}")]
    Policy(#[from] serde_json::Error),
    /// The process that asked for the program is gone.
    #[error("the process that asked for the sandbox is gone")]
    Orphaned,
    /// The kernel refused a limit.
    #[error("cannot set `{what}` for the sandbox: {source}")]
    Limit {
        /// What was to be set.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The rules about files could not be made.
    #[error("cannot confine the sandbox to its files: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The program could not be started.
    #[error("cannot start `{program}` in the sandbox: {source}")]
    Exec {
        /// The program.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What this kernel has to build the cage from; limits and death with the parent are always there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Support {
    /// Version of Landlock: 1 confines reading and writing, 3 also cutting files off, 4 also TCP, 6 also signals.
    /// `None` when the kernel has none: then a program may touch what its user may touch.
    pub landlock_abi: Option<u32>,
    /// Whether system calls can be refused, sockets among them.
    pub seccomp: bool,
}

/// Asks the kernel, and leaves the caller as it was.
pub fn support() -> Support {
    let refused = std::thread::spawn(|| prctl::set_no_new_privs().is_ok() && syscalls::refuse().is_ok());
    Support { landlock_abi: files::abi(), seccomp: refused.join().unwrap_or(false) }
}

/// Locks this process in and turns it into `program`. To be called in a process of one thread that does nothing else.
/// Landlock and the filter of system calls are left out where the kernel has none; see [`support`].
///
/// Returns only when the program did not start.
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
        // EINVAL is how a kernel without filters answers; this one was checked before.
        Err(error) if error.raw_os_error() != Some(nix::libc::EINVAL) => {
            Err(SandboxError::Limit { what: "seccomp", source: error })
        }
        _ => Ok(()),
    }
}

/// Has the kernel kill this process when its parent ends, unless that has happened already.
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
    // Held back, this signal leaves ffmpeg alive to say `File too large` and end by itself; the mask survives `exec`.
    let mut held_back = SigSet::empty();
    held_back.add(Signal::SIGXFSZ);
    held_back.thread_block().map_err(|error| refused("signal mask", error))
}

/// Lowers a limit; one that is lower already stays.
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
    fn does_a_policy_that_cannot_be_read_start_nothing() {
        let error = enter_and_exec("{", OsStr::new("/bin/true"), &[]);
        assert!(matches!(error, SandboxError::Policy(_)), "{error}");
        let unknown = enter_and_exec(r#"{"policy":{"x":1}}"#, OsStr::new("/bin/true"), &[]);
        assert!(unknown.to_string().contains("unknown field `x`"), "{unknown}");
    }

    #[test]
    fn does_asking_for_support_leave_the_caller_free() {
        let first = support();
        assert_eq!(support(), first);
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
        assert!(std::fs::read_dir("/").is_ok());
    }
}
