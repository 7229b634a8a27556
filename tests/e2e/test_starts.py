"""Is every frame kept that a decoder shows of streams that were cut from longer ones?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from media_facts import facts
from test_chunks import probe
from harness import binary

OPEN = "open-gop=1:keyint=100:min-keyint=100:scenecut=0:bframes=3"


def ffmpeg(*words: str | Path) -> None:
    """Runs ffmpeg."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, words)], check=True, timeout=120)


def shown(file: Path) -> list[float]:
    """Returns the times of the frames that ffmpeg's decoder shows."""
    command = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time", "-of", "json"]
    frames = json.loads(subprocess.run([*command, str(file)], capture_output=True, text=True, check=True, timeout=60).stdout)["frames"]
    return [float(frame["best_effort_timestamp_time"]) for frame in frames]


def cut(folder: Path, name: str, at: str, *filters: str, source: str = "testsrc2=s=320x180:r=25:d=12") -> Path:
    """Makes a stream with open groups of pictures, without their recovery points, and cuts it between two of them."""
    whole, part = folder / "whole.ts", folder / name
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "veryfast", "-x264-params", OPEN, "-pix_fmt", "yuv420p", whole)
    ffmpeg("-ss", at, "-i", whole, "-c", "copy", *filters, part)
    return part


@pytest.mark.parametrize("name", ["cut.ts", "cut.mkv"])
@pytest.mark.parametrize("at", ["5.5", "2.1"])
def test_stream_without_marked_starts_keeps_every_shown_frame(name: str, at: str, tmp_path: Path) -> None:
    film = cut(tmp_path, name, at, "-bsf:v", "filter_units=remove_types=6")
    times = shown(film)
    assert len(times) > 50, "nothing can be decoded, so nothing is tested"
    done = subprocess.run(
        [str(binary()), "transcode", str(film), "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    [made] = (tmp_path / "out").glob("*.mp4")
    assert abs(facts(made).frames - round((times[-1] - times[0]) * 25 + 1)) <= 1, (facts(made).frames, len(times))
    assert probe(made, "stream=nb_read_packets")
