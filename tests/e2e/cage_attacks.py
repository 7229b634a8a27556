"""A hostile program for the sandbox: tries one thing after another that a hijacked ffmpeg could try.

In: a folder that it may write to, a folder of the "server" beside it, the number of the parent, and the names of the
attacks. Out: one JSON line per attack with what happened. It imports nothing of the tests, because it runs confined.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import socket
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
#: Numbers of system calls that have no function in Python: (x86_64, arm64).
NUMBERS = {
    "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "clock_settime": (227, 112), "clone": (56, 220),
    "clone3": (435, 435), "fanotify_init": (300, 262), "init_module": (175, 105), "io_uring_setup": (425, 425),
    "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219), "memfd_create": (319, 279), "mount": (165, 40),
    "name_to_handle_at": (303, 264), "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "prctl": (157, 167), "process_vm_readv": (310, 270), "ptrace": (101, 117),
    "reboot": (169, 142), "request_key": (249, 218), "seccomp": (317, 277), "sethostname": (170, 161), "setns": (308, 268),
    "settimeofday": (164, 170), "swapon": (167, 224), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
}  # fmt: skip
NEW_NAMESPACES = {"user": 0x10000000, "mount": 0x00020000, "pid": 0x20000000, "net": 0x40000000}


def call(name: str, *arguments: object) -> int:
    """Makes a system call by its number; raises as Python's own functions do."""
    number = NUMBERS[name][0 if X86 else 1]
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Attacks:
    """The attacks, one method each. A method that returns has succeeded."""

    def __init__(self, own: str, server: str, parent: int, database: str = "jobs.db") -> None:
        self.own, self.server, self.parent, self.database = own, server, parent, database

    def _own(self, name: str) -> str:
        return os.path.join(self.own, name)

    def _theirs(self, name: str = "") -> str:
        return os.path.join(self.server, name or self.database)

    # ---- files of the server
    def read_canary(self) -> str:
        with open(self._theirs("credentials.json")) as file:
            return file.read()

    def list_server(self) -> list[str]:
        return os.listdir(self.server)

    def write_database(self) -> None:
        with open(self._theirs(), "r+b") as file:
            file.write(b"x")

    def truncate_database(self) -> None:
        os.truncate(self._theirs(), 0)

    def chmod_database(self) -> None:
        os.chmod(self._theirs(), 0o777)

    def chmod_credentials(self) -> None:
        os.chmod(self._theirs("credentials.json"), 0o666)

    def chmod_folder(self) -> None:
        os.chmod(self.server, 0)

    def chown_database(self) -> None:
        os.chown(self._theirs(), 1, 1)

    def touch_database(self) -> None:
        os.utime(self._theirs(), (0, 0))

    def set_attribute(self) -> None:
        os.setxattr(self._theirs(), "user.x", b"y")

    def rename_database(self) -> None:
        os.rename(self._theirs(), self._theirs("gone"))

    def take_database(self) -> None:
        os.rename(self._theirs(), self._own("taken"))

    def remove_database(self) -> None:
        os.unlink(self._theirs())

    def create_beside(self) -> None:
        with open(self._theirs("planted"), "w") as file:
            file.write("x")

    def through_proc_root(self) -> None:
        with open("/proc/self/root" + self._theirs(), "r+b") as file:
            file.write(b"x")

    def chroot(self) -> None:
        os.chroot(self.own)

    # ---- outputs that are no files
    def make_fifo(self) -> None:
        os.mkfifo(self._own("fifo"))

    def make_device(self) -> None:
        os.mknod(self._own("device"), 0o600 | 0o020000, os.makedev(1, 3))

    def make_symlink(self) -> None:
        os.symlink(self._theirs(), self._own("link"))

    def make_hard_link(self) -> None:
        os.link(self._theirs(), self._own("hard"))

    def make_own_hard_link(self) -> None:
        with open(self._own("plain"), "w") as file:
            file.write("x")
        os.link(self._own("plain"), self._own("twice"))

    def make_set_id(self) -> None:
        with open(self._own("setid"), "w") as file:
            file.write("x")
        os.chmod(self._own("setid"), 0o4755)

    def make_huge_file(self) -> None:
        with open(self._own("huge"), "w") as file:
            file.truncate(400 << 30)

    def allocate_huge_file(self) -> None:
        descriptor = os.open(self._own("allocated"), os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(descriptor, 0, 400 << 30)

    # ---- other processes
    def limit_parent(self) -> None:
        resource.prlimit(self.parent, resource.RLIMIT_CPU, (0, 0))

    def limit_parent_files(self) -> None:
        resource.prlimit(os.getppid() or self.parent, resource.RLIMIT_FSIZE, (0, 0))

    def limit_itself(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

    def raise_limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))

    def kill_parent(self) -> None:
        os.kill(self.parent, signal.SIGKILL)

    def kill_group(self) -> None:
        os.kill(0, signal.SIGUSR1)

    def kill_everyone(self) -> None:
        os.kill(-1, 0)

    def queue_signal_by_descriptor(self) -> None:
        call("pidfd_open", self.parent, 0)

    def pin_parent(self) -> None:
        os.sched_setaffinity(self.parent, {0})

    def slow_parent(self) -> None:
        os.setpriority(os.PRIO_PROCESS, self.parent, 19)

    def become_realtime(self) -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))

    def read_parents_environment(self) -> str:
        with open(f"/proc/{self.parent}/environ") as file:
            return file.read()

    def write_parents_memory(self) -> None:
        os.open(f"/proc/{self.parent}/mem", os.O_RDWR)

    # ---- outliving the server
    def fork(self) -> None:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)

    def spawn(self) -> None:
        os.posix_spawn("/bin/sleep", ["sleep", "600"], {})

    def clone_process(self) -> None:
        if call("clone", signal.SIGCHLD, None, None, None, None) == 0:
            time.sleep(600)

    def clone3_process(self) -> None:
        arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD)
        if call("clone3", arguments, 88) == 0:
            time.sleep(600)

    def clone_user_namespace(self) -> None:
        if call("clone", NEW_NAMESPACES["user"] | signal.SIGCHLD, None, None, None, None) == 0:
            time.sleep(600)

    def new_session(self) -> None:
        os.setsid()

    def new_group(self) -> None:
        os.setpgid(0, 0)

    def outlive_parent(self) -> None:
        call("prctl", 1, 0, 0, 0, 0)

    # ---- rights
    def capabilities(self) -> None:
        with open("/proc/self/status") as file:
            lines = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
        held = {name: lines[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(lines[name], 16)}
        if not held and lines["NoNewPrivs"] == "1" and lines["Seccomp"] == "2":
            raise PermissionError(errno.EPERM, "no capabilities")

    def become_root(self) -> None:
        os.setresuid(0, 0, 0)

    def become_other(self) -> None:
        os.setresuid(65534, 65534, 65534)

    def drop_groups(self) -> None:
        os.setgroups([])

    def another_filter(self) -> None:
        call("seccomp", 1, 0, None)

    # ---- network and shared memory
    def tcp_socket(self) -> None:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def udp_socket(self) -> None:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def unix_socket(self) -> None:
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("\0abstract")

    def netlink_socket(self) -> None:
        socket.socket(16, socket.SOCK_RAW)

    def socket_pair(self) -> None:
        socket.socketpair()

    def memory_file(self) -> None:
        call("memfd_create", b"x", 0)

    # ---- what only an attack tries
    def namespace_user(self) -> None:
        call("unshare", NEW_NAMESPACES["user"])

    def namespace_mount(self) -> None:
        call("unshare", NEW_NAMESPACES["mount"])

    def namespace_network(self) -> None:
        call("unshare", NEW_NAMESPACES["net"])

    def enter_namespace(self) -> None:
        call("setns", 0, 0)

    def mount(self) -> None:
        call("mount", b"none", self.own.encode(), b"tmpfs", 0, None)

    def unmount(self) -> None:
        call("umount2", b"/proc", 2)

    def open_tree(self) -> None:
        call("open_tree", -100, b"/", 1)

    def trace_parent(self) -> None:
        call("ptrace", 16, self.parent, None, None)

    def trace_itself(self) -> None:
        call("ptrace", 0, 0, None, None)

    def read_parents_memory(self) -> None:
        call("process_vm_readv", self.parent, None, 0, None, 0, 0)

    def take_descriptor(self) -> None:
        call("pidfd_getfd", 3, 0, 0)

    def compare_parent(self) -> None:
        call("kcmp", self.parent, os.getpid(), 0, 0, 0)

    def set_time(self) -> None:
        call("settimeofday", (ctypes.c_long * 2)(0, 0), None)

    def set_clock(self) -> None:
        call("clock_settime", 0, (ctypes.c_long * 2)(0, 0))

    def adjust_clock(self) -> None:
        call("adjtimex", (ctypes.c_long * 64)())

    def set_host_name(self) -> None:
        call("sethostname", b"x", 1)

    def reboot(self) -> None:
        call("reboot", 0, 0, 0, None)

    def swap_on(self) -> None:
        call("swapon", b"/x", 0)

    def load_module(self) -> None:
        call("init_module", None, 0, b"")

    def load_kernel(self) -> None:
        call("kexec_load", 0, 0, None, 0)

    def add_key(self) -> None:
        call("add_key", b"user", b"x", b"y", 1, -3)

    def request_key(self) -> None:
        call("request_key", b"user", b"x", None, -3)

    def read_keyring(self) -> None:
        call("keyctl", 0, -3, 0)

    def load_program(self) -> None:
        call("bpf", 0, None, 0)

    def count_events(self) -> None:
        call("perf_event_open", (ctypes.c_char * 128)(), 0, -1, -1, 0)

    def make_ring(self) -> None:
        call("io_uring_setup", 8, (ctypes.c_char * 120)())

    def take_faults(self) -> None:
        call("userfaultfd", 0)

    def watch_all_files(self) -> None:
        call("fanotify_init", 0, 0)

    def name_handle(self) -> None:
        call("name_to_handle_at", -100, self._theirs().encode(), (ctypes.c_char * 136)(128), (ctypes.c_int * 1)(), 0)


def names() -> list[str]:
    """Every attack."""
    return [name for name in vars(Attacks) if not name.startswith("_")]


def tried(attacks: Attacks, name: str) -> dict:
    """Tries one attack and returns what happened."""
    try:
        return {"attack": name, "succeeded": True, "result": str(getattr(attacks, name)())}
    except ValueError as error:
        # Python's own word for a limit that may not be changed.
        return {"attack": name, "succeeded": False, "error": str(error)}
    except OSError as error:
        return {"attack": name, "succeeded": False, "error": errno.errorcode.get(error.errno, str(error.errno))}


def main() -> None:
    own, server, parent, *wanted = sys.argv[1:]
    attacks = Attacks(own, server, int(parent))
    for name in wanted:
        print(json.dumps(tried(attacks, name)), flush=True)


if __name__ == "__main__":
    main()
