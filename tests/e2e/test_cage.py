"""Does the sandbox hold against a hostile ffmpeg, and do real outputs pass while odd ones are refused?"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cage_attacks
import denying
import pytest
from clips import Clip, Clips
from harness import Server, binary, eventually

#: Attacks that end the program instead of failing: no decoder makes these calls.
DEADLY = {
    "namespace_user", "namespace_mount", "namespace_network", "enter_namespace", "mount", "unmount", "open_tree",
    "trace_parent", "trace_itself", "read_parents_memory", "take_descriptor", "compare_parent", "set_time", "set_clock",
    "adjust_clock", "set_host_name", "reboot", "swap_on", "load_module", "load_kernel", "add_key", "request_key",
    "read_keyring", "load_program", "count_events", "make_ring", "take_faults", "watch_all_files", "name_handle",
}  # fmt: skip
PYTHON = os.path.realpath(sys.executable)
SIGSYS = 31


def _confined(program: list[str], own: Path, read: list[str], stage: str) -> subprocess.CompletedProcess:
    """Runs a program in the sandbox as the server does."""
    policy = {"read_only": read, "writable": [str(own)], "file_size_bytes": 1 << 20}
    order = json.dumps({"parent_pid": None, "stage": stage, "policy": policy})
    command = [str(binary()), "__sandbox", order, "--", *program]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _has(part: str) -> bool:
    """Whether `abanico doctor` finds this part of the sandbox on this machine."""
    told = subprocess.run([str(binary()), "doctor"], capture_output=True, text=True, timeout=60, check=False).stdout
    line = next(line for line in told.splitlines() if "  sandbox" in line)
    return f"no {part}" not in line and f"{part} no" not in line


@pytest.fixture(params=["confine", "make_namespaces"])
def stage(request: pytest.FixtureRequest) -> str:
    if request.param == "make_namespaces" and not _has("namespaces"):
        pytest.skip("this machine gives no namespaces")
    return request.param


def _snapshot(folder: Path) -> dict[str, tuple]:
    """Everything about the files of a folder and the folder itself that an attack could change."""
    found = {}
    for path in [folder, *sorted(folder.iterdir())]:
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        found[path.name] = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_nlink, facts.st_mtime_ns, content)
    return found


def _limits() -> dict[str, tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {name: resource.getrlimit(getattr(resource, name)) for name in names}


def test_hostile_program_changes_nothing(tmp_path: Path, stage: str) -> None:
    own, server = tmp_path / "task", tmp_path / "server"
    own.mkdir()
    server.mkdir()
    (server / "jobs.db").write_bytes(b"the jobs")
    (server / "credentials.json").write_text('{"secret": "canary-7d1f"}')
    (server / "credentials.json").chmod(0o600)
    script = tmp_path / "attacks.py"
    shutil.copy(cage_attacks.__file__, script)
    before, limits, affinity = _snapshot(server), _limits(), os.sched_getaffinity(0)
    read = [str(script), os.path.dirname(os.path.dirname(PYTHON))]
    program = [PYTHON, "-I", "-S", str(script), str(own), str(server), str(os.getpid())]

    harmless = [name for name in cage_attacks.names() if name not in DEADLY]
    done = _confined([*program, *harmless], own, read, stage)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [one["attack"] for one in told] == harmless, done.stderr
    assert [one for one in told if one["succeeded"]] == []
    assert "canary-7d1f" not in done.stdout

    for name in sorted(DEADLY):
        done = _confined([*program, name], own, read, stage)
        assert done.returncode == -SIGSYS, f"{name}: {done.returncode} {done.stdout} {done.stderr}"

    assert _snapshot(server) == before
    assert (_limits(), os.sched_getaffinity(0)) == (limits, affinity)
    left = {path.name: path.lstat() for path in own.iterdir()}
    assert all(stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 for facts in left.values()), left
    assert all(facts.st_size <= 1 << 20 and not facts.st_mode & 0o6000 for facts in left.values()), left
    assert _processes_with(str(script)) == []


def _processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(int(entry.name))
    return found


def test_every_attack_succeeds_or_fails_by_itself_outside(tmp_path: Path) -> None:
    """The attacks are real: without the sandbox, those on plain files succeed."""
    own, server = tmp_path / "task", tmp_path / "server"
    own.mkdir()
    server.mkdir()
    (server / "jobs.db").write_bytes(b"the jobs")
    (server / "credentials.json").write_text("canary")
    real = ["read_canary", "chmod_database", "touch_database", "make_fifo", "make_symlink", "make_own_hard_link", "make_huge_file",
            "memory_file", "socket_pair", "name_handle", "outlive_parent", "rename_database"]  # fmt: skip
    command = [PYTHON, "-I", "-S", cage_attacks.__file__, str(own), str(server), str(os.getpid()), *real]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["attack"] for one in told if not one["succeeded"]] == []


def test_program_inside_namespaces_sees_only_itself(tmp_path: Path) -> None:
    if not _has("namespaces"):
        pytest.skip("this machine gives no namespaces")
    done = _confined(["/bin/sh", "-c", "echo $$"], tmp_path, [], "make_namespaces")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    done = _confined(["/bin/sh", "-c", "exit 7"], tmp_path, [], "make_namespaces")
    assert done.returncode == 7


# ---- a hostile ffmpeg in the sandbox of a whole server

SYSTEM_PYTHON = "/usr/bin/python3"
HOSTILE_FFMPEG = """

def hostile() -> None:
    own = [word for word in sys.argv if ".partial/" in word]
    if not own:
        os.execv({ffmpeg!r}, [{ffmpeg!r}, *sys.argv[1:]])
    attacks = Attacks(os.path.dirname(own[-1].split("file:")[-1]), {data!r}, {parent!r}, "engine/jobs.sqlite")
    for name in {wanted!r}:
        print(json.dumps(tried(attacks, name)), file=sys.stderr, flush=True)
    sys.exit(1)


hostile()
"""
#: Files that the server itself writes while it works. What an attack could change of them besides is compared.
OWN_WORK = (".sqlite", ".sqlite-wal", ".sqlite-shm", ".db", ".db-wal", ".db-shm", "blobs/mark", "jobs.mark")


def _tree(folder: Path) -> dict[str, tuple]:
    """The hash, mode, owner and links of every file and folder; no hash and no size of what the server itself writes."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        facts = path.lstat()
        is_file = stat.S_ISREG(facts.st_mode) and not str(path).endswith(OWN_WORK)
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        links = facts.st_nlink if is_file else 0
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_uid, facts.st_gid, links, content)
    return found


def _all_about(pid: int) -> tuple:
    """The limits, priority and processors of a process, which another could change."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    return limits, os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid), os.sched_getaffinity(pid)


@pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason="the sandbox allows only the system's Python")
@pytest.mark.parametrize(("attack", "why"), [("all", "failed with exit status 1"), ("unshare", "a system call that the sandbox forbids")])
def test_server_outlives_a_hostile_ffmpeg(tmp_path: Path, clips: Clips, attack: str, why: str) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} "$@"\n')
    program.chmod(0o755)
    honest = program.read_bytes()
    server = Server(tmp_path / "server", environment={"ABANICO_FFMPEG": str(program)}).start()
    try:
        (server.data / "credentials.json").write_text('{"secret": "canary-7d1f"}')
        (server.data / "credentials.json").chmod(0o600)
        clip = str(clips.file(Clip(width=320, height=180, frames=25)))
        server.s3.upload_file(clip, "uploads", "before.mp4")
        assert server.wait_job("before.mp4")["Status"] == "COMPLETE"
        renditions = server.keys()
        wanted = [name for name in cage_attacks.names() if name not in DEADLY] if attack == "all" else ["namespace_user"]
        source = Path(cage_attacks.__file__).read_text().split("\nif __name__")[0]
        facts = {"ffmpeg": shutil.which("ffmpeg"), "data": str(server.data), "parent": server.process.pid, "wanted": wanted}
        before, about = _tree(server.data), _all_about(server.process.pid)
        program.write_text(f"#!{SYSTEM_PYTHON} -IS\n" + source + HOSTILE_FFMPEG.format(**facts))

        server.s3.upload_file(clip, "uploads", "hostile.mp4")
        job = server.wait_job("hostile.mp4")
        assert job["Status"] == "ERROR" and why in job["ErrorMessage"], job

        # The job's end is told a moment before its work folder is gone.
        eventually(lambda: not any((server.data / "engine" / "work").iterdir()), 30, "the work folder is removed")
        after = _tree(server.data)
        assert {name: after.get(name) for name in before} == before
        assert _all_about(server.process.pid) == about
        # The log quotes what the program wrote to its standard error.
        told = [json.loads(one) for one in re.findall(r'\{"attack": [^}]*\}', server.log().replace('\\"', '"'))]
        assert attack != "all" or {one["attack"] for one in told} == set(wanted)
        assert [one for one in told if one["succeeded"]] == []
        assert server.keys() == renditions and "canary-7d1f" not in server.log()
        assert server.leftovers() == []
        program.write_bytes(honest)
        server.s3.upload_file(clip, "uploads", "after.mp4")
        assert server.wait_job("after.mp4")["Status"] == "COMPLETE"
        assert server.stop() == 0
    finally:
        server.end()


# ---- videos that take too much


def test_absurd_tables_are_refused(tmp_path: Path, clips: Clips) -> None:
    film = bytearray(clips.file(Clip(width=320, height=180, frames=25)).read_bytes())
    at = film.index(b"stsz")
    film[at + 8 : at + 16] = (1).to_bytes(4, "big") + (80_000_000).to_bytes(4, "big")
    (tmp_path / "absurd.mp4").write_bytes(film)
    command = [str(binary()), "probe", str(tmp_path / "absurd.mp4")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode != 0 and "claim 80000000 samples" in ran.stderr, ran.stderr


# ---- machines and containers that deny a part of the sandbox

LANDLOCK = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
DENIED = {
    "namespaces": (["unshare"], errno.EPERM, "namespaces no"),
    "namespaces, not known": (["unshare"], errno.ENOSYS, "namespaces no"),
    "Landlock": (LANDLOCK, errno.EPERM, "no landlock"),
    "Landlock, not known": (LANDLOCK, errno.ENOSYS, "no landlock"),
    "seccomp": (["seccomp"], errno.EPERM, "seccomp no"),
    "seccomp, not known": (["seccomp"], errno.ENOSYS, "seccomp no"),
    "everything": (["unshare", "seccomp", *LANDLOCK], errno.EPERM, "no landlock, seccomp no, namespaces no"),
}


@pytest.mark.parametrize(("calls", "error", "told"), DENIED.values(), ids=DENIED)
def test_sandbox_works_with_the_parts_that_are_there(
    tmp_path: Path, clips: Clips, calls: list[str], error: int, told: str
) -> None:
    def denied(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, denying.__file__, str(error), ",".join(calls), str(binary()), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)

    line = next(line for line in denied("doctor").stdout.splitlines() if "  sandbox" in line)
    assert told in line and line.startswith("ok" if calls == ["unshare"] else "weak"), line
    clip = clips.file(Clip(width=320, height=180, frames=25))
    ran = denied("transcode", str(clip), "--out", str(tmp_path / "out"))
    assert ran.returncode == 0, ran.stderr
    assert any(path.suffix == ".mp4" for path in (tmp_path / "out").rglob("*"))
    if calls != ["unshare"]:
        (tmp_path / "abanico.toml").write_text('[engine]\nsandbox = "required"\n')
        words = ["--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--config", str(tmp_path / "abanico.toml")]
        ran = denied("serve", *words)
        assert ran.returncode == 3 and "the sandbox is required" in ran.stderr, ran


# ---- outputs. Without the sandbox, a program in ffmpeg's place can leave anything; the server must not take it.

IN_FFMPEGS_PLACE = """#!/bin/sh
for last; do :; done
case "$*" in
    *-progress*) ;;
    *) exec {ffmpeg} "$@" ;;
esac
case "$*" in
    *"{task}.partial/"*) ;;
    *) exec {ffmpeg} "$@" ;;
esac
{ffmpeg} "$@" || exit 1
cd "$(dirname "$(for word; do case "$word" in *"{task}.partial/"*) echo "${{word#file:}}";; esac; done | tail -n 1)")" || exit 1
{odd}
exit 0
"""
ODD = {
    "a pipe": ("mkfifo odd", "no plain file"),
    "a pipe in place of the output": ("rm output-*.mp4; mkfifo output-0.mp4", "no plain file"),
    "a link": ("ln -s /etc/passwd odd", "no plain file"),
    "a link in place of the output": ("mv output-0.mp4 ..; ln -s ../output-0.mp4 output-0.mp4", "no plain file"),
    "a second name": ("ln output-*.mp4 odd", "linked elsewhere"),
    "a sparse giant": ("truncate -s 400G output-*.mp4", "bytes that the plan allows"),
    "a program of its owner": ("chmod 4755 output-*.mp4", "rights of its owner"),
}


@pytest.fixture
def odd_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    program = tmp_path / "ffmpeg"
    program.write_text(IN_FFMPEGS_PLACE.format(ffmpeg=shutil.which("ffmpeg"), task="package-0", odd=request.param))
    program.chmod(0o755)
    config = '[engine]\nsandbox = "off"\n'
    server = Server(tmp_path / "server", config=config, environment={"ABANICO_FFMPEG": str(program)})
    try:
        yield server.start()
    finally:
        server.end()


@pytest.mark.parametrize(("odd_server", "why"), ODD.values(), ids=ODD, indirect=["odd_server"])
def test_odd_outputs_are_refused(odd_server: Server, why: str, clips: Clips) -> None:
    odd_server.s3.upload_file(str(clips.file(Clip(width=320, height=180, frames=25))), "uploads", "a.mp4")
    job = odd_server.wait_job("a.mp4")
    assert job["Status"] == "ERROR" and why in job["ErrorMessage"], job
    assert odd_server.keys() == []
    began = time.monotonic()
    assert odd_server.stop() == 0
    assert time.monotonic() - began < 30


# ---- warnings


def test_sandbox_that_is_off_is_told_everywhere(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", config='[engine]\nsandbox = "off"\n').start()
    try:
        warnings = [line for line in server.log().splitlines() if " WARN " in line]
        assert len(warnings) >= 5 and any("THE SANDBOX AROUND FFMPEG IS NOT WHOLE" in line for line in warnings)
        with urllib.request.urlopen(f"{server.endpoint}/readyz") as answer:
            assert answer.read().decode().startswith("ready, but degraded\nthe sandbox is off")
    finally:
        server.end()


def test_required_sandbox_starts_where_it_is_whole(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", config='[engine]\nsandbox = "required"\n')
    try:
        if _has("landlock") and _has("seccomp"):
            server.start()
            assert "NOT WHOLE" not in server.log()
        else:
            with pytest.raises(AssertionError, match="the sandbox is required"):
                server.start()
    finally:
        server.end()


def test_server_of_root_becomes_another_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    server = Server(tmp_path / "server", config='user = "nobody"\n')
    try:
        server.start()
        ids = [line.split()[1:] for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith(("Uid:", "Gid:"))]
        assert all("0" not in one for one in ids), ids
        assert server.data.stat().st_uid != 0
    finally:
        server.end()
    (tmp_path / "other").mkdir()
    other = Server(tmp_path / "other", config='user = "nobody"\n')
    other.data.mkdir()
    with pytest.raises(AssertionError, match="does not belong to the user `nobody`"):
        other.start()
    other.end()
