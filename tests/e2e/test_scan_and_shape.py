"""Are interlaced video, non-square pixels and passed-through audio as the job asks? ffmpeg's own detectors check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, h264, output, refuse, run, settings, streams, upload

FAST = Clip(width=640, height=360, rate="50", frames=100, has_sound=False)
SLOW = Clip(width=640, height=360, rate="25", frames=50)


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


def half_rate(mode: str) -> dict:
    """Returns H.264 settings for 25 frames per second in this interlace mode."""
    return h264(
        InterlaceMode=mode,
        FramerateControl="SPECIFIED",
        FramerateNumerator=25,
        FramerateDenominator=1,
        QualityTuningLevel="SINGLE_PASS_HQ",
    )


def detected(file: Path) -> dict[str, int]:
    """Counts the frames by the field order that ffmpeg's detector finds."""
    command = ["ffmpeg", "-hide_banner", "-i", str(file), "-map", "0:v", "-vf", "idet", "-f", "null", "-"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr
    line = re.findall(r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+)", told)[-1]
    return dict(zip(("top", "bottom", "progressive"), map(int, line), strict=True))


def packets(file: Path, stream: str) -> list[str]:
    """Returns a checksum of every packet of a stream."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", stream, "-c", "copy", "-f", "framemd5", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return [line.split(",")[5].strip() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("mode", "kind", "order"), [("TOP_FIELD", "top", "tt"), ("FOLLOW_BOTTOM_FIELD", "bottom", "bb")])
def test_interlaced_fields_come_from_two_frames(
    masters: Server, clips: Clips, tmp_path: Path, mode: str, kind: str, order: str
) -> None:
    url = upload(masters, clips.file(FAST), "scan/fast.mp4")
    outputs = [
        output("MP4", half_rate(mode), NameModifier="_i"),
        output("MP4", half_rate("PROGRESSIVE"), NameModifier="_p"),
    ]
    run(masters, settings([{"FileInput": url}], outputs, f"s3://renditions/scan/{mode}"))
    made = {name: masters.download(f"scan/{mode}_{name}.mp4", tmp_path / f"{name}.mp4") for name in ("i", "p")}
    video = {name: streams(file)[0] for name, file in made.items()}
    assert {name: (one["nb_read_packets"], one["r_frame_rate"]) for name, one in video.items()} == {
        "i": ("50", "25/1"),
        "p": ("50", "25/1"),
    }
    assert video["i"]["field_order"] == order and video["p"]["field_order"] == "progressive"
    assert detected(made["i"])[kind] > 45 and detected(made["p"])["progressive"] > 45, (detected(made["i"]), detected(made["p"]))
    assert all(decode_complaints(file) == "" for file in made.values())


def test_interlaced_film_is_scaled_by_field_or_deinterlaced(
    masters: Server, clips: Clips, tmp_path: Path
) -> None:
    source = tmp_path / "interlaced.mp4"
    command = ["ffmpeg", "-v", "error", "-i", str(clips.file(FAST)), "-vf", "interlace=scan=tff:lowpass=off"]
    command += ["-c:v", "libx264", "-flags", "+ilme+ildct", "-x264-params", "tff=1", str(source)]
    subprocess.run(command, check=True, timeout=60)
    url = upload(masters, source, "scan/interlaced.mp4")
    small = {"VideoDescription": {"Width": 320, "Height": 180}}
    outputs = [
        output("MP4", h264(InterlaceMode="FOLLOW_BOTTOM_FIELD"), NameModifier="_i", **small),
        output("MP4", h264(), NameModifier="_p", **small),
    ]
    run(masters, settings([{"FileInput": url}], outputs, "s3://renditions/scan/follow"))
    made = {name: masters.download(f"scan/follow_{name}.mp4", tmp_path / f"{name}.mp4") for name in ("i", "p")}
    assert streams(made["i"])[0]["field_order"] == "tt", "the output must follow the source's field order"
    assert streams(made["p"])[0]["field_order"] == "progressive"
    assert all(streams(file)[0]["nb_read_packets"] == "50" for file in made.values())
    assert detected(made["i"])["top"] > 40 and detected(made["p"])["progressive"] > 40, (detected(made["i"]), detected(made["p"]))


def test_slow_film_fields_share_one_frame(masters: Server, clips: Clips, tmp_path: Path) -> None:
    url = upload(masters, clips.file(SLOW), "scan/slow.mp4")
    run(masters, settings([{"FileInput": url}], [output("MP4", h264(InterlaceMode="TOP_FIELD"))], "s3://renditions/scan/slow"))
    file = masters.download("scan/slow.mp4", tmp_path / "slow.mp4")
    assert streams(file)[0]["field_order"] == "tt" and streams(file)[0]["nb_read_packets"] == "50"
    assert detected(file)["progressive"] > 45, detected(file)


def test_non_square_pixels_are_marked_without_bars(masters: Server, clips: Clips, tmp_path: Path) -> None:
    url = upload(masters, clips.file(SLOW), "scan/shape.mp4")
    shape = h264(ParControl="SPECIFIED", ParNumerator=4, ParDenominator=3)
    outputs = [
        output("MP4", shape, NameModifier="_box", VideoDescription={"Width": 480, "Height": 360}),
        output("MP4", shape, NameModifier="_free", VideoDescription={"Width": None, "Height": None}),
    ]
    for member in ("Width", "Height"):
        del outputs[1]["VideoDescription"][member]
    run(masters, settings([{"FileInput": url}], outputs, "s3://renditions/scan/shape"))
    for name in ("_box", "_free"):
        file = masters.download(f"scan/shape{name}.mp4", tmp_path / f"{name}.mp4")
        video = streams(file)[0]
        told = (video["width"], video["height"], video["sample_aspect_ratio"], video["display_aspect_ratio"])
        assert told == (480, 360, "4:3", "16:9"), told
        command = ["ffmpeg", "-hide_banner", "-i", str(file), "-vf", "cropdetect=limit=16:round=2", "-f", "null", "-"]
        seen = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr
        assert re.findall(r"crop=(\d+:\d+)", seen)[-1] == "480:360", name


@pytest.mark.parametrize(("codec", "container"), [("ac3", "mp4"), ("aac", "ts"), ("eac3", "mkv")])
def test_audio_passes_through_packet_by_packet(
    masters: Server, clips: Clips, tmp_path: Path, codec: str, container: str
) -> None:
    source = tmp_path / f"source.{container}"
    command = ["ffmpeg", "-v", "error", "-i", str(clips.file(SLOW)), "-c:v", "copy", "-c:a", codec, "-b:a", "192k", str(source)]
    subprocess.run(command, check=True, timeout=60)
    url = upload(masters, source, f"scan/source.{container}")
    inputs = [{"FileInput": url, "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}]
    one = output("MP4", h264(), [{"CodecSettings": {"Codec": "PASSTHROUGH"}}, AAC])
    run(masters, settings(inputs, [one], f"s3://renditions/scan/{codec}"))
    file = masters.download(f"scan/{codec}.mp4", tmp_path / "made.mp4")
    assert [stream["codec_name"] for stream in streams(file)] == ["h264", codec, "aac"]
    before, after = packets(source, "0:a:0"), packets(file, "0:a:0")
    if codec == "aac":
        # In a transport stream each packet has a header of its own; MP4 stores it once.
        assert len(before) == len(after)
    else:
        assert before == after
    assert decode_complaints(file) == ""


def test_impossible_passthrough_and_interlacing_are_refused(masters: Server, clips: Clips) -> None:
    url = upload(masters, clips.file(SLOW), "scan/told.mp4")
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    clip = {"FileInput": url, "TimecodeSource": "ZEROBASED", "AudioSelectors": selectors,
            "InputClippings": [{"StartTimecode": "00:00:01:00"}]}  # fmt: skip
    through = output("MP4", h264(), [{"CodecSettings": {"Codec": "PASSTHROUGH"}}])
    assert "encode it to clip it" in refuse(masters, settings([clip], [through], "s3://renditions/scan/no"))
    low = output("MP4", h264(InterlaceMode="TOP_FIELD"), VideoDescription={"Width": 320, "Height": 182})
    assert "multiple of 4, not 182" in refuse(masters, settings([{"FileInput": url}], [low], "s3://renditions/scan/no"))
