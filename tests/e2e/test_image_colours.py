"""Do captured and inserted images have the right colours, whatever the matrix, range and size of the film is?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import Server
from outputs import AAC, h264, output, run, settings, upload

SECONDS = 2
COLOURS = {"green": (0, 192, 0), "brown": (134, 63, 51), "blue": (30, 60, 220), "grey": (128, 128, 128)}
# Rounding to 8 bit in YUV, and JPEG's own, move a colour by a few levels; another matrix or range moves it by 15 and more.
LEVELS = 6


def _yuv(matrix: str, tags: str | None, extent: str = "tv") -> list[str]:
    """Returns the coding of a film in this matrix and range, with these tags."""
    named = ["-colorspace", tags, "-color_primaries", tags, "-color_trc", tags, "-color_range", extent] if tags else []
    scaled = f"scale=out_color_matrix={matrix}:out_range={extent},format=yuv420p"
    return ["-vf", scaled, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-pix_fmt", "yuv420p", *named]


# The film's coding, its name, and its size.
FILMS = {
    "HD in BT.709": (_yuv("bt709", "bt709"), "a.mp4", "1280x720"),
    "HD without tags": (_yuv("bt709", None), "a.mp4", "1280x720"),
    "HD in BT.601": (_yuv("bt601", "smpte170m"), "a.mp4", "1280x720"),
    "SD in BT.601": (_yuv("bt601", "smpte170m"), "a.mp4", "640x360"),
    "SD in BT.709": (_yuv("bt709", "bt709"), "a.mp4", "640x360"),
    "SD without tags": (_yuv("bt601", None), "a.mp4", "640x360"),
    "HD in full range": (_yuv("bt709", "bt709", "pc"), "a.mp4", "1280x720"),
    "SD in full range": (_yuv("bt601", "smpte170m", "pc"), "a.mp4", "640x360"),
    "HD in RGB": (["-c:v", "png", "-pix_fmt", "rgb24"], "a.mov", "1280x720"),
    "SD in RGB": (["-c:v", "ffv1", "-pix_fmt", "bgr0"], "a.mkv", "640x360"),
}


def ffmpeg(*words: str | Path, stdin: bytes | None = None) -> bytes:
    """Runs ffmpeg and returns what it writes."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def quarters(size: str) -> str:
    """Returns ffmpeg's source of a picture with a colour in each quarter, in RGB."""
    width, height = map(int, size.split("x"))
    half = f"{width // 2}x{height // 2}"
    sources = ";".join(f"color=0x{r:02X}{g:02X}{b:02X}:s={half}:d={SECONDS}:r=25,format=rgb24[{name}]" for name, (r, g, b) in COLOURS.items())
    return f"{sources};[green][brown]hstack[up];[blue][grey]hstack[down];[up][down]vstack"


def film(folder: Path, kind: str) -> Path:
    """Makes the film."""
    coding, name, size = FILMS[kind]
    ffmpeg("-f", "lavfi", "-i", quarters(size), *coding, folder / name)
    return folder / name


def pixel(file: Path, x: int, y: int, matrix: str | None = None) -> tuple[int, int, int]:
    """Returns a pixel of the first frame, or image, as RGB. A film's matrix must be the one that its size stands for."""
    place = f"crop=2:2:{x}:{y},scale=1:1" + (f":in_color_matrix={matrix}" if matrix else "")
    return tuple(ffmpeg("-i", file, "-frames:v", "1", "-vf", f"{place},format=rgb24", "-f", "rawvideo", "-")[:3])


def near(found: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    """Whether two colours are the same but for rounding."""
    return all(abs(one - other) <= LEVELS for one, other in zip(found, wanted, strict=True))


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


@pytest.mark.parametrize("kind", FILMS)
def test_captured_images_have_the_films_colours(masters: Server, kind: str, tmp_path: Path) -> None:
    name = kind.lower().replace(" ", "-").replace(".", "")
    url = upload(masters, film(tmp_path, kind), f"{name}{Path(FILMS[kind][1]).suffix}")
    codec = {"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": {"FramerateNumerator": 1, "FramerateDenominator": 1, "MaxCaptures": 1, "Quality": 95}}
    images = {"NameModifier": "_image", "ContainerSettings": {"Container": "RAW"}, "VideoDescription": {"Width": 320, "Height": 180, "CodecSettings": codec}}
    video = output("MP4", h264(QvbrSettings={"QvbrQualityLevel": 6}), [], NameModifier="_film")
    done = run(masters, settings([{"FileInput": url}], [video, images], f"s3://renditions/colours/{name}"))
    assert done["Status"] == "COMPLETE"
    image = masters.download(f"colours/{name}_image.0000000.jpg", tmp_path / "image.jpg")
    places = {"green": (80, 45), "brown": (240, 45), "blue": (80, 135), "grey": (240, 135)}
    seen = {colour: pixel(image, *place) for colour, place in places.items()}
    assert all(near(seen[colour], COLOURS[colour]) for colour in COLOURS), seen


@pytest.mark.parametrize(("kind", "matrix"), [("HD in BT.709", "bt709"), ("SD in BT.601", "bt601"), ("HD in full range", "bt709"), ("HD in RGB", "bt709"), ("SD in RGB", "bt601")])
def test_inserted_images_keep_their_colours(masters: Server, kind: str, matrix: str, tmp_path: Path) -> None:
    """One half of the image is opaque, the other shows half of the film below it."""
    name = "inserted-" + kind.lower().replace(" ", "-").replace(".", "")
    url = upload(masters, film(tmp_path, kind), f"{name}{Path(FILMS[kind][1]).suffix}")
    picture = "color=0xC8285A:s=160x160:d=1,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,128)'"
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", "1", tmp_path / "mark.png")
    mark = upload(masters, tmp_path / "mark.png", f"{name}.png")
    width, height = map(int, FILMS[kind][2].split("x"))
    # Over the quarter of the film that is grey.
    at = {"ImageInserterInput": mark, "ImageX": width // 2 + 20, "ImageY": height // 2 + 10, "Layer": 1, "Opacity": 100}
    made = output("MP4", h264(QvbrSettings={"QvbrQualityLevel": 9}, MaxBitrate=8_000_000), [], VideoDescription={"Width": width, "Height": height, "VideoPreprocessors": {"ImageInserter": {"InsertableImages": [at]}}})
    done = run(masters, settings([{"FileInput": url}], [made], f"s3://renditions/{name}"))
    assert done["Status"] == "COMPLETE"
    file = masters.download(f"{name}.mp4", tmp_path / "out.mp4")
    left, top = at["ImageX"], at["ImageY"]
    opaque = pixel(file, left + 40, top + 80, matrix)
    mixed = pixel(file, left + 120, top + 80, matrix)
    wanted = tuple((one + other) // 2 for one, other in zip((200, 40, 90), COLOURS["grey"], strict=True))
    assert near(opaque, (200, 40, 90)) and near(mixed, wanted), (opaque, mixed, wanted)
    assert near(pixel(file, width // 4, height // 4, matrix), COLOURS["green"])
