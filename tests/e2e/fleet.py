"""Runs a fleet: Temporal's development server, and workers that share an `abanico serve`. Everything listens on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import Server, binary, eventually, is_ffmpeg, processes_of

HEARTBEAT_SECONDS = 4
TEMPORAL = Path(sys.executable).parent / "temporal"


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Temporal:
    """Temporal's development server. It can be killed and started again on the same data."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """URL of its gRPC endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Temporal:
        """Starts it and waits until it answers a call."""
        assert TEMPORAL.exists(), f"`{TEMPORAL}` does not exist: run `make .venv/ready`"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(TEMPORAL), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port),
            "--db-filename", str(self.folder / "temporal.db"), "--log-level", "error",
        ]  # fmt: skip
        with (self.folder / "temporal.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        eventually(lambda: self.asked("operator", "namespace", "describe", "default").returncode == 0, 60, "Temporal answers")
        return self

    def asked(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs Temporal's own command line against it."""
        command = [str(TEMPORAL), *words, "--address", f"127.0.0.1:{self.port}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def kill(self) -> None:
        """Kills it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@dataclass
class Worker:
    """`abanico worker`."""

    folder: Path
    temporal: str
    endpoint: str
    exports: dict[str, str]
    name: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def log_file(self) -> Path:
        """The file with everything that it wrote."""
        return self.folder / f"{self.name}.log"

    def command(self, *more: str) -> list[str]:
        """Returns the command of this worker."""
        return [
            str(binary()), "--log", "json", "worker", "--temporal", self.temporal, "--artifacts", f"{self.endpoint}/abanico-artifacts/jobs/",
            "--name", self.name, *([] if "--folder" in self.arguments else ["--folder", str(self.folder / "work")]), *self.arguments, *more,
        ]  # fmt: skip

    def variables(self) -> dict[str, str]:
        """Returns the environment of this worker."""
        return {"RUST_LOG": "info", **os.environ, **self.exports, **self.environment}

    def start(self) -> Worker:
        """Starts it and waits until it takes tasks."""
        self.begin()
        eventually(lambda: "taking tasks" in self.log() or self.process.poll() is not None, 60, f"{self.name} takes tasks")
        assert self.process.poll() is None, self.log()
        return self

    def begin(self) -> Worker:
        """Starts it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.variables(), start_new_session=True
            )
        return self

    def log(self) -> str:
        """Returns what it wrote so far."""
        return self.log_file.read_text(errors="replace")

    def said(self, message: str) -> list[dict]:
        """Returns its log lines with this message."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("message") == message]

    def encoders(self) -> list[int]:
        """Returns its processes that run ffmpeg."""
        return [pid for pid in processes_of([self.process.pid]) if is_ffmpeg(pid)]

    def kill(self) -> None:
        """Kills it at once, as a machine that loses its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def end(self) -> None:
        """Ends it, and whatever it left."""
        if self.process is None:
            return
        for pid in [self.process.pid, *processes_of([self.process.pid])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)


@dataclass
class Fleet:
    """Temporal, a server whose jobs go to it, and the workers that were started."""

    folder: Path
    temporal: Temporal
    server: Server
    workers: list[Worker] = field(default_factory=list)

    def worker(self, name: str, *arguments: str, environment: dict[str, str] | None = None, started: bool = True) -> Worker:
        """Starts a worker."""
        own = Worker(
            self.folder / "workers", self.temporal.address, self.server.endpoint, self.server.exports, name, arguments, environment or {}
        )
        self.workers.append(own)
        return own.start() if started else own

    def artifacts(self) -> list[str]:
        """Returns the keys of everything that is in the bucket of artifacts."""
        pages = self.server.s3.get_paginator("list_objects_v2").paginate(Bucket="abanico-artifacts")
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def done_by(self, job: str) -> dict[str, str]:
        """Returns which worker did each task of a job."""
        found = {}
        for line in self.server.log().splitlines():
            if "a worker has done a task" in line and job in line:
                words = dict(re.findall(r"(\S+)=\"?([^\"\s]+)\"?", re.sub(r"\x1b\[[0-9;]*m", "", line)))
                found[words["task"]] = words["worker"]
        return found

    def leaves_nothing(self) -> None:
        """Fails if artifacts or work folders stay after all jobs have ended."""
        eventually(lambda: not self.artifacts(), 60, "the artifacts of ended jobs are removed")
        work = self.server.data / "engine" / "work"
        eventually(lambda: not work.exists() or not list(work.iterdir()), 60, "the work folders of ended jobs are removed")
        for worker in self.workers:
            tasks = lambda own=worker: list((own.folder / "work").glob("worker-*/task-*"))  # noqa: E731
            if worker.process.poll() is None:
                eventually(lambda: not tasks(), 30, f"the task folders of {worker.name} are removed")


@contextmanager
def fleet(folder: Path, encoders: int = 2, engine: str = "", temporal: str = "") -> Iterator[Fleet]:
    """Starts Temporal and a server, without workers."""
    service = Temporal(folder / "temporal").start()
    config = (
        f'[engine]\nkind = "temporal"\n{engine}\n[temporal]\naddress = "{service.address}"\n'
        f"encoders = {encoders}\nheartbeat_seconds = {HEARTBEAT_SECONDS}\n{temporal}\n"
    )
    server = Server(folder / "server", config=config, listen=f"127.0.0.1:{free_port()}", environment={"RUST_LOG": "info"})
    own = Fleet(folder, service, server)
    try:
        own.server.start()
        yield own
    finally:
        for worker in own.workers:
            worker.end()
        own.server.end()
        service.kill()
