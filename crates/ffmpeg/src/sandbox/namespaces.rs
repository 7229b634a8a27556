//! Namespaces around the program: it sees no other process, no network and no shared memory, and whatever it starts
//! dies with it.
//!
//! A process cannot move itself into a new PID namespace; only its children are born there. So the process that makes
//! the namespaces starts this program once more inside them, waits, and ends in the same way as its child.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::unistd::{getegid, geteuid};

/// Signals for the program alone. They go to the whole process group, and the waiting process must outlive them to
/// say how the program ended.
const FOR_THE_PROGRAM: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Makes the namespaces. This process stays where it is in the PID namespace; its next child is the first inside.
///
/// # Errors
/// Fails if the kernel or a container allows no user namespaces.
pub(super) fn make() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS;
    unshare(all)?;
    // The user keeps its number inside, and so the rights to its own files. The other numbers do not exist there.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Runs this program again with `args` inside the namespaces, and waits for its end.
pub(super) fn run_inside(args: &[OsString], variables: &[(&str, OsString)]) -> io::Result<ExitStatus> {
    hold_back().thread_block()?;
    let exe = std::env::current_exe()?;
    let mut command = Command::new(exe);
    command.args(args).env_clear().envs(variables.iter().cloned());
    command.spawn()?.wait()
}

/// Lets the signals for the program through again.
pub(super) fn take_signals() -> nix::Result<()> {
    hold_back().thread_unblock()
}

fn hold_back() -> SigSet {
    FOR_THE_PROGRAM.into_iter().collect()
}

/// Ends this process as `status` says that its child ended.
pub(super) fn end_like(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal().and_then(|number| Signal::try_from(number).ok()) {
        let _ = take_signals();
        // Twice: a handler of the runtime, as for stack overflows, only steps aside the first time.
        let _ = raise(signal);
        let _ = raise(signal);
    }
    std::process::exit(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1))
}

/// Returns the number of the parent as this machine's first PID namespace sees it. Inside new namespaces, the call
/// for it returns 0.
pub(super) fn parent_pid() -> Option<u32> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
