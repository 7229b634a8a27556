"""Small synthetic files, one for each kind of real file, so that every kind is tested even without the real files.

`table.py` lists them with their expected outputs. ffmpeg makes them as far as it can; the rest is written byte by byte.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stand_ins.ffmpeg import make, picture
from stand_ins.row import StandIn

__all__ = ["StandIn", "StandIns"]


class StandIns:
    """Makes each stand-in when it is first requested, and keeps it for the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, row: StandIn) -> Path:
        """Returns the file of a row. It is in a separate folder, together with the files that it refers to."""
        folder = self._folder / row.name.replace(".", "_")
        if not folder.exists():
            half = self._half(folder)
            half.mkdir(parents=True)
            row.make(half / row.name)
            try:
                half.rename(folder)
            except OSError:
                # Another process has made the same one meanwhile.
                shutil.rmtree(half)
        return folder / row.name

    def upright(self, row: StandIn) -> Path:
        """Returns the first picture of a file with rotated pictures: upright, as a viewer must see it, and scaled down."""
        width, height = row.upright
        file = self._folder / f"upright_{width}x{height}.mkv"
        if not file.exists():
            half = self._half(file)
            make(half, picture(f"{width}x{height}", 25, 1, "scale=240:240"), ("-c:v", "ffv1"))
            half.rename(file)
        return file

    def _half(self, path: Path) -> Path:
        return path.with_name(f"half_{os.getpid()}_{path.name}")
