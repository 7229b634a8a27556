"""Makes clips for tests.

A clip has real motion and a tone, which ffmpeg's own generators make. Each clip is made once per run, for all of its
processes, and the same description gives the same file in every run.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """The description of a clip: by default three seconds of 720p with a stereo tone. `pattern` is `black` or a generator of ffmpeg."""

    width: int = 1280
    height: int = 720
    rate: str = "25"
    frames: int = 75
    has_sound: bool = True
    ending: str = "mp4"
    pattern: str = "testsrc2"

    @property
    def seconds(self) -> Fraction:
        """Returns the duration of all frames."""
        return self.frames / Fraction(self.rate)


class Clips:
    """Makes each clip once and keeps it for the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, clip: Clip) -> Path:
        """Returns the file of `clip`, and makes it if it does not exist yet. Do not change the file."""
        sound = "tone" if clip.has_sound else "silent"
        rate = clip.rate.replace("/", "over")
        pattern = "" if clip.pattern == "testsrc2" else f"{clip.pattern}_"
        file = self._folder / f"{pattern}{clip.width}x{clip.height}_{rate}fps_{clip.frames}_{sound}.{clip.ending}"
        if not file.exists():
            # Another process may make the same clip now.
            half = file.with_name(f"half_{os.getpid()}_{file.name}")
            subprocess.run([*_command(clip), str(half)], check=True, timeout=120)
            half.rename(file)
        return file


def _command(clip: Clip) -> list[str]:
    source = "color=black:" if clip.pattern == "black" else f"{clip.pattern}="
    picture = f"{source}size={clip.width}x{clip.height}:rate={clip.rate}"
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture]
    if clip.has_sound:
        command += ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000"]
        command += ["-c:a", "aac", "-b:a", "96k", "-ac", "2", "-t", f"{float(clip.seconds):.6f}"]
    command += ["-frames:v", str(clip.frames), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    return [*command, "-threads", "1", "-map_metadata", "-1"]
