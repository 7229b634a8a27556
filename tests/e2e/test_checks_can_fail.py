"""Do the checks that all other tests rely on notice a wrong file?"""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from clips import Clip, Clips
from media_facts import decode_complaints, facts, is_fast_start, top_boxes
from orientation import UPRIGHT, turn_between
from transcoding import Expected, check_rendition

CLIP = Clip(width=320, height=180, frames=50)
RIGHT = Expected(sizes={}, rate=Fraction(25), frames=50, has_sound=True)


def remade(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Rewrites `source` to `target` with these ffmpeg options."""
    command = ["ffmpeg", "-v", "error", "-y", *before, "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


@pytest.fixture
def right(clips: Clips, tmp_path: Path) -> Path:
    return remade(clips.file(CLIP), tmp_path / "right.mp4", "-c", "copy", "-movflags", "+faststart")


def test_right_file_passes(right: Path) -> None:
    check_rendition(right, (320, 180), RIGHT)


@pytest.mark.parametrize(
    "wrong",
    [
        Expected(sizes={}, rate=Fraction(25), frames=49, has_sound=True),
        Expected(sizes={}, rate=Fraction(24), frames=50, has_sound=True),
        Expected(sizes={}, rate=Fraction(25), frames=50, has_sound=False),
    ],
    ids=["frames", "rate", "sound"],
)
def test_each_wrong_fact_is_noticed(right: Path, wrong: Expected) -> None:
    with pytest.raises(AssertionError):
        check_rendition(right, (320, 180), wrong)
    with pytest.raises(AssertionError):
        check_rendition(right, (180, 320), RIGHT)


def test_index_at_the_end_is_noticed(clips: Clips, tmp_path: Path) -> None:
    slow = remade(clips.file(CLIP), tmp_path / "slow.mp4", "-c", "copy")
    assert not is_fast_start(slow)
    with pytest.raises(AssertionError, match="index after"):
        check_rendition(slow, (320, 180), RIGHT)


def test_late_audio_is_noticed(right: Path, tmp_path: Path) -> None:
    options = ["-map", "0:v", "-map", "1:a", "-c", "copy", "-movflags", "+faststart"]
    late = remade(right, tmp_path / "late.mp4", "-itsoffset", "0.080", "-i", str(right), *options)
    assert facts(late).sound.start_ms - facts(late).start_ms > 30
    with pytest.raises(AssertionError, match="after the video"):
        check_rendition(late, (320, 180), RIGHT)


def test_truncated_file_is_noticed(right: Path) -> None:
    whole = right.read_bytes()
    right.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match="the file has"):
        top_boxes(right)
    assert decode_complaints(right)


@pytest.mark.parametrize("turn", ["transpose=clock", "hflip,vflip", "hflip", "transpose=clock_flip"])
def test_turned_picture_is_noticed(right: Path, turn: str, tmp_path: Path) -> None:
    turned = remade(right, tmp_path / "turned.mp4", "-vf", turn, "-an")
    assert turn_between(right, turned) != UPRIGHT
    assert turn_between(right, right) == UPRIGHT
