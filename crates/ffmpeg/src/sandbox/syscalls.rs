//! Allows only the system calls that encoding and probing need, with seccomp.
//!
//! What is not on the list of allowed calls fails, and what only an attack would try ends the program. Landlock
//! restricts the files. A program cannot start another process: it may only start threads and replace itself.

mod lists;

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use lists::{ALLOWED, ALLOWED_HERE, DEADLY, REFUSED, REFUSED_HERE};

/// Rules by the number of the call. A call without rules matches whatever its arguments are.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What `prctl` may do: name threads and memory, and ask. It may not clear the signal that ends the program together
/// with its parent.
const PRCTL: [libc::c_int; 6] = [
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_VMA,
];

/// What `fcntl` may do. It may not ask for signals to other processes.
const FCNTL: [libc::c_int; 12] = [
    libc::F_DUPFD,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_DUPFD_CLOEXEC,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

/// What `ioctl` may do: ask whether a file is a terminal, how wide it is and what is there to read, and set two flags
/// of a descriptor (`TCGETS`, `TIOCGWINSZ`, `FIONREAD`, `FIONBIO`, `FIOCLEX`).
const IOCTL: [u64; 5] = [0x5401, 0x5413, 0x541b, 0x5421, 0x5451];

/// Flags of `clone` that make namespaces.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Restricts this thread, and the program that it becomes, to the allowed calls, if the kernel lets it. Process numbers in the rules are
/// this process's own, which it keeps when it becomes the program. A call of another architecture ends the process.
///
/// # Errors
/// Fails if a filter cannot be built or the kernel rejects it. Has the kernel's error number only if the kernel takes no
/// filter at all, not if it took some of them.
pub(super) fn restrict() -> io::Result<()> {
    for (index, filter) in filters(std::process::id()).map_err(io::Error::other)?.iter().enumerate() {
        apply_filter(filter).map_err(|error| match error {
            seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) if index == 0 => source,
            other => io::Error::other(other),
        })?;
    }
    Ok(())
}

/// Returns the name of a call that ends the program; `None` for other calls.
pub(crate) fn call_name(number: i64) -> Option<&'static str> {
    DEADLY.iter().find(|(deadly, _)| *deadly == number).map(|(_, name)| *name)
}

/// Returns the filters in the order to install them. The kernel runs all of them and takes the strictest answer:
/// death, then an error, then permission. The refusals come last, because they also refuse further filters.
fn filters(own_pid: u32) -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let deadly = DEADLY.iter().map(|(number, _)| (*number, Vec::new())).collect();
    let mut refused = any_arguments(&[REFUSED, REFUSED_HERE]);
    refused.append(&mut refused_arguments(own_pid)?);
    // Refused calls count as known here: the last filter gives them a clearer error.
    let known =
        any_arguments(&[ALLOWED, ALLOWED_HERE, REFUSED, REFUSED_HERE, &[libc::SYS_sched_setaffinity]]);
    [
        (deadly, SeccompAction::Allow, SeccompAction::KillProcess),
        (known, enosys, SeccompAction::Allow),
        (refused, SeccompAction::Allow, eperm),
    ]
    .into_iter()
    .map(|(rules, otherwise, matched)| {
        let machine = std::env::consts::ARCH.try_into()?;
        Ok(SeccompFilter::new(rules, otherwise, matched, machine)?.try_into()?)
    })
    .collect()
}

fn any_arguments(lists: &[&[i64]]) -> Rules {
    lists.iter().flat_map(|list| list.iter().map(|number| (*number, Vec::new()))).collect()
}

/// Returns the arguments with which an allowed call is refused.
fn refused_arguments(own_pid: u32) -> Result<Rules, seccompiler::Error> {
    let own_pid = u64::from(own_pid);
    let none_of = |argument: u8, allowed: &[u64]| -> Result<SeccompRule, seccompiler::Error> {
        let differs = |value: &u64| condition(argument, Dword, Ne, *value);
        Ok(SeccompRule::new(allowed.iter().map(differs).collect::<Result<_, _>>()?)?)
    };
    let only = |argument, length, operator, value| -> Result<SeccompRule, seccompiler::Error> {
        Ok(SeccompRule::new(vec![condition(argument, length, operator, value)?])?)
    };
    // A process that is not a thread of this one could outlive it.
    let mut clone = vec![only(0, Qword, MaskedEq(flag(libc::CLONE_THREAD)), 0)?];
    for namespace in NAMESPACES.map(flag) {
        clone.push(only(0, Qword, MaskedEq(namespace), namespace)?);
    }
    Ok([
        (libc::SYS_clone, clone),
        (libc::SYS_prctl, vec![none_of(0, &PRCTL.map(flag))?]),
        (libc::SYS_fcntl, vec![none_of(1, &FCNTL.map(flag))?]),
        (libc::SYS_ioctl, vec![none_of(1, &IOCTL)?]),
        (libc::SYS_kill, vec![none_of(0, &[own_pid])?]),
        (libc::SYS_tgkill, vec![none_of(0, &[own_pid])?]),
        (libc::SYS_sched_setaffinity, vec![only(0, Dword, Ne, 0)?]),
        // It may ask for its own limits, but neither change them nor reach those of another process.
        (libc::SYS_prlimit64, vec![none_of(0, &[0, own_pid])?, only(2, Qword, Ne, 0)?]),
    ]
    .into())
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, length, operator, value)?)
}

/// Returns a C constant as the kernel's filter sees it: 32 bits without a sign.
fn flag(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use super::*;

    /// Runs `work` in a separate thread, because a filter applies to the thread that installs it.
    fn caged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let caged = scope.spawn(|| {
                nix::sys::prctl::set_no_new_privs().unwrap();
                restrict().unwrap();
                work()
            });
            caged.join().unwrap()
        })
    }

    #[test]
    fn every_socket_is_refused() {
        let denied = caged(|| {
            let tcp = TcpListener::bind("127.0.0.1:0").err().map(|error| error.kind());
            let udp = UdpSocket::bind("[::1]:0").err().map(|error| error.kind());
            let unix = UnixDatagram::unbound().err().map(|error| error.kind());
            [tcp, udp, unix]
        });
        let refused = Some(io::ErrorKind::PermissionDenied);
        assert_eq!(denied, [refused; 3]);
        assert!(TcpListener::bind("127.0.0.1:0").is_ok(), "other threads are not restricted");
    }

    #[test]
    fn threads_start_and_processes_do_not() {
        let (sum, process) = caged(|| {
            let sum = std::thread::spawn(|| 1 + 1).join().unwrap();
            (sum, std::process::Command::new("/bin/true").spawn().map(drop))
        });
        assert_eq!(sum, 2);
        assert!(process.is_err(), "a process could outlive the program");
    }

    #[test]
    fn modes_and_limits_stay_as_they_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = file.as_file().metadata().unwrap().permissions().mode();
        let limit = getrlimit(Resource::RLIMIT_CORE).unwrap();
        let refused = caged(|| {
            let mode = std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o777));
            let times = file.as_file().set_modified(std::time::SystemTime::UNIX_EPOCH);
            assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok(limit), "it may look at its own");
            [mode.is_err(), times.is_err(), setrlimit(Resource::RLIMIT_CORE, 0, 0).is_err()]
        });
        assert_eq!(refused, [true; 3]);
        assert_eq!(file.as_file().metadata().unwrap().permissions().mode(), before);
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok(limit));
    }

    #[test]
    fn no_call_is_on_two_lists() {
        let deadly: Vec<i64> = DEADLY.iter().map(|(number, _)| *number).collect();
        let lists = [ALLOWED, ALLOWED_HERE, REFUSED, REFUSED_HERE, &deadly];
        let all: BTreeSet<i64> = lists.iter().flat_map(|list| list.iter().copied()).collect();
        assert_eq!(all.len(), lists.iter().map(|list| list.len()).sum::<usize>());
        assert_eq!(refused_arguments(7).unwrap().len(), 8);
        assert_eq!((call_name(libc::SYS_unshare), call_name(libc::SYS_read)), (Some("unshare"), None));
    }

    #[test]
    fn filters_fit_other_machines_too() {
        for machine in ["x86_64", "aarch64"] {
            let machine: seccompiler::TargetArch = machine.try_into().unwrap();
            let rules = refused_arguments(7).unwrap();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, machine);
            assert!(BpfProgram::try_from(filter.unwrap()).is_ok());
        }
    }
}
