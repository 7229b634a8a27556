"""Small made files, one for each kind of real file, so that no kind is untested where the real files are not.

`table.py` lists them with what must become of each. ffmpeg makes what it can, and the rest is written byte by byte.
"""

from __future__ import annotations

from pathlib import Path

from stand_ins.ffmpeg import make, picture
from stand_ins.row import StandIn

__all__ = ["StandIn", "StandIns"]


class StandIns:
    """Makes each stand-in when it is first asked for, and keeps it for the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, row: StandIn) -> Path:
        """The file of a row. It lies in a folder of its own, with what it needs beside it."""
        folder = self._folder / row.name.replace(".", "_")
        if not folder.exists():
            half = folder.with_name(f"half_{folder.name}")
            half.mkdir(parents=True)
            row.make(half / row.name)
            half.rename(folder)
        return folder / row.name

    def upright(self, row: StandIn) -> Path:
        """The first picture of a file that stores its pictures turned, as a viewer must see it, made small."""
        width, height = row.upright
        file = self._folder / f"upright_{width}x{height}.mkv"
        if not file.exists():
            make(file, picture(f"{width}x{height}", 25, 1, "scale=240:240"), ("-c:v", "ffv1"))
        return file
