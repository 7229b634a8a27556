"""Makes films whose frames carry their own number as black and white blocks, and reads the numbers of any film back.

The numbers survive scaling and encoding, so a test sees which frames were lost, repeated or moved.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

WIDTH, HEIGHT, BITS = 160, 96, 10


def numbered_film(file: Path, frames: int, times: str, *options: str, rate: int = 25) -> Path:
    """Makes a film of numbered frames. `times` is ffmpeg's expression for the time of frame `N` in 1/90000 s."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate)]
    command += ["-i", "-", "-vf", f"settb=1/90000,setpts='{times}',format=yuv420p", "-fps_mode", "passthrough"]
    command += ["-enc_time_base", "1:90000", *(options or ("-c:v", "libx264", "-preset", "ultrafast")), str(file)]
    pictures = b"".join(_picture(number) for number in range(frames))
    subprocess.run(command, input=pictures, check=True, timeout=120)
    return file


def numbers(file: Path) -> list[int]:
    """Decodes a film and returns the number of each frame, in order."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:v:0", "-vf", f"scale={BITS}:1:flags=area,format=gray"]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    rows = [lines[start : start + BITS] for start in range(0, len(lines), BITS)]
    return [sum(1 << bit for bit in range(BITS) if row[bit] > 127) for row in rows]


def _picture(number: int) -> bytes:
    block = WIDTH // BITS
    row = b"".join((b"\xeb" if number >> bit & 1 else b"\x10") * block for bit in range(BITS))
    return row * HEIGHT
