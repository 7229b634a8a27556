"""Fixtures of all tests, and the report of times and skips that `scripts/test_report` sums up."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clips import Clips
from harness import LEAKS, WORKSPACE, Server, binary
from stand_ins import StandIns

SECONDS: dict[str, float] = defaultdict(float)
SKIPS: list[dict[str, str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Stops the run at once if the program is missing, instead of failing every test."""
    # Under `nohup`, every child would ignore this signal too, and its tests could not pass.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not binary().exists():
        raise pytest.UsageError(f"`{binary()}` does not exist: run `make e2e`, or set ABANICO_BIN")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Records how long a test took, including its fixtures, and why it was skipped."""
    name = report.nodeid.removeprefix("tests/e2e/")
    SECONDS[name] += report.duration
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        SKIPS.append({"test": name, "reason": reason.removeprefix("Skipped: ")})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the report, unless this process is one of several workers. Fails the run if a server's log has a secret."""
    if LEAKS:
        print("\n".join(["the logs of servers have secrets:", *LEAKS]))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if hasattr(session.config, "workerinput"):
        return
    folder = Path(os.environ.get("CARGO_TARGET_DIR") or WORKSPACE / "target") / "test-report"
    folder.mkdir(parents=True, exist_ok=True)
    tests = [{"test": name, "seconds": seconds} for name, seconds in SECONDS.items()]
    (folder / "e2e.json").write_text(json.dumps({"tests": tests, "skips": SKIPS}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Adds the end of the server's log to the report of a failed test."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server") or getattr(item, "funcargs", {}).get("fresh_server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("server log (end)", server.log()[-8000:]))
    return report


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Clips, each made once per run."""
    return Clips(shared_folder(tmp_path_factory, "clips"))


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> StandIns:
    """Small synthetic files, one for each kind of real file, each made once per run."""
    return StandIns(shared_folder(tmp_path_factory, "stand-ins"))


@pytest.fixture
def disturbed_ffmpeg(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a stand-in for ffmpeg that replaces some words in its arguments: a planted fault."""

    def make(old: str, new: str) -> Path:
        program = tmp_path / "ffmpeg"
        script = f"""#!/bin/bash
args=()
old={shlex.quote(old)}
for arg in "$@"; do args+=("${{arg//"$old"/{shlex.quote(new)}}}"); done
exec {shutil.which("ffmpeg")} "${{args[@]}}"
"""
        program.write_text(script)
        program.chmod(0o755)
        return program

    return make


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a file."""
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test alone, not started yet."""
    server = Server(tmp_path / "server")
    try:
        yield server
    finally:
        server.end()
