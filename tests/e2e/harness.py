"""Runs the server under test, and provides clients for it.

Each server has its own data folder. The tests get boto3 clients, waits with a time limit, and a list of the processes that the
server left behind. A client knows only the address and the keys, and uses none of abanico's own code.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import boto3
from botocore.config import Config

WORKSPACE = Path(__file__).resolve().parents[2]
FINAL = ("COMPLETE", "ERROR", "CANCELED")
READY_SECONDS = 30
JOB_SECONDS = 180
CLIENT = {"retries": {"max_attempts": 1}, "connect_timeout": 5, "read_timeout": 60}
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIATESTTESTTEST1234", "a-secret/for+tests-only-0123456789abcdef"


# What no log may have at any level: a signature or a policy that works, a session, a token.
SECRETS = re.compile(
    r"X-Amz-Signature=[0-9a-f]{16}|X-Amz-Credential=[^R]|\bSignature=[0-9A-Za-z%+/]{16}|AWS4-HMAC-SHA256 Credential=|AWS [A-Z0-9]{16,}:"
    r"|abanico_session=[A-Za-z0-9_-]{4}|Bearer [A-Za-z0-9/+_-]{8}|x-amz-security-token",
    re.IGNORECASE,
)
LEAKS: list[str] = []

# Settings of a preset that makes sound alone.
RADIO_PRESET = {
    "ContainerSettings": {"Container": "RAW"},
    "AudioDescriptions": [{"CodecSettings": {"Codec": "MP3", "Mp3Settings": {"Bitrate": 128_000, "RateControlMode": "CBR"}}}],
}

def bucket_tables(*names: str, remote: str = "", region: str = "us-east-1") -> str:
    """Tables of a configuration that name buckets; with `remote`, buckets of the S3 at that address."""
    where = f'remote = true\nendpoint = "{remote}"\nregion = "{region}"\n' if remote else ""
    return "".join(f'[[bucket]]\nname = "{name}"\n{where}' for name in names)


def measured_server(folder: Path) -> Server:
    """A server to be measured: it logs what a server logs by itself, because writing a log of every detail takes time."""
    return Server(folder, environment={"RUST_LOG": ""})


def secrets_in(log: str, secret: str) -> list[str]:
    """The lines of a log that have a secret. A server that could not start has none yet, so its secret is empty."""
    words = [secret, quote(secret, safe="")] if secret else []
    return [line for line in log.splitlines() if any(word in line for word in words) or SECRETS.search(line)]


def binary() -> Path:
    """Returns the program under test: ABANICO_BIN, or the debug build of this workspace."""
    given = os.environ.get("ABANICO_BIN")
    return Path(given) if given else WORKSPACE / "target" / "debug" / "abanico"


def shared_media() -> Path | None:
    """Returns the folder with real files, if it exists: `media` in ABANICO_SHARED, or in `shared` next to the checkout."""
    folder = Path(os.environ.get("ABANICO_SHARED") or WORKSPACE.parent / "shared") / "media"
    return folder if folder.is_dir() else None


def eventually(question: Callable[[], object], seconds: float, what: str) -> object:
    """Repeats the question until the answer is true, and returns the answer. After `seconds`, fails the test with `what`."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


@dataclass
class Server:
    """`abanico serve` on a free port. It can be stopped, killed, and started again on the same data."""

    folder: Path
    config: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    key_pair: tuple[str, str] = (ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    listen: str = "127.0.0.1:0"
    process: subprocess.Popen | None = None
    endpoint: str = ""
    exports: dict[str, str] = field(default_factory=dict)
    sessions: list[int] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        """The file with everything that the server wrote to stderr, over all starts."""
        return self.folder / "server.log"

    def start(self) -> Server:
        """Starts the server and waits until it is listening."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(binary()), "serve", "--listen", self.listen, "--data", str(self.data)]
        if self.config is not None:
            (self.folder / "abanico.toml").write_text(self.config)
            command += ["--config", str(self.folder / "abanico.toml")]
        keys = {"ABANICO_ACCESS_KEY_ID": self.key_pair[0], "ABANICO_SECRET_ACCESS_KEY": self.key_pair[1]}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={"RUST_LOG": "trace", **os.environ, **self.environment, **keys}, start_new_session=True,
            )  # fmt: skip
        self.sessions.append(self.process.pid)
        self._read_greeting()
        return self

    def _read_greeting(self) -> None:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(self.process.stdout, lines), daemon=True).start()
        end = time.monotonic() + READY_SECONDS
        self.endpoint, self.exports = "", {}
        while len(self.exports) < 4 or not self.endpoint:
            try:
                line = lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"the server did not say that it listens:\n{self.log()}"
            if line.startswith("listening on "):
                self.endpoint = line.removeprefix("listening on ").strip()
            elif line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                self.exports[name] = value.strip("'\"")

    def stop(self) -> int:
        """Stops the server with SIGTERM and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """Kills the server without warning, so that it cannot clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def end(self) -> None:
        """Kills every process of this server that is still running."""
        if self.process and self.process.poll() is None:
            self.kill()
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)
        found = secrets_in(self.log(), self.key_pair[1])
        LEAKS.extend(f"{self.log_file}: {line}" for line in found)
        assert not found, f"the log of a server has secrets: {found}"

    def log(self) -> str:
        """Returns the log of all starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def leftovers(self) -> list[int]:
        """Returns the processes that the server started and that are still running, without the server itself."""
        own = self.process.pid if self.process else 0
        return [pid for pid in processes_of(self.sessions) if pid != own]

    def encoders(self) -> list[int]:
        """Returns the leftovers that run ffmpeg or ffprobe."""
        return [pid for pid in self.leftovers() if is_ffmpeg(pid)]

    def client(self, service: str, **options: object) -> object:
        """Returns an ordinary boto3 client with the server's address and keys."""
        given = {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": self.key_pair[0],
            "aws_secret_access_key": self.key_pair[1],
            "config": Config(**CLIENT),
        }
        return boto3.client(service, **{**given, **options})

    @property
    def s3(self) -> object:
        """An S3 client. Left alone, boto3 presigns for us-east-1 with version 2 of AWS's signatures, which is refused."""
        return self.client("s3", config=Config(signature_version="s3v4", **CLIENT))

    @property
    def mediaconvert(self) -> object:
        """A MediaConvert client for the same address."""
        return self.client("mediaconvert")

    def jobs_of(self, key: str, bucket: str = "uploads") -> list[dict]:
        """Returns all jobs of one upload, newest first."""
        return [job for job in all_jobs(self.mediaconvert) if _is_of(job, bucket, key)]

    def wait_job(self, key: str, bucket: str = "uploads", count: int = 1, seconds: float = JOB_SECONDS) -> dict:
        """Waits until at least `count` jobs of an upload exist and all have ended. Returns the newest."""

        def at_their_end() -> list[dict]:
            jobs = self.jobs_of(key, bucket)
            return jobs if len(jobs) >= count and all(job["Status"] in FINAL for job in jobs) else []

        return eventually(at_their_end, seconds, f"{count} finished job(s) of {bucket}/{key}")[0]

    def wait_status(self, job_id: str, statuses: tuple[str, ...] = FINAL, seconds: float = JOB_SECONDS) -> dict:
        """Waits until a job has one of `statuses`, and returns the job."""

        def there() -> dict | None:
            job = self.mediaconvert.get_job(Id=job_id)["Job"]
            return job if job["Status"] in statuses else None

        return eventually(there, seconds, f"job {job_id} in {statuses}")

    def keys(self, bucket: str = "renditions", prefix: str = "") -> list[str]:
        """Returns the keys in a bucket, sorted."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def download(self, key: str, file: Path, bucket: str = "renditions") -> Path:
        """Fetches an object into `file`."""
        self.s3.download_file(bucket, key, str(file))
        return file


def all_jobs(mediaconvert: object) -> list[dict]:
    """Returns every job, newest first, over all pages."""
    pages = mediaconvert.get_paginator("list_jobs").paginate(Order="DESCENDING")
    return [job for page in pages for job in page["Jobs"]]


def processes_of(sessions: list[int]) -> list[int]:
    """Returns the running processes of these sessions."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        state, session = fields[0], int(fields[3])
        if session in sessions and state not in "ZX":
            found.append(int(entry.name))
    return found


def is_ffmpeg(pid: int) -> bool:
    """Whether a process runs ffmpeg or ffprobe."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in ("ffmpeg", "ffprobe")
    except OSError:
        return False


def _is_of(job: dict, bucket: str, key: str) -> bool:
    tags = job.get("UserMetadata", {})
    return tags.get("abanico.bucket") == bucket and tags.get("abanico.key") == key


def _pump(stream: object, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)
