"""Are fields found where the header does not tell them, cropped parts cut out, and later frames of another shape fitted?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import binary
from media_facts import facts
from transcoding import Outcome, transcode

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25")


def ffmpeg(*options: str) -> None:
    """Runs ffmpeg, which must succeed."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options], check=True, timeout=120)


def rungs(outcome: Outcome) -> list[Path]:
    """Returns the renditions of a job that must be complete."""
    assert outcome.status == 0, outcome.stderr
    return outcome.outputs


def grey(file: Path, width: int, height: int, at: float = 0.5) -> bytes:
    """Returns the luma of the frame at `at` seconds, scaled to a size."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-ss", str(at), "-map", "0:v:0", "-frames:v", "1"]
    command += ["-vf", f"scale={width}:{height}:flags=area,format=gray", "-f", "rawvideo", "-"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def combed(file: Path) -> float:
    """Returns how much more neighbouring lines differ than lines of the same field, over a second."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:v:0", "-frames:v", "25", "-vf", "format=gray", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    (width, height), near, far = (720, 576) if len(raw) % (352 * 480) else (352, 480), 0, 0
    for frame in range(0, len(raw), width * height * 6):
        for line in range(0, height - 2):
            row = [raw[frame + width * (line + down) : frame + width * (line + down + 1) : 4] for down in range(3)]
            near += sum(abs(a - b) for a, b in zip(row[0], row[1], strict=True))
            far += sum(abs(a - b) for a, b in zip(row[0], row[2], strict=True))
    return near / max(far, 1)


def field_order(file: Path) -> str:
    """Returns the field order that abanico finds."""
    command = [str(binary()), "probe", str(file)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)["video"]["field_order"]


#: A bar that moves to the right by four pixels a field.
BAR = "color=black:s=352x480:r=50:d=1.4,geq=lum='if(between(X,20+4*N,44+4*N),235,16)':cb=128:cr=128"
DV = "color=black:s=720x576:r=50:d=1,geq=lum='if(between(X,20+8*N,100+8*N),235,16)':cb=128:cr=128"


@pytest.mark.parametrize(
    ("file", "picture", "scan", "codec"),
    [
        ("dv.avi", DV, "bff", ("-c:v", "dvvideo", "-pix_fmt", "yuv420p")),
        ("plain.avi", BAR, "tff", ("-c:v", "huffyuv", "-pix_fmt", "yuv422p")),
        ("old.avi", BAR, "tff", ("-c:v", "mpeg4", "-flags", "+ilme+ildct", "-q:v", "2", "-pix_fmt", "yuv420p")),
        ("top.mkv", BAR, "tff", ("-c:v", "ffv1", "-pix_fmt", "yuv420p")),
        ("bottom.mkv", BAR, "bff", ("-c:v", "ffv1", "-pix_fmt", "yuv420p")),
        ("top.mov", BAR, "tff", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p")),
    ],
)
def test_fields_are_found_by_looking(
    tmp_path: Path, file: str, picture: str, scan: str, codec: tuple[str, ...]
) -> None:
    source = tmp_path / file
    ffmpeg("-f", "lavfi", "-i", picture, "-vf", f"interlace=scan={scan}:lowpass=off", *codec, str(source))
    assert combed(source) > 1.3, "the source is not interlaced"
    assert field_order(source) == {"tff": "top_first", "bff": "bottom_first"}[scan]
    for made in rungs(transcode(source, tmp_path / "out")):
        assert combed(made) < 1.1, made.name


@pytest.mark.parametrize("codec", [("-c:v", "huffyuv"), ("-c:v", "mjpeg", "-q:v", "2")], ids=["huffyuv", "mjpeg"])
@pytest.mark.parametrize("picture", ["testsrc2=s=320x180:r=25:d=1", BAR.replace("r=50", "r=25")], ids=["fine pattern", "moving bar"])
def test_whole_frames_stay_as_they_are(tmp_path: Path, picture: str, codec: tuple[str, ...]) -> None:
    source = tmp_path / "film.avi"
    ffmpeg("-f", "lavfi", "-i", picture, *codec, "-pix_fmt", "yuvj422p" if "mjpeg" in codec else "yuv422p", str(source))
    outcome = transcode(source, tmp_path / "out")
    assert "interlaced" not in str(outcome.done)
    assert rungs(outcome)


# -- Matroska's crop --------------------------------------------------------------------------------------------------


def elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields ID, start, start of the content and end of each element."""
    while start < end:
        id_length = 8 - data[start].bit_length() + 1
        ident = int.from_bytes(data[start : start + id_length], "big")
        at = start + id_length
        length = 8 - data[at].bit_length() + 1
        size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
        size = size if ident != 0x18538067 else min(size, end - at - length)
        yield ident, start, at + length, at + length + size
        start = at + length + size


def element(ident: int, content: bytes, width: int = 8) -> bytes:
    """Returns an element whose length takes `width` bytes."""
    name = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 7 * width).to_bytes(width, "big") + content


def crop(file: Path, numbers: dict[int, int]) -> None:
    """Adds numbers to the video track's picture. They take the place of the track's long name."""
    data = file.read_bytes()
    at = {ident: (content, end) for ident, _, content, end in elements(data, 0, len(data))}
    inner = {ident: (content, end) for ident, _, content, end in elements(data, *at[0x18538067])}
    _, start, content, end = next(elements(data, *inner[0x1654AE6B]))
    kept = b""
    for ident, begins, inside, ends in elements(data, content, end):
        if ident == 0xE0:
            old = [data[b:e] for i, b, _, e in elements(data, inside, ends) if i not in numbers]
            new = [element(ident, number.to_bytes(2, "big"), 1) for ident, number in numbers.items()]
            kept += element(0xE0, b"".join(old + new))
        elif ident != 0x536E:
            kept += data[begins:ends]
    room = end - content - len(kept)
    assert room >= 9, "the track's name is too short"
    kept += element(0xEC, bytes(room - 9))
    file.write_bytes(data[:content] + kept + data[end:])


TOP, BOTTOM, LEFT, RIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT = 0x54BB, 0x54AA, 0x54CC, 0x54DD, 0x54B0, 0x54BA


@pytest.mark.parametrize(
    ("numbers", "part", "shape"),
    [
        ({TOP: 45, BOTTOM: 45, DISPLAY_WIDTH: 640, DISPLAY_HEIGHT: 270}, "640:270:0:45", 640 / 270),
        ({LEFT: 80, RIGHT: 80}, "480:360:80:0", 480 / 360),
        ({LEFT: 64, RIGHT: 32, TOP: 20, BOTTOM: 40, DISPLAY_WIDTH: 16, DISPLAY_HEIGHT: 9}, "544:300:64:20", 16 / 9),
    ],
    ids=["letterbox", "pillarbox", "anamorphic"],
)
def test_matroska_crops_are_cut_out(tmp_path: Path, numbers: dict[int, int], part: str, shape: float) -> None:
    source, plain = tmp_path / "film.mkv", tmp_path / "plain.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=1")
    ffmpeg(*picture, *X264, "-metadata:s:v:0", "title=" + 90 * "x", "-write_crc32", "0", str(source))
    ffmpeg(*picture, "-vf", f"crop={part}", *X264, str(plain))
    crop(source, numbers)
    for made in rungs(transcode(source, tmp_path / "out")):
        width, height = facts(made).size
        assert abs(width / height / shape - 1) < 0.02, (made.name, width, height)
        pairs = zip(grey(made, 64, 36), grey(plain, 64, 36), strict=True)
        assert sum(abs(a - b) for a, b in pairs) / (64 * 36) < 4, made.name


# -- shapes that change -----------------------------------------------------------------------------------------------


def changing(folder: Path, container: str, second: str, aspect: str, codec: tuple[str, ...], seconds: int = 2, rate: int = 25) -> Path:
    """Makes a film whose frames are white, 352x288, and then white with another size or aspect ratio."""
    parts = []
    for number, (size, ratio) in enumerate([("352x288", "4/3" if aspect else "11/9"), (second, aspect or None)]):
        part = folder / f"part{number}.ts"
        ratio = ["-vf", f"setdar={ratio}"] if ratio else []
        start = str(number * seconds)
        white = ("-f", "lavfi", "-i", f"color=white:s={size}:r={rate}:d={seconds}")
        ffmpeg(*white, *ratio, *codec, "-output_ts_offset", start, "-muxdelay", "0", "-muxpreload", "0", str(part))
        parts.append(part)
    joined = folder / "film.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    if container == "ts":
        return joined
    film = folder / f"film.{container}"
    ffmpeg("-i", str(joined), "-c", "copy", str(film))
    return film


MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-g", "25", "-bf", "0")


@pytest.mark.parametrize(
    ("container", "second", "aspect", "codec", "bars"),
    [
        ("ts", "176x288", "", X264, "sides"),
        ("mp4", "352x160", "", X264, "top"),
        ("mkv", "176x288", "", X264, "sides"),
        ("ts", "352x288", "16/9", MPEG2, "top"),
        ("ts", "176x144", "", X264, "none"),
    ],
)
def test_later_shapes_get_bars(
    tmp_path: Path, container: str, second: str, aspect: str, codec: tuple[str, ...], bars: str
) -> None:
    source = changing(tmp_path, container, second, aspect, codec)
    outcome = transcode(source, tmp_path / "out")
    for made in rungs(outcome):
        assert facts(made).frames in (99, 100)
        first, later = grey(made, 32, 32, 1.0), grey(made, 32, 32, 3.0)
        assert min(first) > 200, "the first part fills the frame"
        middle, left, top = later[16 * 32 + 16], later[16 * 32], later[16]
        assert middle > 200
        assert (left < 60, top < 60) == (bars == "sides", bars == "top"), (made.name, left, top)
    assert ("with bars" in str(outcome.done)) == (bars != "none"), outcome.done


def test_chunks_of_a_changing_film_are_fitted_too(tmp_path: Path) -> None:
    source = changing(tmp_path, "mkv", "176x288", "", X264, seconds=12, rate=5)
    made = {}
    for name, options in {"cut": (), "whole": ("--chunks", "off")}.items():
        file, *_ = rungs(transcode(source, tmp_path / name, *options))
        assert facts(file).frames == 120
        made[name] = [grey(file, 32, 8, at) for at in (5.0, 11.8, 12.2, 20.0, 23.5)]
    for cut, whole in zip(made["cut"], made["whole"], strict=True):
        assert max(abs(a - b) for a, b in zip(cut, whole, strict=True)) < 12
    assert made["cut"][3][0] < 60 < 200 < made["cut"][3][16]
