"""One stand-in: which kind of real file it stands for, how it is made, and what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from transcoding import Expected, Refusal


@dataclass(frozen=True)
class StandIn:
    """A small made file. The description of `make` says how it is made."""

    name: str
    kind: str
    stands_for: tuple[str, ...]
    make: Callable[[Path], None]
    expected: Expected | Refusal
    # The size of the upright picture of a file that stores it turned.
    upright: tuple[int, int] | None = None
    # What the real files have and this one has not.
    lacks: str = ""


def becomes(sizes: dict[str, tuple[int, int]], rate: int | str, frames: int, *, sound: bool = True) -> Expected:
    """What must come out: name ending and size of each rendition, and what all of them share."""
    return Expected(sizes=sizes, rate=Fraction(rate), frames=frames, has_sound=sound)


def small(width: int, height: int, rate: int | str, frames: int, *, sound: bool = True) -> Expected:
    """What must come out of a picture so small that the ladder has one rung for it, of its own size."""
    return becomes({"480p": (width, height)}, rate, frames, sound=sound)
