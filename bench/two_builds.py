#!/usr/bin/env python3
"""Compares two builds of abanico in one run: the processor time that each takes per request, and its wall time.

Both servers run side by side on loopback and get the same requests from the same client, in alternating blocks, so that a busy
machine slows both. The processor time is the server's own, from `/proc`. The table goes to stdout and to
bench/report/two_builds.md; ratios below 1 mean that the second build is cheaper. Nothing here passes or fails.

Usage: two_builds.py BEFORE AFTER [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))

from harness import measured_server  # noqa: E402
from outputs import AAC, ROLE, h264, output, settings  # noqa: E402

REPORT = Path(__file__).with_name("report")
CLIENTS = 4
LARGE_BYTES, SMALL_BYTES = 32 << 20, 4 << 10
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Build:
    """One build's server with its clients."""

    def __init__(self, program: Path, folder: Path) -> None:
        os.environ["ABANICO_BIN"] = str(program)
        self.server = measured_server(folder).start()
        options = Config(max_pool_connections=CLIENTS, retries={"max_attempts": 1})
        self.s3, self.api = self.server.client("s3", config=options), self.server.client("mediaconvert", config=options)
        self.s3.create_bucket(Bucket="bench")
        self.api.create_queue(Name="waiting", Status="PAUSED")
        self.jobs: list[str] = []

    def cpu_seconds(self) -> float:
        """Returns the processor time that the server has used so far."""
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def create_job(self, _: int) -> None:
        """Creates a job that waits in a paused queue."""
        job = settings([{"FileInput": "s3://in/film.mp4"}], [output("MP4", h264(), [AAC])], "s3://out/x")
        self.jobs.append(self.api.create_job(Role=ROLE, Queue="waiting", Settings=job)["Job"]["Id"])


def requests(large: bytes, small: bytes) -> dict[str, tuple[int, Callable[[Build, int], object]]]:
    """Returns the kinds of requests: how many a block has, and what one does."""
    return {
        "PUT 32 MiB": (4, lambda build, n: build.s3.put_object(Bucket="bench", Key=f"large-{n}", Body=large)),
        "GET 32 MiB": (4, lambda build, n: build.s3.get_object(Bucket="bench", Key=f"large-{n}")["Body"].read()),
        "PUT 4 KiB": (200, lambda build, n: build.s3.put_object(Bucket="bench", Key=f"small-{n}", Body=small)),
        "GET 4 KiB": (200, lambda build, n: build.s3.get_object(Bucket="bench", Key=f"small-{n}")["Body"].read()),
        "CreateJob": (100, Build.create_job),
        "GetJob": (200, lambda build, n: build.api.get_job(Id=build.jobs[n % len(build.jobs)])),
        "ListJobs (20)": (100, lambda build, _: build.api.list_jobs(MaxResults=20)),
    }


def block(build: Build, count: int, request: Callable[[Build, int], object]) -> tuple[float, float]:
    """Returns the milliseconds of processor time and of wall time for each request of a block."""
    before, begin = build.cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: request(build, number), range(count)))
    return (build.cpu_seconds() - before) * 1000 / count, (time.monotonic() - begin) * 1000 / count


def main() -> int:
    """Measures all kinds of requests and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, help="the program to compare with")
    parser.add_argument("after", type=Path, help="the program to measure")
    parser.add_argument("--rounds", type=int, default=6, help="blocks of each kind for each program (default: 6)")
    given = parser.parse_args()
    body = os.urandom(LARGE_BYTES)
    head = "| request | CPU ms before | CPU ms after | ratio | wall ms before | wall ms after | ratio |"
    lines = ["# Two builds", "", f"{os.cpu_count()} processors; medians of {given.rounds} blocks.", "", head, "| --- |" + " ---: |" * 6]
    with tempfile.TemporaryDirectory() as folder:
        builds = [Build(program.resolve(), Path(folder) / name) for name, program in (("before", given.before), ("after", given.after))]
        try:
            for name, (count, request) in requests(body, body[:SMALL_BYTES]).items():
                measured: list[list[tuple[float, float]]] = [[], []]
                for number in range(given.rounds):
                    # Whoever goes first in one round goes second in the next.
                    for index in (0, 1) if number % 2 == 0 else (1, 0):
                        measured[index].append(block(builds[index], count, request))
                medians = [[statistics.median(values) for values in zip(*blocks, strict=True)] for blocks in measured]
                cells = [f"{before:.2f} | {after:.2f} | {after / max(before, 1e-9):.2f}" for before, after in zip(*medians, strict=True)]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
        finally:
            for build in builds:
                build.server.end()
    REPORT.mkdir(exist_ok=True)
    (REPORT / "two_builds.md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
