"""Does a full disk give clear errors, show nothing half-done, and leave the server working?"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server

SIZE = "12m"


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Server]:
    """A server whose data folder is on a small file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted ({mounted.stderr.strip()}): run the tests as root, in a container with CAP_SYS_ADMIN")
    server = Server(folder / "server")
    try:
        yield server.start()
    finally:
        server.end()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
