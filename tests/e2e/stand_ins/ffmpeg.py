"""Runs ffmpeg to make the small films: a test picture, a tone, and the same bytes on every run."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

# One thread and no metadata about program or time, so that two runs make the same bytes.
SAME_BYTES = ("-threads", "1", "-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
X265_10BIT = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1")
X265_QUIET = "log-level=error:pools=none:frame-threads=1"
AV1_10BIT = ("-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p10le")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k")
HLG = ("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc", "-color_range", "tv")
PQ = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-color_range", "tv")
TIMEOUT_SECONDS = 120


def ffmpeg(*words: str | Path) -> None:
    """Runs ffmpeg. If it fails, fails with its error output."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def picture(size: str, rate: int | str, frames: int, chain: str = "null") -> list[str]:
    """Returns the options for an input of `frames` frames of a moving test picture, passed through a chain of filters."""
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate},trim=end_frame={frames},{chain}"]


def tone(seconds: Fraction | int, *, hertz: int = 48_000, pitch: int = 440) -> list[str]:
    """Returns the options for an input with a tone. `hertz` is the sample rate, and `pitch` the tone's frequency in hertz."""
    microseconds = round(Fraction(seconds) * 1_000_000)
    return ["-f", "lavfi", "-i", f"sine=frequency={pitch}:sample_rate={hertz}:duration={microseconds}us"]


def make(file: Path, *parts: list[str] | tuple[str, ...]) -> None:
    """Makes `file` from inputs and output options. Later options win."""
    words = [word for part in parts for word in part]
    inputs = max(index for index, word in enumerate(words) if word == "-i") + 2
    ffmpeg(*words[:inputs], *SAME_BYTES, *words[inputs:], file)
