"""Fixtures.

In: pytest. Out: clips, a server of a whole file of tests, and its log when a test fails. Never a process left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import Clips
from harness import Server, binary


def pytest_configure(config: pytest.Config) -> None:
    """Says early what is missing, instead of failing a hundred times."""
    if not binary().exists():
        raise pytest.UsageError(f"`{binary()}` is not there: build it, or set ABANICO_BIN")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Puts the end of the server's log under a failed test."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server") or getattr(item, "funcargs", {}).get("fresh_server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("server log (end)", server.log()[-8000:]))
    return report


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Clips, each made once a run."""
    return Clips(tmp_path_factory.mktemp("clips"))


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
    """A server of one test alone, not started yet."""
    server = Server(tmp_path / "server")
    try:
        yield server
    finally:
        server.end()
