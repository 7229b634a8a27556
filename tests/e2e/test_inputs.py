"""Do outputs contain the right frames of the right inputs? The brightness of each frame in these clips encodes its number."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, ROLE, fail, h264, output, run, seconds_of_sound, settings, streams, upload

SHARP = h264(MaxBitrate=4_000_000, QvbrSettings={"QvbrQualityLevel": 10})
ZERO = {"TimecodeSource": "ZEROBASED"}


def brightness(frame: int) -> int:
    """Returns the luma of a frame: steps of two that repeat every hundred frames."""
    return 20 + 2 * (frame % 100)


def counted(file: Path, frames: int, size: str = "320x180", rate: int = 25, timecode: str | None = None) -> Path:
    """Makes a clip with a tone, whose frames encode their own numbers."""
    seconds = frames / rate
    picture = f"nullsrc=s={size}:r={rate}:d={seconds},geq=lum='20+2*mod(N,100)':cb=128:cr=128"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    command += ["-c:v", "libx264", "-crf", "4", "-g", "50"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac"]
    command += ["-timecode", timecode] if timecode else []
    subprocess.run([*command, str(file)], check=True, timeout=120)
    return file


def numbers(file: Path) -> list[int]:
    """Returns the brightness of one pixel of every decoded frame."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-vf", "extractplanes=y,crop=1:1:100:100"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=120, check=True)
    return list(done.stdout)


def check(file: Path, expected: list[int]) -> None:
    """Fails unless every frame is the expected one. Brightness may be off by less than half a step."""
    found = numbers(file)
    assert len(found) == len(expected), (len(found), len(expected))
    wrong = [(index, one, brightness(frame)) for index, (one, frame) in enumerate(zip(found, expected)) if abs(one - brightness(frame)) > 0]
    assert not wrong, wrong[:5]
    assert not decode_complaints(file)


@pytest.fixture(scope="module")
def folder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for clips, whose bucket has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return tmp_path_factory.mktemp("inputs")


def made(server: Server, inputs: list[dict], name: str, folder: Path, **members: object) -> Path:
    """Runs a job with one MP4 output and downloads it."""
    wanted = output("MP4", members.pop("codec", SHARP), members.pop("sounds", [AAC]), **members)
    run(server, settings(inputs, [wanted], f"s3://renditions/{name}/out"))
    file = folder / f"{name}.mp4"
    server.download(f"{name}/out.mp4", file)
    return file


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_clip_has_exactly_its_frames(server: Server, folder: Path, container: str) -> None:
    url = upload(server, counted(folder / f"long.{container}", 300), f"long.{container}")
    clipping = {"StartTimecode": "00:00:07:10", "EndTimecode": "00:00:08:09"}
    file = made(server, [{"FileInput": url, "InputClippings": [clipping], **ZERO}], f"clip-{container}", folder)
    check(file, list(range(185, 210)))
    assert abs(float(seconds_of_sound(file)) - 1) < 0.05


def test_clips_are_joined_in_order(server: Server, folder: Path) -> None:
    url = upload(server, counted(folder / "row.mp4", 200), "row.mp4")
    clippings = [
        {"StartTimecode": "00:00:06:00", "EndTimecode": "00:00:06:24"},
        {"EndTimecode": "00:00:00:09"},
        {"StartTimecode": "00:00:07:15"},
    ]
    file = made(server, [{"FileInput": url, "InputClippings": clippings, **ZERO}], "row", folder)
    check(file, [*range(150, 175), *range(10), *range(190, 200)])
    assert abs(float(seconds_of_sound(file)) - 45 / 25) < 0.06


def test_different_inputs_become_one_film(server: Server, folder: Path) -> None:
    first = upload(server, counted(folder / "first.mp4", 50), "first.mp4")
    second = upload(server, counted(folder / "second.mp4", 100, size="240x240", rate=50), "second.mp4")
    silent = folder / "silent.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(counted(folder / "third.mp4", 25)), "-an", "-c", "copy", str(silent)]
    subprocess.run(command, check=True, timeout=60)
    third = upload(server, silent, "silent.mp4")
    inputs = [{"FileInput": url} for url in (first, second, third, first)]
    file = made(server, inputs, "film", folder)
    # Two seconds at 25 fps, two at 50 fps reduced to 25, one without audio, and the first input again.
    check(file, [*range(50), *range(0, 100, 2), *range(25), *range(50)])
    assert [stream["codec_type"] for stream in streams(file)] == ["video", "audio"]
    assert abs(float(seconds_of_sound(file)) - 7) < 0.06
    (picture, _) = streams(file)
    assert (picture["width"], picture["height"]) == (320, 180)


def test_clip_timecodes_follow_the_files_own(server: Server, folder: Path) -> None:
    url = upload(server, counted(folder / "hour.mov", 100, timecode="01:00:00:00"), "hour.mov")
    clipping = {"StartTimecode": "01:00:01:00", "EndTimecode": "01:00:01:04"}
    file = made(server, [{"FileInput": url, "InputClippings": [clipping]}], "hour", folder)
    check(file, list(range(25, 30)))
    own = {"TimecodeSource": "SPECIFIEDSTART", "TimecodeStart": "00:59:59:00"}
    file = made(server, [{"FileInput": url, "InputClippings": [clipping], **own}], "specified", folder)
    check(file, list(range(50, 55)))
    wrong = [output("MP4", SHARP, [AAC])]
    failed = fail(server, settings([{"FileInput": url, "InputClippings": [clipping], **ZERO}], wrong, "s3://renditions/no/x"))
    assert failed["ErrorCode"] == 1060 and "whose timecodes are 00:00:00:00 to 00:00:03:24" in failed["ErrorMessage"], failed


def quarters(file: Path) -> Path:
    """Makes a still film of four quarters: white, black, grey, dark grey."""
    parts = ["color=white:s=160x90", "color=black:s=160x90", "color=0x808080:s=160x90", "color=0x303030:s=160x90"]
    command = ["ffmpeg", "-v", "error", "-y"]
    for part in parts:
        command += ["-f", "lavfi", "-i", f"{part}:r=25:d=1"]
    graph = "[0][1]hstack[a];[2][3]hstack[b];[a][b]vstack"
    command += ["-filter_complex", graph, "-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv420p", str(file)]
    subprocess.run(command, check=True, timeout=60)
    return file


def pixel(file: Path, x: int, y: int) -> int:
    """Returns the luma of a pixel of the first frame."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-frames:v", "1", "-vf", f"format=gray,crop=1:1:{x}:{y}"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True)
    return done.stdout[0]


def test_crop_and_position_follow_the_job(server: Server, folder: Path) -> None:
    url = upload(server, quarters(folder / "quarters.mp4"), "quarters.mp4")
    crop = {"X": 160, "Y": 90, "Width": 160, "Height": 90}
    dark = made(server, [{"FileInput": url, "Crop": crop}], "crop", folder, sounds=None)
    assert abs(pixel(dark, 5, 5) - 0x30) < 8 and abs(pixel(dark, 310, 170) - 0x30) < 8
    place = {"X": 0, "Y": 90, "Width": 160, "Height": 90}
    video = {"VideoDescription": {"Position": place}}
    placed = made(server, [{"FileInput": url}], "place", folder, sounds=None, **video)
    assert pixel(placed, 5, 5) < 20 and pixel(placed, 5, 95) > 230 and pixel(placed, 310, 170) < 20
    outside = {"X": 200, "Y": 0, "Width": 160, "Height": 90}
    wrong = settings([{"FileInput": url, "Crop": outside}], [output("MP4", SHARP)], "s3://renditions/no/x")
    failed = fail(server, wrong)
    assert failed["ErrorCode"] == 1040 and "/inputs/0/crop" in failed["ErrorMessage"], failed


def noise(file: Path) -> float:
    """Returns the mean absolute difference of neighbouring pixels in the first frame."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-frames:v", "1", "-vf", "format=gray", "-f", "rawvideo", "-"]
    pixels = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    return sum(abs(one - two) for one, two in zip(pixels, pixels[1:])) / len(pixels)


@pytest.mark.parametrize("reducer", ["BILATERAL", "MEAN", "GAUSSIAN", "CONSERVE", "SPATIAL"])
def test_noise_is_reduced(server: Server, folder: Path, reducer: str) -> None:
    grainy = folder / "grainy.mp4"
    if not grainy.exists():
        picture = "color=gray:s=320x180:r=25:d=1,noise=alls=30:allf=t"
        command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "8"]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(grainy)], check=True, timeout=60)
    url = upload(server, grainy, "grainy.mp4")
    plain = made(server, [{"FileInput": url}], f"plain-{reducer}", folder, sounds=None)
    preprocessors = {"NoiseReducer": {"Filter": reducer, "FilterSettings": {"Strength": 3}}}
    if reducer == "SPATIAL":
        preprocessors = {"NoiseReducer": {"Filter": reducer, "SpatialFilterSettings": {"Strength": 16}}}
    video = {"VideoDescription": {"VideoPreprocessors": preprocessors}}
    calm = made(server, [{"FileInput": url}], f"calm-{reducer}", folder, sounds=None, **video)
    assert noise(calm) < 0.9 * noise(plain), (noise(calm), noise(plain))


def test_output_names_expand_their_variables(server: Server, folder: Path) -> None:
    url = upload(server, counted(folder / "named.mp4", 25), "named.file.mp4")
    wanted = output("MP4", h264(MaxBitrate=1_500_000), [AAC], NameModifier="_$w$x$h%04$_$rv$_$ra$_$f$")
    run(server, settings([{"FileInput": url}], [wanted], "s3://renditions/by-name/$fn$/"))
    assert server.keys(prefix="by-name/") == ["by-name/named.file/named.file_320x0180_1500_96_25.mp4"]


def test_wrong_timecodes_are_refused_at_once(server: Server, folder: Path) -> None:
    job = settings([{"FileInput": "s3://masters/x.mp4", "InputClippings": [{"StartTimecode": "1s"}]}], [output("MP4", SHARP)], "s3://renditions/x")
    with pytest.raises(ClientError, match="/inputs/0/inputClippings/0/startTimecode"):
        server.mediaconvert.create_job(Role=ROLE, Settings=job)


def test_late_audio_gives_the_warning_of_aws(server: Server, folder: Path) -> None:
    late = folder / "late.mkv"
    source = counted(folder / "late-source.mp4", 50)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-itsoffset", "0.5", "-i", str(source), "-map", "0:v", "-map", "1:a"]
    subprocess.run([*command, "-c", "copy", str(late)], check=True, timeout=60)
    inputs = [{"FileInput": upload(server, late, "late.mkv"), "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}]
    job = run(server, settings(inputs, [output("MP4", SHARP, [AAC])], "s3://renditions/late/a"))
    assert job["Warnings"] == [{"Code": 240000, "Count": 1}]
    assert any("of silence at the start" in text for text in job["Messages"]["Warning"]), job["Messages"]
