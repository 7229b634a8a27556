//! The lists of system calls: which a program in the sandbox may make, which fail, and which end it.
//!
//! The first list was taken from traces of real encodes, probes and measurements of Debian 12 with every encoder, and
//! completed with calls of the same kind that another libc may use for them. A call that is on no list fails with
//! `ENOSYS`, as on an older kernel, so that a newer libc falls back to an older call.

use nix::libc;

/// Calls that are allowed, some of them only with harmless arguments; see the rules in the parent module.
pub(super) const ALLOWED: &[i64] = &[
    // Files. Landlock decides which.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_membarrier,
    // Threads and signals of this process.
    libc::SYS_clone,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getpriority,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    // Waiting and time.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    // Facts about this process and the machine.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
];

/// Older spellings of allowed calls, which only x86_64 has.
#[cfg(target_arch = "x86_64")]
pub(super) const ALLOWED_HERE: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_sync_file_range,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
    libc::SYS_getpgrp,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
/// Numbers of `renameat` and `sync_file_range`, which the list of names for this machine lacks.
#[cfg(target_arch = "aarch64")]
pub(super) const ALLOWED_HERE: &[i64] = &[38, 84];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const ALLOWED_HERE: &[i64] = &[];

/// Calls that fail with `EPERM`, which programs report as `Operation not permitted`. A library may try them, so they
/// do not end the program. They change files of others, reach other processes, or open sockets.
pub(super) const REFUSED: &[i64] = &[
    // Landlock does not hold these: they work on any path that the user owns, such as the job database.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_chroot,
    libc::SYS_umask,
    // Sockets of every family: a path can lead to another program's socket, such as a container runtime's.
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Memory and queues shared with other processes.
    libc::SYS_memfd_create,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // Other processes, and rights.
    libc::SYS_execveat,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    SETRLIMIT,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_seccomp,
    libc::SYS_syslog,
];

/// Older spellings of refused calls, which only x86_64 has.
#[cfg(target_arch = "x86_64")]
pub(super) const REFUSED_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mknod,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const REFUSED_HERE: &[i64] = &[];

/// Calls that the list of names lacks for some machines. The last three numbers are those of every other machine.
const FCHMODAT2: i64 = 452;
#[cfg(target_arch = "x86_64")]
const SETRLIMIT: i64 = libc::SYS_setrlimit;
#[cfg(not(target_arch = "x86_64"))]
const SETRLIMIT: i64 = 164;
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: i64 = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: i64 = 294;

/// Pairs the numbers of calls with their names.
macro_rules! named {
    ($($name:ident = $number:expr),* $(,)?) => {
        &[$(($number, stringify!($name))),*]
    };
}

/// Calls that end the program with `SIGSYS`. No decoder or encoder makes them, only somebody who wants out: they
/// reach the memory of other processes, the kernel's own machinery, the clock or the machine.
pub(super) const DEADLY: &[(i64, &str)] = named![
    acct = libc::SYS_acct,
    add_key = libc::SYS_add_key,
    adjtimex = libc::SYS_adjtimex,
    bpf = libc::SYS_bpf,
    clock_adjtime = libc::SYS_clock_adjtime,
    clock_settime = libc::SYS_clock_settime,
    delete_module = libc::SYS_delete_module,
    fanotify_init = libc::SYS_fanotify_init,
    finit_module = libc::SYS_finit_module,
    fsconfig = libc::SYS_fsconfig,
    fsmount = libc::SYS_fsmount,
    fsopen = libc::SYS_fsopen,
    fspick = libc::SYS_fspick,
    init_module = libc::SYS_init_module,
    // io_uring opens files and sockets without the calls that are filtered here.
    io_uring_enter = libc::SYS_io_uring_enter,
    io_uring_register = libc::SYS_io_uring_register,
    io_uring_setup = libc::SYS_io_uring_setup,
    kcmp = libc::SYS_kcmp,
    kexec_load = libc::SYS_kexec_load,
    kexec_file_load = KEXEC_FILE_LOAD,
    keyctl = libc::SYS_keyctl,
    mount = libc::SYS_mount,
    mount_setattr = libc::SYS_mount_setattr,
    move_mount = libc::SYS_move_mount,
    name_to_handle_at = libc::SYS_name_to_handle_at,
    open_by_handle_at = libc::SYS_open_by_handle_at,
    open_tree = libc::SYS_open_tree,
    perf_event_open = libc::SYS_perf_event_open,
    pidfd_getfd = libc::SYS_pidfd_getfd,
    pivot_root = libc::SYS_pivot_root,
    process_madvise = libc::SYS_process_madvise,
    process_vm_readv = libc::SYS_process_vm_readv,
    process_vm_writev = libc::SYS_process_vm_writev,
    ptrace = libc::SYS_ptrace,
    quotactl = libc::SYS_quotactl,
    reboot = libc::SYS_reboot,
    request_key = libc::SYS_request_key,
    setdomainname = libc::SYS_setdomainname,
    sethostname = libc::SYS_sethostname,
    setns = libc::SYS_setns,
    settimeofday = libc::SYS_settimeofday,
    swapoff = libc::SYS_swapoff,
    swapon = libc::SYS_swapon,
    umount2 = libc::SYS_umount2,
    unshare = libc::SYS_unshare,
    userfaultfd = libc::SYS_userfaultfd,
];
