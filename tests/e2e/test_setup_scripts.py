"""Do the scripts behind `make` say in one sentence what to do when something is missing?

Each test puts small stand-ins for cargo, apt-get and df before the real ones on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import WORKSPACE

SCRIPTS = WORKSPACE / "scripts"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A folder for programs that hide the real ones."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    return folder


def stub(folder: Path, name: str, script: str) -> None:
    """Puts a shell script into the folder under a program's name."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def run(script: str, *words: str, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one of the scripts with this path."""
    return subprocess.run(
        [str(SCRIPTS / script), *words], capture_output=True, text=True, timeout=60,
        env={"PATH": path, "HOME": "/nonexistent", **environment},
    )  # fmt: skip


def before(folder: Path) -> str:
    """The real path with the stand-ins first."""
    return f"{folder}:{os.environ['PATH']}"


def only(folder: Path, *programs: str) -> str:
    """A path that has nothing but the stand-ins and these real programs."""
    for program in programs:
        real = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
        (folder / program).symlink_to(real)
    return str(folder)


@pytest.mark.parametrize(("found", "is_enough"), [("1.80.1", False), ("1.94.9", False), ("1.95.0", True), ("1.100.0", True), ("2.0.0", True)])
def test_old_rust_is_refused(stubs: Path, found: str, is_enough: bool) -> None:
    stub(stubs, "cargo", f"echo 'cargo {found} (abc 2026-01-01)'")
    done = run("need_cargo", path=before(stubs))
    assert (done.returncode == 0) == is_enough, done.stderr
    if not is_enough:
        assert f"this is Rust {found.rsplit('.', 1)[0]}" in done.stderr and "rustup update" in done.stderr


def test_missing_cargo_names_its_source(stubs: Path) -> None:
    done = run("need_cargo", path=only(stubs, "bash", "env", "sed", "head", "dirname"))
    assert done.returncode == 3 and "https://rustup.rs" in done.stderr


def test_missing_packages_are_named_without_apt(stubs: Path) -> None:
    tools = ("bash", "env", "dirname", "sort", "python3")
    done = run("install_packages", "demo", path=only(stubs, *tools))
    assert done.returncode == 3
    assert "build-essential ffmpeg" in done.stderr and "chromium" not in done.stderr, done.stderr
    test = run("install_packages", "test", path=str(stubs))
    assert "chromium" in test.stderr, test.stderr


def test_installed_packages_ask_for_nothing(stubs: Path) -> None:
    stub(stubs, "apt-get", "echo called >&2; exit 1")
    for name in ("ffmpeg", "ffprobe", "cc"):
        stub(stubs, name, "")
    done = run("install_packages", "demo", path=before(stubs))
    assert (done.returncode, done.stderr) == (0, "")


def test_full_disk_is_reported_before_the_build(stubs: Path) -> None:
    stub(stubs, "df", "printf 'Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/x 9 9 1048576 9%% /\\n'")
    done = run("need_room", "3", path=before(stubs))
    assert done.returncode == 3 and "1024 MiB free" in done.stderr and "needs 3 GiB" in done.stderr
    assert run("need_room", "1", path=before(stubs)).returncode == 0


FAILURES = [
    ("error: failed to download from the registry", "a package registry cannot be reached"),
    ("E: Temporary failure resolving 'deb.debian.org'", "a package registry cannot be reached"),
    ("npm error code ENOTFOUND", "a package registry cannot be reached"),
    ("error: No space left on device (os error 28)", "the disk is full"),
    ("error[E0308]: mismatched types", "failed with exit status 7: the lines above say why"),
]


@pytest.mark.parametrize(("said", "told"), FAILURES)
def test_failed_step_ends_with_what_to_do(said: str, told: str) -> None:
    done = run("step", "a step", "a minute", "sh", "-c", f'echo "{said}" >&2; echo data; exit 7', path=os.environ["PATH"])
    assert (done.returncode, done.stdout) == (7, "data\n")
    first, *_, last = done.stderr.splitlines()
    assert first == "==> a step (about a minute)" and told in last, done.stderr


def test_successful_step_only_says_what_it_does() -> None:
    done = run("step", "a step", "a minute", "sh", "-c", "echo failed to download >&2", path=os.environ["PATH"])
    assert (done.returncode, done.stderr) == (0, "==> a step (about a minute)\nfailed to download\n")


def report(folder: Path, skips: list[dict[str, str]], *words: str) -> subprocess.CompletedProcess[str]:
    """Sums up a made run."""
    parts = folder / "test-report"
    parts.mkdir(exist_ok=True)
    slow = [{"test": f"test_{number}", "seconds": float(number)} for number in range(20)]
    (parts / "unit.json").write_text(json.dumps({"tests": slow, "skips": []}))
    (parts / "e2e.json").write_text(json.dumps({"tests": [], "skips": skips}))
    return run("test_report", *words, path=os.environ["PATH"], CARGO_TARGET_DIR=str(folder))


def test_report_names_the_slowest_and_each_skip(tmp_path: Path) -> None:
    done = report(tmp_path, [{"test": "test_a.py::test_b", "reason": "no film: install one"}])
    assert done.returncode == 0
    assert [line.split()[-1] for line in done.stdout.splitlines() if " s  " in line] == [f"test_{n}" for n in range(19, 9, -1)]
    assert "test_a.py::test_b\n      no film: install one" in done.stdout


def test_unlisted_skip_is_an_error(tmp_path: Path) -> None:
    listed = {"test": "test_full_disk.py::test_x", "reason": "no mount"}
    assert report(tmp_path, [listed], "--forbid-skips").returncode == 0
    done = report(tmp_path, [listed, {"test": "test_a.py::test_b", "reason": "because"}], "--forbid-skips")
    assert done.returncode == 1 and "`test_a.py::test_b` was skipped" in done.stderr
    (tmp_path / "test-report" / "e2e.json").unlink()
    missing = run("test_report", "--forbid-skips", path=os.environ["PATH"], CARGO_TARGET_DIR=str(tmp_path))
    assert missing.returncode == 1 and "left no report" in missing.stderr
