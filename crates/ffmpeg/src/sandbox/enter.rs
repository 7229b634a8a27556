//! Enters the sandbox: reads the order from the command line, goes into namespaces of its own if it is told to,
//! confines this process and turns it into the program.
//!
//! It does not return on success. It never starts the program without a limit that the kernel supports.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};

use super::{Order, Policy, Stage, files, namespaces, rights, syscalls};

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
    /// The kernel gave no namespaces, although it did when it was asked.
    #[error("cannot make namespaces for the sandbox: {0}")]
    Namespaces(io::Error),
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

impl Support {
    /// Returns what the sandbox does not hold on this machine, one sentence each; nothing if it is whole.
    pub fn weaknesses(self) -> Vec<String> {
        let files = match self.landlock_abi {
            None => Some(
                "this kernel has no Landlock: a hostile video that takes over ffmpeg can read and write \
                          every file of this user",
            ),
            Some(..3) => Some(
                "this kernel's Landlock is older than version 3: a hostile video that takes over ffmpeg \
                              can empty every file of this user",
            ),
            Some(_) => None,
        };
        let calls = (!self.seccomp).then_some(
            "this kernel has no seccomp: a hostile video that takes over ffmpeg can reach the network and this user's \
             other processes, and change the rights of its files",
        );
        files.into_iter().chain(calls).map(str::to_owned).collect()
    }
}

/// Asks the kernel which sandbox features it has, without confining the caller.
pub fn support() -> Support {
    let restricted = std::thread::spawn(|| prctl::set_no_new_privs().is_ok() && syscalls::restrict().is_ok());
    Support { landlock_abi: files::abi(), seccomp: restricted.join().unwrap_or(false) }
}

/// Confines this process and turns it into `program`. Call it in a process with a single thread that does
/// nothing else. Skips Landlock and the system call filter if the kernel lacks them; see [`support`].
///
/// Returns only if the program did not start. In namespaces, this process waits for the program and ends as it does.
pub fn enter_and_exec(policy_json: &str, program: &OsStr, args: &[OsString]) -> SandboxError {
    match enter(policy_json, Path::new(program)) {
        Ok(Entered::Here) => exec(program, args),
        Ok(Entered::Inside(status)) => namespaces::end_like(status),
        Err(error) => error,
    }
}

/// What is left to do.
enum Entered {
    /// This process is confined and becomes the program.
    Here,
    /// The program ran inside namespaces and ended like this.
    Inside(ExitStatus),
}

fn enter(policy_json: &str, program: &Path) -> Result<Entered, SandboxError> {
    let order: Order = serde_json::from_str(policy_json)?;
    die_with(order.parent_pid)?;
    match order.stage {
        Stage::Confine => confine(program, &order.policy).map(|()| Entered::Here),
        Stage::MakeNamespaces => inside(&order, Stage::Confine, policy_json).map(Entered::Inside),
        Stage::TryNamespaces => inside(&order, Stage::Nothing, policy_json).map(Entered::Inside),
        Stage::Nothing => std::process::exit(0),
    }
}

/// Makes namespaces and carries out the order's next stage in them, in a new process.
fn inside(order: &Order, stage: Stage, policy_json: &str) -> Result<ExitStatus, SandboxError> {
    set_limit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| refused("RLIMIT_CORE", error))?;
    namespaces::make().map_err(SandboxError::Namespaces)?;
    // The new user namespace has changed the rights of this process, which may clear the signal of the parent's end.
    die_with(order.parent_pid)?;
    let next = Order { parent_pid: Some(std::process::id()), stage, policy: order.policy.clone() };
    let json = serde_json::to_string(&next)?;
    let args = std::env::args_os().skip(1);
    let args: Vec<OsString> =
        args.map(|arg| if arg == policy_json { json.clone().into() } else { arg }).collect();
    namespaces::run_inside(&args, &kept_variables()).map_err(SandboxError::Namespaces)
}

fn confine(program: &Path, policy: &Policy) -> Result<(), SandboxError> {
    limit(policy)?;
    rights::give_up().map_err(|source| SandboxError::Limit { what: "capabilities", source })?;
    prctl::set_no_new_privs().map_err(|error| refused("no_new_privs", error))?;
    files::confine(program, policy)?;
    namespaces::take_signals().map_err(|error| refused("signal mask", error))?;
    match syscalls::restrict() {
        Err(error) if !is_missing(&error) => Err(SandboxError::Limit { what: "seccomp", source: error }),
        _ => Ok(()),
    }
}

/// Whether a refused filter means that there are no filters here: the kernel has none (EINVAL or ENOSYS), or a
/// container allows none. The server has told so at its start; see [`support`].
fn is_missing(error: &io::Error) -> bool {
    use nix::libc::{EACCES, EINVAL, ENOSYS, EPERM};
    error.raw_os_error().is_some_and(|number| [EACCES, EINVAL, ENOSYS, EPERM].contains(&number))
}

/// Asks the kernel to kill this process when its parent ends. Fails if the parent is already gone.
fn die_with(parent_pid: Option<u32>) -> Result<(), SandboxError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| refused("pdeathsig", error))?;
    match parent_pid {
        Some(pid) if namespaces::parent_pid().is_some_and(|parent| parent != pid) => {
            Err(SandboxError::Orphaned)
        }
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
    let source = Command::new(program).args(args).env_clear().envs(kept_variables()).exec();
    SandboxError::Exec { program: program.to_string_lossy().into_owned(), source }
}

fn kept_variables() -> Vec<(&'static str, OsString)> {
    VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
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
    fn missing_parts_are_weaknesses() {
        let of = |landlock_abi, seccomp| Support { landlock_abi, seccomp }.weaknesses();
        assert_eq!(of(Some(3), true), Vec::<String>::new());
        assert!(of(None, true)[0].contains("no Landlock"));
        assert!(of(Some(2), true)[0].contains("older than version 3"));
        assert_eq!(of(None, false).len(), 2);
    }

    #[test]
    fn asking_for_support_does_not_confine() {
        let first = support();
        assert_eq!(support(), first);
        assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());
        assert!(std::fs::read_dir("/").is_ok());
    }
}
