"""Do overlays appear where, when and as strongly as the job asks? Checks decoded frames."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import fail, h264, output, refuse, run, settings, streams, upload

DARK = Clip(width=640, height=360, rate="25", frames=150, pattern="black", has_sound=False)
WIDTH, HEIGHT = 640, 360


def png(width: int, height: int, rgba: tuple[int, int, int, int]) -> bytes:
    """Returns a PNG image of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(rgba) * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger and holds a white image."""
    server.s3.create_bucket(Bucket="masters")
    server.s3.put_object(Bucket="masters", Key="white.png", Body=png(100, 60, (255, 255, 255, 255)))
    return server


def luma(file: Path, seconds: float) -> list[bytes]:
    """Returns the rows of the frame at a time, as luma."""
    command = ["ffmpeg", "-v", "error", "-ss", str(seconds), "-i", str(file), "-frames:v", "1", "-f", "rawvideo"]
    frame = subprocess.run([*command, "-pix_fmt", "gray", "-"], check=True, capture_output=True, timeout=60).stdout
    assert len(frame) == WIDTH * HEIGHT
    return [frame[row * WIDTH : (row + 1) * WIDTH] for row in range(HEIGHT)]


def mean(rows: list[bytes], x: int, y: int, width: int, height: int) -> float:
    """Returns the mean brightness of a rectangle."""
    part = [row[x : x + width] for row in rows[y : y + height]]
    return sum(map(sum, part)) / (width * height)


def made(server: Server, clips: Clips, name: str, clip: Clip, folder: Path, timecode: dict | None = None, **processors: dict) -> Path:
    """Runs a job with video preprocessors on a film and downloads the output."""
    codec = h264(RateControlMode="CBR", Bitrate=3_000_000, MaxBitrate=None)
    del codec["H264Settings"]["MaxBitrate"]
    video = {"Width": WIDTH, "Height": HEIGHT, "VideoPreprocessors": processors}
    one = output("MP4", codec, NameModifier="_o", VideoDescription=video)
    url = upload(server, clips.file(clip), f"overlays/{name}.mp4")
    job = settings([{"FileInput": url}], [one], f"s3://renditions/overlays/{name}")
    run(server, job | ({"TimecodeConfig": timecode} if timecode else {}))
    file = server.download(f"overlays/{name}_o.mp4", folder / f"{name}.mp4")
    assert streams(file)[0]["nb_read_packets"] == str(clip.frames) and decode_complaints(file) == ""
    return file


def image(**members: object) -> dict:
    """Returns one inserted image."""
    return {"ImageInserterInput": "s3://masters/white.png", "ImageX": 200, "ImageY": 100, "Layer": 1, "Opacity": 100, **members}


def test_image_appears_in_place_and_on_time(masters: Server, clips: Clips, tmp_path: Path) -> None:
    plain = image(StartTime="01:00:01:00", Duration=2000)
    faint = image(ImageX=400, ImageY=20, Width=40, Height=30, Layer=2, Opacity=50)
    fading = image(ImageX=0, ImageY=300, StartTime="01:00:01:00", Duration=2000, FadeIn=1000, FadeOut=1000)
    inserter = {"InsertableImages": [plain, faint, fading]}
    clock = {"Source": "SPECIFIEDSTART", "Start": "01:00:00:00"}
    file = made(masters, clips, "image", DARK, tmp_path, clock, ImageInserter=inserter)
    frames = {at: luma(file, at) for at in (0.5, 0.96, 1.0, 1.5, 2.5, 2.96, 3.0, 3.5, 4.5)}
    # Black is about 0 and white about 255 in full range.
    shown = {at: mean(rows, 202, 102, 96, 56) > 240 for at, rows in frames.items()}
    assert shown == {0.5: False, 0.96: False, 1.0: True, 1.5: True, 2.5: True, 2.96: True, 3.0: False, 3.5: False, 4.5: False}
    around = frames[1.5]
    assert mean(around, 180, 102, 18, 56) < 5 and mean(around, 302, 102, 18, 56) < 5 and mean(around, 202, 162, 96, 10) < 5
    for rows in frames.values():
        assert 110 < mean(rows, 402, 22, 36, 26) < 145, "at half opacity, at its own size, from start to end"
    fade = {at: mean(rows, 2, 302, 96, 56) for at, rows in frames.items()}
    assert fade[0.96] < 5 and 90 < fade[1.5] < 165 and fade[2.5] > 240 and 90 < fade[3.5] < 165 and fade[4.5] < 5, fade


def test_timecode_runs_in_its_corner(masters: Server, clips: Clips, tmp_path: Path) -> None:
    clock = {"Source": "SPECIFIEDSTART", "Start": "10:00:00:00"}
    burnin = {"Position": "BOTTOM_LEFT", "FontSize": 32, "Prefix": "A%: "}
    file = made(masters, clips, "timecode", DARK, tmp_path, clock, TimecodeBurnin=burnin)
    frames = [luma(file, at) for at in (0.0, 0.04, 3.0)]
    for rows in frames:
        bright = [y for y, row in enumerate(rows) if any(pixel > 200 for pixel in row)]
        assert bright and min(bright) > 300, (min(bright, default=None), max(bright, default=None))
        columns = [x for x in range(WIDTH) if any(row[x] > 200 for row in rows)]
        assert min(columns) < 40 and 250 < max(columns) < 420, (min(columns), max(columns))
    # From one frame to the next only the last digit changes. After three seconds the frame number is the same again and the
    # seconds have changed.
    changed = [x for x in range(WIDTH) if any(abs(one[x] - two[x]) > 100 for one, two in zip(frames[0], frames[1], strict=True))]
    assert changed and max(changed) - min(changed) < 30, changed
    later = [x for x in range(WIDTH) if any(abs(one[x] - two[x]) > 100 for one, two in zip(frames[0], frames[2], strict=True))]
    assert later and max(later) < min(changed), (later, changed)


def test_colour_correction_follows_the_job(masters: Server, clips: Clips, tmp_path: Path) -> None:
    film = Clip(width=640, height=360, rate="25", frames=25, has_sound=False)
    plain = mean(luma(made(masters, clips, "neutral", film, tmp_path), 0.5), 0, 0, WIDTH, HEIGHT)
    bright = mean(luma(made(masters, clips, "bright", film, tmp_path, ColorCorrector={"Brightness": 70}), 0.5), 0, 0, WIDTH, HEIGHT)
    assert bright > plain + 25, (plain, bright)
    grey = made(masters, clips, "grey", film, tmp_path, ColorCorrector={"Saturation": 1, "Hue": 40})
    command = ["ffmpeg", "-v", "error", "-ss", "0.5", "-i", str(grey), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv444p", "-"]
    chroma = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout[WIDTH * HEIGHT :]
    assert max(abs(value - 128) for value in chroma) < 12


def test_image_of_an_input_is_scaled_with_it(masters: Server, clips: Clips, tmp_path: Path) -> None:
    small = Clip(width=320, height=180, rate="25", frames=50, pattern="black", has_sound=False)
    url = upload(masters, clips.file(small), "overlays/small.mp4")
    inserter = {"InsertableImages": [image(ImageX=100, ImageY=50, StartTime="00:00:01:00")]}
    marked = {"FileInput": url, "TimecodeSource": "ZEROBASED", "ImageInserter": inserter}
    one = output("MP4", h264(), VideoDescription={"Width": WIDTH, "Height": HEIGHT})
    run(masters, settings([{"FileInput": url}, marked], [one], "s3://renditions/overlays/two"))
    file = masters.download("overlays/two.mp4", tmp_path / "two.mp4")
    before, first, marked_frame = (luma(file, at) for at in (1.5, 2.5, 3.5))
    assert mean(before, 0, 0, WIDTH, HEIGHT) < 5 and mean(first, 0, 0, WIDTH, HEIGHT) < 5
    # The image is 100x60 at 100, 50 of an input that is enlarged to twice its size.
    assert mean(marked_frame, 204, 104, 192, 112) > 230
    assert mean(marked_frame, 0, 0, 190, HEIGHT) < 8 and mean(marked_frame, 410, 0, 200, HEIGHT) < 8


def test_unusable_overlay_image_is_reported(masters: Server, clips: Clips) -> None:
    masters.s3.put_object(Bucket="masters", Key="letter.png", Body=b"dear all")
    url = upload(masters, clips.file(DARK), "overlays/refused.mp4")

    def job(**members: object) -> dict:
        inserter = {"ImageInserter": {"InsertableImages": [image(**members)]}}
        one = output("MP4", h264(), VideoDescription={"VideoPreprocessors": inserter})
        return settings([{"FileInput": url}], [one], "s3://renditions/overlays/no")

    def told(**members: object) -> tuple[int, str]:
        done = fail(masters, job(**members))
        return done["ErrorCode"], done["ErrorMessage"]

    code, words = told(ImageInserterInput="s3://masters/letter.png")
    assert code == 1010 and "s3://masters/letter.png" in words and "PNG" in words
    assert told(ImageInserterInput="s3://masters/none.png")[0] == 1404
    assert "outside of the 320x180 frame" in refuse(masters, job(ImageX=5000))
