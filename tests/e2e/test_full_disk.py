"""Does a full disk give clear errors, show nothing half-done, and leave the server working?"""

from __future__ import annotations

import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server, eventually

SIZE = "12m"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mounts a small file system of its own at a folder."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted ({mounted.stderr.strip()}): run the tests as root, in a container with CAP_SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Server]:
    """A server whose data folder is on a small file system, and whose jobs soon give up waiting for room."""
    server = Server(tmp_path / "server", config="[engine]\nroom_seconds = 3\n")
    with small_disk(server.data, SIZE):
        try:
            yield server.start()
        finally:
            server.end()


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Server]:
    """A server whose data folder is on a disk that others fill."""
    server = Server(tmp_path / "server", config="[engine]\ncores = 1\n")
    with small_disk(server.data, "100m"):
        try:
            yield server.start()
        finally:
            server.end()


class Filler:
    """Fills a disk and keeps it full, until it gives everything back."""

    def __init__(self, folder: Path) -> None:
        self._file, self._gives_back = folder / "filler", threading.Event()
        self.is_full = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        with self._file.open("wb", buffering=0) as file:
            while not self._gives_back.is_set():
                try:
                    file.write(b"x" * 4096)
                except OSError:
                    self.is_full.set()
                    self._gives_back.wait(0.001)

    def give_back(self) -> None:
        self._gives_back.set()
        self._thread.join(timeout=60)
        self._file.unlink()


def test_full_disk_gives_clear_errors_and_no_outputs(cramped: Server, clips: Clips, tmp_path: Path) -> None:
    once = cramped.client("s3", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError, match="disk of the data folder is full"):
        once.put_object(Bucket="uploads", Key="too big.bin", Body=b"x" * 40_000_000)
    assert cramped.keys("uploads") == []

    # Noise does not compress: the upload fits, but its renditions and intermediate files do not.
    noisy = tmp_path / "noise.mp4"
    picture = "nullsrc=size=1280x720:rate=30,geq=random(1)*255:128:128,format=yuv420p"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-t", "4", "-c:v", "libx264", "-preset", "ultrafast",
         "-b:v", "11M", "-maxrate", "11M", "-bufsize", "11M", str(noisy)], check=True, timeout=300,
    )  # fmt: skip
    cramped.s3.upload_file(str(noisy), "uploads", "noise.mp4")
    job = cramped.wait_job("noise.mp4")
    assert job["Status"] == "ERROR", job
    assert "free space" in job["ErrorMessage"] and str(cramped.data) not in job["ErrorMessage"], job["ErrorMessage"]
    assert cramped.keys("renditions") == []

    # The failed job's files are gone, so there is room for a small video.
    cramped.s3.delete_object(Bucket="uploads", Key="noise.mp4")
    cramped.s3.upload_file(str(clips.file(Clip(width=320, height=180, frames=25))), "uploads", "small.mp4")
    assert cramped.wait_job("small.mp4")["Status"] == "COMPLETE"


def test_job_goes_on_once_there_is_room(crowded: Server, clips: Clips) -> None:
    crowded.s3.upload_file(str(clips.file(Clip(width=1280, height=720, frames=250))), "uploads", "film.mp4")
    eventually(lambda: any(job.get("CurrentPhase") == "TRANSCODING" for job in crowded.jobs_of("film.mp4")), 60, "the encode")
    filler = Filler(crowded.data)
    try:
        assert filler.is_full.wait(60)
        eventually(lambda: "waits for room" in crowded.log(), 120, "the job waits for room")
        [job] = crowded.jobs_of("film.mp4")
        assert job["Status"] == "PROGRESSING", job
        with urllib.request.urlopen(crowded.endpoint + "/readyz", timeout=30) as answer:
            assert "low disk space: 0 MiB free" in answer.read().decode()
    finally:
        filler.give_back()
    job = crowded.wait_job("film.mp4")
    assert job["Status"] == "COMPLETE", job
    assert len(crowded.keys("renditions")) > 0
    with urllib.request.urlopen(crowded.endpoint + "/readyz", timeout=30) as answer:
        assert answer.read() == b"ready\n"


def test_job_that_nothing_could_be_stored_of_goes_on_once_there_is_room(crowded: Server, clips: Clips) -> None:
    crowded.stop()
    crowded.config = "[engine]\ncores = 1\nroom_seconds = 1\n"
    crowded.start()
    crowded.s3.upload_file(str(clips.file(Clip(width=1280, height=720, frames=250))), "uploads", "film.mp4")
    eventually(lambda: any(job.get("CurrentPhase") == "TRANSCODING" for job in crowded.jobs_of("film.mp4")), 60, "the encode")
    filler = Filler(crowded.data)
    try:
        assert filler.is_full.wait(60)
        # A job may find the room to store its failure; then it has ended, and this test has nothing to see.
        ended = lambda: crowded.jobs_of("film.mp4")[0]["Status"] != "PROGRESSING"  # noqa: E731
        eventually(lambda: "cannot continue a job: trying again" in crowded.log() or ended(), 120, "the job stops")
    finally:
        filler.give_back()
    job = crowded.wait_job("film.mp4")
    assert job["Status"] in ("COMPLETE", "ERROR"), "it does not stay PROGRESSING until the next start"
