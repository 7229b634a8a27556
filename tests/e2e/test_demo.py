"""Does the demo run from upload to outputs, and leave nothing behind?"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from clips import Clip, Clips
from harness import binary, eventually, is_ffmpeg, processes_of


def demo(*words: str | Path, folder: Path) -> tuple[subprocess.CompletedProcess[str], int]:
    """Runs the demo in a session of its own, with `folder` for temporary files. Also returns the session's id."""
    process = subprocess.Popen(
        [str(binary()), "demo", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    stdout, stderr = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr), process.pid


def test_demo_lists_its_outputs_and_cleans_up(clips: Clips, tmp_path: Path) -> None:
    source = clips.file(Clip(width=1280, height=720, frames=50))
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        ran, session = demo(source, folder=Path(folder))
        assert ran.returncode == 0, ran.stderr
        head, *rows = ran.stdout.splitlines()
        assert head.split() == ["output", "codecs", "size", "bit", "rate", "duration", "bytes", "job", "took"]
        assert [row.split()[0].rsplit("_", 1)[-1] for row in rows] == ["720p.mp4", "480p.mp4"]
        assert all("h264 + aac" in row for row in rows)
        assert "%" in ran.stderr and "through the S3 API" in ran.stderr
        assert os.listdir(folder) == [], "temporary files are gone"
    eventually(lambda: not [found for found in processes_of([session]) if is_ffmpeg(found)], 5, "no ffmpeg is left")


def test_demo_explains_why_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("dear all")
    ran, _ = demo(tmp_path / "letter.mp4", folder=tmp_path)
    assert ran.returncode == 1
    assert "error: the job failed with 1010" in ran.stderr and "hint:" in ran.stderr
    missing, _ = demo(tmp_path / "nothing.mp4", folder=tmp_path)
    assert missing.returncode == 2 and "nothing.mp4" in missing.stderr
