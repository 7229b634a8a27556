//! Refuses the system calls that a sandboxed program does not need, with seccomp.
//!
//! It lists what is refused and not what is allowed: a list of allowed calls would break with each new libc.
//! Landlock restricts the files.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, apply_filter};

/// Calls that are refused regardless of their arguments. They reach other processes or the kernel's
/// internals, or open sockets and files in spite of the other rules (io_uring opens both without the calls
/// filtered here).
const REFUSED: [i64; 31] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_request_key,
    libc::SYS_setns,
    // Sockets of every family: a path can lead to another program's socket, such as a container runtime's.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
];

/// On x86_64, a kernel may accept the same calls again under these numbers (the x32 ABI), three of them
/// renumbered.
#[cfg(target_arch = "x86_64")]
const SECOND_NUMBERS: (i64, &[i64]) = (0x4000_0000, &[521, 539, 540]);
#[cfg(not(target_arch = "x86_64"))]
const SECOND_NUMBERS: (i64, &[i64]) = (0, &[]);

/// Makes the calls fail with `EPERM` from now on. A call of another architecture kills the process.
///
/// # Errors
/// Fails if the filter cannot be built or the kernel rejects it.
pub(super) fn refuse() -> io::Result<()> {
    apply_filter(&filter().map_err(io::Error::other)?).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

fn filter() -> Result<BpfProgram, seccompiler::Error> {
    let (bit, extra) = SECOND_NUMBERS;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for number in REFUSED {
        rules.insert(number, Vec::new());
        rules.insert(number | bit, Vec::new());
    }
    rules.extend(extra.iter().map(|number| (number | bit, Vec::new())));
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refusal, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Runs `work` in a separate thread, because a filter applies to the thread that installs it.
    fn caged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let caged = scope.spawn(|| {
                nix::sys::prctl::set_no_new_privs().unwrap();
                refuse().unwrap();
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
    fn new_namespace_is_refused() {
        let result = caged(|| std::process::Command::new("unshare").args(["-U", "true"]).output().unwrap());
        assert!(!result.status.success());
        let said = String::from_utf8(result.stderr).unwrap();
        assert!(said.contains("Operation not permitted"), "{said}");
    }
}
