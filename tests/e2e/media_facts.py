"""Measures a media file: frame counts, sizes, times and audio, from ffprobe and from the MP4 boxes.

Reports facts only; the tests decide what is right.
"""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class Sound:
    """The first audio stream."""

    codec: str
    channels: int
    sample_rate_hz: int
    start_ms: float
    duration_ms: float


@dataclass(frozen=True)
class Facts:
    """A file with video."""

    codec: str
    width: int
    height: int
    sample_aspect: Fraction
    rotation: int
    rate: Fraction
    frames: int
    start_ms: float
    duration_ms: float
    bit_rate_bps: int
    sound: Sound | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height


def facts(file: Path) -> Facts:
    """Probes `file`. Counts frames by packets and never takes their number from a header."""
    report = _ffprobe(file)
    video = next(s for s in report["streams"] if s["codec_type"] == "video")
    audio = next((s for s in report["streams"] if s["codec_type"] == "audio"), None)
    side_data = video.get("side_data_list", [])
    return Facts(
        codec=video["codec_name"],
        width=video["width"],
        height=video["height"],
        sample_aspect=Fraction(video.get("sample_aspect_ratio", "1:1").replace(":", "/")),
        rotation=next((entry["rotation"] for entry in side_data if "rotation" in entry), 0),
        rate=Fraction(video["avg_frame_rate"]),
        frames=int(video["nb_read_packets"]),
        start_ms=float(video["start_time"]) * 1000,
        duration_ms=float(video["duration"]) * 1000,
        bit_rate_bps=int(report["format"]["bit_rate"]),
        sound=audio and _sound(audio),
    )


def decode_complaints(file: Path) -> str:
    """Decodes every frame and sample of `file` and returns what ffmpeg complains about; empty if nothing."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-i", str(file), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    status = "" if done.returncode == 0 else f"exit status {done.returncode}\n"
    return status + done.stderr.strip()


def is_fast_start(file: Path) -> bool:
    """Whether the MP4's index comes before its media data, so that a player can start at once."""
    names = [name for name in top_boxes(file) if name in ("moov", "mdat")]
    return names[:1] == ["moov"] and "mdat" in names


def top_boxes(file: Path) -> list[str]:
    """Returns the types of an MP4's top-level boxes in order. Raises ValueError if they do not fill the file exactly."""
    names, position, length = [], 0, file.stat().st_size
    with file.open("rb") as stream:
        while position < length:
            stream.seek(position)
            header = stream.read(16)
            if len(header) < 8:
                raise ValueError(f"truncated box at byte {position} of {length}")
            size, name = struct.unpack(">I4s", header[:8])
            if size == 1:
                size = struct.unpack(">Q", header[8:16])[0]
            elif size == 0:
                size = length - position
            if size < 8 or position + size > length:
                raise ValueError(f"box {name!r} at byte {position} claims {size} bytes, but the file has {length}")
            names.append(name.decode("latin-1"))
            position += size
    return names


def _ffprobe(file: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"ffprobe cannot read {file.name}: {done.stderr}"
    return json.loads(done.stdout)


def _sound(stream: dict) -> Sound:
    return Sound(
        codec=stream["codec_name"],
        channels=stream["channels"],
        sample_rate_hz=int(stream["sample_rate"]),
        start_ms=float(stream["start_time"]) * 1000,
        duration_ms=float(stream["duration"]) * 1000,
    )
