"""One stand-in: the kind of real file that it represents, how it is made, and its expected outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from transcoding import Expected, Refusal


@dataclass(frozen=True)
class StandIn:
    """A small synthetic file. The docstring of `make` says how it is made."""

    name: str
    kind: str
    stands_for: tuple[str, ...]
    make: Callable[[Path], None]
    expected: Expected | Refusal
    # The size of the upright picture, for a file that stores it rotated.
    upright: tuple[int, int] | None = None
    # The properties of the real files that this one lacks.
    lacks: str = ""


def becomes(sizes: dict[str, tuple[int, int]], rate: int | str, frames: int, *, sound: bool = True) -> Expected:
    """Returns the expected outputs: name ending and size of each rendition, and what all of them have in common."""
    return Expected(sizes=sizes, rate=Fraction(rate), frames=frames, has_sound=sound)


def small(width: int, height: int, rate: int | str, frames: int, *, sound: bool = True) -> Expected:
    """Returns the expected output of a picture so small that the ladder has a single rung for it, of its own size."""
    return becomes({"480p": (width, height)}, rate, frames, sound=sound)
