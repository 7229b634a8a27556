"""Do colours stay what players show, in every rendition, whatever the source says about its colours?

A source is one flat colour, encoded with a known matrix. A rendition is decoded to its plain code values, which are
converted to RGB with the matrix that its own tags name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from transcoding import transcode

COLOUR = (40, 192, 90)
#: Luma shares of red and blue (ITU-T H.273).
MATRICES = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt470bg": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Case:
    """A source: its file, size, filter from RGB, encoder options, and the matrix that its renditions must have."""

    file: str
    size: str
    encoded: str
    options: tuple[str, ...]
    matrix: str


def yuv(matrix: str) -> str:
    """Returns the filter that converts RGB with this matrix, and leaves no trace of it."""
    return f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p,setparams=colorspace=unknown"


def told(matrix: str) -> tuple[str, ...]:
    """Returns the options that tag a source."""
    return ("-colorspace", matrix, "-color_primaries", matrix, "-color_trc", "bt709" if matrix == "bt709" else "smpte170m")


FULL = "scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p"
CASES = [
    Case("hd.mp4", "1280x720", yuv("bt709"), X264, "bt709"),
    Case("cinema.ts", "1280x544", yuv("bt709"), X264, "bt709"),
    Case("phone.mov", "720x1280", yuv("bt709"), X264, "bt709"),
    Case("vga.mkv", "640x480", yuv("bt601"), X264, "smpte170m"),
    Case("pal.avi", "720x576", yuv("bt601"), ("-c:v", "mpeg4", "-q:v", "1"), "smpte170m"),
    Case("small_said.mp4", "640x360", yuv("bt709"), (*X264, *told("bt709")), "bt709"),
    Case("large_said.mkv", "1280x720", yuv("bt601"), (*X264, *told("smpte170m")), "smpte170m"),
    Case("rgb_hd.mov", "1280x720", "null", ("-c:v", "png"), "bt709"),
    Case("rgb_sd.mkv", "640x360", "format=bgr0", ("-c:v", "ffv1"), "smpte170m"),
    Case("rgb_sd.avi", "720x480", "format=bgr24", ("-c:v", "rawvideo"), "smpte170m"),
    Case("rgb_h264.mp4", "854x480", "format=gbrp", ("-c:v", "libx264rgb", "-qp", "0"), "smpte170m"),
    Case("jpeg.avi", "640x360", FULL, ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"), "bt470bg"),
]  # fmt: skip


def flat(file: Path, size: str, encoded: str, options: tuple[str, ...], frames: int = 3, rate: int = 25) -> Path:
    """Makes a film of one colour."""
    colour = "0x{:02x}{:02x}{:02x}".format(*COLOUR)
    picture = f"color={colour}:size={size}:rate={rate},format=rgb24,{encoded}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-frames:v", str(frames), *options, str(file)]
    subprocess.run(command, check=True, timeout=120)
    return file


def tags(file: Path) -> dict[str, str]:
    """Returns the colour tags of the first video stream."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json", str(file)]
    stream = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)["streams"][0]
    return {name: stream.get(f"color_{name}", "unknown") for name in ("range", "space", "primaries", "transfer")}


def shown(file: Path) -> tuple[int, ...]:
    """Returns the colour in the middle of the third frame as RGB, by the tags of the file alone."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:v:0", "-frames:v", "3", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(file)]
    numbers = subprocess.run(probe, check=True, capture_output=True, text=True, timeout=60).stdout.strip().split(",")
    width, height = int(numbers[0]), int(numbers[1])
    frame = raw[-width * height * 3 // 2 :]
    luma = frame[width * (height // 2) + width // 2]
    chroma = width * height + (width // 2) * (height // 4) + width // 4
    blue, red = frame[chroma], frame[chroma + width * height // 4]
    said = tags(file)
    assert said["range"] == "tv", said
    of_red, of_blue = MATRICES[said["space"]]
    y, cb, cr = (luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224
    r, b = y + 2 * (1 - of_red) * cr, y + 2 * (1 - of_blue) * cb
    g = (y - of_red * r - of_blue * b) / (1 - of_red - of_blue)
    return tuple(round(255 * value) for value in (r, g, b))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_every_rendition_shows_the_colour_and_says_how(tmp_path: Path, case: Case) -> None:
    source = flat(tmp_path / case.file, case.size, case.encoded, case.options)
    outcome = transcode(source, tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    for file in outcome.outputs:
        said = tags(file)
        assert said["space"] == case.matrix and "unknown" not in said.values(), (file.name, said)
        off = max(abs(there - wanted) for there, wanted in zip(shown(file), COLOUR, strict=True))
        assert off <= 4, (file.name, shown(file))


def test_chunks_have_the_same_tags(tmp_path: Path) -> None:
    source = flat(tmp_path / "long.mp4", "320x180", yuv("bt601"), (*X264, "-g", "10"), frames=100, rate=5)
    outcome = transcode(source, tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert {tags(file)["space"] for file in outcome.outputs} == {"smpte170m"}


@pytest.mark.parametrize("wrong", ["colorspace=smpte170m", "colorspace=unknown", "range=pc"])
def test_wrong_tags_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturbed_ffmpeg: Callable[[str, str], Path], wrong: str
) -> None:
    source = flat(tmp_path / "film.mp4", "320x180", yuv("bt709"), (*X264, *told("bt709")))
    right = "range=tv" if wrong.startswith("range") else "colorspace=bt709"
    monkeypatch.setenv("ABANICO_FFMPEG", str(disturbed_ffmpeg(right, wrong)))
    outcome = transcode(source, tmp_path / "out")
    assert outcome.status == 1 and "instead of bt709/bt709/bt709 limited" in outcome.failure["message"], outcome.failure
