"""Does the demo run from upload to playable files, quickly the second time, and leave no server behind?"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from clips import Clip, Clips
from harness import binary, eventually, is_ffmpeg, processes_of
from media_facts import facts


def demo(*words: str | Path, folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Runs the demo in a new session, in `folder`. Also returns the session's id."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [str(binary()), "demo", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "TMPDIR": str(temporary), **environment},
    )  # fmt: skip
    stdout, stderr = process.communicate(timeout=300)
    assert os.listdir(temporary) == [], "temporary files are gone"
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr), process.pid


def test_demo_leaves_playable_files(clips: Clips, tmp_path: Path) -> None:
    source = clips.file(Clip(width=1280, height=720, frames=50))
    ran, session = demo(source, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    head, *rows = ran.stdout.splitlines()
    assert head.split() == ["file", "frame", "codecs", "bit", "rate", "length", "size"]
    made = {f"{source.stem}_720p.mp4": (1280, 720), f"{source.stem}_480p.mp4": (854, 480)}
    assert [row.split()[0] for row in rows] == list(made)
    for name, size in made.items():
        found = facts(tmp_path / "abanico-demo" / name)
        assert (found.size, found.frames) == (size, 50) and found.sound, name
    assert all("h264 + aac" in row for row in rows)
    assert "%" in ran.stderr and "through the S3 API" in ran.stderr and "ffplay" in ran.stderr
    assert sorted(os.listdir(tmp_path / "abanico-demo")) == [".kept-encodes", *sorted(made)]
    eventually(lambda: not [found for found in processes_of([session]) if is_ffmpeg(found)], 5, "no ffmpeg is left")


def test_second_demo_encodes_nothing(clips: Clips, tmp_path: Path) -> None:
    source = clips.file(Clip(width=640, height=360, frames=50))
    first, _ = demo(source, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    second, _ = demo(source, folder=tmp_path, RUST_LOG="abanico_engine=info,abanico_tasks=info")
    assert second.returncode == 0, second.stderr
    assert "made before" in second.stderr, second.stderr
    assert [row.split()[:3] for row in second.stdout.splitlines()] == [row.split()[:3] for row in first.stdout.splitlines()]


def test_demo_makes_its_own_clip(tmp_path: Path) -> None:
    ran, _ = demo("--out", tmp_path / "out", "--data", tmp_path / "data", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "demo clip.mp4").exists() and (tmp_path / "data" / "s3").is_dir()
    assert [row.split("  ")[0] for row in ran.stdout.splitlines()[1:]] == [f"demo clip_{rung}.mp4" for rung in ("1080p", "720p", "480p")]
    assert max(map(len, ran.stdout.splitlines())) <= 80, "the table fits a narrow terminal"


def test_demo_refuses_a_bad_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("dear all")
    ran, _ = demo(tmp_path / "letter.mp4", folder=tmp_path)
    assert ran.returncode == 1
    assert "letter.mp4` cannot be transcoded" in ran.stderr and "hint:" in ran.stderr
    assert "serving" not in ran.stderr, "nothing is served for a file that cannot be transcoded"
    missing, _ = demo(tmp_path / "nothing.mp4", folder=tmp_path)
    assert missing.returncode == 2 and "nothing.mp4" in missing.stderr


def test_progress_has_time_left(clips: Clips, tmp_path: Path) -> None:
    source = clips.file(Clip(width=1280, height=720, frames=50))
    command = [str(binary()), "transcode", str(source), "--out", str(tmp_path / "out"), "--json"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.splitlines()
    progress = [line for line in map(json.loads, lines) if line["type"] == "progress"]
    assert all("seconds_left" in line for line in progress)
    assert [line["percent"] for line in progress] == sorted(line["percent"] for line in progress)
