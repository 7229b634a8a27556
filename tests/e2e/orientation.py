"""Finds out how one picture is turned or mirrored relative to another, as players show them.

Compares pixels only, never metadata.
"""

from __future__ import annotations

import subprocess
from itertools import product
from pathlib import Path

SIDE = 24
UPRIGHT = (0, False)


def turn_between(shown: Path, made: Path) -> tuple[int, bool]:
    """Returns the quarter turns and the mirroring that make `shown`, as players display it, look most like `made`.

    UPRIGHT means that none is needed.
    """
    reference, picture = _thumbnail(shown), _thumbnail(made)
    return min(product(range(4), (False, True)), key=lambda turn: _distance(_turned(reference, *turn), picture))


def _thumbnail(file: Path) -> list[list[int]]:
    """Returns the first frame as a small grey square, equalised so that brightness does not matter."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-i", str(file), "-frames:v", "1"]
    command += ["-vf", f"scale={SIDE}:{SIDE}:flags=area,format=gray", "-f", "rawvideo", "-"]
    pixels = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert len(pixels) == SIDE * SIDE, f"{file.name} gave {len(pixels)} grey values"
    ranks = {value: rank for rank, value in enumerate(sorted(set(pixels)))}
    evened = [ranks[value] * 1000 // len(ranks) for value in pixels]
    return [evened[row * SIDE : (row + 1) * SIDE] for row in range(SIDE)]


def _turned(picture: list[list[int]], quarter_turns: int, mirrored: bool) -> list[list[int]]:
    if mirrored:
        picture = [row[::-1] for row in picture]
    for _ in range(quarter_turns):
        picture = [list(row) for row in zip(*picture[::-1], strict=True)]
    return picture


def _distance(one: list[list[int]], other: list[list[int]]) -> int:
    return sum(abs(a - b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True))
